"""A policy that learns: what a language model would answer, compared with what it would have answered before."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

from superalign.batching import opening
from superalign.errors import DataError, ModelError
from superalign.model import Backbone, Precision, Voice
from superalign.network import Rows, Trainee
from superalign.objective import Objective, Said
from superalign.task import Task

if TYPE_CHECKING:
    from torch import Tensor, nn

FloatArray = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Answers:
    """Prompts with the responses a policy is asked about.

    Args:
        prompts: token ids of each item's prompt.
        responses: of each item: token ids of its responses, one or two.
        truncated: how many texts were cut at the model's length limit.
        reference: what the policy said before it learnt, float32 [n, s], or None.
        rewards: what the responses are worth to who gave the labels it learns from, float32 [n, s], or None.
    """

    prompts: Sequence[Sequence[int]]
    responses: Sequence[Sequence[Sequence[int]]]
    truncated: int
    reference: FloatArray | None = None
    rewards: FloatArray | None = None

    @classmethod
    def of(cls, task: Task, items: IntArray, voice: Voice) -> Answers:
        """Tokenize items of a task. The two responses of a Comparison share one prompt, cut alike.

        Raises:
            DataError: an item has no response a policy could give.
        """
        sides = 2 if task.pairwise else 1
        split = voice.completions(task.texts(items))
        prompts, responses, truncated = [], [], 0
        for row, item in enumerate(items):
            texts = split[row * sides : (row + 1) * sides]
            shared = opening([given for given, _ in texts])
            answers = [[*given[shared:], *written] for given, written in texts]
            if not all(answers):
                where = f"item {task.items[item].id}"
                raise DataError("a policy learns from responses, and this item has none", where=where, fix="read=head")
            prompt, answers, cut = _fit(texts[0][0][:shared], answers, voice.limit)
            prompts.append(prompt)
            responses.append(answers)
            truncated += cut
        return cls(prompts, responses, truncated)

    @property
    def sides(self) -> int:
        """Responses of an item."""
        return len(self.responses[0])

    @cached_property
    def sizes(self) -> IntArray:
        """Tokens of each item: its prompt once and all its responses, int64 [n]."""
        return np.array(
            [len(p) + sum(map(len, r)) for p, r in zip(self.prompts, self.responses, strict=True)], dtype=np.int64
        )

    @property
    def lengths(self) -> IntArray:
        """Tokens of each item's row: all of them."""
        return self.sizes

    @property
    def widths(self) -> IntArray:
        """Tokens of each item's row: all of them."""
        return self.sizes

    @cached_property
    def written(self) -> IntArray:
        """Tokens of each response, int64 [n, s]."""
        return np.array([[len(response) for response in item] for item in self.responses], dtype=np.int64)

    def one_by_one(self) -> Answers:
        """Return the responses of all items as items of their own, in order."""
        prompts = [prompt for prompt in self.prompts for _ in range(self.sides)]
        responses = [[response] for item in self.responses for response in item]
        said, worth = (None if one is None else one.reshape(-1, 1) for one in (self.reference, self.rewards))
        return Answers(prompts, responses, self.truncated, said, worth)


class Layout(NamedTuple):
    """Items as rows of one batch: a prompt, then its responses one after the other.

    Args:
        rows: segment 0 is the prompt, 1 and 2 the responses, each of which begins where the prompt ends.
        source: int64 [m], the place (row * t + column) whose output says each token of a response.
        target: int64 [m], that token.
        owner: int64 [m], its response (row * sides + side).
    """

    rows: Rows
    source: IntArray
    target: IntArray
    owner: IntArray


def lay_out(prompts: Sequence[Sequence[int]], responses: Sequence[Sequence[Sequence[int]]], filler: int) -> Layout:
    """Lay prompts and their responses out so that each prompt is computed once."""
    sides = len(responses[0])
    sizes = np.array([[len(prompt), *map(len, rows)] for prompt, rows in zip(prompts, responses, strict=True)])
    b, t = len(sizes), int(sizes.sum(1).max())
    ids = np.full((b, t), filler, dtype=np.int64)
    positions, segments = np.zeros((b, t), dtype=np.int64), np.full((b, t), -1, dtype=np.int64)
    source = []
    for row, (prompt, *lengths) in enumerate(sizes.tolist()):
        end = prompt + sum(lengths)
        ids[row, :end] = [*prompts[row], *chain.from_iterable(responses[row])]
        positions[row, :end] = np.concatenate([np.arange(prompt), *(np.arange(prompt, prompt + n) for n in lengths)])
        segments[row, :end] = np.repeat(np.arange(sides + 1), [prompt, *lengths])
        start = prompt
        for n in lengths:  # the prompt's last token says the first of every response
            source += [row * t + prompt - 1, *range(row * t + start, row * t + start + n - 1)]
            start += n
    target = np.fromiter(chain.from_iterable(chain.from_iterable(responses)), dtype=np.int64)
    owner = np.repeat(np.arange(b * sides), sizes[:, 1:].ravel())
    return Layout(Rows(ids, positions, segments), np.array(source, dtype=np.int64), target, owner)


class Policy(Trainee[Answers]):
    """A language model whose scores of responses are what an objective makes of their log-probabilities.

    Args:
        backbone: the body; the parameters that shall move require gradients, the others do not.
        precision: of the matrix products; log-probabilities are float32.
        objective: says what a response is worth (its implicit reward, by default).
        beta: of that reward.
        acting: modules that behave differently while learning (dropout).

    Raises:
        ModelError: the model is no language model, or is cut off below its head.
    """

    def __init__(
        self,
        backbone: Backbone,
        precision: Precision,
        objective: Objective,
        beta: float,
        acting: Sequence[nn.Module] = (),
    ) -> None:
        if backbone.voice is None:
            why = "an encoder, or a model cut off below its last layer, predicts no next token"
            raise ModelError("this model is no policy", why=why, fix="take a whole causal language model, or read=head")
        super().__init__(backbone, precision, acting)
        self.voice, self.objective, self.beta = backbone.voice(), objective, beta
        head = self.voice.head.weight
        if head.requires_grad and all(head is not parameter for parameter in self.trainable):
            self.trainable.append(head)
        self.shares = _shares_prompts(self)

    def logits(self, reading: Answers, rows: IntArray) -> Tensor:
        """Return the scores of both responses, or 0 and the score of the only one, float32 [n, 2]."""
        import torch

        said = self.logprobs(reading, rows)
        before = torch.zeros_like(said)
        if self.objective.needs_reference:
            if reading.reference is None:
                raise ModelError("the reference policy was not asked")
            before = torch.from_numpy(reading.reference[rows]).to(self.device)
        tokens = torch.from_numpy(reading.written[rows]).to(self.device)
        rewards = None if reading.rewards is None else torch.from_numpy(reading.rewards[rows]).to(self.device)
        scores = self.objective.score(Said(said, before, tokens, rewards), self.beta)
        return scores if reading.sides == 2 else torch.cat([torch.zeros_like(scores), scores], 1)

    def logprobs(self, reading: Answers, rows: IntArray) -> Tensor:
        """Return log pi(response | prompt) of every response, summed over its tokens, float32 [n, s]."""
        import torch

        self.act()
        prompts = [reading.prompts[row] for row in rows]
        responses = [reading.responses[row] for row in rows]
        if not self.shares:  # each response is an item of its own
            prompts = [prompt for prompt in prompts for _ in range(reading.sides)]
            responses = [[response] for both in responses for response in both]
        layout = lay_out(prompts, responses, self.backbone.pad_id)
        hidden = self.hidden(layout.rows).flatten(0, 1)
        source, target, owner = self._here(layout.source, layout.target, layout.owner)
        dtype = torch.bfloat16 if self.precision == "bf16" else torch.float32
        each = self.voice.head.logprobs(hidden[source], target, dtype)
        total = torch.zeros(len(rows) * reading.sides, dtype=torch.float32, device=self.device)
        return total.index_add(0, owner, each).view(len(rows), reading.sides)


def _shares_prompts(policy: Policy) -> bool:
    """Tell by a trial whether the architecture takes the mask that lets two responses share their prompt."""
    import torch

    policy.shares = True
    trial = Answers([[1, 2, 3]], [[[4, 5], [6, 7, 4]]], 0)
    rows = np.arange(1)
    with torch.inference_mode():
        try:
            shared = policy.logprobs(trial, rows)
        except (TypeError, ValueError, RuntimeError, KeyError, IndexError, AttributeError):
            return False
        policy.shares = False
        alone = policy.logprobs(trial, rows)
    return bool(torch.allclose(shared, alone, rtol=0.02, atol=0.02))


def _fit(prompt: list[int], responses: list[list[int]], limit: int) -> tuple[list[int], list[list[int]], bool]:
    """Cut the beginning of a prompt, then the ends of responses that leave it no token, to the limit."""
    longest = max(map(len, responses))
    if len(prompt) + longest <= limit:
        return prompt, responses, False
    kept = max(1, limit - longest)
    return prompt[-kept:], [response[: limit - kept] for response in responses], True
