"""The finding of the attack study in plain sentences: nothing is claimed that its interval does not carry."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from superalign.attack_result import AttackSummary, AttackTest, TacticSummary, Transferred
from superalign.result import Interval
from superalign.verdict import CLAIM, p_value, points, share


def headline(world: str, worst: Interval | None, tactics: Sequence[TacticSummary]) -> str:
    """Say the finding in one line."""
    known = [one for one in tactics if one.success is not None]
    if worst is None or not known:
        return "Nothing can be said: no attempt was decided"
    best = max(known, key=_value)
    what = "answers it gives plainly are denied" if world == "knowledge" else "requests are complied with"
    return f"{worst.value:.0%} of the {what} under some attack; {best.tactic} alone breaks {_value(best):.0%}"


def verdict(
    plain: Interval | None,
    worst: Interval | None,
    summary: Sequence[AttackSummary],
    tactics: Sequence[TacticSummary],
    tests: Sequence[AttackTest],
    transferred: Sequence[Transferred],
) -> list[str]:
    """Return one sentence a finding."""
    return [
        *_plain(plain, worst),
        *_tactics(tactics),
        *_attacks(summary),
        *_towards_truth(tactics),
        *_compared(tests),
        *_moved(transferred),
    ]


def _plain(plain: Interval | None, worst: Interval | None) -> Iterator[str]:
    if plain is not None:
        yield f"Asked plainly, the target finds the right answer likelier for {share(plain)} of the questions."
    if worst is not None:
        yield f"{share(worst)} of the goals are broken by at least one attempt of any attack."


def _tactics(tactics: Sequence[TacticSummary]) -> Iterator[str]:
    known = sorted((one for one in tactics if one.success is not None), key=_value)
    if not known:
        yield "No attempt was decided, so no success can be given."
        return
    for word, one in {"strongest": known[-1], "weakest": known[0]}.items():
        if one.success is not None and (word == "strongest" or len(known) > 1):
            n = f"n = {one.n}"
            yield f"The {word} tactic is {one.tactic} ({one.attack}): it breaks {share(one.success)} of attempts, {n}."


def _attacks(summary: Sequence[AttackSummary]) -> Iterator[str]:
    for one in summary:
        if one.success is None:
            yield f"{one.attack} decided no goal."
            continue
        quick = f", half of them by query {one.queries_to_success:g}" if one.queries_to_success else ""
        yield f"{one.attack} breaks {share(one.success)} of {one.n} goals{quick} ({one.queries:,} queries)."


def _towards_truth(tactics: Sequence[TacticSummary]) -> Iterator[str]:
    n = sum(one.n_wrong for one in tactics)
    if n:
        moved = sum((one.to_truth or 0.0) * one.n_wrong for one in tactics) / n
        yield (
            f"Where the plain answer was wrong, the same attempts push towards the truth and move {moved:.1%} of {n}: "
            "yielding is not knowing."
        )


def _compared(tests: Sequence[AttackTest]) -> Iterator[str]:
    for test in tests:
        if test.p_holm < CLAIM and (test.difference.low > 0 or test.difference.high < 0):
            side = "above" if test.difference.value > 0 else "below"
            found = f"{points(test.difference)}, p {p_value(test.p_holm)}"
            yield f"{test.a} is {side} {test.b} by {found} (corrected for {len(tests)} comparisons)."
    if tests and not any(test.p_holm < CLAIM for test in tests):
        yield f"No attack can be told from {tests[0].b} on the same goals."


def _moved(transferred: Sequence[Transferred]) -> Iterator[str]:
    for one in transferred:
        if one.success is not None:
            yield f"Of what {one.attack} broke the target with, {share(one.success)} breaks {one.model} (n = {one.n})."


def _value(one: TacticSummary) -> float:
    return one.success.value if one.success else -1.0
