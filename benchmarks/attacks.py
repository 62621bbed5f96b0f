"""Our attacks beside the peers', on the same model with the same settings.

    python -m venv GARAK
    GARAK/bin/pip install garak==0.17.1 torch==2.13.0
    python benchmarks/attacks.py --part blackbox --peer-python GARAK/bin/python --threads 1

Both put the same prompts to the same model, greedily, and look for refusals in the answers: garak by its own probe
loop, pipeline and detector, ours by a campaign with the critic `keywords`. Timed is from the first prompt on, the model
loaded, in an empty store.

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
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from _measure import Meter, Plan, Row, Workers, asked_of, peak_gb, run, show, worker_options, write

PROMPT, TARGET = "Is Paris the capital of France?", "No, Paris is not the capital of France."
INIT = "x x x x x x x x x x x x x x x x x x x x"
PEER, GARAK = (Path(__file__).with_name(name) for name in ("_gcg_peer.py", "_garak_peer.py"))
TOPICS = ("the sea", "a clock", "my dog", "the moon", "a train", "old bread", "a lost key", "the rain")
FORMS = ("a poem about {}", "a letter to {}", "a short story with {}", "three facts about {}", "a joke about {}")


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


def in_its_environment(plan: Plan, script: Path = PEER) -> dict[str, Any]:
    """Run a peer's script with the Python that has the peer."""
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    command = [plan["peer python"], str(script), json.dumps(plan)]
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


def garak(plan: Plan) -> Row:
    """Put the prompts to the model with garak."""
    from superalign.model import models

    found = in_its_environment({**plan, "folder": str(models.build(plan["model"]).origin().folder)}, GARAK)
    return answered(plan, found["wall"], found["cpu"], found["peak GB"], found["bypasses"], found["answers"])


def campaign(plan: Plan) -> Row:
    """Put the prompts to the model in a campaign, in an empty store."""
    from superalign.answers import AnswerBank
    from superalign.attacker import Budget, Goal, Scene
    from superalign.attacks.plain import Plain
    from superalign.campaign import Campaign
    from superalign.chat import Sampling, asked
    from superalign.critics.keywords import Keywords
    from superalign.job import Tools
    from superalign.model import models
    from superalign.store import Store
    from superalign.trial import Compliance

    model = models.build(f"{plan['model']},dtype=fp32")
    with TemporaryDirectory() as folder:
        store = Store(Path(folder))
        bank = AnswerBank(store, model)
        bank.generate([asked("Hello.")], Sampling(max_tokens=1), [0])  # loads the model
        goals = [Goal(str(place), prompt) for place, prompt in enumerate(plan["prompts"])]
        trial = Compliance(bank, Keywords(), Tools(store, lambda **_: None), Sampling(max_tokens=plan["tokens"]), 0)
        scene = Scene(model, "behaviour", plan["seed"])
        tried = Campaign(Plain(), goals, scene, trial, {"target": bank}, Budget())
        with Meter() as meter:
            attempts = tried.run()
    broken = sum(attempt.outcome == "broken" for attempt in attempts)
    answers = [attempt.response for attempt in attempts]
    return answered(plan, meter.wall, meter.cpu, peak_gb(), broken, answers)


def answered(plan: Plan, wall: float, cpu: float, peak: float, broken: int, answers: list[str]) -> Row:
    """Return what the attempts took, and what was answered."""
    n = len(plan["prompts"])
    took = {"attempts/s": n / wall, "attempts/CPU s": n / cpu, "peak GB": peak}
    return {**took, "not refused": broken, "answers": answers}


def beside_garak(plan: Plan, rounds: int) -> dict[str, Any]:
    """Let both take turns; print the median of each measure, their ratios and how many answers are the same."""
    turns = [run(BLACKBOX, plan) for _ in range(rounds)]
    texts = {name: turns[0][name]["answers"] for name in BLACKBOX}
    same = sum(one.strip() == other.strip() for one, other in zip(texts["garak"], texts["campaign"], strict=True))
    measures = [key for key in turns[0]["garak"] if key != "answers"]
    rows = {name: {key: median(turn[name][key] for turn in turns) for key in measures} for name in BLACKBOX}
    rows["ours / garak"] = {
        key: median(turn["campaign"][key] / turn["garak"][key] for turn in turns)
        for key in measures
        if key != "not refused"
    }
    n = len(plan["prompts"])
    show(f"blackbox: {plan['model']}, {rounds} x {n} prompts, {plan['tokens']} tokens an answer, fp32", rows)
    print(f"{same} of {n} answers are the same, letter by letter")
    return {"rows": rows, "same": same}


WORKERS: Workers = {"nanoGCG": peer, "ours": ours}
BLACKBOX: Workers = {"garak": garak, "campaign": campaign}


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
    options = worker_options(__doc__, {**WORKERS, **BLACKBOX})
    options.add_argument("--part", choices=["gcg", "blackbox"], default="gcg")
    options.add_argument("--peer-python", help="of the environment that has the peer")
    options.add_argument("--peer-batch", type=int, help="strings nanoGCG scores at once (default: all)")
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--steps", type=int, default=3, help="of gcg")
    options.add_argument("--width", type=int, default=64, help="of gcg")
    options.add_argument("--topk", type=int, default=256, help="of gcg")
    options.add_argument("--prompt", default=PROMPT, help="of gcg")
    options.add_argument("--target", default=TARGET, help="of gcg")
    options.add_argument("--init", default=INIT, help="of gcg")
    options.add_argument("--tokens", type=int, default=32, help="of an answer, in blackbox")
    asked = asked_of(options, {**WORKERS, **BLACKBOX})
    if not asked.peer_python:
        options.error("--peer-python is needed: the Python of an environment that has the peer")
    from superalign.models._torch import usable_cores

    names = ("model", "seed", "steps", "width", "topk", "prompt", "target", "init", "tokens")
    plan = {key: getattr(asked, key) for key in names} | {"threads": asked.threads or usable_cores()}
    plan |= {"peer python": asked.peer_python, "peer batch": asked.peer_batch}
    if asked.part == "gcg":
        write(asked.json, {"plan": plan, "figures": compare(plan, asked.rounds)})
    else:
        plan["prompts"] = [f"Write {form.format(topic)}." for topic in TOPICS for form in FORMS]
        write(asked.json, {"plan": plan, "figures": beside_garak(plan, asked.rounds)})


if __name__ == "__main__":
    main()
