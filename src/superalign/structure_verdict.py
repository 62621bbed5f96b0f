"""The finding of the error lab in plain sentences: nothing is claimed that its interval does not carry."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from superalign.result import Interval
from superalign.structure_result import Outcome, StructureFacts, StructureSummary, StructureTest
from superalign.verdict import differs, listed, p_value, points, share

SURVIVED = 0.5  # part of the gap from the weak model to the ceiling that must be recovered in spite of the errors
KINDS = {
    "survived": "at least half of the gap",
    "not survived": "less than half of it",
    "not told": "a part that cannot be placed on either side of a half",
}


def outcome(pgr: Interval | None) -> Outcome:
    """Say whether a method survived errors: the interval of its PGR is on one side of a half, or it is not told."""
    if pgr is None:
        return "no gap"
    if pgr.low >= SURVIVED:
        return "survived"
    return "not survived" if pgr.high < SURVIVED else "not told"


def headline(summary: Sequence[StructureSummary], gap: Interval) -> str:
    """Say in one line what the first method survives."""
    first = [one for one in summary if one.method == summary[0].method]
    if gap.low <= 0:
        return "No gap to recover: the ceiling is not above the weak model beyond noise"
    survived, failed = (
        [one.structure for one in first if one.outcome == kind] for kind in ("survived", "not survived")
    )
    lost = f"not {listed(failed)}" if failed else ""
    said = (
        ", ".join(filter(None, [f"survives {listed(survived)}", lost])) if survived else "is not shown to survive any"
    )
    return f"At the same error rate, {first[0].method} {said}"


def verdict(
    facts: Sequence[StructureFacts],
    weak: Interval,
    ceiling: Interval,
    reason: str | None,
    summary: Sequence[StructureSummary],
    tests: Sequence[StructureTest],
) -> list[str]:
    """Return one sentence a finding.

    Args:
        facts: what each structure made of the labels.
        weak: accuracy of the weak model.
        ceiling: accuracy of the strong model taught by the truth.
        reason: why no PGR is given.
        summary: figures of every structure and method.
        tests: every structure against random errors, of every method.
    """
    return [
        _setup(facts, summary),
        _ends(weak, ceiling, reason),
        *_survivors(summary),
        *_against(tests),
        *_imitation(summary),
    ]


def _setup(facts: Sequence[StructureFacts], summary: Sequence[StructureSummary]) -> str:
    errors, one = facts[0].errors, summary[0]
    low, high = min(errors), max(errors)
    made = f"{low}" if low == high else f"{low} to {high}, by seed,"
    methods = len({s.method for s in summary})
    return (
        f"{made} of {facts[0].n} transfer labels were wrong, as many in each of {len(facts)} structures; {methods} "
        f"{'method' if methods == 1 else 'methods'} learned from them and answered {one.n} test items, over "
        f"{one.seeds} {'seed' if one.seeds == 1 else 'seeds'}."
    )


def _ends(weak: Interval, ceiling: Interval, reason: str | None) -> str:
    said = f"The weak model scores {share(weak)} and the ceiling {share(ceiling)}"
    return f"{said}. No PGR is given: {reason}." if reason else f"{said}."


def _survivors(summary: Sequence[StructureSummary]) -> Iterator[str]:
    """Say what each method survives, of the first with its figures."""
    for method in dict.fromkeys(one.method for one in summary):
        mine = [one for one in summary if one.method == method and one.pgr]
        parts = []
        for kind, said in KINDS.items():
            named = [_pgr(one) if method == summary[0].method else one.structure for one in mine if one.outcome == kind]
            if named:
                parts.append(f"{said} with the errors {listed(named)}")
        if parts:
            yield f"{method} recovers {'; '.join(parts)}."


def _pgr(one: StructureSummary) -> str:
    pgr = one.pgr
    return f"{one.structure} ({pgr.value:.2f} [{pgr.low:.2f}, {pgr.high:.2f}])" if pgr else one.structure


def _against(tests: Sequence[StructureTest]) -> Iterator[str]:
    """Say where each method differs from itself on random errors, of the first by how much."""
    family = f"corrected for {len(tests)} comparisons" if len(tests) > 1 else "the only comparison"
    for method in dict.fromkeys(test.method for test in tests):
        mine = [test for test in tests if test.method == method]
        apart = [_by(test) if method == tests[0].method else test.structure for test in mine if differs(test)]
        alike = [test.structure for test in mine if not differs(test)]
        parts = [f"differs from itself on random errors with the errors {listed(apart)}"] if apart else []
        parts += (
            [f"cannot be told from {'that' if apart else 'itself on random errors'} with {listed(alike)}"]
            if alike
            else []
        )
        yield f"{method} {', and '.join(parts)} ({family})."


def _by(test: StructureTest) -> str:
    return f"{test.structure} (by {points(test.difference)}, p {p_value(test.p_holm)})"


def _imitation(summary: Sequence[StructureSummary]) -> Iterator[str]:
    """Say how much of the first method's answers are the supervisor's errors."""
    first = [one for one in summary if one.method == summary[0].method and one.agrees_wrong and one.agrees_right]
    said = [
        f"{one.structure} {share(one.agrees_wrong)} and {share(one.agrees_right)}"
        for one in first
        if one.agrees_wrong and one.agrees_right
    ]
    if said:
        yield (
            f"On test items, {first[0].method} says what its supervisor says where that is wrong, and where it is "
            f"right: {'; '.join(said)}."
        )
