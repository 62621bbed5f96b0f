"""The finding of the study of balance in plain sentences: nothing is claimed that its interval does not carry."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from superalign.balance_claims import spillovers
from superalign.balance_result import ArmSummary, AxisFacts, BalanceTest, Choice, Interference, Kind
from superalign.verdict import differs, listed, p_value, points, share

NEAR = 0.95  # a score of the model itself that leaves little to learn
FEW = 3  # seeds below which the spread over seeds is hardly known


def verdict(
    summary: Sequence[ArmSummary],
    tests: Sequence[BalanceTest],
    chosen: Choice,
    interference: Sequence[Interference],
    pairs: int,
) -> list[str]:
    """Return one sentence a finding, the one about merging and mixing first."""
    return [
        _main(summary, tests, chosen),
        _setup(summary, chosen, pairs),
        *_worst(tests, chosen),
        *_experts(summary),
        *_reweighted(tests),
        *_front(summary),
        *_between(interference),
    ]


def flags(summary: Sequence[ArmSummary], axes: Sequence[AxisFacts], seeds: int) -> list[str]:
    """Return what a reader must know first."""
    found = []
    base = next(one for one in summary if one.kind == "base")
    if seeds < FEW:
        found.append(f"{seeds} {'seed' if seeds == 1 else 'seeds'}: the spread over seeds is hardly known")
    for one in summary:
        if one.kind == "expert" and one.changes[one.arm].low <= 0:
            found.append(
                f"the expert {one.arm} is not shown to do better on its own axis than the model itself "
                f"({points(one.changes[one.arm])}), so there is nothing of it to keep in a merge"
            )
    for axis in axes:
        if base.scores[axis.axis].value >= NEAR:
            found.append(
                f"the model itself scores {share(base.scores[axis.axis])} on {axis.axis}: little is left to learn"
            )
        if axis.unanswered:
            found.append(f"{axis.unanswered} answers on {axis.axis} are missing; their probes are left out of all arms")
        if axis.unasked:
            found.append(f"of {axis.unasked} items nothing was made for {axis.axis}: the model did not answer them")
    return found


def _main(summary: Sequence[ArmSummary], tests: Sequence[BalanceTest], chosen: Choice) -> str:
    merge, mixture = _of(summary, "merge", chosen.merge), _of(summary, "mixture", chosen.mixture)
    test = _test(tests, chosen, "average")
    head = "Merging and mixing cannot be told apart"
    if test is not None and differs(test):
        head = (
            "Merging balances better than mixing" if test.difference.low > 0 else "Mixing balances better than merging"
        )
    return (
        f"{head}: on average over the axes the merge {merge.arm} scores {share(merge.average)}, "
        f"the mixture {mixture.arm} {share(mixture.average)}"
        + (f"; {points(test.difference)}, p {p_value(test.p_holm)} (Holm)." if test else ".")
    )


def _setup(summary: Sequence[ArmSummary], chosen: Choice, pairs: int) -> str:
    count = {kind: sum(one.kind == kind for one in summary) for kind in ("expert", "mixture", "merge")}
    seeds = summary[0].seeds
    return (
        f"{count['expert']} experts learned from {pairs} pairs each and {_many(count['mixture'], 'mixture')} from "
        f"{pairs * count['expert']}, as many as the experts together; {_many(count['merge'], 'merge')} of the experts. "
        f"The two above were chosen by the {chosen.by} of the axes on other probes. {_many(seeds, 'seed')}."
    )


def _worst(tests: Sequence[BalanceTest], chosen: Choice) -> Iterator[str]:
    if test := _test(tests, chosen, "worst"):
        side = "cannot be told apart" if not differs(test) else "differ"
        yield f"On the worst axis they {side}: {points(test.difference)}, p {p_value(test.p_holm)} (Holm)."


def _experts(summary: Sequence[ArmSummary]) -> Iterator[str]:
    for one in summary:
        if one.kind == "expert":
            own = one.changes[one.arm]
            others = [f"{axis} by {points(change)}" for axis, change in one.changes.items() if axis != one.arm]
            yield f"The expert {one.arm} moves its own axis by {points(own)}, and {listed(others)}."
    found = list(spillovers(summary))
    if not found:
        yield "No expert is shown to gain or lose on another axis (95% intervals, not corrected for their number)."


def _reweighted(tests: Sequence[BalanceTest]) -> Iterator[str]:
    for test in tests:
        if test.b.startswith("tsv-m") and test.a.startswith("r-tsvm"):
            known = "differ by" if differs(test) else "cannot be told apart:"
            yield f"{test.a} and {test.b} {known} {points(test.difference)}, p {p_value(test.p_holm)} (Holm)."


def _front(summary: Sequence[ArmSummary]) -> Iterator[str]:
    kinds: tuple[tuple[Kind, str], ...] = (("merge", "merges"), ("mixture", "mixtures"), ("expert", "experts"))
    parts = [f"{sum(o.front for o in summary if o.kind == kind)} of the {name}" for kind, name in kinds]
    sure = [one.arm for one in summary if one.front_share >= 0.95]
    more = f"; in 95% of the resamples or more: {listed(sure)}" if sure else "; none is there in 95% of the resamples"
    yield f"Bettered by no other on all axes are {listed(parts)}{more}."


def _between(interference: Sequence[Interference]) -> Iterator[str]:
    said = [
        f"{one.first} and {one.second} {one.cosine:+.2f} and {100 * one.conflict_large:.0f}%" for one in interference
    ]
    yield f"Cosine of what two experts changed, and sign conflict among their large changes: {listed(said)}."


def _test(tests: Sequence[BalanceTest], chosen: Choice, measure: str) -> BalanceTest | None:
    wanted = (chosen.merge, f"mixture {chosen.mixture}", measure)
    return next((one for one in tests if (one.a, one.b, one.measure) == wanted), None)


def _of(summary: Sequence[ArmSummary], kind: Kind, name: str) -> ArmSummary:
    return next(one for one in summary if (one.kind, one.arm) == (kind, name))


def _many(n: int, noun: str) -> str:
    return f"{n} {noun}{'' if n == 1 else 's'}"
