"""The finding in plain sentences: nothing is claimed that its interval does not carry."""

from __future__ import annotations

from collections.abc import Iterator

from superalign.result import PGR, Interval, PairedTest, Summary

CLAIM = 0.05  # corrected p below which two methods are said to differ
SPELT_OUT = 6  # comparisons among methods; of more, only those that differ are


def verdict(summary: list[Summary], pgr: list[PGR], tests: list[PairedTest], control: str) -> list[str]:
    """Return one sentence a finding."""
    return [*_floor_and_ceiling(summary), *_students(summary, pgr, tests), *_methods(tests), _sentence(control)]


def _floor_and_ceiling(summary: list[Summary]) -> Iterator[str]:
    weak, ceiling = (next(s for s in summary if s.role == role) for role in ("weak", "ceiling"))
    yield (
        f"The weak supervisor scores {share(weak.accuracy)} and the strong ceiling {share(ceiling.accuracy)} "
        f"on {weak.n} test items over {weak.seeds} {'seed' if weak.seeds == 1 else 'seeds'}."
    )


def _students(summary: list[Summary], pgr: list[PGR], tests: list[PairedTest]) -> Iterator[str]:
    for student in (s for s in summary if s.role == "student"):
        test = next(t for t in tests if t.a == student.method and t.b == "weak")
        found = next(p for p in pgr if p.method == student.method)
        side = "above" if test.difference.low > 0 else "below" if test.difference.high < 0 else None
        where = (
            f"{side} its supervisor by {points(test.difference)}, p {p_value(test.p)}"
            if side
            else f"not distinguishable from its supervisor ({points(test.difference)}, p {p_value(test.p)})"
        )
        yield f"Trained on weak labels with {student.method}, the student scores {share(student.accuracy)}: {where}."
        if found.pooled is None:
            yield f"No PGR for {student.method}: {found.reason}."
        else:
            low, high = found.pooled.low, found.pooled.high
            yield f"PGR of {student.method}: {found.pooled.value:.2f} [{low:.2f}, {high:.2f}] of the gap recovered."


def _methods(tests: list[PairedTest]) -> Iterator[str]:
    among = [test for test in tests if test.b != "weak"]
    apart = [test for test in among if test.p_holm < CLAIM]
    for test in apart if len(among) > SPELT_OUT else among:
        known = "differ by" if test in apart else "cannot be told apart:"
        yield f"{test.a} and {test.b} {known} {points(test.difference)}, {_corrected(test, among)}."
    if len(among) > SPELT_OUT and len(apart) < len(among):
        yield (
            f"{len(among) - len(apart)} of {len(among)} methods cannot be told apart from {among[0].b} "
            f"when corrected for {len(among)} comparisons."
        )


def _corrected(test: PairedTest, family: list[PairedTest]) -> str:
    if len(family) == 1:
        return f"p {p_value(test.p)}"
    return f"p {p_value(test.p_holm)} corrected for {len(family)} comparisons"


def share(figure: Interval) -> str:
    """Write a share with its interval: 78.4% [76.9%, 80.1%]."""
    return f"{figure.value:.1%} [{figure.low:.1%}, {figure.high:.1%}]"


def points(figure: Interval) -> str:
    """Write a difference of shares with its interval: +2.1 points [+0.4, +3.8]."""
    return f"{100 * figure.value:+.1f} points [{100 * figure.low:+.1f}, {100 * figure.high:+.1f}]"


def p_value(p: float) -> str:
    """Write a p-value with its sign: = 0.012, or < 0.001."""
    return "< 0.001" if p < 0.001 else f"= {p:.3f}"


def listed(names: list[str]) -> str:
    """Write a list in words."""
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def differs(test: PairedTest) -> bool:
    """Tell whether a difference is claimed: its corrected p is small, and its interval leaves out 0."""
    return test.p_holm < CLAIM and (test.difference.low > 0 or test.difference.high < 0)


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}."
