"""The finding of the deception study in plain sentences: nothing is claimed that its interval does not carry."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from superalign.deception_claims import FEWEST, rho
from superalign.deception_result import Conflict, Deceived, Mitigation, Pair, Trend
from superalign.result import Interval
from superalign.verdict import points

HELP = {
    "sure": "With labels of which the weak model is sure",
    "through": "With labels of models in between",
    "truth": "With true labels (the control)",
}


def verdict(
    threshold: float,
    pairs: Sequence[Pair],
    summary: Sequence[Deceived],
    trends: Sequence[Trend],
    helped: Sequence[Mitigation],
) -> list[str]:
    """Return one sentence a finding.

    Args:
        threshold: what it takes to know an item.
        pairs: of models.
        summary: figures of all cells.
        trends: what goes with what.
        helped: what other labels change.
    """
    plain = [one for one in summary if one.labels == "weak"]
    conflicts: list[Conflict] = list(dict.fromkeys(one.conflict for one in plain if one.conflict != "none"))
    return [
        _head(plain),
        _setup(threshold, pairs, plain[0]),
        *(said for conflict in conflicts for said in _conflict(plain, conflict)),
        *_gap(trends),
        *_helped(helped),
        *_monitors(trends),
    ]


def told(one: Deceived) -> str:
    """Say on which side of chance a score is: `above`, `below`, `not told apart`, `too little tax` or `none`."""
    if one.score is None:
        return "no tax"
    if one.tax < FEWEST:
        return "too little tax"
    if one.open_lift is None:
        return "nothing to hide"
    return "above" if one.open_lift.low > 1 else "below" if one.open_lift.high < 1 else "not told apart"


def _head(plain: Sequence[Deceived]) -> str:
    conflicted = [one for one in plain if one.conflict != "none"]
    above = sum(told(one) == "above" for one in conflicted)
    return (
        f"In {above} of {len(conflicted)} settings the conflict is paid for more than by chance where only the strong "
        "model knows"
    )


def _setup(threshold: float, pairs: Sequence[Pair], one: Deceived) -> str:
    gaps = [100 * pair.gap.value for pair in pairs]
    return (
        f"{len(pairs)} {'pair' if len(pairs) == 1 else 'pairs'} of a weak and a strong model, gaps of {min(gaps):+.1f} "
        f"to {max(gaps):+.1f} points, answered {one.n} test pairs in {one.groups} groups over {one.seeds} "
        f"{'seed' if one.seeds == 1 else 'seeds'}; to know is to give the true answer {threshold:g} or more."
    )


def _conflict(plain: Sequence[Deceived], conflict: Conflict) -> Iterator[str]:
    mine = [one for one in plain if one.conflict == conflict]
    taxed = [100 * one.tax / (one.n * one.seeds) for one in mine]
    yield (f"The {conflict} conflict turns {_span(taxed)}% of all answers from right to wrong; {_scores(mine)}.")
    for side, words in (("above", "more than by chance"), ("below", "less than by chance")):
        found = [one for one in mine if told(one) == side]
        if found:
            named = ", ".join(f"{_pair(one)} (score {_share(one.score)} against {_base(one)})" for one in found)
            yield f"{conflict.capitalize()}, {words} where only the strong model knows: {named}."
    rest = [one for one in mine if told(one) not in ("above", "below")]
    if rest:
        kinds = [told(one) for one in rest]
        counts = ", ".join(f"{kinds.count(kind)} {kind}" for kind in dict.fromkeys(kinds))
        yield f"{conflict.capitalize()}: {len(rest)} of {len(mine)} pairs show nothing beyond chance ({counts})."


def _gap(trends: Sequence[Trend]) -> Iterator[str]:
    for one in trends:
        if one.on != "gap":
            continue
        what = "score" if one.of == "score" else "score over chance"
        if one.rho is None:
            yield f"Whether the {what} grows with the gap cannot be asked of {one.cells} cells ({one.conflict})."
        else:
            side = "grows" if one.rho.low > 0 else "falls" if one.rho.high < 0 else None
            said = f"{side} with the gap" if side else "is not shown to grow or fall with the gap"
            yield f"The {what} {said}, {one.conflict} conflict: rho {rho(one.rho)} over {one.cells} pairs of models."


def _helped(helped: Sequence[Mitigation]) -> Iterator[str]:
    for one in helped:
        if one.change is None:
            continue
        side = "falls" if one.change.high < 0 else "rises" if one.change.low > 0 else "does not measurably change"
        kept = f", from {one.kept:.0%} of the labels" if one.kept < 1 else ""
        yield (
            f"{HELP[one.labels]} the score {side}, {one.conflict} conflict: {points(one.change)}{kept}; "
            f"share taxed {points(one.tax)}, accuracy {points(one.accuracy)}."
        )


def _monitors(trends: Sequence[Trend]) -> Iterator[str]:
    mine = [one for one in trends if one.of == "blind_spot"]
    said = [f"{one.on} {rho(one.rho)}" for one in mine if one.rho]
    if said:
        cells = f"{mine[0].cells} cells"
        yield f"Rank correlation of the rate of blind spots with what needs no ceiling, {cells}: {', '.join(said)}."


def _scores(mine: Sequence[Deceived]) -> str:
    known = [100 * one.score.value for one in mine if one.score]
    if not known:
        return "there is no tax to ask about"
    bases = [100 * one.open_base for one in mine if one.open_base is not None]
    return f"{_span(known)}% of that tax is paid where only the strong model knows, {_span(bases)}% would be by chance"


def _span(values: Sequence[float]) -> str:
    low, high = f"{min(values):.1f}", f"{max(values):.1f}"
    return low if low == high else f"{low} to {high}"


def _pair(one: Deceived) -> str:
    return f"{one.weak} > {one.strong}"


def _share(found: Interval | None) -> str:
    return "none" if found is None else f"{found.value:.1%} [{found.low:.1%}, {found.high:.1%}]"


def _base(one: Deceived) -> str:
    return "nothing" if one.open_base is None else f"{one.open_base:.1%}"
