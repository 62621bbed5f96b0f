"""Which supervisor, method and human budget? A prediction from a few gold labels, checked against the truth.

People have labelled a few items of *supervise*. Weak models learn from these labels and label *transfer*; students, the
strong model, learn from that by every method, and from some of the gold labels themselves. Each is taught six times:
without each fifth of the gold labels, on which it is then scored, and with all of them. Beside these candidates stands
the strong model taught by the gold labels alone. What follows from the literature - misfit (arXiv 2405.15116) and
similarity of errors (arXiv 2502.04313) - is computed for each. No other truth is read, unless a check is asked for.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

from pydantic import Field, field_validator, model_validator

from superalign.errors import ConfigError
from superalign.evaluation import Cell
from superalign.fit import Fit, FitChoice
from superalign.fits.probe import Probe
from superalign.job import Job
from superalign.model import LayeredModelChoice, Model, Stage
from superalign.objective import Objective, ObjectiveChoice
from superalign.recommend_check import Grid
from superalign.recommend_evaluation import Asked, RecommendEvidence, evaluate
from superalign.recommend_result import RecommendResult
from superalign.recommending import FEWEST, TAKES, few_labels, mix_labels
from superalign.registry import Distinct, default
from superalign.studies._jobs import Jobs, check_unrewarded
from superalign.studies._teams import NAIVE, PLAIN_METHODS, Team, ceiling, cells, said_by, supervised, taught
from superalign.study import Conduct, Fetch, Plan, Study, studies
from superalign.task import Shares, TaskChoice

BOTH = "transfer + supervise"
EVERYWHERE = ["supervise", "transfer", "test"]


@dataclass(frozen=True)
class RecommendPlan(Plan):
    """The jobs of the study.

    Args:
        items, gold, checked, few: jobs of the task; `few` gives the gold labels that may be read.
        features: by model.
        supervisors: by model, the learners of all seeds and takes.
        asked: the candidates, each with its learners.
        grid: what the check needs besides; None without one.
    """

    items: Job
    gold: Job
    checked: Job
    few: Job
    features: Mapping[str, Job]
    supervisors: Mapping[str, list[Cell]]
    asked: list[Asked]
    grid: Grid | None

    def jobs(self) -> Iterator[Job]:
        """Yield features first, so that progress shows the slow part early; then learners."""
        yield self.items
        yield self.checked
        yield self.few
        yield from self.features.values()
        for found in (*self.supervisors.values(), *(one.cells for one in self.asked)):
            yield from (cell.job for cell in found)
        if self.grid:
            yield from (cell.job for cell in self.grid.all())


@studies.register("recommend")
class Recommend(Study[RecommendPlan, RecommendResult]):
    """Which supervisor, method and human budget will recover most? A prediction from a few gold labels."""

    summary: ClassVar[str] = "from a few gold labels: which supervisor, method and human budget will recover most"
    example: ClassVar[str] = "superalign recommend --gold 100 --check 5"
    quick: ClassVar[dict[str, Any]] = {"task": "facts,cities=200", "check": 2}

    weak: Annotated[tuple[LayeredModelChoice, ...], Field(min_length=1), Distinct] = default(
        ("embedded:wordllama", "embedded:minilm,layer=3", "embedded:minilm")
    )
    """The models among which a supervisor is looked for."""
    strong: LayeredModelChoice = default("embedded:smollm2")
    """The student."""
    task: TaskChoice = default("facts")
    """What is learnt."""
    methods: Annotated[tuple[ObjectiveChoice, ...], Field(min_length=1), Distinct] = default(("naive", "logconf"))
    """Objectives by which students learn from the labels."""
    gold: Annotated[int, Field(ge=2 * FEWEST)] = 100
    """How many items of the supervise part have a label that may be read; all supervisors learn from all of them."""
    budgets: tuple[Annotated[int, Field(ge=0)], ...] = ()
    """From how many of them the strong model learns itself, too; by default from none, half and all of them."""
    fit: FitChoice = default("probe")
    """How much of the strong model moves: probe, lora or full."""
    weak_fit: FitChoice = default("probe")
    """How much of the weak models moves."""
    check: Annotated[int, Field(ge=0, le=1000)] = 0
    """Over how many seeds to compare predictions with the truth of the test part; each draws other gold labels. 0: the
    recommendation alone, from the first seed."""
    shares: Shares = (5, 6, 5)
    """Proportions of the supervise, transfer and test parts, by group of related items."""

    @field_validator("check")
    @classmethod
    def _several(cls, check: int) -> int:
        if check == 1:
            raise ConfigError(
                "check 1: one seed tells nothing of how good predictions are", fix="check 5, or 0 for none"
            )
        return check

    @field_validator("budgets")
    @classmethod
    def _rising(cls, budgets: tuple[int, ...]) -> tuple[int, ...]:
        if len(set(budgets)) < len(budgets):
            raise ConfigError(f"a budget is given twice in {' '.join(map(str, budgets))}")
        for budget in budgets:
            if 0 < budget < FEWEST:
                raise ConfigError(f"budget {budget}: nothing can be learnt from so few", fix=f"0, or {FEWEST} and more")
        return tuple(sorted(budgets))

    @model_validator(mode="after")
    def _within_the_gold(self) -> Recommend:
        if self.budgets and self.budgets[-1] > self.gold:
            why = f"there are {self.gold} gold labels"
            raise ConfigError(f"budget {self.budgets[-1]} is too large", why=why, fix=f"--gold {self.budgets[-1]}")
        return self

    @model_validator(mode="after")
    def _teachable(self) -> Recommend:
        for fit, method in self._taught:
            if fit.wants_gold:
                why = "it chooses the stopping point by truth that nobody has here"
                raise ConfigError(f"{fit} stops by an oracle", why=why, fix="leave the oracle out")
            check_unrewarded(fit, method, "gold labels")
        return self

    def prepare(self, report: Stage) -> None:
        """See that the data is there, then fetch the models that are not here yet."""
        self.task.fingerprint()
        for model in self.models().values():
            model.prepare(report)

    def fingerprints(self) -> dict[str, str]:
        """Return the digests of all models and the task."""
        found = {f"model {name}": model.fingerprint() for name, model in self.models().items()}
        return {**found, "task": self.task.fingerprint()}

    def read_result(self, text: str) -> RecommendResult:
        """Rebuild a result from results.json."""
        return RecommendResult.model_validate_json(text)

    def plan(self) -> RecommendPlan:
        """Expand to jobs: gold labels, supervisors, mixed labels, students, and for a check weak-to-strong as it is."""
        jobs = Jobs(self.task, self.shares, max(1, self.check), takes=TAKES)
        known = {**jobs.dealt("supervise"), "gold": self.gold}
        few = Job(few_labels, known, {"items": jobs.items, "gold": jobs.gold}, f"{self.gold} gold labels")
        features = {
            name: jobs.features(model, [model.chosen_layer()])
            for name, model in self.models().items()
            if self._looks(model)
        }

        def mixed(budget: int, said: Job | None, by: str) -> Job:
            inputs = {"items": jobs.items, "few": few, **({"said": said} if said else {})}
            return Job(mix_labels, {**known, "budget": budget}, inputs, f"{by} and {budget} gold labels")

        def learners(model: Model, fit: Fit, teams: list[Team], predict: list[str]) -> list[Cell]:
            seats = jobs.learners(model, fit, teams, features.get(str(model)), teams[0].part, predict)
            return cells(teams, seats)

        supervisors, asked = dict[str, list[Cell]](), list[Asked]()
        for model in self.weak:
            taught_by_few = Team("weak", PLAIN_METHODS, few, part="supervise")
            supervisors[str(model)] = learners(model, self.weak_fit, [taught_by_few], EVERYWHERE)
            said = said_by(supervisors[str(model)])
            teams = [
                Team("student", self.methods, mixed(budget, said, f"labels: {model}"), f"with {budget} gold", BOTH)
                for budget in self.chosen_budgets
            ]
            found = learners(self.strong, self.fit, teams, EVERYWHERE)
            asked += _asked(str(model), teams, self.chosen_budgets, found)
        alone = sorted({*self.chosen_budgets, self.gold} - {0})
        teams = [Team("student", (NAIVE,), mixed(budget, None, "none"), f"of {budget} gold", BOTH) for budget in alone]
        asked += _asked(None, teams, alone, learners(self.strong, self.fit, teams, EVERYWHERE))
        grid = self._grid(features) if self.check else None
        checked = jobs.check(self._taught)
        return RecommendPlan(jobs.items, jobs.gold, checked, few, features, supervisors, asked, grid)

    def conclude(self, plan: RecommendPlan, fetch: Fetch, conduct: Conduct) -> RecommendResult:
        """Predict, rank and, where asked for, look at the truth."""
        evidence = RecommendEvidence(
            plan.items,
            plan.gold,
            plan.few,
            plan.features,
            plan.supervisors,
            plan.asked,
            plan.grid,
            self.models(),
            str(self.strong),
            self.shares,
            self.gold,
            max(1, self.check),
        )
        return evaluate(evidence, fetch, conduct)

    @property
    def chosen_budgets(self) -> tuple[int, ...]:
        """From how many gold labels the strong model learns itself."""
        return self.budgets or (0, self.gold // 2, self.gold)

    def models(self) -> dict[str, Model]:
        """Return every model by its name, the strong one first."""
        return {str(model): model for model in (self.strong, *self.weak)}

    @property
    def _taught(self) -> list[tuple[Fit, Objective]]:
        return [(self.weak_fit, NAIVE), *((self.fit, method) for method in (NAIVE, *self.methods))]

    def _looks(self, model: Model) -> bool:
        """Tell whether anything reads features of a model."""
        student = isinstance(self.fit, Probe) or any(method.wants_noise for method in self.methods)
        return student if str(model) == str(self.strong) else isinstance(self.weak_fit, Probe)

    def _grid(self, features: Mapping[str, Job]) -> Grid:
        """Return the learners of weak-to-strong: supervisors that had the whole supervise part, students, ceiling."""
        jobs, read = Jobs(self.task, self.shares, self.check), features.get(str(self.strong))
        weak = {str(model): supervised(jobs, model, self.weak_fit, features.get(str(model))) for model in self.weak}
        students = dict[str, list[Cell]]()
        for name, found in weak.items():
            team = Team(
                "student", self.methods, jobs.labels("weak", "transfer", f"labels: {name}", said=said_by(found))
            )
            students[name] = taught(jobs, self.strong, self.fit, [team], read)
        return Grid(weak, students, taught(jobs, self.strong, self.fit, [ceiling(jobs)], read))


def _asked(
    supervisor: str | None, teams: list[Team], budgets: tuple[int, ...] | list[int], found: list[Cell]
) -> list[Asked]:
    """Return the candidates of a supervisor: of each team and method the learners of all seeds and takes."""
    asked = list[Asked]()
    each = len(found) // sum(len(team.methods) for team in teams)
    for team, budget in zip(teams, budgets, strict=True):
        for method in team.methods:
            mine, found = found[:each], found[each:]
            asked.append(Asked(supervisor, str(method), budget, mine))
    return asked
