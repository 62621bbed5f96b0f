"""Judging the judges: what critics say of responses, against the truth (as CriticEval, arXiv 2402.13764).

Critics that learn are taught the truth of the *supervise* part, dealt anew a seed; the others need no truth. All judge
the same responses of the *test* part, whose truth only the metric reads. The *transfer* part serves to calibrate: there
the metric reads how often a critic mistakes good for bad and bad for good, by which its rate on the test part is
corrected. A tag may be held out: no critic has been taught, or calibrated, on the values that the test part has.
Known flaws are planted in responses that are good, to see who finds them (CriticGPT, arXiv 2407.00215). Last, a fixed
model may revise responses by what each critic said, and by nothing: an oracle of exact answers says what came of it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

from pydantic import Field, model_validator

from superalign.config import digest
from superalign.critic import Critic, CriticChoice
from superalign.critic_evaluation import CriticCell, CriticEvidence, evaluate
from superalign.critic_result import CriticEvalResult
from superalign.errors import ConfigError
from superalign.job import Job
from superalign.judging import check_critics, judge, look_for_flaws, plant, teach_critic
from superalign.model import ModelChoice, Stage
from superalign.refinement import write_anew
from superalign.registry import Distinct, default
from superalign.studies._jobs import Jobs
from superalign.study import Conduct, Fetch, Plan, Study, studies
from superalign.task import Shares, TaskChoice


@dataclass(frozen=True)
class CriticEvalPlan(Plan):
    """The jobs of the study; a cell is one critic of one seed."""

    items: Job
    gold: Job
    checked: Job
    planted: Job | None
    unaided: Job | None
    cells: list[CriticCell]

    def jobs(self) -> Iterator[Job]:
        """Yield what is refused first; then each critic's verdicts."""
        yield self.items
        yield self.checked
        for cell in self.cells:
            yield from (job for job in (cell.test, cell.calibration, cell.flawed, cell.revised) if job)
        if self.unaided:
            yield self.unaided


@studies.register("critic-eval")
class CriticEval(Study[CriticEvalPlan, CriticEvalResult]):
    """Which critics can be trusted? Their verdicts against the truth, with intervals, and what they cost."""

    summary: ClassVar[str] = "let critics judge responses; measure agreement with the truth, calibration, bias and cost"
    example: ClassVar[str] = "superalign run critic-eval --critics trained rubric --task facts,cities=400"

    task: TaskChoice = default("facts,cities=200")
    """What is judged: responses that are good or bad, or pairs of which one is better."""
    critics: Annotated[tuple[CriticChoice, ...], Field(min_length=1), Distinct] = default(
        ("trained", "trained,model=embedded:smollm2", "weak", "rubric")
    )
    """Who judges."""
    good: tuple[str, ...] = ()
    """Which classes of the task are good responses; without, the last of two."""
    holdout: str | None = None
    """A tag of which about a third of the values, such as models, are kept for the test part alone."""
    flaws: Annotated[int, Field(ge=0, le=10_000)] = 40
    """In how many good responses of the test part a known flaw is planted; 0 for none."""
    refine: Annotated[tuple[ModelChoice, ...], Field(max_length=1)] = ()
    """A model that revises responses by the critics' words, and without any, where exact answers are known."""
    revisions: Annotated[int, Field(ge=1)] = 60
    """How many responses of the test part it revises."""
    revision_tokens: Annotated[int, Field(ge=1)] = 160
    """Most tokens of a revision."""
    seeds: Annotated[int, Field(ge=1, le=1000)] = 3
    """How many seeds, for critics that learn; each deals the supervise and transfer parts anew."""
    shares: Shares = (8, 3, 5)
    """Proportions of the parts: supervise, to teach; transfer, to calibrate; test."""

    @model_validator(mode="after")
    def _has_a_tag(self) -> CriticEval:
        if self.holdout is not None and not self.holdout.strip():
            raise ConfigError("'holdout' is empty", fix="name a tag of the task, or leave it out")
        return self

    def prepare(self, report: Stage) -> None:
        """See that the data is there, then fetch the models that are not here yet."""
        self.task.fingerprint()
        for critic in self.critics:
            critic.prepare(report)
        for model in self.refine:
            model.prepare(report)

    def fingerprints(self) -> dict[str, str]:
        """Return the digests of the task and of each critic with its models."""
        named = {f"critic {critic}": digest(critic.identity()) for critic in self.critics}
        revisers = {f"reviser {model}": model.fingerprint() for model in self.refine}
        return {"task": self.task.fingerprint(), **named, **revisers}

    def read_result(self, text: str) -> CriticEvalResult:
        """Rebuild a result from results.json."""
        return CriticEvalResult.model_validate_json(text)

    def plan(self) -> CriticEvalPlan:
        """Expand to jobs: items, truth, planted flaws; of each critic and seed its lesson and what it judges."""
        jobs = Jobs(self.task, self.shares, self.seeds)
        known = {"items": jobs.items, "gold": jobs.gold}
        specs = [critic.spec() for critic in self.critics]
        seeds = list(range(self.seeds))
        checked = Job(
            check_critics,
            {**self._dealt, "critics": specs, "seeds": seeds},
            {"items": jobs.items},
            "see what is judged",
        )
        sown = Job(plant, {**self._dealt, "most": self.flaws}, known, "plant flaws") if self.flaws else None
        cells = [
            self._cell(critic, seed, jobs, sown)
            for critic in self.critics
            for seed in (seeds if critic.learns else seeds[:1])
        ]
        unaided = self._revised(jobs, None, "with no critique") if self.refine else None
        return CriticEvalPlan(jobs.items, jobs.gold, checked, sown, unaided, cells)

    def conclude(self, plan: CriticEvalPlan, fetch: Fetch, conduct: Conduct) -> CriticEvalResult:
        """Score every critic on the test part."""
        evidence = CriticEvidence(
            plan.items, plan.gold, plan.planted, plan.unaided, plan.cells, self._dealt, self.seeds
        )
        return evaluate(evidence, fetch, conduct)

    @property
    def _dealt(self) -> dict[str, Any]:
        return {"good": list(self.good), "holdout": self.holdout, "shares": list(self.shares)}

    def _cell(self, critic: Critic, seed: int, jobs: Jobs, sown: Job | None) -> CriticCell:
        who, of = critic.identity(), f", seed {seed}" if critic.learns else ""
        inputs = {"items": jobs.items}
        if critic.learns:
            taught = {**inputs, "gold": jobs.gold}
            inputs["learnt"] = Job(teach_critic, {**self._dealt, **who, "seed": seed}, taught, f"teach {critic}{of}")
        dealt = {"holdout": self.holdout, "shares": list(self.shares), "seed": seed, **who}
        test, calibration = (
            Job(judge, {**dealt, "part": part}, inputs, f"{critic} judges the {part} part{of}")
            for part in ("test", "transfer")
        )
        planted = (
            Job(look_for_flaws, who, {**inputs, "planted": sown}, f"{critic} looks for flaws{of}") if sown else None
        )
        revised = self._revised(jobs, test, f"by {critic}{of}") if self.refine else None
        return CriticCell(str(critic), critic.learns, digest(who), seed, test, calibration, planted, revised)

    def _revised(self, jobs: Jobs, judged: Job | None, how: str) -> Job:
        """Return the job that lets the model revise, by what a critic said or by nothing."""
        (model,) = self.refine
        dealt = {"holdout": self.holdout, "shares": list(self.shares), "most": [self.revisions, self.revision_tokens]}
        inputs = {"items": jobs.items, **({"judged": judged} if judged else {})}
        return Job(write_anew, {**dealt, **model.identity()}, inputs, f"{model} revises {how}")
