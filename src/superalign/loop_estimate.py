"""About how many tokens the jobs of the loop read, write and train on; no model is run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from superalign.aim import aims
from superalign.critic import critics
from superalign.critics._asking import VERDICT
from superalign.critics._judge import Judge
from superalign.fit import fits
from superalign.fits._finetune import FineTune
from superalign.job import Job
from superalign.loop_world import EXAMPLES
from superalign.model import models
from superalign.prose import LONG
from superalign.task import Task

LETTERS = 4  # of a token of English
CHAT = 32  # tokens of a chat template
RUBRIC = 120  # tokens of what a judge is told before the case
CRITIQUE = 60  # tokens of what a critic said
ORDERS = 2  # in which a judge sees two responses
ASSUMED = [
    f"a token is {LETTERS} characters, a chat template {CHAT} tokens, a rubric {RUBRIC}, a critique {CRITIQUE}",
    "an attack says the claim once beside the question; searching attacks use their whole budget",
    "every answer is asked for anew; what is in the store costs less",
]


class Texts(NamedTuple):
    """Tokens of the mean question, and of the mean answer."""

    question: float
    answer: float

    @classmethod
    def of(cls, task: Task) -> Texts:
        """Take the means over a task."""
        answers = [len(text.response or "") for text in task.texts()]
        questions = [len(item.prompt) for item in task.items]
        return cls(sum(questions) / len(questions) / LETTERS, sum(answers) / len(answers) / LETTERS)

    @property
    def plain(self) -> float:
        """A plain question with both answers."""
        return CHAT + self.question + 2 * self.answer

    @property
    def attack(self) -> float:
        """The same under attack."""
        return self.plain + self.answer


class Share(NamedTuple):
    """What a job asks of one model, in tokens."""

    component: str
    model: Any
    read: float = 0.0
    written: float = 0.0
    trained: float = 0.0


def shares(job: Job, texts: Texts) -> Iterator[Share]:
    """Yield what a job of the loop asks of each model; nothing of a job that asks none."""
    params, name = job.params, job.step.name.rpartition(":")[2]
    out = params.get("tokens_out", 0)  # of an answer in the world of behaviours; in that of knowledge none is written
    if name == "expose":
        attacked = params["goals"] * _queries(params["attacks"])
        plain = params["goals"] + EXAMPLES if not out else params.get("benign", 0)
        read = plain * texts.plain + attacked * texts.attack
        yield Share("attacks", params["model"], read, (attacked + plain) * out)
    elif name == "judge":
        if out:
            goals = job.inputs["exposed"].params["goals"]
            yield Share("attacks", params["model"], goals * texts.plain, goals * out)
        for one in params["critics"]:
            yield from _judged(one["critic"], job.inputs["exposed"].params["goals"], texts)
    elif name == "revise_said":
        again = min(params["most"], job.inputs["exposed"].params["goals"])
        yield Share("revisions", params["model"], again * (texts.attack + CRITIQUE + out), again * out)
    elif name == "draw_said":
        drawn = job.inputs["exposed"].params["goals"] * params["draws"][0]
        yield Share("draws", params["model"], drawn * texts.attack, drawn * out)
    elif name == "teach":
        pairs = sum(aims.build(one).share for one in params["aims"]) * job.inputs["exposed"].params["goals"]
        pairs *= 1 + (params["replay"] if params["round"] else 0)
        fit = fits.build(params["fit"])
        epochs = fit.epochs if isinstance(fit, FineTune) else 1
        yield Share("learning", params["model"], trained=pairs * (texts.attack + 2 * out) * epochs)
    elif name in ("measure", "gate"):
        part = "gate" if params["part"] == "supervise" else "exam" if params["aims"] else "fresh attacker"
        plain = texts.plain * (1 + len(params["aims"]))
        each = plain + texts.attack * _queries(params["attacks"])
        passages = params["texts"][0] * (CHAT + LONG / LETTERS)
        asked = _queries(params["attacks"]) + sum(aims.build(one).benign for one in params["aims"])
        read = params["n"] * each + params.get("more", 0) * plain + passages
        yield Share(part, params["model"], read, params["n"] * asked * out)
    elif name == "cross":
        yield Share("cross-play", params["model"], params["most"] * texts.attack, params["most"] * out)


def _queries(attacks: Sequence[Any]) -> int:
    """Return how many queries a goal is given, over all attacks with their budgets."""
    return sum(int(most) for _, most in attacks)


def _judged(spec: Any, goals: int, texts: Texts) -> Iterator[Share]:
    critic = critics.build(spec)
    judge = isinstance(critic, Judge)
    times = goals * (ORDERS * len(critic.questions()) if isinstance(critic, Judge) else 1)
    words = critic.most if isinstance(critic, Judge) and critic.explains else 0
    for model in critic.models():
        said = VERDICT.max_tokens if judge and not model.has_features else 0
        read = times * (texts.plain + (RUBRIC if judge else 0) + words)
        yield Share("critics", models.build(model).spec(), read, times * (said + words))
