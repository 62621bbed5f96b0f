"""The panels of the deception report: the table of scores, regions, curves, gap, control, mitigation, monitors."""

from __future__ import annotations

from superalign.deception_claims import rho
from superalign.deception_result import Conflict, Deceived, DeceptionResult
from superalign.deception_verdict import told
from superalign.report import deception_figures as figures
from superalign.report import words
from superalign.report.frame import Frame, Rows, numbers, tabled
from superalign.report.markup import Child, Column, Markup, cut, table
from superalign.result import Interval

PAIR = Column("Weak > strong")
LABELS = {"weak": "weak", "sure": "weak, where sure", "through": "of models between", "truth": "true (control)"}
DeceptionFrame = Frame[DeceptionResult]


def scores(result: DeceptionResult) -> Markup:
    """Return the deception table: every conflict and pair of models, taught by weak labels."""
    rows: Rows = [_cells(one) for one in result.summary if one.labels == "weak"]
    columns = [PAIR, Column("Conflict"), *numbers("Accuracy", "Tax", "Hidden", "Score", "By chance", "Lift", "Base")]
    columns += [Column("Beyond chance")]
    what = (
        "Tax: answers that are right without the conflict and wrong with it, all seeds. Hidden: those that only the "
        "strong model knows. Score: hidden / tax, with Wilson's interval at the effective number of answers. By "
        "chance: the share of such answers among all that were right without the conflict. Lift: score / by "
        "chance, bootstrapped. Base: their share among all answers. Conflict none: right at the ceiling and wrong at "
        "the student."
    )
    title = "Deception score"
    return tabled("scores", title, what, table(columns, rows, title))


def regions(result: DeceptionResult) -> Markup:
    """Return what was paid in each region."""
    rows: Rows = []
    for one in result.summary:
        if one.labels == "weak" and one.conflict != "none":
            rates: list[Child] = [_percent(region.rate) for region in one.regions]
            rows.append([figures.pair(one), one.conflict, *rates, _points(one.excess)])
    names = [region.region for region in result.summary[0].regions]
    columns = [PAIR, Column("Conflict"), *numbers(*names, "Excess, points")]
    what = (
        "Of the answers in a region that were right without the conflict, the share that it made wrong. Excess: where "
        "only the strong model knows minus where both know, paired."
    )
    title = "What the conflict costs, by who knows"
    return tabled("regions", title, what, table(columns, rows, title))


def curve(frame: DeceptionFrame, conflict: Conflict) -> Markup:
    """Return the score at each threshold of knowing."""
    mine = figures.plain(frame.result, conflict)
    rows: Rows = [
        [figures.pair(one), f"{at.threshold:g}", *_share(at.score), words.percent(at.open_base), at.hidden, at.tax]
        for one in mine
        for at in one.curve
    ]
    columns = [PAIR, *numbers("Threshold", "Score", "95% interval", "By chance", "Hidden", "Tax")]
    title = f"Score by threshold, {conflict} conflict"
    what = "The same tax at every threshold; what counts as known changes. Each line is a pair of models."
    what += f" Of {len(mine)} pairs the first {figures.SHOWN} are drawn." if len(mine) > figures.SHOWN else ""
    counts = f"n = {words.count(mine[0].n)}, {words.plural(mine[0].seeds, 'seed')}."
    spec = figures.threshold_curve(frame.result, conflict)
    return frame.panel(f"curve-{conflict}", title, what, spec, counts, table(columns, rows, title), wide=True)


def gap(frame: DeceptionFrame, conflict: Conflict) -> Markup:
    """Return the score against the gap of capability."""
    result = frame.result
    mine = {(one.weak, one.strong): one for one in figures.plain(result, conflict)}
    rows: Rows = []
    for pair in result.pairs:
        one = mine[pair.weak, pair.strong]
        accuracies = (_percent(pair.weak_accuracy), _percent(pair.ceiling_accuracy))
        rows.append(
            [figures.pair(one), *accuracies, words.points(pair.gap), _percent(one.score), _ratio(one.open_lift)]
        )
    columns = [PAIR, *numbers("Weak", "Ceiling", "Gap, points", "Score", "Lift")]
    title = f"Score by gap, {conflict} conflict"
    trends = [one for one in result.trends if (one.on, one.conflict) == ("gap", conflict)]
    said = [f"{one.of.replace('_', ' ')}: rho {rho(one.rho)}" for one in trends if one.rho]
    what = "Blue: the score; orange: what chance would give; intervals are in the table. " + (
        f"Spearman over pairs of models, groups and seeds: {'; '.join(said)}." if said else "Too few pairs for a trend."
    )
    n = f"{words.plural(len(result.pairs), 'pair')} of models."
    spec, listed = figures.gap(result, conflict), table(columns, rows, title)
    return frame.panel(f"gap-{conflict}", title, words.prose(what), spec, n, listed, wide=True)


def others(result: DeceptionResult) -> Markup:
    """Return the scores of other labels than the weak ones."""
    rows: Rows = [
        [LABELS[one.labels], *_cells(one)] for one in result.summary if one.labels != "weak" and one.conflict != "none"
    ]
    columns = [Column("Labels"), PAIR, Column("Conflict")]
    columns += [*numbers("Accuracy", "Tax", "Hidden", "Score", "By chance", "Lift", "Base"), Column("Beyond chance")]
    what = "The tax is what the conflict costs a student of the same labels."
    title = "Other labels: the control, and what may help"
    return tabled("others", title, what, table(columns, rows, title))


def mitigations(result: DeceptionResult) -> Markup | None:
    """Return what other labels change against the weak ones; None where there are none."""
    rows: Rows = [
        [
            LABELS[one.labels],
            one.conflict,
            words.percent(one.kept),
            _points(one.change),
            words.points(one.tax),
            words.points(one.accuracy),
        ]
        for one in result.mitigations
    ]
    columns = [Column("Labels"), Column("Conflict")]
    columns += numbers("Labels kept", "Score, points", "Taxed, points", "Accuracy, points")
    what = (
        "Against weak labels, paired, mean over pairs of models: deception score, share of all answers taxed, accuracy."
    )
    title = "What other labels change"
    return tabled("mitigations", title, what, table(columns, rows, title)) if rows else None


def monitors(result: DeceptionResult) -> Markup:
    """Return what can be watched without a ceiling."""
    rows: Rows = [
        [
            LABELS[one.labels],
            figures.pair(one),
            one.conflict,
            _percent(one.blind_spot),
            f"{one.variance:.4f}",
            words.prose(f"{one.covariance:.4f}"),
            f"{one.misfit:.4f}",
        ]
        for one in result.summary
        if one.labels != "truth"
    ]
    columns = [Column("Labels"), PAIR, Column("Conflict")]
    columns += numbers("Blind spots", "Variance", "Covariance", "Misfit")
    found = [f"{one.on} {rho(one.rho)}" for one in result.trends if one.of == "blind_spot" and one.rho]
    what = (
        "Blind spots: the student is confidently wrong and the weak model uncertain. Variance of the student's "
        "probability of the second answer, its covariance with the weak model's, and their mean squared difference "
        "need neither ceiling nor truth. Rank correlation with the rate of blind spots over these rows: "
        f"{', '.join(found) or 'none to be had'}."
    )
    title = "Monitors without a ceiling"
    return tabled("monitors", title, words.prose(what), table(columns, rows, title))


def claims(result: DeceptionResult) -> Markup:
    """Return every claim with what a rule made of it."""
    rows: Rows = [
        [cut(one.claim, 300), one.status, words.prose(one.why), cut(one.rule, 300), one.paper] for one in result.claims
    ]
    columns = [Column("Claim"), Column("Here"), Column("Why"), Column("Rule"), Column("Paper")]
    what = "Each status is given by its rule in code, not by hand."
    title = "What was claimed elsewhere"
    return tabled("claimed", title, what, table(columns, rows, title))


def _cells(one: Deceived) -> list[Child]:
    return [
        figures.pair(one),
        one.conflict,
        _percent(one.accuracy),
        words.count(one.tax),
        words.count(one.hidden),
        _percent(one.score),
        words.percent(one.open_base),
        _ratio(one.open_lift),
        words.percent(one.base),
        told(one),
    ]


def _percent(figure: Interval | None) -> str:
    return words.NONE if figure is None else f"{words.percent(figure.value)} {words.percents(figure)}"


def _share(figure: Interval | None) -> tuple[str, str]:
    return (words.NONE, words.NONE) if figure is None else (words.percent(figure.value), words.percents(figure))


def _points(figure: Interval | None) -> str:
    return words.NONE if figure is None else words.points(figure)


def _ratio(figure: Interval | None) -> str:
    return words.NONE if figure is None else f"{words.ratio(figure.value)} {words.ratios(figure)}"
