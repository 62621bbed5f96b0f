"""A result of the attack study, scored by the real evaluation from drawn attempts."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from sample import HOSTILE

from superalign.attack_evaluation import evaluate
from superalign.attack_evidence import AttackCell, AttackEvidence
from superalign.attack_result import AttackResult
from superalign.goals import drawn
from superalign.job import Job, step
from superalign.models.vader import Vader
from superalign.result import ModelFacts
from superalign.store import Artifact
from superalign.study import Conduct
from superalign.task import Comparison, Example, Task

STRENGTH = {"assertion": 0.9, "emotion": 0.5, "weak tactic": 0.1}
SHARES = (1, 1, 2)


class Target(Vader):
    """A model whose files nobody needs."""

    def fingerprint(self) -> str:
        return "f" * 64


class Drawn(NamedTuple):
    result: AttackResult
    attempts: dict[tuple[str, int], list[dict[str, Any]]]
    right: dict[str, bool]


@step(version=1)
def nothing(params: Any, inputs: Any, tools: Any) -> Artifact:
    return Artifact()


def attack_sample(
    *,
    attacks: tuple[str, ...] = ("pressure", "many-shot", "map-elites"),
    seeds: int = 2,
    goals: int = 12,
    pairs: bool = True,
    transfer: bool = True,
    hostile: bool = False,
    decided: bool = True,
) -> Drawn:
    """Draw attempts and score them."""
    from pathlib import Path

    rng = np.random.default_rng(5)
    told = sorted(HOSTILE, key=lambda text: "evil.example" not in text)  # first, so that no cut leaves half of a link
    odd = " ".join(text.encode(errors="replace").decode() for text in told) if hostile else "plain words"
    task = _task(odd, pairs)
    labels = rng.integers(0, 2, len(task.items)) if pairs else np.zeros(len(task.items), dtype=np.int64)
    said = {str(i): [float(rng.normal()), float(rng.normal())] for i in range(len(task.items))}
    right = {item.id: int(said[str(i)][1] > said[str(i)][0]) == labels[i] for i, item in enumerate(task.items)}
    jobs: dict[str, Artifact] = {}

    def job(name: str, artifact: Artifact) -> Job:
        made = Job(nothing, {"name": name})
        jobs[made.key] = artifact
        return made

    cells, moved, attempts = [], [], {}
    for attack in attacks:
        for seed in range(seeds):
            chosen = [task.items[i] for i in drawn(task, SHARES, seed, goals, 0).goals]
            rows = [row for item in chosen for row in _rows(attack, item, odd, rng, decided)]
            attempts[attack, seed] = rows
            meta = {
                "goals": [item.id for item in chosen],
                "left_out": [],
                "near": 1,
                "attempts": rows,
                "spent": _spent(rows),
            }
            cells.append(AttackCell(attack, "target", seed, job(f"{attack} {seed}", Artifact(meta=meta))))
            if transfer:
                meta = {"attempts": rows[:5], "broken": 9}
                moved.append(AttackCell(attack, odd, seed, job(f"moved {attack} {seed}", Artifact(meta=meta))))
    target = Target(folder=Path())
    plain = job("plain", Artifact(meta={"said": said if pairs else {}, "tokens": 900, "errors": {}}))
    evidence = AttackEvidence(
        job("items", Artifact(meta=task.to_meta())),
        job("gold", Artifact({"labels": labels})),
        {str(target): plain},
        cells,
        moved,
        SHARES,
        target,
        4,
    )
    config = {"study": "attack", "attacks": [{"name": "pressure"}], "shares": [1, 1, 2], "critic": {"name": "keywords"}}
    conduct = Conduct(
        config, "0" * 64, {"python": "3"}, 12.0, {"total": 4, "computed": 4, "reused": 0, "failed": 0}, []
    )
    return Drawn(evaluate(evidence, lambda one: jobs[one.key], conduct), attempts, right)


def facts() -> ModelFacts:
    return ModelFacts(spec="x", layer=0, depth=0, fingerprint="f", texts=1, truncated=0, tokens=1)


def _task(odd: str, pairs: bool) -> Task:
    items = []
    for i in range(60):
        tags = {"rank": i, "kind": f"kind {i % 3}"}
        prompt = f"Where is {odd} {i}?"
        both = (f"It is in A{i}.", f"It is in B{i} {odd}.")
        items.append(
            Comparison(f"q{i}", prompt, both, f"g{i // 2}", tags)
            if pairs
            else Example(f"q{i}", prompt, None, f"g{i}", tags)
        )
    return Task("places", "1", tuple(items), ("first", "second") if pairs else ("request",))


def _rows(attack: str, item: Any, odd: str, rng: np.random.Generator, decided: bool) -> list[dict[str, Any]]:
    rows = []
    for number, (tactic, strength) in enumerate(STRENGTH.items()):
        broken = rng.random() < strength
        outcome = "broken" if broken else "held"
        if not decided:
            outcome = "error"
        elif attack == "many-shot" and number == 2:
            outcome = ("undetermined", "error")[int(rng.integers(2))]
        score = None if outcome in ("undetermined", "error") else (1 if broken else -1) * float(rng.random() + 0.1)
        tags: dict[str, Any] = {"wording": number}
        if attack == "map-elites":
            tags["cell"] = [f"{tactic} {odd}"[:40], f"tone {int(rng.integers(3))}"]
        rows.append(
            {
                "goal": item.id,
                "tactic": tactic,
                "outcome": outcome,
                "score": score,
                "messages": [["user", f"{tactic}: {odd}. {item.prompt}"]],
                "response": "" if isinstance(item, Comparison) else f"Here you are: {odd}",
                "claim": f"claim {odd}",
                "denied": "denied",
                "why": "",
                "tokens": 40,
                "tags": {**tags, "refused": 1, "unparsable": 2},
            }
        )
    return rows


def _spent(rows: list[dict[str, Any]]) -> dict[str, Any]:
    stopped = {"tokens": 1}
    return {"queries": len(rows), "tokens": 40 * len(rows), "asked": 7, "failed": 1, "seconds": 1.5, "stopped": stopped}
