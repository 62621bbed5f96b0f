"""Does a critique help? A fixed model writes responses anew, and an oracle says which answer it then gives."""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from superalign.answers import AnswerBank
from superalign.chat import Sampling
from superalign.critic import Case, Critique, Flaw, revise
from superalign.job import Inputs, Tools, step
from superalign.judging import rows_of
from superalign.metric import Metric
from superalign.model import models
from superalign.steps import Params
from superalign.store import Artifact
from superalign.task import Comparison, Gold, Item, Task

IntArray = npt.NDArray[np.int64]
MARKED = re.compile(r"(?:\bA:|####)\s*\$?(-?\d[\d,]*(?:\.\d+)?)")
NUMBER = re.compile(r"-?\d[\d,]*(?:\.\d+)?")
FEW = 6  # words in which two statements of a fact may differ


@step(version=1)
def write_anew(params: Params, inputs: Inputs, tools: Tools) -> Artifact:
    """Let a model revise responses of the test part, given what a critic said of them, or nothing.

    Parameters: `model`, `fingerprint`, `most` (responses and tokens), `holdout`, `shares`. Inputs: `items`, and
    `judged` (what a critic said of the test part); without it the model is told of no verdict.

    Returns:
        In the meta `revisions`: row, which of two responses, the new text, and the error if there was one; `seconds`.
    """
    task, model = Task.from_meta(inputs["items"].meta), models.build(params["model"])
    rows = rows_of(task, params, "test", 0)
    drawn = sorted(rows.tolist(), key=lambda row: _hash(task.items[row].id))[: params["most"][0]]
    said = _critiques(inputs["judged"]) if "judged" in inputs else {}
    which = [_hash(f"{task.items[row].id} which")[0] % 2 if task.pairwise else 0 for row in drawn]
    asked = [
        revise(Case.of(task.items[row]), said.get(row, Critique()), place)
        for row, place in zip(drawn, which, strict=True)
    ]
    start = time.perf_counter()
    sampling = Sampling(max_tokens=params["most"][1])
    replies = AnswerBank(tools.store, model, tools.report).generate(asked, sampling, [0] * len(asked))
    revisions = [[row, place, reply.text, reply.error] for row, place, reply in zip(drawn, which, replies, strict=True)]
    return Artifact(meta={"revisions": revisions, "seconds": time.perf_counter() - start})


class AnswerOracle(Metric):
    """Knows the exact answers of the test part: a number that its good responses come to, or the right statement.

    Args:
        task: its items.
        rows: of the test part.
        gold: its truth, 1 for good or for the second of two.
    """

    def __init__(self, task: Task, rows: IntArray, gold: Gold) -> None:
        self.task = task
        self.known = dict(zip(rows.tolist(), self.truth(gold).tolist(), strict=True))
        numbers: dict[str, set[float]] = {}
        for row, good in self.known.items():
            item = task.items[row]
            if good and not isinstance(item, Comparison) and (found := number(_said(item))) is not None:
                numbers.setdefault(item.group or item.id, set()).add(found)
        self.numbers = numbers

    def right(self, row: int, which: int, text: str | None = None) -> bool | None:
        """Tell whether a response is right, or what it was revised to; None where there is no exact answer."""
        item, good = self.task.items[row], self.known[row]
        if isinstance(item, Comparison):
            ours, theirs = (_words(item.responses[place]) for place in (good, 1 - good))
            mine, other = ours - theirs, theirs - ours
            if not mine or not other or len(mine) > FEW or len(other) > FEW:
                return None
            if text is None:
                return bool(which == good)
            return mine <= _words(text) and not other <= _words(text)
        exact = self.numbers.get(item.group or item.id, set())
        if len(exact) != 1:
            return None
        return bool(good) if text is None else number(text) in exact


def number(text: str) -> float | None:
    """Return the number that a solution comes to: the one marked as its answer, or the last; None without one."""
    found = MARKED.findall(text) or NUMBER.findall(text)
    return float(found[-1].replace(",", "")) if found else None


def _critiques(judged: Artifact) -> Mapping[int, Critique]:
    told = zip(judged.tensors["rows"].tolist(), judged.tensors["good"].tolist(), judged.meta["critiques"], strict=True)
    return {
        row: Critique(
            words=one["words"],
            good=None if np.isnan(good) else good,
            flaws=tuple(Flaw(**flaw) for flaw in one["flaws"]),
        )
        for row, good, one in told
    }


def _said(item: Item) -> str:
    return getattr(item, "response", None) or item.prompt


def _words(text: str) -> frozenset[str]:
    return frozenset(re.findall(r"\w+", text.casefold()))


def _hash(text: str) -> bytes:
    return hashlib.sha256(text.encode(errors="replace")).digest()
