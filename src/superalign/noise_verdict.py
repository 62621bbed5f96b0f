"""The finding of the label-noise study in plain sentences: nothing is claimed that its interval does not carry."""

from __future__ import annotations

from collections.abc import Iterator

from superalign.noise_result import NoiseSummary, NoiseTest
from superalign.result import Interval
from superalign.verdict import differs, listed, p_value, points, share

TOLERATED = 0.05  # a loss of accuracy that still counts as having survived


def verdict(noise: str, labels: int, guess: float, summary: list[NoiseSummary], tests: list[NoiseTest]) -> list[str]:
    """Return one sentence a finding.

    Args:
        noise: its kind.
        labels: how many labels a seed has.
        guess: accuracy of always answering the commonest class.
        summary: figures of every method and rate, the method that others are compared with first.
        tests: every method against the first.
    """
    against = _against(summary[0].method, tests)
    return [_setup(noise, labels, summary), *_first(summary), *against, *_losses(summary, guess), *_told(summary)]


def written(rate: float) -> str:
    """Write a rate of noise without needless digits: 40%, 12.5%."""
    return f"{100 * rate:.4g}%"


def _setup(noise: str, labels: int, summary: list[NoiseSummary]) -> str:
    rates = [written(one) for one in sorted({one.rate for one in summary})]
    methods, one = len({s.method for s in summary}), summary[0]
    return (
        f"{noise.capitalize()} noise made {listed(rates)} of {labels} transfer labels wrong; "
        f"{methods} {'method' if methods == 1 else 'methods'} learned from them and answered {one.n} test items, "
        f"over {one.seeds} {'seed' if one.seeds == 1 else 'seeds'}."
    )


def _first(summary: list[NoiseSummary]) -> Iterator[str]:
    mine = [one for one in summary if one.method == summary[0].method]
    least, most = min(mine, key=_rate), max(mine, key=_rate)
    if least is most:
        yield f"With {written(most.rate)} wrong labels, {most.method} scores {share(most.accuracy)}."
        return
    said = (
        f"{least.method} scores {share(least.accuracy)} with {written(least.rate)} wrong labels and "
        f"{share(most.accuracy)} with {written(most.rate)}"
    )
    if most.loss is None:
        yield f"{said}."
    elif most.loss.low > 0:
        yield f"{said}: it loses {_lost(most.loss)}."
    else:
        yield f"{said}: no loss beyond the interval, {_lost(most.loss)}."


def _against(first: str, tests: list[NoiseTest]) -> Iterator[str]:
    if not tests:
        return
    family = f"corrected for {len(tests)} comparisons" if len(tests) > 1 else "the only comparison"
    apart = [test for test in tests if differs(test)]
    for side in ("above", "below"):
        mine = [test for test in apart if (test.difference.value > 0) == (side == "above")]
        for method in dict.fromkeys(test.a for test in mine):
            found = "; ".join(_found(test) for test in mine if test.a == method)
            yield f"{method} is {side} {first} {found} ({family})."
    if not apart:
        yield f"No method can be told from {first} at any rate ({family})."
    elif len(apart) < len(tests):
        yield f"{len(tests) - len(apart)} of {len(tests)} comparisons cannot tell a method from {first} ({family})."


def _found(test: NoiseTest) -> str:
    return f"at {written(test.rate)} by {points(test.difference)}, p {p_value(test.p_holm)}"


def _losses(summary: list[NoiseSummary], guess: float) -> Iterator[str]:
    """Say who loses little; a method that never learned more than a guess has nothing to lose, and is left out."""
    worst = max(one.rate for one in summary)
    learned = {one.method for one in summary if one.rate == 0 and one.accuracy.low > guess}
    known = [(s.method, s.loss) for s in summary if s.rate == worst and s.loss is not None and s.method in learned]
    kept = [method for method, loss in known if loss.high <= TOLERATED]
    lost = [method for method, loss in known if loss.low > TOLERATED]
    limit = f"{100 * TOLERATED:g} points"
    if kept:
        yield (
            f"With {written(worst)} wrong labels, {listed(kept)} {_lose(kept)} no more than {limit} "
            "(upper end of each 95% interval)."
        )
    elif known:
        yield f"No method is shown to lose no more than {limit} with {written(worst)} wrong labels."
    if lost:
        yield f"{listed(lost)} {_lose(lost)} more than {limit} there (lower end of each 95% interval)."


def _told(summary: list[NoiseSummary]) -> Iterator[str]:
    """Say what methods that must know the noise took it for, beside what it was."""
    worst = max(one.rate for one in summary)
    for one in summary:
        if one.rate == worst and one.estimated_noise is not None:
            yield (
                f"{one.method} took {one.estimated_noise:.1%} of its labels for wrong, by its own estimate; "
                f"{1 - one.label_accuracy:.1%} were (means over seeds, at {written(worst)})."
            )


def _rate(one: NoiseSummary) -> float:
    return one.rate


def _lost(loss: Interval) -> str:
    return f"{100 * loss.value:.1f} points [{100 * loss.low:.1f}, {100 * loss.high:.1f}]"


def _lose(names: list[str]) -> str:
    return "loses" if len(names) == 1 else "lose"
