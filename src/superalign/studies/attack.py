"""Attacking a model: which of several attacks make it do what it should not, how often, and at what price.

In the world of *knowledge*, which is the default and harmless, the goals are questions with two answers. The target is
asked plainly which one it finds likelier, by what differs between them; an attack is to make it prefer the other one.
Whether its plain answer was right is read by the metric alone, so that no attack is helped by the truth, and what
pressure towards the truth does is reported on its own. In the world of *behaviours* the goals are requests, and a
critic says of each response whether it does what was asked.

Every attack goes for the same goals with the same budget. Goals come from the *test* part; what an attack may learn
from comes from the *transfer* part, without near-duplicates of a goal.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

from pydantic import Field

from superalign.attack_evaluation import evaluate
from superalign.attack_evidence import AttackCell, AttackEvidence
from superalign.attack_result import AttackResult
from superalign.attacker import Attack, AttackChoice, Budget, World
from superalign.attacking import ask_plainly, attack, transfer
from superalign.config import canonical
from superalign.critic import CriticChoice
from superalign.errors import ConfigError
from superalign.job import Job
from superalign.model import Model, ModelChoice, Stage
from superalign.registry import Distinct, default
from superalign.steps import read_gold, read_items
from superalign.study import Conduct, Fetch, Plan, Study, studies
from superalign.task import Shares, TaskChoice
from superalign.tasks.goals import Goals

QUESTIONS = "facts,questions=true,relations=city-country+capital+continent+currency,cities=500"
ATTACKS = (
    "pressure",
    "incomplete-sentence",
    "negative-priming",
    "cognitive-dissonance",
    "poisoned-context",
    "best-of-n",
    "map-elites",
)
QUICK = tuple(name for name in ATTACKS if name != "poisoned-context")  # which reads long texts


@dataclass(frozen=True)
class AttackPlan(Plan):
    """The jobs of the study."""

    items: Job
    gold: Job
    plain: Mapping[str, Job]
    """For each model, what it says when asked plainly."""
    cells: list[AttackCell]
    transfers: list[AttackCell]

    def jobs(self) -> Iterator[Job]:
        """Yield the plain answers first, then attacks, then their transfer."""
        yield self.items
        yield self.gold
        yield from self.plain.values()
        yield from (cell.job for cell in (*self.cells, *self.transfers))


@studies.register("attack")
class AttackStudy(Study[AttackPlan, AttackResult]):
    """How easily is a model made to deny what it knows, or to do what it should refuse? Attacks within a budget."""

    summary: ClassVar[str] = "let attacks go for a model within a budget; measure what breaks it, by tactic"
    example: ClassVar[str] = "superalign run attack --target embedded:smollm2 --attacks pressure many-shot --quick"
    quick: ClassVar[Mapping[str, Any]] = {"goals": 10, "seeds": 1, "queries": 4, "attacks": QUICK}

    target: ModelChoice = default("embedded:smollm2")
    """The model under attack."""
    task: TaskChoice = default(QUESTIONS)
    """Pairs of answers to a question (knowledge under pressure), or requests: goals:FILE (behaviours)."""
    attacks: Annotated[tuple[AttackChoice, ...], Field(min_length=1), Distinct] = default(ATTACKS)
    """What is tried; see superalign ls attacks."""
    attacker: ModelChoice | None = None
    """The model that writes for attacks that need one (pair, tap), or learns to (learned: by default the target)."""
    critic_model: ModelChoice | None = None
    """The model that such attacks ask for an opinion; by default the attacker's."""
    critic: CriticChoice | None = None
    """Says of each response whether it is good; behaviours need one, knowledge has none."""
    transfer_to: Annotated[tuple[ModelChoice, ...], Distinct] = ()
    """Other models to which the queries that broke the target are put."""
    goals: Annotated[int, Field(ge=2)] = 8
    """How many goals a seed draws."""
    examples: Annotated[int, Field(ge=0)] = 16
    """How many other goals an attack may learn from."""
    queries: Annotated[int, Field(ge=1)] = 6
    """Most queries to the target, a goal and attack; an attack on all goals together deals them out as it likes."""
    tokens: Annotated[int, Field(ge=1)] | None = None
    """Most tokens of all models, an attack and seed."""
    seconds: Annotated[float, Field(gt=0)] | None = None
    """Most seconds, an attack and seed. Where this ends a search, another machine finds other figures."""
    tokens_out: Annotated[int, Field(ge=1)] = 64
    """Most tokens of a response in the world of behaviours."""
    seeds: Annotated[int, Field(ge=1, le=1000)] = 3
    """How many seeds; each draws other goals, and what an attack draws."""
    shares: Shares = (1, 1, 2)
    """Proportions of the supervise, transfer and test parts, by group of related items; supervise is not used."""

    def model_post_init(self, _: object) -> None:
        """Refuse what cannot be, before anything is fetched."""
        world = self._world
        if world == "behaviour" and self.critic is None:
            why = "nobody knows what a response to a request is worth but a critic"
            raise ConfigError("attacks on behaviours need a critic", why=why, fix="for example: --critic keywords")
        if self.critic:
            self.critic.check_taught("an attack")
        for one in self.attacks:
            if world not in one.worlds:
                told = {"knowledge": "pairs of answers", "behaviour": "requests (goals:FILE)"}
                only = " or ".join(told[name] for name in sorted(one.worlds))
                raise ConfigError(f"attack {one} does not go for this task", why=f"it needs {only}")
            if missing := sorted(one.roles - set(self._roles())):
                fix = "for example: --attacker embedded:smollm2"
                raise ConfigError(f"attack {one} needs a model as {missing[0]}", fix=fix)
            one.check(self.target, self.attacker)

    def prepare(self, report: Stage) -> None:
        """See that the data is there, then fetch the models that are not here yet."""
        self.task.fingerprint()
        if self.critic:
            self.critic.prepare(report)
        for model in self._models().values():
            model.prepare(report)

    def fingerprints(self) -> dict[str, str]:
        """Return the digests of the models and the task."""
        models = {name: model.fingerprint() for name, model in self._models().items()}
        return {**models, "task": self.task.fingerprint()}

    def read_result(self, text: str) -> AttackResult:
        """Rebuild a result from results.json."""
        return AttackResult.model_validate_json(text)

    def plan(self) -> AttackPlan:
        """Expand to jobs: items, plain answers, one job an attack and seed, and the transfer of each."""
        source = {"task": self.task.spec(), "fingerprint": self.task.fingerprint()}
        items = Job(read_items, source, title="read the task")
        gold = Job(read_gold, source, title="read the truth")
        plain = {str(model): self._plain(model, items) for model in (self.target, *self.transfer_to)}
        cells, transfers = list[AttackCell](), list[AttackCell]()
        for one in self.attacks:
            for seed in range(self.seeds):
                made = self._attacked(one, seed, {"items": items, "plain": plain[str(self.target)]})
                cells.append(AttackCell(str(one), str(self.target), seed, made))
                for model in self.transfer_to:
                    params = {**made.params, **model.identity()}
                    inputs = {"items": items, "plain": plain[str(model)], "attack": made}
                    moved = Job(transfer, params, inputs, f"{one} from {self.target} to {model}, seed {seed}")
                    transfers.append(AttackCell(str(one), str(model), seed, moved))
        return AttackPlan(items, gold, plain, cells, transfers)

    def conclude(self, plan: AttackPlan, fetch: Fetch, conduct: Conduct) -> AttackResult:
        """Count what was broken, held, left undetermined and failed."""
        flags = []
        if self.seconds is not None:
            flags.append("a budget of seconds ends searches: another machine finds other figures")
        evidence = AttackEvidence(
            plan.items, plan.gold, plan.plain, plan.cells, plan.transfers, self.shares, self.target, self.queries, flags
        )
        return evaluate(evidence, fetch, conduct)

    @property
    def _world(self) -> World:
        return "behaviour" if isinstance(self.task, Goals) else "knowledge"

    def _attacked(self, one: Attack, seed: int, inputs: Mapping[str, Job]) -> Job:
        budget, used = Budget(queries=self.queries, tokens=self.tokens, seconds=self.seconds), one.roles | one.optional
        params = {
            **self.target.identity(),
            **self._dealt(),
            "attack": one.spec(),
            "roles": {role: model.identity() for role, model in self._roles().items() if role in used},
            "critic": None if self.critic is None else self.critic.identity(),
            "budget": budget.model_dump(mode="json"),
            "tokens_out": self.tokens_out,
            "seed": seed,
        }
        return Job(attack, params, inputs, f"{one} on {self.target}, seed {seed}")

    def _plain(self, model: Model, items: Job) -> Job:
        params = {**model.identity(), **self._dealt(), "world": self._world}
        return Job(ask_plainly, params, {"items": items}, f"{model} asked plainly")

    def _dealt(self) -> dict[str, Any]:
        return {
            "seeds": list(range(self.seeds)),
            "shares": list(self.shares),
            "goals": self.goals,
            "examples": self.examples,
        }

    def _roles(self) -> dict[str, Model]:
        found = {"attacker": self.attacker, "critic": self.critic_model or self.attacker}
        return {role: model for role, model in found.items() if model is not None}

    def _models(self) -> dict[str, Model]:
        other = {f"transfer {number + 1}": model for number, model in enumerate(self.transfer_to)}
        found = {"target": self.target, **self._roles(), **other}
        first: dict[str, Model] = {}
        for name, model in found.items():
            if all(canonical(model.spec()) != canonical(known.spec()) for known in first.values()):
                first[name] = model
        return first
