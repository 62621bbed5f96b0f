"""Choosing the rounds of one arm and seed of a finished loop."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from superalign.errors import ConfigError
from superalign.export.choose import narrow
from superalign.fits.lora import Lora
from superalign.loop_plan import Line, LoopPlan
from superalign.loop_result import LoopResult, RoundRow
from superalign.model import Model
from superalign.runs import load, study_of
from superalign.studies.loop import Loop


@dataclass(frozen=True)
class Rounds:
    """The rounds of one arm and seed.

    Args:
        run: the run's folder.
        study, plan, result: of the run.
        line: its jobs.
    """

    run: Path
    study: Loop
    plan: LoopPlan
    result: LoopResult
    line: Line

    @property
    def arm(self) -> str:
        """Which variant of the loop."""
        return self.line.arm

    @property
    def seed(self) -> int:
        """Which seed."""
        return self.line.seed

    @property
    def simulated(self) -> str:
        """Words that say so, where the expert was no person and no critic."""
        return "" if self.study.expert else ", simulated by the truth"

    @property
    def model(self) -> Model:
        """The model, as it was."""
        return self.study.learner

    @property
    def fit(self) -> Lora:
        """How its adapter learnt."""
        fit = self.study.fit
        if not isinstance(fit, Lora):  # the study refuses others
            raise ConfigError(f"{fit} leaves no adapter", where=str(self.run))
        return fit

    @property
    def judged_by(self) -> str:
        """Who says which answer is better: critics, or what stands in for them in an ablation."""
        return str(self.line.turns[0].judged.params["labels"])

    @property
    def rows(self) -> list[RoundRow]:
        """What each round was, in order."""
        return [row for row in self.result.rows if (row.arm, row.seed) == (self.arm, self.seed)]

    @property
    def identity(self) -> dict[str, Any]:
        """What tells this from every other arm, seed and run."""
        return {"arm": self.arm, "seed": self.seed, "job": self.line.turns[-1].passed.key}

    def __str__(self) -> str:
        return f"arm {self.arm}, seed {self.seed}"


def choose_rounds(run: Path, arm: str | None = None, seed: int | None = None) -> Rounds:
    """Return the rounds of an arm and seed; by default of the loop as it was set, and of the first seed.

    Raises:
        ResumeError: the run is not there, or not finished.
        ConfigError: it is no run of the loop, or has no such arm or seed.
    """
    study, result = study_of(run), load(run)
    if not isinstance(study, Loop):
        raise ConfigError(f"a run of '{study.name}' has no rounds", where=str(run))
    plan = study.plan()
    found = [Rounds(run, study, plan, result, line) for line in plan.lines]
    found = narrow(found, "arm", arm, "full")
    return narrow(found, "seed", seed, min(one.seed for one in found))[0]
