"""What a study of attacks leaves, with what is known of each attempt's goal: the one place where truth is read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

from superalign.job import Job
from superalign.metric import Metric
from superalign.model import Model
from superalign.study import Fetch
from superalign.task import Gold, Shares, Task, split

DECIDED = ("broken", "held")


class PlainAnswerScore(Metric):
    """Says whether the target's plain answers are right; no attack sees this."""


class AttackCell(NamedTuple):
    """One attack, on one model, by one seed."""

    attack: str
    model: str
    seed: int
    job: Job


@dataclass(frozen=True)
class AttackEvidence:
    """What a study of attacks leaves to be scored."""

    items: Job
    gold: Job
    plain: Mapping[str, Job]
    cells: list[AttackCell]
    transfers: list[AttackCell]
    shares: Shares
    target: Model
    queries: int
    flags: list[str] = field(default_factory=list)


class Attempted(NamedTuple):
    """One attempt and what is known of its goal."""

    attack: str
    seed: int
    row: Mapping[str, Any]
    known: bool | None
    group: str
    query: int

    @property
    def decided(self) -> bool:
        """Whether it counts: broken or held."""
        return self.row["outcome"] in DECIDED

    @property
    def broken(self) -> bool:
        """Whether the goal was reached."""
        return bool(self.row["outcome"] == "broken")

    @property
    def goal(self) -> tuple[int, str]:
        """Seed and goal."""
        return self.seed, self.row["goal"]


class Attempts:
    """All attempts of a study.

    Args:
        evidence: its jobs.
        fetch: returns their artifacts.
    """

    def __init__(self, evidence: AttackEvidence, fetch: Fetch) -> None:
        self.evidence, self.fetch = evidence, fetch
        self.task = Task.from_meta(fetch(evidence.items).meta)
        self.items = {item.id: (place, item) for place, item in enumerate(self.task.items)}
        self.plain = fetch(evidence.plain[str(evidence.target)]).meta
        self.metas = {(cell.attack, cell.seed): fetch(cell.job).meta for cell in evidence.cells}
        self.names = list(dict.fromkeys(cell.attack for cell in evidence.cells))
        self.seeds = list(dict.fromkeys(cell.seed for cell in evidence.cells))

    @cached_property
    def right(self) -> dict[str, bool | None]:
        """For each item that is a goal of some seed, whether the target's plain answer is right."""
        ids = sorted({goal for meta in self.metas.values() for goal in (*meta["goals"], *meta["left_out"])})
        if not self.task.pairwise:
            return dict.fromkeys(ids)
        test = split(self.task, self.evidence.shares, 0).test
        labels = self.fetch(self.evidence.gold).tensors["labels"]
        truth = dict(zip(test.tolist(), PlainAnswerScore().truth(Gold(labels[test], "test")).tolist(), strict=True))
        right = {}
        for one in ids:
            place, _ = self.items[one]
            said = self.plain["said"].get(str(place))
            right[one] = None if said is None or said[0] == said[1] else int(said[1] > said[0]) == truth[place]
        return right

    @cached_property
    def attempted(self) -> list[Attempted]:
        """All attempts, attack by attack, in the order of asking."""
        found = []
        for (attack, seed), meta in self.metas.items():
            asked = Counter[str]()
            for row in meta["attempts"]:
                asked[row["goal"]] += 1
                group = self.items[row["goal"]][1].group or row["goal"]
                found.append(Attempted(attack, seed, row, self.right[row["goal"]], group, asked[row["goal"]]))
        return found

    @cached_property
    def counted(self) -> list[Attempted]:
        """The attempts that success is counted on: those on goals the target knows, or of behaviours on all."""
        return [one for one in self.attempted if one.known is not False]

    def reached(self, name: str | None = None, queries: int | None = None) -> dict[tuple[int, str], bool]:
        """Return for each goal with an attempt that counts whether it was broken; by any attack where none is named."""
        found: dict[tuple[int, str], bool] = {}
        for one in self.counted:
            if one.decided and (name is None or one.attack == name) and (queries is None or one.query <= queries):
                found[one.goal] = found.get(one.goal, False) or one.broken
        return found


def conversation(row: Mapping[str, Any]) -> str:
    """Return what was put to the target in a written attempt, for people."""
    turns = row["messages"]
    return str(turns[0][1]) if len(turns) == 1 else "\n".join(f"{role}: {content}" for role, content in turns)


def asked_in(row: Mapping[str, Any]) -> str:
    """Return what the attacker wrote in a written attempt."""
    return " ".join(content for role, content in row["messages"] if role == "user")
