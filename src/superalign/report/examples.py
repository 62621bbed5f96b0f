"""Test items where student and supervisor disagree, with filters that need no script."""

from __future__ import annotations

from superalign.report import words
from superalign.report.choices import CHOICES, choices
from superalign.report.markup import Markup, cut, join, passage, tag
from superalign.result import Disagreement, WeakToStrongResult

SHOWN = 120
OUTCOMES = {"student": "Student is right", "supervisor": "Supervisor is right", "neither": "Neither is right"}
WHAT = (
    "Test items of the first seed that student and supervisor answer differently: a choice to read, not a sample to "
    "count. The bar under an answer is its confidence; a tick marks the right answer."
)


def examples(result: WeakToStrongResult) -> Markup | None:
    """Return the table of disagreements; None when there are none."""
    shown = result.disagreements[:SHOWN]
    if not shown:
        return None
    outcomes = {
        name: f"{text} ({n})" for name, text in OUTCOMES.items() if (n := sum(_outcome(one) == name for one in shown))
    }
    filters = choices("who", {"all": f"All ({len(shown)})", **outcomes}, "Who is right")
    methods = list(dict.fromkeys(one.method for one in shown))
    if 1 < len(methods) <= len(CHOICES["method"]):
        names = {str(place): cut(method, 30) for place, method in enumerate(methods)}
        filters = join(filters, choices("method", {"all": "All methods", **names}, "Method"))
    head = tag("tr", *(tag("th", name, scope="col") for name in ("Text", "Truth", "Supervisor", "Student", "Method")))
    rows = [_row(one, methods.index(one.method)) for one in shown]
    whole = tag("table", tag("thead", head), tag("tbody", *rows), class_="examples")
    rest = len(result.disagreements) - len(shown)
    more = tag("p", f"{words.plural(rest, 'more item')} in results.json.", class_="beside") if rest else None
    return tag(
        "section",
        tag("h2", "Where they disagree"),
        tag("p", WHAT, class_="what"),
        filters,
        tag("div", whole, class_="scroll", role="region", aria_label="Disagreements", tabindex=0),
        more,
        class_="filtered",
        id="examples",
    )


def _row(one: Disagreement, method: int) -> Markup:
    return tag(
        "tr",
        tag("td", passage(one.text)),
        tag("td", passage(one.gold, 60), data_label="Truth"),
        _answer(one.supervisor, one.supervisor_confidence, one.supervisor == one.gold, "Supervisor"),
        _answer(one.student, one.student_confidence, one.student_right, "Student"),
        tag("td", cut(one.method, 30), data_label="Method"),
        class_=f"who-{_outcome(one)} method-{method}",
    )


def _answer(text: str, confidence: float, right: bool, label: str) -> Markup:
    width = f"--sure:{100 * min(max(confidence, 0.0), 1.0):.0f}%"
    mark = tag("span", "✓", class_="tick", role="img", aria_label="right") if right else None
    sure = tag("span", words.percent(confidence), class_="sure")
    answer = tag("span", passage(text, 60), mark, sure, class_="said")
    return tag(
        "td", answer, tag("span", class_="bar", style=width), data_label=label, class_="right" if right else None
    )


def _outcome(one: Disagreement) -> str:
    if one.student_right:
        return "student"
    return "supervisor" if one.supervisor == one.gold else "neither"
