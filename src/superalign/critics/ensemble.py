"""Several critics as one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import Field

from superalign.critic import Abstain, Case, Cost, Critic, CriticChoice, Critique, critics
from superalign.errors import DataError
from superalign.job import Tools
from superalign.label import Labels
from superalign.model import Model
from superalign.registry import Distinct, default
from superalign.store import Artifact


@critics.register("ensemble")
class Ensemble(Critic):
    """Critics judge together: the mean of the probabilities, or of the verdicts, of those that have one.

    It abstains where too few of them have a verdict. Its cost is theirs together.
    """

    critics: Annotated[tuple[CriticChoice, ...], Field(min_length=2), Distinct] = default(("rubric", "self"))
    """Who judges."""
    combine: Literal["mean", "majority"] = "mean"
    """Of the probabilities; or each critic has one vote, and p = (votes + 1) / (voters + 2)."""
    quorum: Annotated[float, Field(gt=0, le=1)] = 0.5
    """The share of the critics that must have a verdict."""
    abstain: Abstain = 0.5
    """The least confidence with which it gives a verdict."""

    @property
    def learns(self) -> bool:
        """Tell whether one of them must be trained."""
        return any(critic.learns for critic in self.critics)

    def models(self) -> tuple[Model, ...]:
        """Return the models of all of them."""
        return tuple(model for critic in self.critics for model in critic.models())

    def check(self, pair: bool) -> None:
        """Refuse what one of them cannot judge."""
        for critic in self.critics:
            critic.check(pair)

    def identity(self) -> dict[str, Any]:
        """Return what decides what they say."""
        return {"critic": self.spec(), "critics": [critic.identity() for critic in self.critics]}

    def learn(self, cases: Sequence[Case], labels: Labels, tools: Tools) -> Artifact:
        """Train those that must be, each on all the labels."""
        taught = {n: one.learn(cases, labels, tools) for n, one in enumerate(self.critics) if one.learns}
        tensors = {f"{n}.{name}": value for n, one in taught.items() for name, value in one.tensors.items()}
        return Artifact(tensors, {str(n): dict(one.meta) for n, one in taught.items()})

    def judge(self, cases: Sequence[Case], tools: Tools, learnt: Artifact | None = None) -> list[Critique]:
        """See Critic."""
        said = [critic.judge(cases, tools, _share(learnt, n)) for n, critic in enumerate(self.critics)]
        if any(len(one) != len(cases) for one in said):
            raise DataError(f"a critic of {self} did not judge every case")
        return [self._together(each) for each in zip(*said, strict=True)]

    def _together(self, each: Sequence[Critique]) -> Critique:
        heard = [critique.good for critique in each if critique.good is not None]
        words = "\n".join(
            f"{who}: {one.words or one.undetermined}" for who, one in zip(self.critics, each, strict=True)
        )
        flaws = tuple({flaw.quote: flaw for one in each for flaw in one.flaws}.values())
        cost = sum((one.cost for one in each), Cost())
        rest: dict[str, Any] = {"words": words, "flaws": flaws, "cost": cost}
        if len(heard) < max(1, self.quorum * len(each)):
            return Critique(undetermined=next(one.undetermined for one in each if one.good is None), **rest)
        good = sum(heard) / len(heard)
        if self.combine == "majority":
            good = (sum(one > 0.5 for one in heard) + 1) / (len(heard) + 2)
        return Critique.leaning(good, self.abstain, **rest)


def _share(learnt: Artifact | None, n: int) -> Artifact | None:
    """Return what one critic learnt; None when it learnt nothing."""
    if learnt is None or str(n) not in learnt.meta:
        return None
    head = f"{n}."
    tensors = {name.removeprefix(head): value for name, value in learnt.tensors.items() if name.startswith(head)}
    return Artifact(tensors, learnt.meta[str(n)])
