"""The panels of the page of `recommend`: the candidates in their order, the reasons, the check against the truth."""

from __future__ import annotations

from superalign.recommend_result import Check, RecommendResult
from superalign.recommend_verdict import called, told_apart
from superalign.report import words
from superalign.report.chart import rows_of_dots
from superalign.report.frame import Frame, Rows, numbers, share, tabled
from superalign.report.marks import Axis, Dot, Mark, Rule, Spec
from superalign.report.markup import Child, Column, Markup, cut, table, tag
from superalign.report.recommend_text import rho
from superalign.report.series import CEILING, CONTROL, STUDENTS
from superalign.result import Interval

DRAWN = 24  # candidates in the figure
LISTED = 400  # in the table
RecommendFrame = Frame[RecommendResult]


def cards(result: RecommendResult) -> Markup:
    """Return what is recommended, and how good such predictions were."""
    best, check = result.candidates[0], result.check
    found = [_card("Recommended", words.percent(best.predicted.value), words.percents(best.predicted), called(best))]
    if check:
        n = words.plural(check.seeds, "seed")
        order = f"rank correlation with the truth, {words.plural(check.candidates, 'candidate')}, {n}"
        lost = words.lost(check.regret).partition(" [")[0]
        found += [
            _card("Order", words.ratio(check.correlation.value if check.correlation else None), _ends(check), order),
            _card("Regret", lost, words.percents(check.regret), f"of the recommended to the best one, {n}"),
        ]
    return tag("div", *found, class_="cards")


def candidates(frame: RecommendFrame) -> Markup:
    """Return all candidates, best first, with what was predicted, and the truth where it was looked at."""
    result = frame.result
    true = {(r.supervisor, r.method, r.budget): r.accuracy for r in result.rows if r.seed == 0}
    rows: Rows = []
    for one in result.candidates[:LISTED]:
        head: list[Child] = [cut(called(one), 120), "" if told_apart(one) else "not told apart", *share(one.predicted)]
        reasons = [
            words.points(one.behind) if one.behind else words.NONE,
            words.percent(one.cross_fitted.value),
            words.points(one.gain) if one.gain else words.NONE,
            *(words.NONE if x is None else words.error(x) for x in (one.misfit, one.bound, one.squared_error)),
            words.percent(one.agreement),
        ]
        rows.append([*head, *reasons, words.percent(true[one.supervisor, one.method, one.budget])])
    columns = [Column("Candidate"), Column("From the first")]
    columns += numbers("Predicted", "95% interval", "First − it, points", "Cross-fitted", "Gain, points", "Misfit")
    columns += numbers("Bound", "Squared error", "Agreement", "True accuracy")
    what = (
        "Predicted accuracy of the strong model, taught in each way: cross-fitted on the gold labels and sharpened by "
        "how often it says what all candidates together say of unlabelled items (prediction-powered inference). Rings "
        "are the truth of the test part, where it was looked at. Grey ones are told apart from the first."
    )
    counts = f"First seed: {words.count(result.gold)} gold labels in {words.plural(result.gold_groups, 'group')}; "
    counts += f"{words.plural(result.unlabelled, 'unlabelled item')} of the {result.unlabelled_part} part."
    title = "What is predicted of each candidate"
    return frame.panel("candidates", title, what, _dots(result), counts, table(columns, rows, title), wide=True)


def supervisors(result: RecommendResult) -> Markup:
    """Return what the gold labels show of each supervisor, and of every two of them."""
    rows: Rows = [
        [cut(s.model, 60), *share(s.accuracy), words.error(s.squared_error), words.ratio(s.error_similarity)]
        for s in result.supervisors
    ]
    pairs: Rows = [
        [
            f"{cut(p.a, 60)} and {cut(p.b, 60)}",
            words.percent(p.agreement),
            words.ratio(p.kappa),
            words.ratio(p.error_similarity),
        ]
        for p in result.pairs
    ]
    columns = [Column("Supervisor"), *numbers("Accuracy", "95% interval", "Squared error", "Like the strong model")]
    beside = [Column("Supervisors"), *numbers("Agreement", "Kappa", "Error similarity")]
    what = (
        "Cross-fitted on the gold labels. Error similarity is CAPA: 0 is independent errors, 1 the same; beside the "
        "strong model, that is taught by the same labels. Agreement and kappa are of unlabelled items."
    )
    body = table(columns, rows, "Supervisors")
    return tabled("supervisors", "Supervisors", what, body, table(beside, pairs, "Pairs") if pairs else None)


def predictors(check: Check) -> Markup:
    """Return how well each figure orders the candidates."""
    rows: Rows = [[p.figure, rho(p.correlation), words.lost(p.regret)] for p in check.predictors]
    columns = [Column("Figure"), *numbers("rho with the truth", "Regret")]
    what = (
        "Spearman's rho of each figure with true accuracy over the candidates with a supervisor, and what the one it "
        "puts first lacks to the best of them. Means over seeds, with intervals by the t quantile; seeds share the "
        "test part, and are not independent."
    )
    return tabled("predictors", "What orders the candidates", what, table(columns, rows, "Predictors"))


def grid(check: Check) -> Markup | None:
    """Return weak-to-strong beside what was predicted; None where no candidate is in it."""
    if not check.grid:
        return None
    rows: Rows = [
        [
            f"{cut(c.supervisor, 60)}, {cut(c.method, 60)}",
            *map(words.percent, (c.supervisor_accuracy, c.accuracy, c.predicted)),
        ]
        for c in check.grid
    ]
    columns = [Column("Cell"), *numbers("Supervisor", "Student", "Predicted from the few")]
    what = (
        "Supervisors that had the truth of the whole supervise part, as in weak-to-strong, and their students: means "
        f"over seeds. The ceiling has {words.percent(check.ceiling)}. Order of the students against what was predicted "
        f"of those whose supervisors had the few labels: rho {rho(check.grid_correlation)}."
    )
    return tabled("grid", "The grid of weak-to-strong", what, table(columns, rows, "Weak-to-strong"))


def _dots(result: RecommendResult) -> Spec:
    shown = result.candidates[:DRAWN]
    true = {(r.supervisor, r.method, r.budget): r.accuracy for r in result.rows if r.seed == 0}
    dots, marks = list[Dot](), list[Mark]()
    for one in shown:
        name = f"{one.rank}. {cut(called(one).replace('embedded:', '').removesuffix(' labels'), 60)}"
        colour = CONTROL if told_apart(one) else STUDENTS[0]
        said = f"{name}: {words.percent(one.predicted.value)} {words.percents(one.predicted)}"
        low, value, high = (100 * x for x in (one.predicted.low, one.predicted.value, one.predicted.high))
        dots.append(Dot(name, value, low, high, colour.light, said))
        if (accuracy := true[one.supervisor, one.method, one.budget]) is not None:
            marks.append(Mark(name, 100 * accuracy, CEILING.light, f"{name}: truly {words.percent(accuracy)}"))
    ends = [x for dot in dots for x in (dot.low, dot.high)] + [mark.value for mark in marks]
    rules = []
    if result.check:
        ends.append(100 * result.check.ceiling)
        rules = [Rule(100 * result.check.ceiling, "ceiling")]
    axis = Axis("predicted accuracy, %", min(ends) - 2, max(ends) + 2)
    return rows_of_dots(dots, axis, marks=marks, rules=rules)


def _card(name: str, big: str, interval: str, what: str) -> Markup:
    lines = [tag("p", f"95% {interval}", class_="interval"), tag("p", cut(what, 120), class_="n")]
    return tag("div", tag("h2", name), tag("p", big, class_="big"), *lines, class_="card")


def _ends(check: Check) -> str:
    figure: Interval | None = check.correlation
    return words.ratios(figure) if figure else words.NONE
