"""The report of the deception study: one HTML file that needs nothing else, from a result alone."""

from __future__ import annotations

from collections.abc import Iterator

from superalign.deception_result import Conflict, DeceptionResult
from superalign.objective import objectives
from superalign.report import deception_panels as panels
from superalign.report import svg, words
from superalign.report.deception_figures import short
from superalign.report.document import CLOSING, contents, document, section
from superalign.report.finding import headline
from superalign.report.frame import Frame
from superalign.report.markup import Markup, cut, tag
from superalign.report.method import chosen, named, parts, task, told
from superalign.report.overview import duration, header, verdict
from superalign.report.overview import task as short_task
from superalign.report.record import omissions, reproduction

CONTENTS = {
    "result": "Result",
    "curves": "Threshold and gap",
    "labels": "Other labels",
    "watched": "Monitors",
    "claims": "Claims",
    **CLOSING,
}


def render(result: DeceptionResult) -> str:
    """Return the report as HTML. Without the extra `report` it has the tables, and a line that says what to install."""
    frame = Frame(result, {}, svg.available())
    conflicts: list[Conflict] = list(dict.fromkeys(one.conflict for one in result.summary if one.conflict != "none"))
    drawn = [draw(frame, conflict) for conflict in conflicts for draw in (panels.curve, panels.gap)]
    labels = [one for one in (panels.mitigations(result), panels.others(result)) if one]
    return document(
        f"{headline(result)} · {result.task.name}",
        contents("weak-to-strong deception", CONTENTS),
        _masthead(result),
        frame.missing(),
        tag("section", verdict(result), panels.scores(result), panels.regions(result), id="result"),
        section("curves", "By threshold, and by gap", drawn),
        section("labels", "Other labels", labels),
        section("watched", "What needs no ceiling", [panels.monitors(result)]),
        section("claims", "Claims", [panels.claims(result)]),
        omissions(result),
        told(result, _steps(result)),
        reproduction(result),
    )


def _masthead(result: DeceptionResult) -> Markup:
    weak, strong = (list(dict.fromkeys(each)) for each in zip(*((p.weak, p.strong) for p in result.pairs), strict=True))
    setup = {
        "Weak": cut(", ".join(map(short, weak)), 160),
        "Strong": cut(", ".join(map(short, strong)), 160),
        "Target": short_task(result),
        "Run": duration(result, result.summary[0].seeds),
    }
    return header(result, setup)


def _steps(result: DeceptionResult) -> Iterator[tuple[str, str]]:
    config = result.config
    yield "Target", task(result)
    yield "Parts", parts(result)
    yield "Weak models", f"Trained on the truth of the supervise part{named(config.get('weak_fit'))}."
    yield "Students", f"Trained on labels of the transfer part{named(config.get('fit'))}."
    yield "Ceiling", "The student's model and fit, trained on the truth of the same pairs, without a conflict."
    yield from chosen("Method", objectives, [config.get("method")])
    yield (
        "Explicit conflict",
        f"Another aim pays {config.get('alpha', 0.5)} times the cross-entropy of the wrong answer where a student "
        "leans to it already. An Oracle says which that is, as in the paper, and every reading is recorded.",
    )
    if result.other:
        yield "Implicit conflict", f"As many pairs of another aim are mixed in: {cut(result.other, 200)}."
    yield (
        "Control",
        "The same students taught by the truth: what the conflict costs where no weak label is to blame.",
    )
    yield (
        "What may help",
        f"Labels of which the weak model is {config.get('sure', 0.75)} sure by its own word, the truth not asked; and "
        f"labels of {words.plural(len(config.get('through', [])), 'model')} in between, of the same pairs.",
    )
    yield (
        "Knowing",
        f"A model knows an answer where it gives the true one {result.threshold:g} or more; the strong model's "
        "knowledge is its ceiling's. Only the metric asks, after all learning.",
    )
    yield (
        "Intervals",
        "Of scores and rates: Wilson's at the effective number of answers, those of one group and one answer of all "
        "seeds being related. Of lifts, changes and differences: bootstrap over test groups and seeds. Of rank "
        "correlations: bootstrap over cells, groups and seeds together.",
    )
