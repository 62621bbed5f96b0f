"""Any critic, with probabilities that were set right on labelled cases."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Self

import numpy as np
from pydantic import Field, model_validator

from superalign.critic import Abstain, Case, Critic, CriticChoice, Critique, critics
from superalign.critics import _platt as platt
from superalign.errors import ConfigError, DataError
from superalign.job import Tools
from superalign.label import Labels
from superalign.model import Model
from superalign.registry import default
from superalign.store import Artifact

FEWEST = 10  # verdicts that two numbers can be fitted on


@critics.register("calibrated")
class Calibrated(Critic):
    """Another critic's probabilities through sigma(a z + b), z their log-odds, a and b fitted on labelled cases.

    A critic that leans to one side, or is too sure, is set right; one whose probabilities say nothing comes to say how
    often the labels are good, and one that is mostly wrong is turned round. Of two responses b is 0.
    """

    critic: CriticChoice = default("rubric")
    """Who judges. It must not learn itself: `trained` is calibrated already."""
    budget: Annotated[int, Field(ge=FEWEST)] | None = None
    """The most labels it may look at, drawn at random; None for all it is given."""
    abstain: Abstain = 0.5
    """The least confidence with which it gives a verdict."""
    seed: int = 0
    """Of the labels drawn."""

    @model_validator(mode="after")
    def _teachable(self) -> Self:
        if self.critic.learns:
            raise ConfigError(
                f"critic {self.critic} learns itself", why="its probabilities are calibrated as it learns"
            )
        return self

    @property
    def learns(self) -> bool:
        """Return True."""
        return True

    def models(self) -> tuple[Model, ...]:
        """Return the models of the other critic."""
        return self.critic.models()

    def check(self, pair: bool) -> None:
        """Refuse what the other critic cannot judge."""
        self.critic.check(pair)

    def identity(self) -> dict[str, Any]:
        """Return what decides what it says."""
        return {"critic": self.spec(), "of": self.critic.identity()}

    def learn(self, cases: Sequence[Case], labels: Labels, tools: Tools) -> Artifact:
        """Let the other critic judge cases, and fit the curve to their labels.

        Raises:
            DataError: it gave too few verdicts on them, or they are all of one class.
        """
        usable = np.flatnonzero(labels.weight)
        drawn = np.sort(np.random.default_rng(self.seed).permutation(usable)[: self.budget])
        said = self.critic.judge([cases[row] for row in drawn], tools)
        rows = np.array([row for row, one in zip(drawn, said, strict=True) if one.good is not None], dtype=np.int64)
        good = np.array([one.good for one in said if one.good is not None])
        if len(rows) < FEWEST:
            why = f"critic {self.critic} gave {len(rows)} verdicts on {len(drawn)} labelled cases"
            raise DataError(f"critic {self} cannot be calibrated", why=why, fix=f"at least {FEWEST} are needed")
        probs, weight = labels.probs[rows], labels.weight[rows]
        if min(weight @ probs) <= 0:
            raise DataError(f"labels by {labels.by}: the {len(rows)} that critic {self} looked at are all of one class")
        curve = platt.fit(good, probs[:, 1], weight, shifted=not cases[0].pair)
        return Artifact(meta={**curve._asdict(), "labels": len(drawn), "verdicts": len(rows)})

    def judge(self, cases: Sequence[Case], tools: Tools, learnt: Artifact | None = None) -> list[Critique]:
        """See Critic.

        Raises:
            ConfigError: it was not calibrated.
        """
        if learnt is None or "slope" not in learnt.meta:
            raise ConfigError(f"critic {self} must be calibrated on labels first")
        curve = platt.Platt(learnt.meta["slope"], learnt.meta["shift"])
        return [self._set_right(one, curve) for one in self.critic.judge(cases, tools)]

    def _set_right(self, said: Critique, curve: platt.Platt) -> Critique:
        if said.good is None:
            return said
        good, *orders = (float(p) for p in curve(np.array([said.good, *said.orders])))
        rest = {name: value for name, value in vars(said).items() if name not in ("good", "undetermined", "orders")}
        return Critique.leaning(good, self.abstain, **rest, orders=tuple(orders))
