"""The steps of judging critics: teach those that learn, let all judge, plant flaws and let them be looked for."""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import numpy.typing as npt

from superalign.critic import Case, Critic, Critique, critics
from superalign.critics._cases import good_classes, verdicts
from superalign.errors import DataError, did_you_mean
from superalign.job import Inputs, Tools, step
from superalign.metric import Metric
from superalign.steps import Params, part_of
from superalign.store import Artifact
from superalign.supervisor import GroundTruth
from superalign.tampering import tamper
from superalign.task import Comparison, Gold, Task

IntArray = npt.NDArray[np.int64]
FloatArray = npt.NDArray[np.float32]
WORDS = 2000  # characters of a critique that are kept


class KnownGood(Metric):
    """Picks responses that are good, to plant flaws in them; no critic is told."""


@step(version=1)
def check_critics(params: Params, inputs: Inputs, tools: Tools) -> Artifact:
    """Refuse what cannot be judged, before anything is; nothing comes of it else.

    Parameters: `critics` (specs), `good`, `holdout`, `shares`, `seeds`. Input: `items`.
    """
    task = Task.from_meta(inputs["items"].meta)
    good_classes(task, params["good"])
    for spec in params["critics"]:
        critics.build(spec).check(task.pairwise)
    for seed in params["seeds"]:
        for part in ("supervise", "transfer", "test"):
            rows_of(task, params, part, seed)
    return Artifact()


@step(version=1)
def teach_critic(params: Params, inputs: Inputs, tools: Tools) -> Artifact:
    """Train a critic on the truth of the supervise part.

    Parameters: `critic` (spec) with its `models`, `seed`, `good`, `holdout`, `shares`. Inputs: `items`, `gold`.
    """
    task, critic = Task.from_meta(inputs["items"].meta), critics.build(params["critic"])
    rows = rows_of(task, params, "supervise", params["seed"])
    gold = Gold(verdicts(task, inputs["gold"].tensors["labels"], params["good"])[rows], "supervise")
    labels = GroundTruth().label(gold, 2, "to train a critic")
    return critic.learn([Case.of(task.items[row]) for row in rows], labels, tools)


@step(version=1)
def judge(params: Params, inputs: Inputs, tools: Tools) -> Artifact:
    """Let a critic judge one part of the task; of a pair both orders, where it does not ask in both by itself.

    Parameters: `critic` (spec) with its `models`, `part`, `seed`, `holdout`, `shares`. Inputs: `items`, and `learnt` of
    a critic that learns.

    Returns:
        rows: int64 [n]; good: float32 [n], NaN where it gave no verdict; orders: float32 [n, 2], what it said in either
        order, NaN where it was asked in one; cost: float64 [n, 4], tokens read and written, seconds and people's
        answers. In the meta: `critiques` (words, undetermined, flaws) and `seconds` in all.
    """
    task, critic = Task.from_meta(inputs["items"].meta), critics.build(params["critic"])
    rows = rows_of(task, params, params["part"], params["seed"])
    cases = [Case.of(task.items[row]) for row in rows]
    judged = _Judged(critic, cases, tools, inputs.get("learnt"))
    orders = judged.orders()
    return Artifact({"rows": rows, **judged.tensors(), "orders": orders}, judged.meta())


@step(version=1)
def plant(params: Params, inputs: Inputs, tools: Tools) -> Artifact:
    """Plant a flaw in good responses of the test part.

    Parameters: `most` flaws, `good`, `holdout`, `shares`. Inputs: `items`, `gold`.

    Returns:
        In the meta `planted`: for each the item's row, the tampered text, kind, start, end, what was there; and
        `untouched`, how many good responses offered nothing to tamper with.
    """
    task = Task.from_meta(inputs["items"].meta)
    rows = rows_of(task, params, "test", 0)
    gold = Gold(verdicts(task, inputs["gold"].tensors["labels"], params["good"])[rows], "test")
    truth = KnownGood().truth(gold)
    better = {int(row): _good_response(task, int(row), int(label)) for row, label in zip(rows, truth, strict=True)}
    known = {row: text for row, text in better.items() if text}
    texts, planted, untouched = list(dict.fromkeys(known.values())), list[list[Any]](), 0
    for row in sorted(known, key=lambda row: hashlib.sha256(task.items[row].id.encode(errors="replace")).digest()):
        if len(planted) == params["most"]:
            break
        found = tamper(known[row], [text for text in texts if text != known[row]], 0)
        if found is None:
            untouched += 1
        else:
            planted.append([row, found.text, found.kind, found.start, found.end, found.was])
    return Artifact(meta={"planted": planted, "untouched": untouched})


@step(version=1)
def look_for_flaws(params: Params, inputs: Inputs, tools: Tools) -> Artifact:
    """Let a critic judge the responses with a planted flaw; of a pair, against the response that was tampered with.

    Parameters: `critic` (spec) with its `models`. Inputs: `items`, `planted`, and `learnt` of a critic that learns.

    Returns:
        As `judge`, `good` of a pair being that the clean response is the better one, and `rows` those of the items.
    """
    task, critic = Task.from_meta(inputs["items"].meta), critics.build(params["critic"])
    planted = inputs["planted"].meta["planted"]
    cases, turned = [], []
    for row, text, _, start, end, was in planted:
        case, clean = Case.of(task.items[row]), text[:start] + was + text[end:]
        second = case.pair and hashlib.sha256(text.encode(errors="replace")).digest()[0] % 2 == 1
        responses = ((text, clean) if second else (clean, text)) if case.pair else (text,)
        cases.append(Case(f"{case.id}/flawed", case.messages, responses, case.group))
        turned.append(case.pair and not second)
    judged = _Judged(critic, cases, tools, inputs.get("learnt"))
    tensors = judged.tensors()
    tensors["good"] = np.where(turned, 1 - tensors["good"], tensors["good"]).astype(np.float32)
    rows = np.array([row for row, *_ in planted], dtype=np.int64)
    return Artifact({"rows": rows, **tensors}, judged.meta())


def rows_of(task: Task, params: Params, part: str, seed: int) -> IntArray:
    """Return the items of a part; of a tag that is held out, only items with values for that part.

    Raises:
        DataError: there are none, or there is no such tag.
    """
    rows = part_of(task, params["shares"], seed, part)
    if params["holdout"] is None:
        return rows
    held = held_values(task, params["holdout"], params["shares"])
    inside = np.array([str(task.items[row].tags.get(params["holdout"])) in held for row in rows])
    kept: IntArray = rows[inside == (part == "test")]
    if not len(kept):
        raise DataError(f"no item is left for the {part} part", why=f"'{params['holdout']}' is held out")
    return kept


def held_values(task: Task, tag: str, shares: Sequence[int]) -> set[str]:
    """Return the values of a tag that only the test part has: drawn by a hash, about as many as its share."""
    known = {name for item in task.items for name in item.tags}
    if tag not in known:
        fix = did_you_mean(tag, known) if known else "this task has no tags"
        raise DataError(f"the items have no tag '{tag}' to hold out", fix=fix)
    values = sorted({str(item.tags.get(tag)) for item in task.items}, key=_drawn)
    if len(values) < 2:
        raise DataError(f"tag '{tag}' has one value only, so none can be held out")
    return set(values[: min(max(round(len(values) * shares[2] / sum(shares)), 1), len(values) - 1)])


class _Judged:
    """What a critic says of cases, with what that took."""

    def __init__(self, critic: Critic, cases: Sequence[Case], tools: Tools, learnt: Artifact | None) -> None:
        self.critic, self.cases, self.tools, self.learnt = critic, cases, tools, learnt
        start = time.perf_counter()
        self.said = self._ask(cases)
        measured = sum(one.cost.seconds for one in self.said)  # of answers that were in the bank, when they were made
        self.seconds = max(time.perf_counter() - start, measured)

    def orders(self) -> FloatArray:
        """Return what was said in either order, [n, 2]; pairs that were asked about in one are asked about again."""
        found = np.full((len(self.cases), 2), np.nan, dtype=np.float32)
        again = list[int]()
        for place, (case, one) in enumerate(zip(self.cases, self.said, strict=True)):
            if len(one.orders) > 1:
                found[place] = one.orders[:2]
            elif case.pair:
                again.append(place)
        turned = [_turned(self.cases[place]) for place in again]
        for place, one in zip(again, self._ask(turned), strict=True):
            found[place] = _good(self.said[place]), 1 - _good(one)
        return found

    def tensors(self) -> dict[str, npt.NDArray[Any]]:
        costs = [one.cost for one in self.said]
        took = [[cost.tokens_in, cost.tokens_out, cost.seconds, cost.people] for cost in costs]
        good = np.array([_good(one) for one in self.said], dtype=np.float32)
        return {"good": good, "cost": np.array(took, dtype=np.float64).reshape(-1, 4)}

    def meta(self) -> dict[str, Any]:
        told = [
            {"words": one.words[:WORDS], "undetermined": _why(one), "flaws": [asdict(flaw) for flaw in one.flaws]}
            for one in self.said
        ]
        return {"critiques": told, "seconds": self.seconds}

    def _ask(self, cases: Sequence[Case]) -> list[Critique]:
        said = self.critic.judge(cases, self.tools, self.learnt) if cases else []
        if len(said) != len(cases):
            raise DataError(f"critic {self.critic} was given {len(cases)} cases and judged {len(said)}")
        return said


def _good(said: Critique) -> float:
    """Return the probability; NaN where there is none, or no probability."""
    return said.good if said.good is not None and 0 <= said.good <= 1 else math.nan


def _why(said: Critique) -> str:
    """Return why there is no verdict, empty where there is one."""
    if not math.isnan(_good(said)):
        return ""
    return said.undetermined or ("unanswered" if said.good is None else "unparsable")


def _turned(case: Case) -> Case:
    first, second = case.responses
    return Case(f"{case.id}/turned", case.messages, (second, first), case.group)


def _good_response(task: Task, row: int, label: int) -> str | None:
    """Return the response of an item that is known to be good: itself, or the better one; None where it is bad."""
    item = task.items[row]
    if isinstance(item, Comparison):
        return item.responses[label]
    return (item.prompt if item.response is None else item.response) if label else None


def _drawn(value: str) -> bytes:
    return hashlib.sha256(value.encode(errors="replace")).digest()
