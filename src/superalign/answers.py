"""The answer bank: what a model was asked is answered once, ever."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

import numpy as np

from superalign.chat import Messages, Reply, Sampling, Scored
from superalign.config import digest
from superalign.errors import ModelError
from superalign.fit import Report
from superalign.model import Model
from superalign.store import Artifact, Store

T = TypeVar("T")
CHUNK = 64  # answers written at once: what a kill can cost


class _Request(NamedTuple):
    name: str
    length: int
    content: Any


class AnswerBank:
    """What one model answered, in chunks of the store. An error is not kept: it is asked again.

    A conversation that fails is the caller's to count. A model that is gone altogether ends the step, so that a server
    that died does not become a result without answers.

    What is missing is asked in an order of its own and in fixed chunks, so that a request that was killed and made
    again asks for the same batches, hence gets the same answers.

    Args:
        store: of the run.
        model: who is asked.
        report: told of the progress.

    Raises:
        ModelError: when asked, if the model is gone; what it answered before is kept.
    """

    def __init__(self, store: Store, model: Model, report: Report | None = None) -> None:
        self.model, self.report = model, report
        self.store = Store(store.root / "answers" / model.fingerprint()[:32])
        self.store.sweep()
        self.held: dict[str, Any] = {}
        for key in list(self.store):
            if record := self.store.record(key):
                self.held.update(record["meta"]["answers"])
        if report is not None:
            for notice in self.store.notices:
                report(note=notice)

    def generate(self, prompts: Sequence[Messages], sampling: Sampling, seeds: Sequence[int]) -> list[Reply]:
        """Return the model's answer to each conversation; where nothing is drawn a seed plays no part."""
        drawn = seeds if sampling.temperature else [0] * len(prompts)
        settings = sampling.model_dump(mode="json")
        requests = [
            _Request(digest(["reply", prompt, settings, seed]), _length(prompt), (prompt, seed))
            for prompt, seed in zip(prompts, drawn, strict=True)
        ]

        def ask(missing: Sequence[tuple[Messages, int]]) -> list[Reply]:
            return self.model.generate([prompt for prompt, _ in missing], sampling, [seed for _, seed in missing])

        return self._answered(requests, ask, _told, lambda plain: Reply(**plain))

    def logprobs(self, prompts: Sequence[Messages], answers: Sequence[Sequence[str]]) -> list[Scored]:
        """Return how likely the model finds each of the given answers to each conversation."""
        requests = [
            _Request(digest(["scored", prompt, list(given)]), _length(prompt), (prompt, tuple(given)))
            for prompt, given in zip(prompts, answers, strict=True)
        ]

        def ask(missing: Sequence[tuple[Messages, tuple[str, ...]]]) -> list[Scored]:
            return self.model.logprobs([prompt for prompt, _ in missing], [given for _, given in missing])

        return self._answered(requests, ask, _plain, _scored)

    def work(self, name: Any, compute: Callable[[], Any]) -> Any:
        """Return what `compute` makes, JSON-able, computed once for this model and name."""
        key = digest(["work", name])
        if key not in self.held:
            self._keep({key: json.loads(json.dumps(compute()))})  # the same now as when it is read again
        return self.held[key]

    def _answered(
        self,
        requests: Sequence[_Request],
        ask: Callable[[Sequence[Any]], Sequence[T]],
        write: Callable[[T], Mapping[str, Any]],
        read: Callable[[Any], T],
    ) -> list[T]:
        failed: dict[str, T] = {}
        distinct = {one.name: one for one in requests}
        ordered = sorted(distinct.values(), key=lambda one: (one.length, one.name))
        for done, chunk in _chunks(ordered):
            missing = [one for one in chunk if one.name not in self.held]
            if missing:
                answers = ask([one.content for one in missing])
                fresh = {}
                for one, answer in zip(missing, answers, strict=True):
                    if getattr(answer, "error", None):
                        failed[one.name] = answer
                    else:
                        fresh[one.name] = dict(write(answer))
                self._keep(fresh)
                if gone := next((answer for answer in answers if getattr(answer, "gone", False)), None):
                    fix = "run the same command again once it answers: what it has said is kept"
                    raise ModelError(f"{self.model} is gone", why=getattr(gone, "error", None), fix=fix)
            if self.report:
                self.report(done=done, total=len(ordered))
        return [failed[one.name] if one.name in failed else read(self.held[one.name]) for one in requests]

    def _keep(self, fresh: dict[str, Any]) -> None:
        if fresh:
            self.store.save(digest(sorted(fresh)), Artifact(meta={"answers": fresh}), {"model": str(self.model)})
            self.held.update(fresh)


def _chunks(ordered: Sequence[_Request]) -> Iterator[tuple[int, Sequence[_Request]]]:
    for start in range(0, len(ordered), CHUNK):
        chunk = ordered[start : start + CHUNK]
        yield start + len(chunk), chunk


def _length(prompt: Messages) -> int:
    return sum(len(turn.content) for turn in prompt)


def _told(reply: Reply) -> dict[str, Any]:
    return {name: value for name, value in vars(reply).items() if name != "gone"}  # what is kept was answered


def _plain(scored: Scored) -> dict[str, Any]:
    return {
        "logprobs": [float(value) for value in scored.logprobs],
        "tokens": [int(n) for n in scored.tokens],
        "tokens_in": scored.tokens_in,
    }


def _scored(plain: Mapping[str, Any]) -> Scored:
    logprobs, tokens = np.array(plain["logprobs"], dtype=np.float32), np.array(plain["tokens"], dtype=np.int64)
    return Scored(logprobs, tokens, plain["tokens_in"])
