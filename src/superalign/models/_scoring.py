"""How likely a model finds given answers: each conversation is read once, and what all begin with once for all."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from superalign.chat import Messages, Scored
from superalign.errors import ModelError
from superalign.model import Progress
from superalign.models._forward import batches, pad
from superalign.models._reader import Reader
from superalign.models._speech import Past, Speech
from superalign.models._torch import quiet

FloatArray = npt.NDArray[np.float32]


class Question(NamedTuple):
    """Token ids of a conversation and of the answers to it."""

    given: list[int]
    answers: list[list[int]]

    @property
    def size(self) -> int:
        """Tokens to read: nobody asks what follows an answer's last token."""
        return len(self.given) + sum(max(len(answer) - 1, 0) for answer in self.answers)


def score(
    speech: Speech,
    reader: Reader,
    prompts: Sequence[Messages],
    answers: Sequence[Sequence[str]],
    budget: int,
    progress: Progress | None = None,
) -> list[Scored]:
    """Return the log-probabilities of each conversation's answers; one that cannot be read gets its error.

    Args:
        speech: who is asked.
        reader: whose limit holds for a conversation with its longest answer.
        prompts: the conversations.
        answers: to each of them, as many as there are.
        budget: tokens computed at once.
        progress: called with (conversations done, conversations, tokens done).
    """
    questions: dict[int, Question] = {}
    out: dict[int, Scored] = {}
    for number, (prompt, wanted) in enumerate(zip(prompts, answers, strict=True)):
        try:
            given, written = reader.answered(prompt, wanted)
            reader.check_length(len(given) + max(map(len, written), default=0))
            questions[number] = Question(given, written)
        except ModelError as error:
            out[number] = _failed(len(wanted), str(error))
    found = logprobs(speech, list(questions.values()), budget, progress)
    for (number, question), values in zip(questions.items(), found, strict=True):
        tokens = np.array([len(answer) for answer in question.answers], dtype=np.int64)
        out[number] = Scored(values, tokens, len(question.given))
        if not np.isfinite(values).all():
            out[number] = _failed(len(values), "the model computes no number for an answer")
    return [out[number] for number in range(len(prompts))]


def logprobs(
    speech: Speech, questions: Sequence[Question], budget: int, progress: Progress | None = None
) -> list[FloatArray]:
    """Return log p(answer | conversation) of every answer, float32 [k] a question."""
    import torch

    units = list(questions)
    if not speech.remembers:
        units = [Question(given, [answer]) for given, answers in questions for answer in answers]
    found: list[FloatArray] = [np.empty(0, dtype=np.float32)] * len(units)
    done = tokens = 0
    with torch.inference_mode(), quiet():
        shared, past = speech.opening([unit.given for unit in units])
        units = [Question(given[shared:], answers) for given, answers in units]
        for batch in batches([unit.size for unit in units], budget):
            for index, values in zip(batch, _read(speech, past, [units[index] for index in batch]), strict=True):
                found[index] = values
            done += len(batch)
            tokens += sum(units[index].size for index in batch)
            if progress:
                progress(done, len(units), tokens)
    if speech.remembers:
        return found
    each = iter(found)
    return [np.array([next(each)[0] for _ in answers], dtype=np.float32) for _, answers in questions]


def _read(speech: Speech, past: Past, units: Sequence[Question]) -> list[FloatArray]:
    import torch

    laid = _lay_out(units)
    if speech.remembers:
        ids, real = pad(laid.ids, speech.pad_id)
        positions, _ = pad(laid.positions, 0)
        segments, _ = pad(laid.segments, 0)
        hidden = speech.read(past.repeated(len(units)), ids, positions + past.length, segments.where(real > 0, -1))
    else:
        hidden = speech.read_alone(laid.ids)
    places = (laid.source, laid.target, laid.owner)
    source, target, owner = (torch.tensor(one, dtype=torch.long, device=hidden.device) for one in places)
    each = speech.head.logprobs(hidden.flatten(0, 1)[source], target, speech.dtype)
    counts = [len(unit.answers) for unit in units]
    total = torch.zeros(sum(counts), dtype=torch.float32, device=hidden.device).index_add(0, owner, each)
    return np.split(total.cpu().numpy(), np.cumsum(counts)[:-1])


class Laid(NamedTuple):
    """Questions as rows: a conversation, then its answers one after the other, each without its last token.

    Args:
        ids: of each row.
        positions: of each token; every answer begins where the conversation ends.
        segments: of each token: 0 is the conversation, 1 the first answer and so on.
        source: the place (row * t + column) whose output says each token of an answer, t the longest row.
        target: that token.
        owner: its answer, counted over all rows.
    """

    ids: list[list[int]]
    positions: list[list[int]]
    segments: list[list[int]]
    source: list[int]
    target: list[int]
    owner: list[int]


def _lay_out(units: Sequence[Question]) -> Laid:
    longest = max(unit.size for unit in units)
    out = Laid([], [], [], [], [], [])
    answers = 0
    for row, (given, written) in enumerate(units):
        ids, positions, segments = list(given), list(range(len(given))), [0] * len(given)
        for number, answer in enumerate(written, 1):
            start, read = len(ids), answer[:-1]
            ids += read
            positions += range(len(given), len(given) + len(read))
            segments += [number] * len(read)
            if answer:  # the conversation's last token says the first of every answer
                out.source.extend(row * longest + place for place in (len(given) - 1, *range(start, len(ids))))
            out.target.extend(answer)
            out.owner.extend([answers] * len(answer))
            answers += 1
        out.ids.append(ids)
        out.positions.append(positions)
        out.segments.append(segments)
    return out


def _failed(answers: int, error: str) -> Scored:
    return Scored(np.full(answers, np.nan, dtype=np.float32), np.zeros(answers, dtype=np.int64), error=error)
