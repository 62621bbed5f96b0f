"""The finding of `recommend` in plain sentences: nothing is claimed that its interval does not carry."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from superalign.recommend_result import Candidate, Check, Predictor, SupervisorFacts
from superalign.result import Interval
from superalign.scaling_verdict import ratios
from superalign.verdict import listed, points, share


def verdict(
    gold: int, candidates: Sequence[Candidate], supervisors: Sequence[SupervisorFacts], check: Check | None
) -> list[str]:
    """Return one sentence a finding.

    Args:
        gold: how many labels were read.
        candidates: best first.
        supervisors: as the gold labels show them.
        check: against the truth, where there was one.
    """
    return [*_first(gold, candidates), *_people(candidates), *_supervisors(supervisors), *_checked(check)]


def flags(candidates: Sequence[Candidate]) -> list[str]:
    """Return what must be known before a prediction is quoted."""
    said = "is first by luck, too: by that alone its prediction would lean to the high side"
    return [f"the first of {len(candidates)} candidates {said}"]


def called(one: Candidate) -> str:
    """Write what a candidate is: embedded:minilm, logconf + 50 gold labels."""
    if one.supervisor is None:
        return f"no supervisor, {_labels(one.budget)}"
    own = f" + {_labels(one.budget)}" if one.budget else ""
    return f"{one.supervisor}, {one.method}{own}"


def told_apart(one: Candidate) -> bool:
    """Tell whether the first candidate is above this one by its interval."""
    return one.behind is not None and one.behind.low > 0


def _first(gold: int, candidates: Sequence[Candidate]) -> Iterator[str]:
    best = candidates[0]
    yield f"Recommended from {gold} gold labels: {called(best)}, predicted accuracy {share(best.predicted)}."
    rest = [one for one in candidates[1:] if not told_apart(one)]
    if rest:
        yield f"{len(rest)} of {len(candidates) - 1} other candidates are not told apart from it."
    elif len(candidates) > 1:
        yield f"It is told apart from all {len(candidates) - 1} others, each by its own interval."
    if best.gain:
        side = "above" if best.gain.low > 0 else "below" if best.gain.high < 0 else "not told apart from"
        yield f"On the gold labels its student is {side} its supervisor: {points(best.gain)}."


def _people(candidates: Sequence[Candidate]) -> Iterator[str]:
    """Say whether a supervisor is worth having."""
    best = candidates[0]
    alone = next(one for one in candidates if one.supervisor is None)
    if alone is best:
        weak = next(one for one in candidates if one.supervisor is not None)
        known = "told apart from it" if told_apart(weak) else "not told apart from it"
        yield f"No supervisor comes before people's labels alone; the best one, {called(weak)}, is {known}."
    else:
        said = points(alone.behind) if alone.behind else ""
        known = "less" if told_apart(alone) else "not told apart"
        yield f"Without a supervisor ({called(alone)}): {share(alone.predicted)}, {known} ({said} in between)."


def _supervisors(supervisors: Sequence[SupervisorFacts]) -> Iterator[str]:
    yield f"Supervisors on the gold labels: {listed([f'{one.model} {share(one.accuracy)}' for one in supervisors])}."


def _checked(check: Check | None) -> Iterator[str]:
    if check is None:
        return
    rho = ratios(check.correlation) if check.correlation else "not defined"
    side = _sign(check.correlation)
    yield (
        f"Against the truth of {check.n} test items over {check.seeds} seeds, the order of "
        f"{check.candidates} candidates {side}: Spearman's rho {rho}."
    )
    less = "" if check.regret.high < check.regret_of_any.low else ", not told apart from it"
    yield (
        f"The recommended one lacks {_points(check.regret)} to the best; one taken at random lacks "
        f"{_points(check.regret_of_any)}{less}."
    )
    yield (
        f"The true accuracy is within the 95% interval for {share(check.coverage)} of the candidates, and for the "
        f"recommended one in {check.coverage_of_first} of {check.seeds} seeds; predictions are off by "
        f"{points(check.error)}, that of the recommended one by {points(check.error_of_first)}."
    )
    if check.bounds:
        yield (
            f"The bound by misfit held for {check.bound_held} of {check.bounds} students; it assumes a squared loss "
            "and a student that could say the truth, and neither is given here."
        )
    yield from _orders(check.predictors)
    if check.grid_correlation:
        yield (
            f"With supervisors that had the whole supervise part, as in weak-to-strong, the order of "
            f"{len(check.grid)} cells {_sign(check.grid_correlation)}: rho {ratios(check.grid_correlation)}."
        )


def _orders(predictors: Sequence[Predictor]) -> Iterator[str]:
    known = [one for one in predictors if one.correlation and one.correlation.low > 0]
    said = [f"{one.figure} {ratios(one.correlation)}" for one in known if one.correlation]
    if said:
        yield f"What orders the candidates with a supervisor, each by its own interval: {listed(said)}."
    rest = [one.figure for one in predictors if one not in known]
    if rest:
        yield f"Not shown to order them: {listed(list(rest))}."


def _sign(rho: Interval | None) -> str:
    if rho is None or (rho.low <= 0 <= rho.high):
        return "cannot be told to be predicted"
    return "is predicted better than by chance" if rho.low > 0 else "is predicted the wrong way round"


def _points(loss: Interval) -> str:
    return f"{100 * loss.value:.1f} points [{100 * max(0.0, loss.low):.1f}, {100 * loss.high:.1f}]"


def _labels(n: int) -> str:
    return f"{n} gold label{'' if n == 1 else 's'}"
