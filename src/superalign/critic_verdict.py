"""The finding of the critic-eval study in plain sentences: nothing is claimed that its interval does not carry."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from superalign.critic_result import Concord, CriticSummary, Refinement
from superalign.result import Interval, PairedTest
from superalign.verdict import SPELT_OUT, differs, listed, p_value, points, share

BIAS = 0.5  # share of verdicts for the response that stands first, without a bias


def verdict(
    pairwise: bool,
    guess: float,
    held: Sequence[str],
    summary: Sequence[CriticSummary],
    tests: Sequence[PairedTest],
    annotators: Sequence[Concord],
) -> list[str]:
    """Return one sentence a finding.

    Args:
        pairwise: whether pairs were judged.
        guess: accuracy of always giving the commonest verdict.
        held: values that only the test part has.
        summary: figures of every critic.
        tests: every critic against every other.
        annotators: agreement of annotators with one another and with critics.
    """
    return [
        _setup(pairwise, guess, held, summary),
        *(_critic(one, guess) for one in ranked(summary)),
        *_tests(tests),
        *(said for one in summary for said in _order(one)),
        *(said for one in summary for said in _flaws(one)),
        *_people(annotators, {one.critic for one in summary}),
    ]


def ranked(summary: Sequence[CriticSummary]) -> list[CriticSummary]:
    """Return critics by kappa, the best first; those without one last."""
    return sorted(summary, key=lambda one: -one.kappa.value if one.kappa else 2.0)


def ratio(figure: Interval) -> str:
    """Write a figure that is no share, with its interval: 0.62 [0.51, 0.73]."""
    return f"{figure.value:.2f} [{figure.low:.2f}, {figure.high:.2f}]"


def _setup(pairwise: bool, guess: float, held: Sequence[str], summary: Sequence[CriticSummary]) -> str:
    critics, n = len(summary), summary[0].n
    what = "pairs" if pairwise else "responses"
    where = f", of {listed(list(held)[:8])}, which no critic was taught on" if held else ""
    return (
        f"{critics} {'critic' if critics == 1 else 'critics'} judged {n} test {what}{where}; "
        f"the commonest verdict is right on {guess:.1%} of them."
    )


def _critic(one: CriticSummary, guess: float) -> str:
    if one.accuracy is None:
        return f"{one.critic} gave no verdict that could be scored."
    silent = "" if one.coverage.value == 1 else f", of {one.coverage.value:.1%} that it gave a verdict on"
    beyond = f" (kappa {ratio(one.kappa)})" if one.kappa else ""
    said = f"{one.critic} is right on {share(one.accuracy)} of the cases{silent}{beyond}"
    if one.kappa is None or one.kappa.low > 0:
        return f"{said}."
    if one.kappa.high < 0:
        return f"{said}: its agreement with the truth is worse than chance."
    return f"{said}: its agreement with the truth cannot be told from chance."


def _tests(tests: Sequence[PairedTest]) -> Iterator[str]:
    family = f"corrected for {len(tests)} comparisons" if len(tests) > 1 else "the only comparison"
    apart = [test for test in tests if differs(test)]
    for test in apart[:SPELT_OUT]:
        a, b, by = (test.a, test.b, test.difference) if test.difference.value > 0 else (test.b, test.a, _turned(test))
        yield f"{a} is right more often than {b}, by {points(by)} (p {p_value(test.p_holm)}, {family})."
    if len(apart) > SPELT_OUT:
        yield f"{len(apart) - SPELT_OUT} more of {len(tests)} comparisons tell two critics apart."
    if tests and len(apart) < len(tests):
        yield f"{len(tests) - len(apart)} of {len(tests)} comparisons cannot tell two critics apart ({family})."


def _order(one: CriticSummary) -> Iterator[str]:
    if one.position is None:
        return
    first = one.position.first
    if first and (first.low > BIAS or first.high < BIAS):
        yield f"{one.critic} prefers the {'first' if first.value > BIAS else 'second'} response: {share(first)} first."
    if one.position.consistent and one.position.consistent.high < 1:
        yield f"{one.critic} gives {share(one.position.consistent)} of the cases the same verdict in both orders."


def _flaws(one: CriticSummary) -> Iterator[str]:
    planted = one.planted
    if planted is None or planted.detected is None:
        return
    said = f"{one.critic} finds {share(planted.detected)} of {planted.n} planted flaws"
    if planted.false_alarms is None:
        yield f"{said}."
        return
    alarms = planted.false_alarms
    more = "" if planted.detected.low > alarms.high else ": not clearly more"
    yield f"{said}, and calls {share(alarms)} of the same responses bad when they are untouched{more}."


def refined(made: Sequence[Refinement]) -> Iterator[str]:
    """Say whose critiques make revisions better or worse than none."""
    for one in made:
        if one.beyond is None:
            continue
        side = "more" if one.beyond.low > 0 else "less" if one.beyond.high < 0 else None
        said = f"Revised by what {one.critic} says, responses are"
        if side:
            yield f"{said} right {side} often than revised by nothing: {points(one.beyond)}."
        else:
            yield f"{said} not shown to be right more or less often than revised by nothing: {points(one.beyond)}."


def _people(annotators: Sequence[Concord], critics: set[str]) -> Iterator[str]:
    among = [one for one in annotators if one.a not in critics and one.kappa]
    if among:
        low, high = (pick(one.kappa.value for one in among if one.kappa) for pick in (min, max))
        yield f"Annotators agree with one another at kappa {low:.2f} to {high:.2f}."


def _turned(test: PairedTest) -> Interval:
    of = test.difference
    return Interval(value=-of.value, low=-of.high, high=-of.low)
