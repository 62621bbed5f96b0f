"""The jobs of the closed loop: the exam, an arm's rounds, and what is asked of a learner after each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from superalign.job import Job
from superalign.loop_plan import Ablation, Arm, Line, Turn
from superalign.looping import consult, cross, draw_said, expose, gate, judge, measure, revise_said, teach
from superalign.prose import fingerprint
from superalign.steps import read_gold, read_items
from superalign.task import TaskSource

if TYPE_CHECKING:
    from superalign.studies.loop import Loop

FRESH = 4  # one in so many items of the exam is for the fresh attacker
CROSSED = 24  # queries of a round that are put to the learners of the others


@dataclass(frozen=True)
class LoopJobs:
    """Makes the jobs of a loop.

    Args:
        loop: its settings.
    """

    loop: Loop

    @cached_property
    def items(self) -> Job:
        """What is asked."""
        return _read(self.loop.task)

    @cached_property
    def gold(self) -> Job:
        """The truth about it: for the oracle that stands in for an expert, and the metric."""
        return Job(read_gold, self.items.params, title="read the truth")

    @cached_property
    def benign(self) -> dict[str, Job]:
        """Requests that nobody should refuse, if there are such."""
        return {"benign": _read(self.loop.benign)} if self.loop.benign else {}

    def line(self, name: Ablation, seed: int) -> Line:
        """Return the rounds of an arm and seed, and what is asked of the learner at their end."""
        arm = self.loop.arm(name)
        start = self._measured(None, seed)
        turns: list[Turn] = []
        for number in range(self.loop.rounds):
            turns.append(Round(self, arm, seed, number, tuple(turns), start).turn())
        last = turns[-1].passed
        exam = self.exam(last, f"{name}, seed {seed}")
        if name != "full":
            return Line(name, seed, start, turns, exam)
        before = [None, *(turn.passed for turn in turns)]
        crossed = {
            (i, j): self._crossed(turn.exposed, learner, f"round {i + 1}'s attacks, learner {j}, seed {seed}")
            for i, turn in enumerate(turns)
            for j, learner in enumerate(before)
        }
        return Line(name, seed, start, turns, exam, self.fresh(last, f"seed {seed}"), crossed)

    def exam(self, learner: Job | None, title: str) -> Job:
        """Ask a learner about the test part, with the attacks that are held out and those of the training."""
        loop = self.loop
        attacks = [[one.spec(), loop.probing] for one in loop.held_out] + [[one.spec(), 1] for one in loop.attacks]
        asked = {"part": "test", "n": loop.examined, "more": loop.only_asked, "attacks": attacks}
        return self._asked(learner, 0, asked, f"exam, {title}")

    def fresh(self, learner: Job | None, title: str) -> Job:
        """Let an attacker search anew for what breaks a learner."""
        asked = {
            "part": "test",
            "n": max(2, self.loop.examined // FRESH),
            "attacks": [[self.loop.fresh.spec(), self.loop.exploits]],
            "aims": [],
            "texts": [0, None, 0],
        }
        return self._asked(learner, 0, asked, f"fresh attacker, {title}")

    def _measured(self, learner: Job | None, seed: int) -> Job:
        loop = self.loop
        attacks = [[one.spec(), 1] for one in loop.attacks]
        asked = {"part": "supervise", "n": loop.gated, "more": loop.gated_asked, "attacks": attacks}
        return self._asked(learner, seed, {**asked, "texts": [loop.texts, loop.text, 0]}, "the gate's items before")

    def _asked(self, learner: Job | None, seed: int, asked: Mapping[str, Any], title: str) -> Job:
        loop = self.loop
        params = {
            **self.learner,
            "seed": seed,
            "shares": list(loop.shares),
            "unseen": self.unseen,
            "aims": [one.spec() for one in loop.aims],
            "texts": [loop.texts, loop.text, loop.texts],
            "text_digest": fingerprint(2 * loop.texts, loop.text),
            **self.attacker,
            **asked,
        }
        inputs = {"items": self.items, **self.benign, **({"learner": learner} if learner else {})}
        return Job(measure, params, inputs, title)

    def _crossed(self, exposed: Job, learner: Job | None, title: str) -> Job:
        inputs = {"items": self.items, "exposed": exposed, **({"learner": learner} if learner else {})}
        return Job(cross, {**self.learner, "most": CROSSED}, inputs, title)

    @property
    def learner(self) -> dict[str, Any]:
        """Return the parameters that say who learns, and in the world of behaviours who judges."""
        loop = self.loop
        learner = {**loop.learner.identity(), "fit": loop.fit.spec()}
        if loop.world == "knowledge":
            return learner
        judges = {"critics": [one.identity() for one in loop.critics], "refusals": loop.refusals.identity()}
        return {**learner, **judges, "world": loop.world, "tokens_out": loop.tokens_out}

    @property
    def attacker(self) -> dict[str, Any]:
        """Return the parameters that say whom attacks may ask, if anybody."""
        return {"attacker": self.loop.attacker.identity()} if self.loop.attacker else {}

    @property
    def unseen(self) -> list[list[str]]:
        """Return the tags of what is never learnt from."""
        return [one.split("=", 1) for one in self.loop.unseen]

    @property
    def advisor(self) -> dict[str, Any]:
        """Return who criticises and judges what is revised and drawn, and whether only what needs it is revised."""
        loop = self.loop
        if loop.world == "knowledge":
            return {}
        advisor, needed = loop.update.advisor, loop.update.ways[0] != "revision"
        if advisor is None:
            return {"needed": needed}
        itself = loop.update.advises_itself
        if itself:
            advisor = advisor.model_copy(update={"model": loop.learner})
        return {"needed": needed, "advisor": {**advisor.identity(), "itself": itself}}


@dataclass(frozen=True)
class Round:
    """Makes the jobs of one round.

    Args:
        jobs: of the loop.
        arm: in which way the loop is run.
        seed: of its line.
        number: of the round, from 0.
        past: the rounds before it.
        start: what the model is worth on the gate's items before it learns.
    """

    jobs: LoopJobs
    arm: Arm
    seed: int
    number: int
    past: Sequence[Turn]
    start: Job

    def turn(self) -> Turn:
        """Attack, critique, expert, answers, learning, gate."""
        exposed = self._exposed()
        judged = self._judged(exposed)
        consulted = self._consulted(exposed, judged)
        revised, drawn = self._answered(exposed, judged)
        optional = {"consulted": consulted, "drawn": drawn}
        found = {
            "exposed": exposed,
            "judged": judged,
            "revised": revised,
            **{name: job for name, job in optional.items() if job},
        }
        taught = self._taught(found)
        people = (self.past[0].exposed, self.past[0].consulted) if self.past else (exposed, consulted)
        return Turn(exposed, judged, consulted, revised, drawn, taught, self._passed(taught, *people))

    def _exposed(self) -> Job:
        loop = self.jobs.loop
        dealt = {"shares": list(loop.shares), "unseen": self.jobs.unseen, "round": self.number, "goals": loop.goals}
        attacked: dict[str, Any] = {"attacks": [[one, loop.queries] for one in self.arm.attacks]}
        if any(spec["name"] == "helpful" for spec in self.arm.aims):
            attacked["benign"] = sum(round(one.share * loop.goals) for one in loop.aims if one.benign)
        asking = {"items": self.jobs.items, **self.jobs.benign, **self._known}
        if loop.patience and self.number >= loop.patience:
            attacked["enough"] = loop.enough
            for place, turn in enumerate(self.past[-loop.patience :]):
                asking |= {f"exposed{place:03}": turn.exposed, f"passed{place:03}": turn.passed}
        return Job(expose, {**self._base, **dealt, **self.jobs.attacker, **attacked}, asking, self._titled("attacks"))

    def _judged(self, exposed: Job) -> Job:
        loop, arm = self.jobs.loop, self.arm
        judging = {
            "critics": [one.identity() for one in loop.critics] if arm.labels == "critics" else [],
            "labels": arm.labels,
            "shared": arm.shared,
        }
        truth = {"items": self.jobs.items, "gold": self.jobs.gold} if arm.labels == "oracle" else {}
        talks = {"items": self.jobs.items, **self._known} if loop.world == "behaviour" else {}
        asked = {"exposed": exposed, **truth, **talks, **(self._known if arm.shared else {})}
        return Job(judge, {**self._base, **judging}, asked, self._titled("critics"))

    def _consulted(self, exposed: Job, judged: Job) -> Job | None:
        budget = dealt(self.arm.experts, self.jobs.loop.rounds)[self.number]
        if not budget:
            return None
        told = {"items": self.jobs.items, "exposed": exposed, "judged": judged}
        who: dict[str, Any] = {"budget": budget, "seed": self.seed}
        if expert := self.jobs.loop.expert:
            who["expert"] = expert.spec()
        else:
            told["gold"] = self.jobs.gold
        return Job(consult, who, told, self._titled("expert"))

    def _answered(self, exposed: Job, judged: Job) -> tuple[Job, Job | None]:
        loop = self.jobs.loop
        again = {"items": self.jobs.items, "exposed": exposed, "judged": judged, **self._known}
        advised = {**self.jobs.learner, **self.jobs.advisor}
        revised = Job(revise_said, {**advised, "most": loop.revisions}, again, self._titled("revisions"))
        if not loop.update.draws[0]:
            return revised, None
        drawing = {**advised, "seed": self.seed, "draws": list(loop.update.draws)}
        return revised, Job(draw_said, drawing, again, self._titled("draws"))

    def _taught(self, found: Mapping[str, Job]) -> Job:
        loop = self.jobs.loop
        lesson = {"update": loop.update.spec(), "aims": self.arm.aims, "replay": loop.replay, "round": self.number}
        if self.number and loop.slower < 1:
            lesson["slower"] = loop.slower**self.number
        if loop.world == "behaviour":
            lesson["refusal"] = loop.refusal
        older = {f"past{place}": turn.taught for place, turn in enumerate(self.past)} if loop.replay else {}
        inputs = {**found, **self._known, **older}
        return Job(teach, {**self._base, **lesson}, inputs, self._titled("learning"))

    def _passed(self, taught: Job, exposed: Job, consulted: Job | None) -> Job:
        loop = self.jobs.loop
        limits = {**{one.name: one.limit for one in loop.aims}, "text": loop.lose_text}
        asked = {"items": self.jobs.items, **self.jobs.benign, "taught": taught, "start": self.start, **self._known}
        weighed = {**self.start.params, "parts": list(loop.parts), "limits": limits if self.arm.gated else None}
        if loop.dual_step:
            weighed["duals"] = {"step": loop.dual_step, "limits": {one.name: one.limit for one in loop.aims[1:]}}
        if self.arm.shared and consulted:
            asked |= {"exposed": exposed, "consulted": consulted}
            limits["critic"] = loop.lose_critic
            weighed["people"] = [one.identity() for one in loop.critics]
        return Job(gate, weighed, asked, self._titled("gate"))

    @property
    def _known(self) -> dict[str, Job]:
        return {"learner": self.past[-1].passed} if self.past else {}

    @property
    def _base(self) -> dict[str, Any]:
        return {**self.jobs.learner, "seed": self.seed}

    def _titled(self, what: str) -> str:
        return f"{what}, round {self.number + 1}, seed {self.seed}"


def dealt(budget: int, rounds: int) -> list[int]:
    """Deal a budget to rounds; what is left over goes to the first."""
    return [budget // rounds + (number < budget % rounds) for number in range(rounds)]


def _read(task: TaskSource) -> Job:
    return Job(read_items, {"task": task.spec(), "fingerprint": task.fingerprint()}, title="read the task")
