"""Weak-to-strong generalization over a grid of sizes, tasks and methods (Burns et al. 2023, section 4; figure 2).

Every pair of a weak and a strong model, on every task and by every method, is a cell: the weak model learns from the
truth of *supervise* and labels *transfer*, the strong one learns from those labels, and beside it stands its ceiling.
A model cut off at a layer is a size of its own. What cells share is computed once: a text's features at all layers in
one pass, a weak model's labels, a ceiling. A pair whose weak model is not the smaller one is no cell.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

from pydantic import Field, model_validator

from superalign.config import canonical
from superalign.errors import ConfigError, SuperalignError
from superalign.fit import Fit, FitChoice
from superalign.fits.probe import Probe
from superalign.job import Job
from superalign.model import LayeredModelChoice, Model, Stage
from superalign.models._size import parameters_read
from superalign.objective import Objective, ObjectiveChoice
from superalign.registry import Distinct, default
from superalign.scaling_evaluation import Ground, ScalingEvidence, evaluate
from superalign.scaling_result import Excluded, ScalingResult, SizeFacts, Unsuited
from superalign.studies._jobs import Jobs
from superalign.studies._teams import NAIVE, Team, ceiling, check_taught, said_by, supervised, taught
from superalign.study import Conduct, Fetch, Plan, Study, studies
from superalign.task import Shares, TaskChoice, TaskSource


@dataclass(frozen=True)
class ScalingPlan(Plan):
    """The grid, task by task; the jobs of a pair are made when they are asked for, so that a large grid stays small."""

    grounds: list[Ground]
    sizes: list[SizeFacts]
    excluded: list[Excluded]
    unsuited: list[Unsuited]

    def jobs(self) -> Iterator[Job]:
        """Yield a task at a time: its features, its weak models, then each strong model's ceiling and students."""
        for ground in self.grounds:
            yield from ground.jobs()

    @property
    def pairs(self) -> int:
        """How many pairs of models there are, over all tasks."""
        return sum(len(ground.pairs) for ground in self.grounds)


@studies.register("scaling")
class Scaling(Study[ScalingPlan, ScalingResult]):
    """What scales? A grid of weak models, strong models, tasks and methods, and what of the gap each cell recovers."""

    summary: ClassVar[str] = "weak-to-strong over a grid of sizes, tasks and methods; what moves with size"
    example: ClassVar[str] = "superalign run scaling --strong embedded:smollm2,layer=6 embedded:smollm2"
    quick: ClassVar[dict[str, Any]] = {"tasks": "facts,cities=200", "seeds": 2}

    weak: Annotated[tuple[LayeredModelChoice, ...], Field(min_length=1), Distinct] = default(
        ("embedded:wordllama", "embedded:minilm,layer=3", "embedded:minilm")
    )
    """The supervisors; a model at a layer is a size of its own: embedded:minilm,layer=3."""
    strong: Annotated[tuple[LayeredModelChoice, ...], Field(min_length=1), Distinct] = default(
        ("embedded:smollm2,layer=4", "embedded:smollm2,layer=11", "embedded:smollm2")
    )
    """The students, and the ceilings."""
    tasks: Annotated[tuple[TaskChoice, ...], Field(min_length=1), Distinct] = default(
        ("facts", "facts,relations=capital", "facts,relations=continent")
    )
    """What is learnt; methods are compared over the tasks."""
    methods: Annotated[tuple[ObjectiveChoice, ...], Field(min_length=1), Distinct] = default(("naive", "logconf"))
    """Objectives by which students learn from the weak labels; a task has no cells of those that cannot learn it."""
    fit: FitChoice = default("probe")
    """How much of the strong model moves: probe, lora or full."""
    weak_fit: FitChoice = default("probe")
    """How much of the weak model moves."""
    seeds: Annotated[int, Field(ge=1, le=1000)] = 5
    """How many seeds; each deals the supervise and transfer parts anew. The test part is the same for all."""
    shares: Shares = (5, 6, 5)
    """Proportions of the supervise, transfer and test parts, by group of related items."""

    @model_validator(mode="after")
    def _teachable(self) -> Scaling:
        check_taught(self._taught, self.weak_fit)
        return self

    def prepare(self, report: Stage) -> None:
        """See that the data is there, then fetch the models that are not here yet."""
        for task in self.tasks:
            task.fingerprint()
        for model in self.models().values():
            model.prepare(report)

    def fingerprints(self) -> dict[str, str]:
        """Return the digests of all models and tasks."""
        return {
            **{f"model {name}": model.fingerprint() for name, model in self.models().items()},
            **{f"task {task}": task.fingerprint() for task in self.tasks},
        }

    def read_result(self, text: str) -> ScalingResult:
        """Rebuild a result from results.json."""
        return ScalingResult.model_validate_json(text)

    def plan(self) -> ScalingPlan:
        """Expand to jobs, a task at a time.

        Raises:
            ConfigError: no weak model is smaller than any strong one.
        """
        sizes, found, pairs, excluded = self._sizes(), self.models(), list[tuple[str, str]](), list[Excluded]()
        known = {size.model: size for size in sizes}
        for weak in map(str, self.weak):
            for strong in map(str, self.strong):
                if why := not_weaker(known[weak], known[strong]):
                    excluded.append(Excluded(weak=weak, strong=strong, why=why))
                else:
                    pairs.append((weak, strong))
        if not pairs:
            why = "; ".join(f"{one.weak} for {one.strong}: {one.why}" for one in excluded[:3])
            raise ConfigError("no weak model is smaller than a strong one", why=why, fix="give smaller weak models")
        layers = {name: size.layer for name, size in known.items()}
        made = dict[tuple[Any, ...], tuple[Any, Any]]()
        grounds, unsuited = list[Ground](), list[Unsuited]()
        for task in self.tasks:
            methods, out = self._suited(task)
            unsuited += out
            jobs = Jobs(task, self.shares, self.seeds, made=made)
            grounds.append(self._ground(jobs, methods, found, layers, pairs))
        return ScalingPlan(grounds, sizes, excluded, unsuited)

    def conclude(self, plan: ScalingPlan, fetch: Fetch, conduct: Conduct) -> ScalingResult:
        """Score every cell on its task's test part, a task at a time."""
        oracles = [fit for fit in (self.weak_fit, self.fit) if fit.wants_gold]
        evidence = ScalingEvidence(
            plan.grounds,
            plan.sizes,
            plan.excluded,
            plan.unsuited,
            self.models(),
            self.shares,
            [f"oracle early stop: {fit} chose its stopping point by ground truth" for fit in oracles],
        )
        return evaluate(evidence, fetch, conduct)

    def models(self) -> dict[str, Model]:
        """Return every model of the grid by its name."""
        return {str(model): model for model in (*self.weak, *self.strong)}

    @property
    def _taught(self) -> list[tuple[Fit, Objective]]:
        return self._taught_by(self.methods)

    def _taught_by(self, methods: tuple[Objective, ...]) -> list[tuple[Fit, Objective]]:
        return [(self.weak_fit, NAIVE), *((self.fit, method) for method in (NAIVE, *methods))]

    def _suited(self, source: TaskSource) -> tuple[tuple[Objective, ...], list[Unsuited]]:
        """Return the methods by which a task can be learnt, and the others; all where none can, to be refused later."""
        if len(self.methods) == 1:
            return self.methods, []
        task, suited, out = source.load().task, list[Objective](), list[Unsuited]()
        for method in self.methods:
            try:
                self.fit.check(method, task)
            except SuperalignError as error:
                out.append(Unsuited(task=str(source), method=str(method), why=str(error).splitlines()[0]))
            else:
                suited.append(method)
        return (tuple(suited), out) if suited and out else (self.methods, [])

    def _sizes(self) -> list[SizeFacts]:
        weak, strong = set(map(str, self.weak)), set(map(str, self.strong))
        found = [
            SizeFacts(
                model=name,
                layer=model.chosen_layer(),
                depth=model.depth(),
                parameters=parameters_read(model),
                weak=name in weak,
                strong=name in strong,
            )
            for name, model in self.models().items()
        ]
        return sorted(found, key=lambda one: (one.parameters is None, one.parameters or 0))

    def _ground(
        self,
        jobs: Jobs,
        methods: tuple[Objective, ...],
        models: dict[str, Model],
        layers: dict[str, int],
        pairs: list[tuple[str, str]],
    ) -> Ground:
        weak, strong = (list(dict.fromkeys(names)) for names in zip(*pairs, strict=True))
        looks = isinstance(self.fit, Probe) or any(method.wants_noise for method in methods)
        looking = [*(weak if isinstance(self.weak_fit, Probe) else []), *(strong if looks else [])]
        features = _features(jobs, {name: models[name] for name in looking}, layers)
        supervisors = {name: supervised(jobs, models[name], self.weak_fit, features.get(name)) for name in weak}
        labels = {
            name: jobs.labels("weak", "transfer", f"labels: {name}", said=said_by(cells))
            for name, cells in supervisors.items()
        }
        best = ceiling(jobs)
        ceilings = {name: taught(jobs, models[name], self.fit, [best], features.get(name)) for name in strong}
        teams = {name: Team("student", methods, one) for name, one in labels.items()}
        return Ground(
            str(jobs.task),
            jobs.items,
            jobs.gold,
            jobs.check(self._taught_by(methods)),
            features,
            supervisors,
            ceilings,
            pairs,
            lambda weak, strong: taught(jobs, models[strong], self.fit, [teams[weak]], features.get(strong)),
        )


def not_weaker(weak: SizeFacts, strong: SizeFacts) -> str | None:
    """Return why a pair is no cell of the grid; None when it is one. Sizes that are not known exclude nothing."""
    if weak.model == strong.model:
        return "it is the same model"
    if weak.parameters is None or strong.parameters is None or weak.parameters < strong.parameters:
        return None
    return f"{weak.parameters:,} parameters are not fewer than {strong.parameters:,}"


def _features(jobs: Jobs, models: dict[str, Model], layers: dict[str, int]) -> dict[str, Job]:
    """Return the job of each model's features; before those of several layers of one network goes one pass for all."""
    networks: dict[str, list[str]] = {}
    for name, model in models.items():
        spec = {key: value for key, value in model.spec().items() if key != "layer"}
        networks.setdefault(canonical(spec), []).append(name)
    found = dict[str, Job]()
    for names in networks.values():
        wanted = sorted({layers[name] for name in names})
        deepest = models[max(names, key=lambda name: layers[name])]
        first = (jobs.features(deepest, wanted),) if len(wanted) > 1 else ()
        found |= {name: jobs.features(models[name], [layers[name]], after=first) for name in names}
    return found
