"""Our attacks beside the peers', on the same model with the same settings.

    python -m venv PEER
    PEER/bin/pip install nanogcg==0.3.0 transformers==4.47.1 torch==2.13.0
    python benchmarks/attacks.py --part gcg --peer-python PEER/bin/python --threads 1

nanoGCG needs an older transformers, hence an environment of its own. Both begin with the same string, whose loss must
be the same in both, with and without a cache of what stands before it. Then they take turns at so many steps. What
each step draws differs, hence the strings do; both leave out proposals that would be read otherwise. Timed are the
steps alone, from the end of scoring the first string on.
"""

from __future__ import annotations

import json
import os
import subprocess
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from _measure import Meter, Plan, Row, Workers, asked_of, peak_gb, run, show, worker_options, write

PROMPT, TARGET = "Is Paris the capital of France?", "No, Paris is not the capital of France."
INIT = "x x x x x x x x x x x x x x x x x x x x"
PEER = Path(__file__).with_name("_gcg_peer.py")


def ours(plan: Plan) -> Row:
    """Take the steps with superalign's engine."""
    from superalign.attacker import Goal
    from superalign.attacks._gcg import Descent, Origin, Rule, common_tokens
    from superalign.attacks._glass import Glass
    from superalign.attacks._place import place_of
    from superalign.model import models

    glass = Glass(models.build(f"{plan['model']},dtype=fp32"))
    place = place_of(glass.voice.spelling, Goal("goal", plan["prompt"], plan["target"]), plan["init"], glass.name)
    scored = []

    class Counted(Descent):
        """Notes how many strings are scored."""

        def losses(self, strings: Any, *given: Any) -> Any:
            scored.append(len(strings))
            return super().losses(strings, *given)

    descent = Counted([glass], [[place]], common_tokens([glass], True), Rule(plan["width"], plan["topk"], 1, 0.0))
    start = np.array([place.start])
    first = {"cached": float(glass.losses(place, start))}
    if not glass.caches:
        raise SystemExit("the model is read without a cache: nothing to compare")
    glass.caches = False
    first["alone"] = float(glass.losses(place, start))
    glass.caches = True
    found, origin = [], Origin(place.start, 1)
    with Meter() as meter:
        for step in range(plan["steps"]):
            found.append(descent.step([origin], np.random.default_rng([plan["seed"], step])))
            origin = Origin(tuple(found[-1]["ids"]), 1)
    best = min(one["loss"] for one in found)
    return figures(plan, meter.wall, meter.cpu, sum(scored), peak_gb()) | {"first": first, "best": best}


def peer(plan: Plan) -> Row:
    """Take the steps with nanoGCG; then only score the first string, without its cache."""
    from superalign.model import models

    folder = models.build(plan["model"]).origin().folder
    asked = {**plan, "folder": str(folder), "cache": True}
    found = in_its_environment(asked)
    alone = in_its_environment({**asked, "cache": False, "steps": 1, "width": 2})
    row = figures(plan, found["wall"], found["cpu"], found["scored"], found["peak GB"])
    return row | {"first": {"cached": found["first"], "alone": alone["first"]}, "best": found["best"]}


def in_its_environment(plan: Plan) -> dict[str, Any]:
    """Run the peer's script with the Python that has the peer."""
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    command = [plan["peer python"], str(PEER), json.dumps(plan)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, env=environment)
    said: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return said


def figures(plan: Plan, wall: float, cpu: float, scored: int, peak: float) -> Row:
    """Return what the steps took."""
    steps = plan["steps"]
    return {
        "steps/s": steps / wall,
        "steps/CPU s": steps / cpu,
        "strings/s": scored / wall,
        "strings a step": scored / steps,
        "peak GB": peak,
    }


WORKERS: Workers = {"nanoGCG": peer, "ours": ours}


def compare(plan: Plan, rounds: int) -> dict[str, Any]:
    """Let both take turns; print the median of each measure, their ratios and the losses."""
    turns = [run(WORKERS, plan) for _ in range(rounds)]
    first = {name: turns[0][name]["first"] for name in WORKERS}
    losses = [first[name][how] for name in WORKERS for how in ("cached", "alone")]
    apart = max(abs(one - other) for one, other in pairwise(sorted(losses)))
    measures = [key for key in turns[0]["ours"] if key != "first"]
    rows = {name: {key: median(turn[name][key] for turn in turns) for key in measures} for name in WORKERS}
    rows["ours / nanoGCG"] = {
        key: median(turn["ours"][key] / turn["nanoGCG"][key] for turn in turns) for key in measures if key != "best"
    }
    title = f"gcg: {plan['model']}, {rounds} x {plan['steps']} steps of {plan['width']} strings, fp32"
    show(title, rows)
    print("loss of the first string:", {name: {k: round(v, 6) for k, v in one.items()} for name, one in first.items()})
    if apart > 1e-3:
        raise SystemExit(f"the losses of the same string differ by {apart:.4g}: these figures compare nothing")
    return {"rows": rows, "turns": turns}


def main() -> None:
    """Run the part asked for."""
    options = worker_options(__doc__, WORKERS)
    options.add_argument("--part", choices=["gcg"], default="gcg")
    options.add_argument("--peer-python", help="of the environment that has nanogcg")
    options.add_argument("--peer-batch", type=int, help="strings the peer scores at once (default: all)")
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--steps", type=int, default=3)
    options.add_argument("--width", type=int, default=64)
    options.add_argument("--topk", type=int, default=256)
    options.add_argument("--prompt", default=PROMPT)
    options.add_argument("--target", default=TARGET)
    options.add_argument("--init", default=INIT)
    asked = asked_of(options, WORKERS)
    if not asked.peer_python:
        options.error("--peer-python is needed: the Python of an environment that has nanogcg")
    from superalign.models._torch import usable_cores

    plan = {key: getattr(asked, key) for key in ("model", "seed", "steps", "width", "topk", "prompt", "target", "init")}
    plan |= {"threads": asked.threads or usable_cores()}
    plan |= {"peer python": asked.peer_python, "peer batch": asked.peer_batch}
    write(asked.json, {"plan": plan, "figures": compare(plan, asked.rounds)})


if __name__ == "__main__":
    main()
