"""Attacks tried on examples, and what a model can learn from those that worked."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Sequence
from typing import Any

from superalign.attacker import Attempt, Query, Rehearse, Request, Search


def rehearsed(searches: Sequence[Search], most: Sequence[int]) -> Generator[Sequence[Request], Any, list[Attempt]]:
    """Let searches for examples go on side by side; return what came of their queries. Use it with `yield from`.

    Args:
        searches: whose queries name examples.
        most: queries of each; its further ones are not put, and it ends.
    """
    room, answers = list(most), list[Any]([None] * len(searches))
    found, live = list[Attempt](), list(range(len(searches)))
    while live:
        wanted = list[tuple[int, list[Request]]]()
        for n in list(live):
            try:
                requests = searches[n].send(answers[n])
            except StopIteration:
                live.remove(n)
                continue
            kept = list(_within(requests, room[n]))
            room[n] -= sum(isinstance(one, Query) for one in kept)
            if len(kept) < len(requests):
                live.remove(n)
            wanted.append((n, kept))
        requests = [Rehearse(one) if isinstance(one, Query) else one for _, kept in wanted for one in kept]
        came = list((yield requests)) if requests else []
        for n, kept in wanted:
            answers[n], came = came[: len(kept)], came[len(kept) :]
            found += [one for one in answers[n] if isinstance(one, Attempt)]
    for search in searches:
        search.close()
    return found


def lessons(attempts: Iterable[Attempt]) -> dict[tuple[int, str], None]:
    """Return example and message of each attempt that broke one by a single message, once each, in order."""
    return {
        (one.query.goal, one.query.messages[0].content): None
        for one in attempts
        if one.outcome == "broken" and len(one.query.messages) == 1 and one.query.messages[0].role == "user"
    }


def _within(requests: Sequence[Request], room: int) -> Iterable[Request]:
    """Yield requests up to the first query for which there is no room."""
    for request in requests:
        if isinstance(request, Query):
            if room == 0:
                return
            room -= 1
        yield request
