"""A head on a model's features, trained on labels, whose probabilities are calibrated on items it did not see."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field

from superalign.bank import item_features
from superalign.critic import Abstain, Case, Cost, Critic, Critique, critics
from superalign.critics import _platt as platt
from superalign.critics._cases import as_task
from superalign.critics._spend import spend
from superalign.crossfit import cross_fit
from superalign.errors import ConfigError, DataError
from superalign.fit import Lesson
from superalign.job import Tools
from superalign.label import Labels
from superalign.model import Model, ModelChoice
from superalign.objective import objectives
from superalign.registry import default
from superalign.store import Artifact

if TYPE_CHECKING:
    from superalign.fits.probe import Head

FloatArray = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int64]


@critics.register("trained")
class Trained(Critic):
    """Learns from labelled cases: the fit `probe` on a model's features, calibrated on cross-fitted predictions.

    The probability is sigma(a z + b), z the head's log-odds; a and b are fitted on what five probes, each trained on
    four fifths of the groups, say of the fifth they did not see. Of two responses the features are second minus
    first and b is 0, so that swapping the responses swaps the probabilities.
    """

    model: ModelChoice = default("embedded:minilm")
    """Whose features it reads."""
    reads: Literal["both", "response"] = "both"
    """The question with the response, or the response alone."""
    within: Annotated[int, Field(ge=1)] | None = None
    """How many characters of each response are read, from its beginning: whether it refuses shows in the first 200.
    None for all of it."""
    budget: Annotated[int, Field(ge=10)] | None = None
    """The most labels it may look at; None for all it is given."""
    choose: Literal["random", "uncertain"] = "random"
    """Which labels it looks at when there are more: any, or, in rounds, those it is least sure of. The second finds the
    border with fewer labels, but calibrates on hard cases only."""
    abstain: Abstain = 0.5
    """The least confidence with which it gives a verdict."""
    seed: int = 0
    """Of the folds and of the labels chosen."""

    @property
    def learns(self) -> bool:
        """Return True."""
        return True

    def models(self) -> tuple[Model, ...]:
        """Return the model whose features it reads."""
        return (self.model,)

    def learn(self, cases: Sequence[Case], labels: Labels, tools: Tools) -> Artifact:
        """Train the head and its calibration; see Critic.

        Raises:
            DataError: too few cases, labels of one class only, or single responses among pairs.
        """
        x, groups = self._features(cases, tools), np.array([case.group or case.id for case in cases])
        pairwise = cases[0].pair

        def head(rows: IntArray, given: Labels) -> Head:
            from superalign.fits.probe import Probe, solve

            lesson = Lesson(objectives.build("naive"), rows, given, self.seed)
            return solve(Probe(), x, groups, [lesson], pairwise=pairwise)[0]

        def confidence(rows: IntArray, given: Labels) -> FloatArray:
            return np.asarray(head(rows, given).predict(x).max(1))

        usable = np.flatnonzero(labels.weight)
        rows = spend(self.budget, self.choose, usable, labels, confidence, self.seed)
        given = Labels(labels.probs[rows], labels.weight[rows], labels.by)
        if min(given.weight @ given.probs) <= 0:
            raise DataError(f"labels by {labels.by}: the {len(rows)} that critic {self} looked at are all of one class")
        held_out = cross_fit(x[rows], given, groups[rows], seed=self.seed, pairwise=pairwise)
        curve = platt.fit(held_out[:, 1], given.probs[:, 1], given.weight, shifted=not pairwise)
        last = head(rows, given)
        meta = {"slope": curve.slope, "shift": curve.shift, "labels": len(rows), "looked_at": [int(i) for i in rows]}
        return Artifact(dict(last.kept), {**meta, "pairs": pairwise, **last.facts})

    def judge(self, cases: Sequence[Case], tools: Tools, learnt: Artifact | None = None) -> list[Critique]:
        """See Critic.

        Raises:
            ConfigError: it was not trained, or on cases of the other kind.
        """
        if learnt is None or "weight" not in learnt.tensors:
            raise ConfigError(f"critic {self} must be trained on labels first")
        if not cases:
            return []
        if cases[0].pair != learnt.meta["pairs"]:
            kinds = "pairs" if learnt.meta["pairs"] else "single responses"
            raise ConfigError(f"critic {self} was trained on {kinds}, and is asked about others")
        start = time.perf_counter()
        from superalign.fits.probe import Head

        x = self._features(cases, tools)
        weight, bias = learnt.tensors["weight"], learnt.tensors["bias"]
        said = Head(weight.T[None], bias[None], {}).predict(x)[:, 1]
        good = platt.Platt(learnt.meta["slope"], learnt.meta["shift"])(said)
        what = "that the second is better" if cases[0].pair else "that it is good"
        cost = Cost(seconds=(time.perf_counter() - start) / len(cases))
        return [
            Critique.leaning(float(p), self.abstain, words=f"Its head says {p:.0%} {what}.", cost=cost) for p in good
        ]

    def _features(self, cases: Sequence[Case], tools: Tools) -> FloatArray:
        task = as_task(cases, alone=self.reads == "response", within=self.within)
        return item_features(self.model, task, tools.store, tools.report)
