"""What a model answers to conversations: many at once, each as if it were alone."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from superalign.chat import Finish, Messages, Reply, Sampling
from superalign.errors import ModelError
from superalign.model import Progress
from superalign.models._forward import batches
from superalign.models._reader import Reader
from superalign.models._speech import Past, Speech
from superalign.models._torch import quiet

if TYPE_CHECKING:
    from torch import Tensor

FloatArray = npt.NDArray[np.float32]
SEEDS = 1 << 64


def write(
    speech: Speech,
    reader: Reader,
    prompts: Sequence[Messages],
    sampling: Sampling,
    seeds: Sequence[int],
    ends: Collection[int],
    budget: int,
    progress: Progress | None = None,
) -> list[Reply]:
    """Answer each conversation; one that cannot be read gets its error.

    Args:
        speech: who is asked.
        reader: whose limit holds for a conversation with the longest answer to it.
        prompts: the conversations.
        sampling: how the answers are drawn.
        seeds: of each conversation.
        ends: tokens that end an answer.
        budget: tokens computed at once.
        progress: called with (conversations done, conversations, tokens done).
    """
    import torch

    answers: dict[int, Answer] = {}
    out: dict[int, Reply] = {}
    for number, (prompt, seed) in enumerate(zip(prompts, seeds, strict=True)):
        try:
            given = reader.conversation(prompt)
            reader.check_length(len(given) + sampling.max_tokens)
            answers[number] = Answer(given, sampling, seed, ends, reader.tokenizer)
        except ModelError as error:
            out[number] = Reply("", "error", error=str(error))
    asked = list(answers.values())
    done = tokens = 0
    with torch.inference_mode(), quiet():
        shared, past = speech.opening([answer.given for answer in asked])
        for batch in batches([len(answer.given) - shared for answer in asked], budget):
            rows = [asked[index] for index in batch]
            _write(speech, rows, past.repeated(len(rows)), shared)
            done += len(rows)
            tokens += sum(len(answer.given) - shared + len(answer.written) for answer in rows)
            if progress:
                progress(done, len(asked), tokens)
    out |= {number: answer.reply() for number, answer in answers.items()}
    return [out[number] for number in range(len(prompts))]


class Answer:
    """An answer while it is written.

    Args:
        given: token ids of the conversation.
        sampling: how it is drawn.
        seed: of the draws.
        ends: tokens that end it.
        tokenizer: of transformers.
    """

    def __init__(self, given: list[int], sampling: Sampling, seed: int, ends: Collection[int], tokenizer: Any) -> None:
        self.given, self.sampling, self.ends, self.tokenizer = given, sampling, ends, tokenizer
        self.draws = np.random.default_rng(seed % SEEDS)
        self.written: list[int] = []
        self.finish: Finish | None = None

    def add(self, largest: float, likeliest: int, logits: FloatArray | None) -> None:
        """Write one more token: the likeliest one, or one drawn by its logits, float32 [v]."""
        if not np.isfinite(largest):
            self.finish = "error"
            return
        token = likeliest if logits is None else draw(logits, self.sampling, float(self.draws.random()))
        self.written.append(token)
        if token in self.ends or self._stop() is not None:
            self.finish = "stop"
        elif len(self.written) == self.sampling.max_tokens:
            self.finish = "length"

    def reply(self) -> Reply:
        """Return what was written."""
        if self.finish == "error":
            return Reply("", "error", len(self.given), len(self.written), "the model computes no number for a token")
        return Reply(self._text()[: self._stop()], self.finish or "length", len(self.given), len(self.written))

    def _text(self) -> str:
        ended = self.written[-1:] and self.written[-1] in self.ends
        tokens = self.written[:-1] if ended else self.written
        return str(self.tokenizer.decode(tokens, skip_special_tokens=True, clean_up_tokenization_spaces=False))

    def _stop(self) -> int | None:
        if not self.sampling.stop:
            return None
        text = self._text()
        places = [place for stop in self.sampling.stop if (place := text.find(stop)) >= 0]
        return min(places, default=None)


def draw(logits: FloatArray, sampling: Sampling, uniform: float) -> int:
    """Return the token at `uniform`, in [0, 1), of the cumulated probabilities of the likeliest tokens.

    These are taken in the order of their ids: that does not depend on the last digit of a logit.
    """
    scaled = logits.astype(np.float64) / sampling.temperature
    probs = np.exp(scaled - scaled.max())
    if sampling.top_p < 1:
        total = probs.sum()
        known = np.flatnonzero(probs >= (1 - sampling.top_p) * total / len(probs))  # all others together are too few
        order = known[np.argsort(-probs[known], kind="stable")]
        kept = order[: int(np.searchsorted(probs[order].cumsum(), sampling.top_p * total)) + 1]
        nucleus = np.zeros_like(probs)
        nucleus[kept] = probs[kept]
        probs = nucleus
    cumulated = probs.cumsum()
    return min(int(np.searchsorted(cumulated, uniform * cumulated[-1], side="right")), len(probs) - 1)


def _write(speech: Speech, answers: list[Answer], past: Past, shared: int) -> None:
    """Write answers to their ends; those that are done leave the batch."""
    import torch

    fresh = [answer.given[shared:] for answer in answers]
    while answers:
        if speech.remembers:
            hidden = speech.go_on(past, fresh)
        else:
            fresh = [answer.given + answer.written for answer in answers]
            hidden = speech.read_alone(fresh)
        last = torch.tensor([len(row) - 1 for row in fresh], device=hidden.device)
        _add(answers, speech.head.logits(hidden[torch.arange(len(last), device=last.device), last], speech.dtype))
        going = [row for row, answer in enumerate(answers) if answer.finish is None]
        if len(going) < len(answers):
            answers = [answers[row] for row in going]
            past.keep(torch.tensor(going, dtype=torch.long, device=hidden.device))
        fresh = [answer.written[-1:] for answer in answers]


def _add(answers: Sequence[Answer], logits: Tensor) -> None:
    largest, likeliest = (one.tolist() for one in logits.max(1))
    drawn = logits.cpu().numpy() if answers[0].sampling.temperature else None
    for row, answer in enumerate(answers):
        answer.add(largest[row], likeliest[row], None if drawn is None else drawn[row])
