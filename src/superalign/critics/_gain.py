"""The reward of a critique: how far a fixed learner's revisions move to the better of two known responses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from superalign.answers import AnswerBank
from superalign.chat import Reply
from superalign.critic import Case, Critique, revise
from superalign.critics._asking import MISTAKE, inert

Floats = npt.NDArray[np.float64]


class Known(NamedTuple):
    """A pair, and which of its responses a label says is the better one."""

    case: Case
    better: int


class Worth(NamedTuple):
    """What a critique is worth, in nats: by what it gained the revision of the worse response, and all in all."""

    text: str
    gain: float
    reward: float
    invented: int


@dataclass(frozen=True)
class Reward:
    """How critiques are rewarded.

    The margin of a revision is log p(better) - log p(worse), of the two known responses as the learner's answer to the
    request to write a response again. The gain is the margin with the critique minus the margin with none, where it is
    the worse response that is revised. What the better one's revision loses counts against a critique, else it would
    pay to find fault with everything.

    Args:
        learner: who revises.
        name: what stands before a critique's words when they are passed on.
        harm: by what a nat that the revision of the better response loses is multiplied.
        length: nats taken off a token of the critique.
        invented: nats taken off a quotation that stands in neither response.
    """

    learner: AnswerBank
    name: str
    harm: float
    length: float
    invented: float

    def of(self, known: Sequence[Known], written: Sequence[Reply]) -> list[Worth | None]:
        """Return what each critique of a pair is worth; None where it failed, says nothing, or cannot be scored."""
        with_it = [Critique(self.passed_on(reply.text)) for reply in written]
        change = self._margins(known, with_it) - self._margins(known, [Critique()] * len(known))
        return [
            self._worth(one.case, reply, *each) if reply.text.strip() and np.isfinite(each).all() else None
            for one, reply, each in zip(known, written, change.tolist(), strict=True)
        ]

    def passed_on(self, text: str) -> str:
        """Return a critique as the learner reads it; by marks of a chat template it would answer in its place."""
        return inert(f"{self.name}: {text.strip()}")

    def _worth(self, case: Case, reply: Reply, gain: float, kept: float) -> Worth:
        invented = len(invented_in(reply.text, case.responses))
        fines = self.harm * max(0.0, -kept) + self.length * reply.tokens_out + self.invented * invented
        return Worth(reply.text.strip(), gain, gain - fines, invented)

    def _margins(self, known: Sequence[Known], critiques: Sequence[Critique]) -> Floats:
        """Return the margins of revising the worse and the better response, float64 [n, 2]; NaN where it failed."""
        talks = [
            revise(one.case, critique, which)
            for one, critique in zip(known, critiques, strict=True)
            for which in (1 - one.better, one.better)
        ]
        both = [one.case.responses for one in known for _ in range(2)]
        scored = self.learner.logprobs(talks, both)
        leads = np.array([float(one.logprobs[1]) - float(one.logprobs[0]) for one in scored]).reshape(-1, 2)
        margins: Floats = leads * np.array([[1.0 if one.better else -1.0] for one in known]).reshape(-1, 1)
        margins[~np.isfinite(margins)] = np.nan
        return margins


def invented_in(critique: str, responses: Sequence[str]) -> list[str]:
    """Return the quotations of a critique's mistakes that stand in no response, as it was written or shown."""
    read = [text for response in responses for text in (response, inert(response))]
    return [quote for quote, _ in MISTAKE.findall(critique) if not any(quote in text for text in read)]


def compared(before: Sequence[Worth | None], after: Sequence[Worth | None]) -> dict[str, Any]:
    """Return what critiques of the same pairs are worth before and after, and the means, where both are known.

    Returns:
        cases: how many; n: of how many both are known; of reward, gain and invented each pair of values, and its means,
        None where n is 0.
    """
    both = [(one, other) for one, other in zip(before, after, strict=True) if one and other]
    out: dict[str, Any] = {"cases": len(before), "n": len(both)}
    for name in ("reward", "gain", "invented"):
        values = [[getattr(one, name), getattr(other, name)] for one, other in both]
        means = np.mean(values, axis=0).tolist() if values else [None, None]
        out |= {f"each_{name}": values, f"{name}_before": means[0], f"{name}_after": means[1]}
    return out
