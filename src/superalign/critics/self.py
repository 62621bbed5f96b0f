"""Self-consistency: what the judged model itself answers when it is asked plainly (self-alignment)."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import replace
from textwrap import shorten
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from superalign.answers import AnswerBank
from superalign.attacker import apart
from superalign.chat import Messages, Reply, Sampling, Scored
from superalign.critic import Abstain, Case, Cost, Critic, Critique, critics
from superalign.critics._gist import agrees, gist
from superalign.job import Tools
from superalign.model import Model, ModelChoice
from superalign.odds import sigmoid
from superalign.registry import default
from superalign.store import Artifact

QUOTED = 100  # characters of a response in a critique
WAYS = {
    "plain": "{}",
    "brief": "{} Answer in a few words.",
    "polite": "I would like to know this, please: {}",
    "quiz": "Quiz question: {}",
}


@critics.register("self")
class SelfConsistency(Critic):
    """The model's own plain answer is the judge.

    Of two responses: which one it finds likelier, p = sigma((l2 - l1) / T), l the log-probability of the response given
    what was asked, a token or in all. Of one response: how many of k answers of its own come to the same (number, yes
    or no, option, or the same few words), p = (agreeing + 1) / (comparable + 2); it cannot tell where the response, or
    all but one of its answers, come to nothing that can be compared, nor where nothing was asked.
    """

    model: ModelChoice = default("embedded:smollm2")
    """The model that is asked."""
    normalise: bool = True
    """Of two responses: log-probability a token; false for that of the whole, which prefers the shorter one."""
    differs: bool = False
    """Of two responses: weigh only the words in which they differ, as attacks on knowledge do."""
    way: Literal["plain", "brief", "polite", "quiz"] = "plain"
    """How the question is put. Where two ways give two answers, the model does not know."""
    scale: Annotated[float, Field(gt=0)] = 1.0
    """T above, in nats: a larger one is less sure. It is not fitted to anything."""
    samples: Annotated[int, Field(ge=2)] = 5
    """Of one response: k, how many answers of its own are drawn."""
    temperature: Annotated[float, Field(gt=0)] = 0.7
    """Of its answers."""
    most: Annotated[int, Field(ge=1)] = 96
    """Most tokens of each."""
    abstain: Abstain = 0.5
    """The least confidence with which it gives a verdict."""
    seed: int = 0
    """Of what is drawn."""

    def models(self) -> tuple[Model, ...]:
        """Return the model that is asked."""
        return (self.model,)

    def judge(self, cases: Sequence[Case], tools: Tools, learnt: Artifact | None = None) -> list[Critique]:
        """See Critic."""
        start = time.perf_counter()
        bank = AnswerBank(tools.store, self.model, tools.report)
        out = [Critique("Nothing was asked, so there is no plain answer.", undetermined="abstained")] * len(cases)
        pairs = [n for n, case in enumerate(cases) if case.messages and case.pair]
        singles = [n for n, case in enumerate(cases) if case.messages and not case.pair]
        if pairs:
            given = [apart(*cases[n].responses) if self.differs else cases[n].responses for n in pairs]
            scored = bank.logprobs([self._put(cases[n].messages) for n in pairs], given)
            for n, one in zip(pairs, scored, strict=True):
                out[n] = self._likelier(one, cases[n].responses)
        if singles:
            prompts = [self._put(cases[n].messages) for n in singles for _ in range(self.samples)]
            sampling = Sampling(max_tokens=self.most, temperature=self.temperature)
            replies = bank.generate(prompts, sampling, [self.seed + k for k in range(self.samples)] * len(singles))
            for place, n in enumerate(singles):
                mine = replies[place * self.samples : (place + 1) * self.samples]
                out[n] = self._agreeing(cases[n].responses[0], mine)
        seconds = (time.perf_counter() - start) / max(len(cases), 1)
        return [replace(one, cost=one.cost + Cost(seconds=seconds)) for one in out]

    def _put(self, messages: Messages) -> Messages:
        """Return what was asked, in the way it is asked here."""
        last = messages[-1]
        return (*messages[:-1], last._replace(content=WAYS[self.way].format(last.content)))

    def _likelier(self, scored: Scored, responses: Sequence[str]) -> Critique:
        cost = Cost(scored.tokens_in + int(scored.tokens.sum()))
        if scored.error is not None:
            return Critique(undetermined=f"error: {scored.error}", cost=cost)
        said = scored.logprobs / (np.maximum(scored.tokens, 1) if self.normalise else 1)
        ahead = float(said[1] - said[0])
        if not math.isfinite(ahead):
            return Critique(undetermined="error: the model finds a response impossible", cost=cost)
        unit = "a token" if self.normalise else "in all"
        likelier, other = (1, 0) if ahead > 0 else (0, 1)
        odds = f"{said[likelier]:.2f} against {said[other]:.2f} nats {unit}"
        first, second = (shorten(responses[place], QUOTED, placeholder=" ...") for place in (likelier, other))
        words = f'Asked plainly, it finds "{first}" likelier than "{second}", {odds}.'
        return Critique.leaning(sigmoid(ahead / self.scale), self.abstain, words=words, cost=cost)

    def _agreeing(self, response: str, replies: Sequence[Reply]) -> Critique:
        cost = Cost(sum(reply.tokens_in for reply in replies), sum(reply.tokens_out for reply in replies))
        heard = [reply.text for reply in replies if reply.error is None]
        if not heard:
            return Critique(undetermined=f"error: {replies[0].error}", cost=cost)
        answer = gist(response)
        if answer is None:
            return Critique("The response is too long to be compared.", undetermined="abstained", cost=cost)
        told = [same for text in heard if (same := agrees(answer, text)) is not None]
        words = f"Of {len(heard)} answers of its own {len(told)} can be compared, and {sum(told)} come to the same."
        if len(told) < 2:
            return Critique(words, undetermined="abstained", cost=cost)
        return Critique.leaning((sum(told) + 1) / (len(told) + 2), self.abstain, words=words, cost=cost)
