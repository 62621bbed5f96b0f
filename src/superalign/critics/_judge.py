"""What critics that ask a language model share: both orders, a critique first, a model's leaning taken off."""

from __future__ import annotations

import time
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import Field

from superalign.answers import AnswerBank
from superalign.chat import Messages
from superalign.critic import Abstain, Case, Cost, Critic, Critique, Flaw
from superalign.critics._asking import VERDICT, Question, Said, Showing, blank, critiques_of, flaws_in, show
from superalign.errors import ConfigError, ModelError
from superalign.job import Tools
from superalign.model import Model, ModelChoice
from superalign.odds import sigmoid
from superalign.registry import default
from superalign.store import Artifact


class Round(NamedTuple):
    """What a model said of one case to one question, in both orders."""

    question: Question
    orders: tuple[Said, Said]

    @property
    def why(self) -> str:
        """Why there is no verdict; empty when there is one."""
        return self.orders[0].why or self.orders[1].why

    def probabilities(self) -> tuple[float, ...]:
        """Return what was said in each order."""
        return tuple(sigmoid(said.odds) for said in self.orders if said.odds is not None)


class Judge(Critic):
    """Base of the critics that ask a model questions.

    Each question is asked in two orders, of the responses or of the answers that are offered, and the probability is
    the mean of both: where they contradict each other the critic is not sure. It is p(good) / (p(good) + p(bad)) by the
    log-probabilities of the two answers; of a model that only writes, an answer counts 3 to 1, and one that is neither
    of the two is unparsable, never a verdict.
    """

    model: ModelChoice = default("embedded:smollm2")
    """Who is asked."""
    read: Literal["auto", "logprobs", "text"] = "auto"
    """How the verdict is read: log-probabilities of the answers, the text it writes, or the first where it can be."""
    calibrate: bool = False
    """Take off the log-odds that the model gives a case without content: what it leans to whatever it reads."""
    most: Annotated[int, Field(ge=1)] = 160
    """Most tokens of a critique."""
    abstain: Abstain = 0.5
    """The least confidence with which it gives a verdict."""

    def models(self) -> tuple[Model, ...]:
        """Return who is asked."""
        return (self.model,)

    def identity(self) -> dict[str, Any]:
        """Return what decides the verdicts, the words of the questions included."""
        return {**super().identity(), "asked": [vars(question) for question in self.questions()]}

    @abstractmethod
    def questions(self) -> Sequence[Question]:
        """Return what is asked of every case."""

    @property
    @abstractmethod
    def explains(self) -> bool:
        """Tell whether the model writes a critique before its verdict."""

    def judge(self, cases: Sequence[Case], tools: Tools, learnt: Artifact | None = None) -> list[Critique]:
        """See Critic."""
        start = time.perf_counter()
        bank = AnswerBank(tools.store, self.model, tools.report)
        blanks = {blank(case): None for case in cases} if self.calibrate else {}
        rounds = [self._ask(bank, [*cases, *blanks], question) for question in self.questions()]
        told = [[by_question[place] for by_question in rounds] for place in range(len(cases))]
        if self.calibrate:
            places = {case: len(cases) + number for number, case in enumerate(blanks)}
            for case, mine in zip(cases, told, strict=True):
                leaning = [by_question[places[blank(case)]] for by_question in rounds]
                mine[:] = [_without(one, nothing) for one, nothing in zip(mine, leaning, strict=True)]
        seconds = (time.perf_counter() - start) / max(len(cases), 1)
        return [self._concluded(case, mine, seconds) for case, mine in zip(cases, told, strict=True)]

    def _ask(self, bank: AnswerBank, cases: Sequence[Case], question: Question) -> list[Round]:
        """Put one question to the model for every case, in both orders."""
        showings = [showing for case in cases for showing in show(case, question)]
        if not self.explains:
            said = self._answers(bank, showings, [showing.plain() for showing in showings])
        else:
            said = self._explained(bank, showings)
        return [Round(question, (first, second)) for first, second in zip(said[::2], said[1::2], strict=True)]

    def _explained(self, bank: AnswerBank, showings: Sequence[Showing]) -> list[Said]:
        written = critiques_of(bank, showings, self.most)
        whole = [n for n, reply in enumerate(written) if reply.error is None and reply.text.strip()]
        asked = [showings[n] for n in whole]
        talks = [showing.after(written[n].text.strip()) for showing, n in zip(asked, whole, strict=True)]
        answers = dict(zip(whole, self._answers(bank, asked, talks), strict=True))
        out = []
        for number, reply in enumerate(written):
            lost = f"error: {reply.error}" if reply.error is not None else "unparsable"
            one = answers.get(number, Said(why=lost))
            cost = one.cost + Cost(reply.tokens_in, reply.tokens_out)
            out.append(replace(one, critique=reply.text.strip(), cost=cost))
        return out

    def _answers(self, bank: AnswerBank, showings: Sequence[Showing], talks: Sequence[Messages]) -> list[Said]:
        if self.read != "text":
            try:
                scored = bank.logprobs(talks, [sorted(showing.answers) for showing in showings])
                return [Said.of_scored(one, showing.answers) for one, showing in zip(scored, showings, strict=True)]
            except ModelError:  # it writes text, but does not say how likely
                if self.read == "logprobs":
                    raise
        if self.calibrate:
            why = f"{self.model} does not say how likely an answer is"
            raise ConfigError(f"critic {self} cannot calibrate", why=why, fix="leave out calibrate")
        replies = bank.generate(talks, VERDICT, [0] * len(talks))
        return [Said.of_reply(reply, showing.answers) for reply, showing in zip(replies, showings, strict=True)]

    def _concluded(self, case: Case, rounds: Sequence[Round], seconds: float) -> Critique:
        """Make a critique of what was said to all questions; one without an answer is left out."""
        cost = sum((said.cost for one in rounds for said in one.orders), Cost(seconds=seconds))
        words = "\n".join(_words(one, case.pair, self.explains) for one in rounds)
        heard = [one for one in rounds if not one.why]
        if not heard:
            return Critique(words, undetermined=rounds[0].why, cost=cost)
        orders = tuple(sum(each) / len(heard) for each in zip(*(one.probabilities() for one in heard), strict=True))
        flaws: tuple[Flaw, ...] = ()
        if not case.pair:
            flaws = tuple(flaw for one in heard for flaw in flaws_in(one.orders[0].critique, case.responses[0]))
        said: dict[str, Any] = {"words": words, "flaws": flaws, "cost": cost, "orders": orders}
        return Critique.leaning(sum(orders) / len(orders), self.abstain, **said)


def _without(said: Round, nothing: Round) -> Round:
    """Take what the model says of a case without content off its log-odds, order by order."""
    first, second = (_off(one, lean) for one, lean in zip(said.orders, nothing.orders, strict=True))
    return Round(said.question, (first, second))


def _off(said: Said, lean: Said) -> Said:
    if said.odds is None or lean.odds is None:
        return said if said.odds is None else replace(said, odds=None, why=lean.why)
    return replace(said, odds=said.odds - lean.odds)


def _words(one: Round, pair: bool, explains: bool) -> str:
    if explains:
        return f"{one.question.name}: {one.orders[0].critique}"
    if one.why:
        return f"{one.question.name}: no answer ({one.why})."
    there, back = one.probabilities()
    what = "second better" if pair else "yes"
    return f"{one.question.name}: {what} {there:.0%}, {back:.0%} in the other order."
