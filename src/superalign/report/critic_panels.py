"""The panels of the critic-eval report: agreement, order, rates, planted flaws, annotators, cost, mistakes."""

from __future__ import annotations

from superalign.critic_result import CriticEvalResult
from superalign.critic_verdict import ranked, ratio
from superalign.report import critic_figures, figures, words
from superalign.report.critic_figures import Who
from superalign.report.frame import Calibrated, Frame, Rows, differences, numbers, share, tabled
from superalign.report.markup import Child, Column, Markup, cut, passage, table, tag
from superalign.report.overview import card
from superalign.result import Interval

CRITIC = Column("Critic")
CARDS, MISTAKES = 8, 60
CriticFrame = Frame[CriticEvalResult]


def cards(result: CriticEvalResult, book: Who) -> Markup:
    """Return one card for each of the best critics: accuracy and kappa."""
    made = []
    for one in [one for one in ranked(result.summary) if one.accuracy][:CARDS]:
        beyond = tag("p", f"kappa {ratio(one.kappa)}", class_="pgr") if one.kappa else None
        n = f"verdicts on {words.percent(one.coverage.value)} of n = {words.count(one.n)}"
        if one.accuracy:
            made.append(card(book[one.critic], one.accuracy, n, beyond))
    return tag("div", *made, class_="cards")


def agreement(frame: CriticFrame, book: Who) -> Markup:
    """Agreement with the truth of every critic."""
    result = frame.result
    rows: Rows = [
        [
            cut(one.critic, 60),
            *_share(one.accuracy),
            *_shown(one.kappa),
            *_shown(one.auroc),
            _plain(one.brier),
            _plain(one.ece),
            *([] if result.task.pairwise else [_said(one.precision), _said(one.recall)]),
            one.seeds,
        ]
        for one in ranked(result.summary)
    ]
    bad = [] if result.task.pairwise else ["Precision, bad", "Recall, bad"]
    names = ["Accuracy", "95%", "Kappa", "95%", "AUROC", "95%", "Brier", "ECE", *bad, "Seeds"]
    what = (
        "Agreement with the truth beyond chance: 1 is full agreement, 0 what the same verdicts would have by luck. "
        "A large mark is the mean over seeds with its 95% interval, a small ring one seed. All figures are over the "
        "cases with a verdict."
    )
    counts = f"n = {words.count(result.summary[0].n)} cases, the commonest verdict is right on "
    counts += f"{words.percent(result.guess)}."
    data = table([CRITIC, *numbers(*names)], rows, "Agreement with the truth")
    drawing = critic_figures.kappa(result, book)
    return frame.panel("agreement", "Agreement with the truth", what, drawing, counts, data, wide=True)


def verdicts(result: CriticEvalResult) -> Markup:
    """Return how many verdicts each critic gave, why not more, and what they cost."""
    rows: Rows = []
    for one in result.summary:
        why = ", ".join(f"{name} {words.count(count)}" for name, count in one.undetermined.items())
        cost = one.cost
        took = [words.quantity(value) for value in (cost.tokens_in, cost.tokens_out, cost.seconds, cost.people)]
        rows.append([cut(one.critic, 60), *share(one.coverage), why or words.NONE, *took])
    columns = [CRITIC, *numbers("Verdicts", "95%"), Column("No verdict, all seeds")]
    columns += numbers("Tokens read", "Tokens written", "Seconds", "Answers of people")
    what = (
        "A case without a verdict is counted here, and scored nowhere. Tokens, seconds and answers are for 1,000 cases."
    )
    title = "Verdicts and their cost"
    return tabled("verdicts", title, what, table(columns, rows, title))


def tests(frame: CriticFrame) -> Markup:
    """Paired tests between critics."""
    result = frame.result
    what = (
        "Difference of accuracy on the cases that both gave a verdict on, seeds averaged, with its 95% interval. p is "
        "two-sided and of the same bootstrap as the interval; p (Holm) is corrected for all comparisons."
    )
    counts = f"{words.plural(len(result.tests), 'comparison')}."
    data, drawing = differences(result.tests, "Paired tests"), figures.tests(result)
    return frame.panel("tests", "Critic against critic", what, drawing, counts, data, wide=True)


def calibration(frame: CriticFrame, book: Who) -> Markup:
    """Reliability of every critic."""
    shown = critic_figures.calibrated(frame.result)
    rows: Rows = [
        [cut(one.critic, 60), words.percent(b.confidence), words.percent(b.accuracy), words.count(b.n)]
        for one in shown
        for b in one.reliability
    ]
    edges = [100 * value for one in shown for b in one.reliability for value in (b.confidence, b.accuracy)]
    drawn = [
        Calibrated(who.label, figures.reliability(one.reliability, who, max(0.0, min(edges) - 6)), _plain(one.ece))
        for one in shown
        for who in [book[one.critic]]
    ]
    what = (
        "How often a verdict is right, by how sure the critic is: on the dashed line the two are equal, below it the "
        "critic is too sure. Larger marks are more verdicts."
    )
    return frame.calibration(drawn, what, table([CRITIC, *numbers("Sure", "Right", "Verdicts")], rows, "Reliability"))


def rates(result: CriticEvalResult) -> Markup:
    """Return the share of good responses by each critic, corrected for its errors, beside the truth."""
    rows: Rows = []
    for one in result.summary:
        if rate := one.rate:
            corrected = _share(rate.corrected) if rate.corrected else (cut(rate.reason or words.NONE, 120), words.NONE)
            errors = (_said(rate.sensitivity), _said(rate.specificity), words.count(rate.n))
            rows.append([cut(one.critic, 60), *share(rate.told), *corrected, words.percent(rate.true), *errors])
    names = ["By its verdicts", "95%", "Corrected", "95%", "Truth", "Good called good", "Bad called bad", "n"]
    kind = "whose second response is better" if result.task.pairwise else "that are good"
    what = (
        f"Share of test cases {kind}. How often a critic errs is measured on the transfer part (last three columns) "
        "and taken out of its share on the test part. That is right where the errors are alike on both; with a tag "
        "held out they may not be."
    )
    return tabled("rates", "How many are good?", what, table([CRITIC, *numbers(*names)], rows, "How many are good?"))


def order(result: CriticEvalResult) -> Markup | None:
    """Return what the order does to verdicts; None where no critic was asked in two."""
    rows: Rows = [
        [
            cut(one.critic, 60),
            *_share(one.position.first),
            *_share(one.position.consistent),
            words.count(one.position.n),
        ]
        for one in result.summary
        if one.position
    ]
    if not rows:
        return None
    what = (
        "Cases that a critic was asked about in both orders: of the two responses, or of the answers it may give. "
        "Without a bias half of the verdicts are for the response that stands first."
    )
    columns = [CRITIC, *numbers("First preferred", "95%", "Same in both orders", "95%", "n")]
    return tabled("order", "What the order does", what, table(columns, rows, "What the order does"))


def planted(frame: CriticFrame, book: Who) -> Markup | None:
    """Return who finds planted flaws; None where none were planted."""
    shown = [(one, one.planted) for one in frame.result.summary if one.planted and one.planted.n]
    if not shown:
        return None
    kinds = list(dict.fromkeys(kind.kind for _, found in shown for kind in found.kinds))
    rows: Rows = []
    for one, found in shown:
        by_kind = {kind.kind: f"{_said(kind.detected)} of {kind.n}" for kind in found.kinds}
        flipped = [_said(value) for value in (found.flipped, found.located, found.invented)]
        row: list[Child] = [cut(one.critic, 60), *_share(found.detected), *_share(found.false_alarms), *flipped]
        rows.append([*row, *(by_kind.get(kind, words.NONE) for kind in kinds), words.count(found.n)])
    names = ["Found", "95%", "Untouched called bad", "95%", "Good turned bad", "Located", "Flaws named untouched"]
    what = (
        "A good response is tampered with in one known place. Filled: the share of flawed responses called bad. "
        "Hollow: the share of the same responses that are called bad untouched. A critic that only guesses has both at "
        "one place. Located: it quotes a part of the flaw. Of pairs, found is that the untouched response is preferred."
    )
    data = table([CRITIC, *numbers(*names, *kinds, "n")], rows, "Planted flaws")
    counts = f"{words.plural(shown[0][1].n, 'planted flaw')}."
    drawing = critic_figures.planted(frame.result, book)
    return frame.panel("planted", "Planted flaws", what, drawing, counts, data, wide=True)


def refinements(result: CriticEvalResult) -> Markup | None:
    """Return what revisions gain and harm; None where nothing was revised."""
    rows: Rows = [
        [
            cut(one.critic, 60),
            _said(one.gain),
            words.count(one.n_wrong),
            _said(one.harm),
            words.count(one.n_right),
            words.points(one.net) if one.net else words.NONE,
            words.points(one.beyond) if one.beyond else words.NONE,
            words.count(one.errors),
        ]
        for one in result.refinements
    ]
    if not rows:
        return None
    what = (
        "A fixed model wrote responses anew by what a critic said of them; in the first line, by nothing. Gain: wrong "
        "responses that became right. Harm: right ones that are right no more. Against none: right responses with the "
        f"critique minus without, in points. {words.plural(result.refinements[0].inexact, 'response')} without an "
        "exact answer left out."
    )
    names = ["Gain", "Wrong", "Harm", "Right", "Net", "Against none", "Errors"]
    title = "Gain and harm of revisions"
    return tabled("refinements", title, what, table([CRITIC, *numbers(*names)], rows, title))


def annotators(result: CriticEvalResult) -> Markup | None:
    """Return agreement with and among annotators; None where the data has none."""
    rows: Rows = [
        [f"{cut(one.a, 60)} and {cut(one.b, 60)}", *_share(one.same), *_shown(one.kappa), words.count(one.n)]
        for one in result.annotators
    ]
    if not rows:
        return None
    what = "Annotators among themselves, and critics with each of them. Ties and cases without a verdict are left out."
    columns = [Column("Who"), *numbers("Same verdict", "95%", "Kappa", "95%", "n")]
    return tabled("annotators", "Annotators", what, table(columns, rows, "Annotators"))


def mistakes(result: CriticEvalResult) -> Markup | None:
    """Return wrong verdicts to read; None when there are none."""
    rows: Rows = [
        [
            cut(one.critic, 60),
            passage("\n→ ".join([one.prompt, *one.responses]), 400),
            one.truth,
            one.verdict,
            words.percent(one.confidence),
            passage(one.words, 300),
        ]
        for one in result.mistakes[:MISTAKES]
    ]
    if not rows:
        return None
    columns = [CRITIC, Column("Case"), Column("Truth"), Column("Verdict"), Column("Sure", number=True), Column("Says")]
    what = "Wrong verdicts of the first seed, the surest of each critic: a choice to read, not a sample to count."
    listed = table(columns, rows, "Wrong verdicts", "examples")
    return tag("section", tag("h2", "Wrong verdicts"), tag("p", what, class_="what"), listed, id="mistakes")


def by_seed(result: CriticEvalResult) -> Markup | None:
    """Return the figures of every critic that learns, a seed, folded."""
    learnt = {one.critic for one in result.summary if one.learns}
    rows: Rows = [
        [
            cut(r.critic, 60),
            r.seed,
            words.percent(r.accuracy),
            words.ratio(r.kappa),
            words.ratio(r.auroc),
            r.judged,
            r.n,
        ]
        for r in result.rows
        if r.critic in learnt
    ]
    if not rows:
        return None
    columns = [CRITIC, *numbers("Seed", "Accuracy", "Kappa", "AUROC", "Verdicts", "n")]
    return tag("details", tag("summary", "Numbers by seed"), table(columns, rows, "Figures by seed"))


def _share(figure: Interval | None) -> tuple[str, str]:
    return share(figure) if figure else (words.NONE, words.NONE)


def _shown(figure: Interval | None) -> tuple[str, str]:
    return (words.ratio(figure.value), words.ratios(figure)) if figure else (words.NONE, words.NONE)


def _said(figure: Interval | None) -> str:
    return f"{words.percent(figure.value)} {words.percents(figure)}" if figure else words.NONE


def _plain(figure: Interval | None) -> str:
    return words.error(figure.value) if figure else words.NONE
