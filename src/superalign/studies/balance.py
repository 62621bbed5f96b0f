"""Balance by merging or by mixing (Yang et al. 2025, arXiv 2502.06876): several aims, one model.

Of every axis (honest, helpful, harmless) pairs are made of the transfer part. One expert learns from the pairs of one
axis; a mixture learns from as many pairs as all experts together. Experts are merged by each method. All of them, and
the model itself, answer probes of the test part that are worded as no pair is. Which merge and which mixture stand for
their kind is chosen by other probes, of the supervise part, which nothing learns from.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

from pydantic import Field, field_validator, model_validator

from superalign.axis import Axis, AxisChoice
from superalign.balance_evaluation import Arm, BalanceCell, BalanceEvidence, evaluate
from superalign.balance_result import BalanceResult, Measure
from superalign.balancing import ask_axes, ask_merged, draw_axis, interfere, mix_pairs, teach_pairs, weigh_pairs
from superalign.errors import ConfigError
from superalign.fit import FitChoice
from superalign.fits._apprentice import check_teachable
from superalign.fits.lora import Lora
from superalign.job import Job
from superalign.merging.method import Method, methods
from superalign.merging.methods.linear import RewardedSoups
from superalign.mixing import Mixture
from superalign.model import ModelChoice, Stage
from superalign.models.embedded import STATIC, Embedded
from superalign.objective import ObjectiveChoice
from superalign.registry import Distinct, chosen, default
from superalign.steps import read_gold, read_items
from superalign.study import Conduct, Fetch, Plan, Study, studies
from superalign.task import Shares, TaskChoice
from superalign.updates.pairs import Pairs

MethodChoice = Annotated[Method, *chosen(methods)]
MERGES = (
    "linear",
    "task-arithmetic",
    "ties",
    "dare-ties",
    "della",
    "breadcrumbs-ties",
    "model-stock",
    "consensus",
    "tsv-m",
    "r-tsvm",
    "r-tsvm,reweight=damp",
    "wudi",
    "iso-c",
    "rewarded-soups,steps=2",
)
SPEAKER = "embedded:smollm2, or hf:FOLDER of a language model"
QUESTIONS = "facts,questions=true,relations=city-country+capital+continent,cities=1000"


@dataclass(frozen=True)
class BalancePlan(Plan):
    """The jobs of the study; `cells` say which job is which arm and seed."""

    items: Job
    drawn: list[list[Job]]
    """By axis, then seed."""
    cells: list[BalanceCell]
    between: list[Job]
    """What was measured of the experts, by seed."""

    def jobs(self) -> Iterator[Job]:
        """Yield what refuses bad data first."""
        yield self.items
        yield from (job for axis in self.drawn for job in axis)
        yield from (cell.job for cell in self.cells)
        yield from self.between


@studies.register("balance-3h")
class Balance(Study[BalancePlan, BalanceResult]):
    """Can aims be balanced better by merging experts than by mixing their data? Both learn from as many pairs."""

    summary: ClassVar[str] = "merge experts of several aims, or mix their data: which balances them better?"
    example: ClassVar[str] = "superalign run balance-3h --methods linear ties r-tsvm --seeds 3"
    quick: ClassVar[Mapping[str, Any]] = {
        "task": "facts,questions=true,cities=200",
        "methods": ["linear", "task-arithmetic", "ties", "tsv-m", "r-tsvm"],
        "mixtures": ["equal"],
        "pairs": 32,
        "test": 30,
        "validation": 15,
        "seeds": 2,
    }

    model: ModelChoice = default("embedded:smollm2")
    """The model that experts and mixtures learn on; it stays frozen, and what is learnt is an adapter."""
    task: TaskChoice = default(QUESTIONS)
    """Questions with two answers, of which axes are made that have no task of their own."""
    axes: Annotated[tuple[AxisChoice, ...], Field(min_length=2, max_length=9), Distinct] = default(
        ("honest", "helpful", "harmless")
    )
    """What is balanced; see superalign ls axes. Preferences of your own: pairs:file:FILE or pairs:hf:NAME."""
    methods: Annotated[tuple[MethodChoice, ...], Field(min_length=1), Distinct] = default(MERGES)
    """How experts are merged; see superalign ls merge-methods. Of rewarded-soups every point but the experts."""
    mixtures: Annotated[tuple[Mixture, ...], Field(min_length=1)] = ("equal", "lagging")
    """How pairs are mixed: equal, as many of each axis; lagging, more of what the model does less often; scored, those
    that all experts find most clearly decided."""
    pairs: Annotated[int, Field(ge=2)] = 96
    """From how many an expert learns; a mixture learns from as many as all experts together."""
    pool: Annotated[float, Field(ge=1)] = 2.0
    """Of how many times as many pairs of each axis a mixture may choose."""
    objective: ObjectiveChoice = default("simpo,gamma=0,scale=0.5,normalise=false")
    """By which pairs are learnt; see superalign ls objectives."""
    fit: FitChoice = default("lora,read=policy,keep=true,lr=0.003,batch=8,epochs=2,target=attention")
    """How adapters learn: lora."""
    test: Annotated[int, Field(ge=2)] = 64
    """Items of the test part that probes are made of, each axis."""
    validation: Annotated[int, Field(ge=2)] = 24
    """Items of the supervise part by whose probes the best merge and the best mixture are chosen."""
    choose: Measure = "average"
    """By what they are chosen: the average of the axes, or the worst."""
    seeds: Annotated[int, Field(ge=1, le=1000)] = 3
    """How many seeds; each deals the supervise and transfer parts anew. The test part is the same for all."""
    shares: Shares = (3, 6, 5)
    """Proportions of the supervise, transfer and test parts, by group of related items."""

    @field_validator("mixtures")
    @classmethod
    def _once(cls, mixtures: tuple[Mixture, ...]) -> tuple[Mixture, ...]:
        if len(set(mixtures)) < len(mixtures):
            raise ConfigError(f"a mixture is given twice in {' '.join(mixtures)}")
        return mixtures

    @model_validator(mode="after")
    def _mergeable(self) -> Balance:
        labels = [one.label for one in self.axes]
        if twice := sorted({label for label in labels if labels.count(label) > 1}):
            fix = "pairs:file:FILE,called=NAME"
            raise ConfigError(f"two axes are called '{twice[0]}'", fix=fix)
        for method in self.methods:
            least, most = method.counts
            if method.statistic:
                why = f"it needs statistics ({method.statistic}) of each expert on data"
                raise ConfigError(f"{method.name} cannot be merged here", why=why, fix="superalign merge")
            if len(self.axes) < least or (most is not None and len(self.axes) > most):
                wanted = least if least == most else f"at least {least}"
                raise ConfigError(f"{method.name} merges {wanted} experts", why=f"there are {len(self.axes)} axes")
        return self

    @model_validator(mode="after")
    def _teachable(self) -> Balance:
        check_teachable(self.model, "balance-3h", SPEAKER)
        if isinstance(self.model, Embedded) and self.model.which in STATIC:
            raise ConfigError(f"balance-3h cannot train {self.model}", why="it is no language model", fix=SPEAKER)
        if not isinstance(self.fit, Lora):
            raise ConfigError(f"fit '{self.fit}' leaves no adapter", why="adapters are merged", fix="fit lora")
        if self.fit.read != "policy" or not self.fit.keep:
            raise ConfigError(
                "the fit must speak and keep what it learnt", fix=f"{self.fit.name},read=policy,keep=true"
            )
        Pairs(objective=self.objective)
        self.fit.check(self.objective, None)
        return self

    def prepare(self, report: Stage) -> None:
        """See that the data is there, then fetch the model if it is not here yet."""
        for source in self._sources():
            source.fingerprint()
        self.model.prepare(report)

    def fingerprints(self) -> dict[str, str]:
        """Return the digests of the model and of every axis' task."""
        tasks = {
            f"task {axis.label}": source.fingerprint() for axis, source in zip(self.axes, self._sources(), strict=True)
        }
        return {"model": self.model.fingerprint(), **tasks}

    def read_result(self, text: str) -> BalanceResult:
        """Rebuild a result from results.json."""
        return BalanceResult.model_validate_json(text)

    def plan(self) -> BalancePlan:
        """Expand to jobs: pairs and probes, experts, mixtures, merges, and what each says."""
        lines = [_Line(self, seed) for seed in range(self.seeds)]
        cells = [cell for line in lines for cell in line.cells()]
        order = list(dict.fromkeys(cell.arm for cell in cells))
        cells.sort(key=lambda cell: order.index(cell.arm))
        drawn = [[line.drawn[place] for line in lines] for place in range(len(self.axes))]
        return BalancePlan(drawn[0][0].inputs["items"], drawn, cells, [line.between() for line in lines])

    def conclude(self, plan: BalancePlan, fetch: Fetch, conduct: Conduct) -> BalanceResult:
        """Score every arm on the probes of the test part."""
        oracle = f"oracle early stop: {self.fit} chose its stopping point by ground truth"
        evidence = BalanceEvidence(
            plan.items,
            plan.drawn,
            plan.cells,
            plan.between,
            [axis.label for axis in self.axes],
            [str(axis) for axis in self.axes],
            self.model,
            self.shares,
            self.choose,
            self.pairs,
            [oracle] if self.fit.wants_gold else [],
        )
        return evaluate(evidence, fetch, conduct)

    def _sources(self) -> list[Any]:
        return [axis.source(self.task) for axis in self.axes]


class _Line:
    """The jobs of one seed."""

    def __init__(self, study: Balance, seed: int) -> None:
        self.study, self.seed = study, seed
        self.identity = study.model.identity()
        self.asks = {**self.identity, "fit": study.fit.spec()}
        self.drawn = [self._drawn(axis) for axis in study.axes]
        self.axes = {f"axis{place}": job for place, job in enumerate(self.drawn)}
        self.experts = [
            self._taught(self._mixed("alone", study.pairs, {f"axis{place}": job}), f"expert {axis.label}")
            for place, (axis, job) in enumerate(zip(study.axes, self.drawn, strict=True))
        ]
        self.named = {f"expert{place}": job for place, job in enumerate(self.experts)}

    def cells(self) -> Iterator[BalanceCell]:
        """Yield the base, the experts, the mixtures and the merges."""
        base = self._said(None, "the model itself")
        yield BalanceCell(Arm("base", "base"), self.seed, base)
        for axis, job in zip(self.study.axes, self.experts, strict=True):
            yield BalanceCell(Arm(axis.label, "expert"), self.seed, self._said(job, f"expert {axis.label}"), job)
        for how in self.study.mixtures:
            job = self._taught(self._mixture(how, base), f"mixture {how}")
            yield BalanceCell(Arm(how, "mixture"), self.seed, self._said(job, f"mixture {how}"), job)
        for name, method, weights in merges(self.study.methods, len(self.experts)):
            yield BalanceCell(Arm(name, "merge", method.name), self.seed, self._merged(name, method, weights))

    def between(self) -> Job:
        """Return the job that measures how the experts stand in each other's way."""
        params = {"fit": self.study.fit.spec()}
        return Job(interfere, params, self.named, f"interference of the experts, seed {self.seed}")

    def _drawn(self, axis: Axis) -> Job:
        study, source = self.study, axis.source(self.study.task)
        read = {"task": source.spec(), "fingerprint": source.fingerprint()}
        inputs = {"items": Job(read_items, read, title="read the task")}
        if axis.own:
            inputs["gold"] = Job(read_gold, read, title="read the truth")
        params = {
            **self.identity,
            "axis": axis.spec(),
            "seed": self.seed,
            "shares": list(study.shares),
            "pairs": int(study.pool * study.pairs),
            "least": study.pairs,
            "validation": study.validation,
            "test": study.test,
        }
        return Job(draw_axis, params, inputs, f"pairs and probes, {axis.label}, seed {self.seed}")

    def _mixture(self, how: Mixture, base: Job) -> Job:
        inputs = dict(self.axes)
        if how == "lagging":
            inputs["said"] = base
        if how == "scored":
            weighed = {"weighed": None, **{f"weighed{place}": job for place, job in enumerate(self.experts)}}
            inputs |= {name: self._weighed(job) for name, job in weighed.items()}
        return self._mixed(how, self.study.pairs * len(self.study.axes), inputs)

    def _mixed(self, how: str, budget: int, inputs: Mapping[str, Job]) -> Job:
        return Job(mix_pairs, {"how": how, "budget": budget}, inputs, f"pairs, {how}, seed {self.seed}")

    def _taught(self, mixed: Job, who: str) -> Job:
        study = self.study
        params = {**self.asks, "objective": study.objective.spec(), "seed": self.seed}
        return Job(teach_pairs, params, {"mixed": mixed}, f"{who} learns, seed {self.seed}")

    def _weighed(self, learner: Job | None) -> Job:
        inputs = {**self.axes, **({"learner": learner} if learner else {})}
        return Job(weigh_pairs, self.asks, inputs, f"rewards of all pairs, seed {self.seed}")

    def _said(self, learner: Job | None, who: str) -> Job:
        inputs = {**self.axes, **({"learner": learner} if learner else {})}
        return Job(ask_axes, self.asks, inputs, f"probes: {who}, seed {self.seed}")

    def _merged(self, name: str, method: Method, weights: Sequence[float] | None) -> Job:
        told = {"method": method.spec(), "weights": list(weights) if weights else None, "seed": self.seed}
        return Job(ask_merged, {**self.asks, **told}, {**self.axes, **self.named}, f"probes: {name}, seed {self.seed}")


def merges(chosen: Sequence[Method], experts: int) -> Iterator[tuple[str, Method, tuple[float, ...] | None]]:
    """Yield the name, the method and the weights of every merge; a sweep is one linear merge a point.

    Points of a sweep that are one of the experts are left out.
    """
    for method in chosen:
        if not isinstance(method, RewardedSoups):
            yield str(method), method, None
            continue
        linear = methods.build("linear")
        for weights in method.sweep(experts):
            if max(weights) < 1:
                yield f"soup {'-'.join(f'{weight:.2g}' for weight in weights)}", linear, weights
