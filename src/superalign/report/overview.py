"""The top of the report: the finding, what must be known before quoting it, and the key figures."""

from __future__ import annotations

from superalign.report import words
from superalign.report.finding import headline, left_out
from superalign.report.markup import Markup, cut, join, tag
from superalign.report.results import Shown
from superalign.report.series import Book, Series
from superalign.result import Interval, ModelFacts, WeakToStrongResult

GLYPHS = {
    "square": "M3 3h10v10H3z",
    "diamond": "M8 1.5 14.5 8 8 14.5 1.5 8z",
    "cross": "M6 2h4v4h4v4h-4v4H6v-4H2V6h4z",
    "circle": "M8 2.5a5.5 5.5 0 1 0 0 11a5.5 5.5 0 1 0 0-11z",
    "triangle-up": "M8 2 14.5 13.5h-13z",
    "triangle-down": "M8 14 1.5 2.5h13z",
    "triangle-right": "M14 8 2.5 14.5v-13z",
}


def masthead(result: WeakToStrongResult) -> Markup:
    """Return the finding and its set-up."""
    setup = {
        "Supervisor": model(result.weak),
        "Student": model(result.strong),
        "Task": task(result),
        "Run": duration(result, max((summary.seeds for summary in result.summary), default=0)),
    }
    return header(result, setup)


def header(result: Shown, setup: dict[str, str]) -> Markup:
    """Return the finding of any study, its set-up, and what must be known before quoting it."""
    return tag(
        "header",
        tag("h1", cut(headline(result), 200)),
        tag("dl", *(tag("div", tag("dt", name), tag("dd", text)) for name, text in setup.items()), class_="setup"),
        *(_warning(flag) for flag in result.flags),
    )


def verdict(result: Shown) -> Markup:
    """Return the finding in sentences."""
    lines = [tag("li", cut(words.prose(text), 600)) for text in result.verdict]
    return tag("ul", *lines, class_="verdict")


def key_figures(result: WeakToStrongResult, book: Book) -> Markup:
    """Return one card a role and method: accuracy, interval, n, and PGR or its refusal."""
    recovered = {pgr.method: pgr for pgr in result.pgr}
    cards = []
    for summary in result.summary:
        extra = None
        if summary.role == "student" and (pgr := recovered.get(summary.method)):
            text = f"{words.ratio(pgr.pooled.value)} {words.ratios(pgr.pooled)}" if pgr.pooled else "refused"
            extra = tag("p", tag("abbr", "PGR", title="performance gap recovered"), f" {text}", class_="pgr")
        n = f"n = {words.count(summary.n)}, {words.plural(summary.seeds, 'seed')}"
        cards.append(card(book[summary.role, summary.method], summary.accuracy, n, extra))
    return tag("div", *cards, class_="cards")


def refusals(result: WeakToStrongResult) -> Markup | None:
    """Return why no PGR is given, for each method it is refused for; None when all have one."""
    refused = [pgr for pgr in result.pgr if pgr.pooled is None]
    if not refused:
        return None
    reasons: dict[str, list[str]] = {}
    for pgr in refused:
        reasons.setdefault(pgr.reason or "no reason was recorded", []).append(cut(pgr.method, 40))
    lines = [tag("p", tag("b", ", ".join(names)), f": {words.prose(why)}.") for why, names in reasons.items()]
    return tag("div", tag("h3", "No PGR is given"), *lines, class_="refused", role="note")


def legend(entries: list[Series]) -> Markup:
    """Return the key to a figure."""
    return tag("ul", *(tag("li", glyph(who), who.label) for who in entries), class_="legend")


def glyph(who: Series) -> Markup:
    """Return a series' mark as it is drawn in the figures."""
    path = tag("path", d=GLYPHS[who.shape], fill=who.colour.light)
    return tag("svg", path, class_="glyph", viewBox="0 0 16 16", aria_hidden="true")


def beside(result: Shown, text: str, pgr: bool = False) -> Markup:
    """Return the line under a figure: what it counts, and what it leaves out."""
    missing = ", ".join(item.short for item in left_out(result) if pgr or not item.pgr)
    link = tag("a", "Left out", href="#left-out")
    return tag("p", f"{text} ", link, f": {missing or 'nothing'}.", class_="beside")


def card(who: Series, accuracy: Interval, n: str, *more: Markup | None) -> Markup:
    """Return a key figure: an accuracy with its interval, over how much, and what else belongs to it."""
    return bare_card(
        who,
        words.percent(accuracy.value),
        tag("p", f"95% {words.percents(accuracy)}", class_="interval"),
        tag("p", n, class_="n"),
        *more,
    )


def bare_card(who: Series, big: str, *lines: Markup | None) -> Markup:
    """Return a key figure that is given in words."""
    name = tag("h2", glyph(who), who.label)
    body = tag("p", big, class_="big")
    return tag("div", name, body, *lines, class_="card", style=f"--key:var(--{who.colour.name})")


def task(result: Shown) -> str:
    """Return the name of the task and how much of it there is."""
    kind = "comparison" if result.task.pairwise else "example"
    return f"{cut(result.task.name, 80)}, {words.plural(result.task.items, kind)}"


def model(facts: ModelFacts) -> str:
    """Return the name of a model and the layer that was read."""
    return f"{cut(facts.spec, 80)}, layer {facts.layer} of {facts.depth}" if facts.depth else cut(facts.spec, 80)


def duration(result: Shown, seeds: int) -> str:
    """Return how many seeds there are and how long they took."""
    return f"{words.plural(seeds, 'seed')}, {words.duration(result.seconds)}"


def _warning(flag: str) -> Markup:
    mark = tag("span", "Warning", class_="badge")
    return tag("p", mark, join(" ", cut(words.prose(flag), 600)), class_="flag", role="note")
