"""A judge that is trained on those of its critiques by which a fixed learner revised responses for the better."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

import numpy as np
from pydantic import Field, model_validator

from superalign.answers import AnswerBank
from superalign.chat import Sampling
from superalign.critic import Case, Critique, critics
from superalign.critics._asking import Showing, critiques_of, show
from superalign.critics._gain import Known, Reward, Worth, compared
from superalign.critics.rubric import Rubric
from superalign.errors import ConfigError, DataError
from superalign.job import Tools
from superalign.label import Labels
from superalign.model import SPEAKERS, Model, ModelChoice
from superalign.objective import ObjectiveChoice
from superalign.registry import default
from superalign.store import Artifact

if TYPE_CHECKING:
    from superalign.fits._apprentice import Pair
    from superalign.fits.lora import Lora


@critics.register("refining")
class Refining(Rubric):
    """A judge trained for refinement gain (CTRL, arXiv 2502.03492; our reading: DPO or imitation instead of GRPO).

    It writes several critiques of pairs whose better response a label names. A fixed learner is asked to write each
    response again by each critique, and by none. Reward: how far this moves its log-odds of the better response
    against the worse. An adapter learns to prefer the critique of the highest reward to that of the lowest. Pairs
    only: of a single response a label does not say what a better one would be.
    """

    reason: bool = True
    """True: the critique is what it learns."""
    learner: ModelChoice = default("embedded:smollm2")
    """Who revises; it stays as it is."""
    budget: Annotated[int, Field(ge=2)] = 32
    """The most labels it may look at, drawn at random."""
    held_out: Annotated[float, Field(gt=0, lt=1)] = 0.25
    """Share of their groups that it does not learn from, where its reward is measured before and after."""
    samples: Annotated[int, Field(ge=2)] = 4
    """Critiques of a case."""
    temperature: Annotated[float, Field(gt=0)] = 1.0
    """At which they are drawn."""
    top_p: Annotated[float, Field(gt=0, le=1)] = 0.95
    """Of the same."""
    train: Literal["pairs", "best"] = "pairs"
    """Prefer the best critique of a case to the worst, or learn to write the best (rejection sampling)."""
    objective: ObjectiveChoice = default("naive")
    """By which pairs are learnt, on the policy's implicit rewards; `naive` is then DPO."""
    apart: Annotated[float, Field(ge=0)] = 0.1
    """Nats by which the best reward of a case must exceed the worst; with train=best, by which it must exceed 0."""
    harm: Annotated[float, Field(ge=0)] = 1.0
    """Taken off a reward for each nat that the revision of the better response loses."""
    length: Annotated[float, Field(ge=0)] = 0.002
    """Nats taken off for each token of a critique."""
    invented: Annotated[float, Field(ge=0)] = 0.5
    """Nats taken off for each mistake whose quotation stands in neither response."""
    epochs: Annotated[int, Field(ge=1)] = 3
    """Passes over what is learnt."""
    batch: Annotated[int, Field(ge=1)] = 4
    """Cases of a step."""
    lr: Annotated[float, Field(gt=0)] = 3e-4
    """Peak learning rate of the adapter."""
    rank: Annotated[int, Field(ge=1)] = 8
    """Of the adapter."""
    beta: Annotated[float, Field(gt=0)] = 0.1
    """How dear it is to leave the untrained model."""
    seed: int = 0
    """Of the labels drawn, the critiques and the training."""

    @model_validator(mode="after")
    def _teachable(self) -> Self:
        from superalign.fits._apprentice import check_teachable

        what = f"critic {self.name} cannot"
        if not self.reason:
            raise ConfigError(f"{what} go without critiques", why="they are what it learns", fix="rubric")
        check_teachable(self.model, f"critic {self.name}", f"take one {SPEAKERS}")
        odd = self.objective
        if not odd.wants_labels_alone:
            why = "it is told which critique is better, and no more"
            raise ConfigError(f"{what} learn by {odd}", why=why, fix="objective=dpo")
        return self

    @property
    def learns(self) -> bool:
        """Return True."""
        return True

    def models(self) -> tuple[Model, ...]:
        """Return who judges and who revises."""
        return (self.model, self.learner)

    def check(self, pair: bool) -> None:
        """Refuse single responses; see Critic."""
        if not pair:
            why = "a label does not say what a better response would be, so that no revision can be rewarded"
            fix = "a task of pairs, such as facts,questions=true"
            raise ConfigError(f"critic {self.name} cannot learn from single responses", why=why, fix=fix)

    def learn(self, cases: Sequence[Case], labels: Labels, tools: Tools) -> Artifact:
        """Train the adapter; see Critic.

        Returns:
            The adapter's tensors. In the meta what it looked at, and of the held-out cases the rewards of the critiques
            written without chance, before and after (`compared`).

        Raises:
            ConfigError: single responses are among the cases.
            DataError: too few labels, or no case whose critiques differ enough.
        """
        from superalign.fits._apprentice import Apprentice
        from superalign.fits._stopping import hold_out

        self.check(all(case.pair for case in cases))
        drawn = np.random.default_rng(self.seed).permutation(np.flatnonzero(labels.weight))
        rows = np.sort(drawn[: self.budget])
        clear = [row for row in rows if labels.probs[row, 0] != labels.probs[row, 1]]
        known = [Known(cases[row], int(labels.probs[row].argmax())) for row in clear]
        groups = np.array([one.case.group or one.case.id for one in known])
        if len(set(groups)) < 2:
            why = "it learns from some groups of cases and is measured on others"
            raise DataError(f"critic {self.name} needs labelled pairs of two groups", why=why)
        held = set(hold_out(groups, self.held_out, self.seed).tolist())
        taught = [one for place, one in enumerate(known) if place not in held]
        judged = [one for place, one in enumerate(known) if place in held]
        worths = self._tried(taught, tools)
        pairs = self._pairs(taught, worths)
        apprentice = Apprentice(self.model, self._fit, pairs, self.seed, tools.store, **self._by)
        learnt = apprentice.learnt()
        before, after = (self._measured(judged, model, tools) for model in (self.model, apprentice.model()))
        meta = {
            "adapter": apprentice.key,
            "labels": len(rows),
            "looked_at": [int(row) for row in rows],
            "critiques": sum(map(len, worths)),
            "learnt_from": len(pairs),
            "training": dict(learnt.meta),
            "held_out": compared(before, after),
        }
        return Artifact(learnt.tensors, meta)

    def judge(self, cases: Sequence[Case], tools: Tools, learnt: Artifact | None = None) -> list[Critique]:
        """Judge with the trained model, which writes its critique and then its verdict; see Critic.

        Raises:
            ConfigError: it was not trained, or is asked about single responses.
        """
        from superalign.fits._apprentice import with_adapter

        if learnt is None or "adapter" not in learnt.meta:
            raise ConfigError(f"critic {self.name} must be trained on labels first")
        self.check(all(case.pair for case in cases))
        model = with_adapter(self.model, self._fit, learnt.tensors, learnt.meta["adapter"], tools.store)
        return Rubric.judge(self.model_copy(update={"model": model}), cases, tools)

    @property
    def _fit(self) -> Lora:
        from superalign.fits.lora import Lora

        how: dict[str, Any] = {"epochs": self.epochs, "batch": self.batch, "lr": self.lr, "rank": self.rank}
        return Lora(read="policy", keep=True, alpha=2.0 * self.rank, beta=self.beta, **how)

    @property
    def _by(self) -> dict[str, Any]:
        return {"objective": self.objective} if self.train == "pairs" else {}

    def _showing(self, one: Known) -> Showing:
        """Return a case in its own order, in which what is said of it is passed on."""
        return show(one.case, self.questions()[0])[0]

    def _reward(self, tools: Tools) -> Reward:
        learner = AnswerBank(tools.store, self.learner, tools.report)
        return Reward(learner, self.questions()[0].name, self.harm, self.length, self.invented)

    def _tried(self, known: Sequence[Known], tools: Tools) -> list[list[Worth]]:
        """Return what the critiques drawn for each case are worth; none twice, and none that cannot be scored."""
        prompts = [self._showing(one).critical() for one in known for _ in range(self.samples)]
        seeds = [self.seed * self.samples + turn for _ in known for turn in range(self.samples)]
        sampling = Sampling(max_tokens=self.most, temperature=self.temperature, top_p=self.top_p)
        written = AnswerBank(tools.store, self.model, tools.report).generate(prompts, sampling, seeds)
        found = self._reward(tools).of([one for one in known for _ in range(self.samples)], written)
        turns = [found[start : start + self.samples] for start in range(0, len(found), self.samples)]
        return [list({worth.text: worth for worth in mine if worth is not None}.values()) for mine in turns]

    def _pairs(self, known: Sequence[Known], worths: Sequence[Sequence[Worth]]) -> list[Pair]:
        """Return what is learnt: of each case the best critique, and what it is preferred to.

        Raises:
            DataError: there is nothing to learn.
        """
        from superalign.fits._apprentice import Pair

        pairs = []
        for one, mine in zip(known, worths, strict=True):
            ranked = sorted(mine, key=lambda worth: worth.reward)
            if not ranked or ranked[-1].reward - (ranked[0].reward if self.train == "pairs" else 0) <= self.apart:
                continue
            told = self._showing(one).critical()[0].content
            worse = ranked[0].text if self.train == "pairs" else None
            pairs.append(Pair(told, ranked[-1].text, worse))
        if not pairs:
            why = f"of none of {len(known)} cases one critique is better by more than apart={self.apart:g} nats"
            raise DataError(f"critic {self.name} has nothing to learn", why=why, fix="more samples, or a lower apart")
        return pairs

    def _measured(self, known: Sequence[Known], model: Model, tools: Tools) -> list[Worth | None]:
        """Return what the critiques that a model writes for its verdicts are worth."""
        showings = [self._showing(one) for one in known]
        written = critiques_of(AnswerBank(tools.store, model, tools.report), showings, self.most)
        return self._reward(tools).of(known, written)
