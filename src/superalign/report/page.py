"""The report of the weak-to-strong study: one HTML file that needs nothing else, from a result alone."""

from __future__ import annotations

from superalign.report import panels, slices, svg
from superalign.report.document import CLOSING, contents, document, grid, section
from superalign.report.examples import examples
from superalign.report.finding import headline
from superalign.report.frame import Frame
from superalign.report.markup import Markup, tag
from superalign.report.method import method
from superalign.report.overview import key_figures, masthead, verdict
from superalign.report.record import omissions, reproduction
from superalign.report.series import series
from superalign.result import WeakToStrongResult

CONTENTS = {
    "result": "Result",
    "inside": "Where it holds",
    "learned": "What was learned",
    "examples": "Examples",
    **CLOSING,
}


def render(result: WeakToStrongResult) -> str:
    """Return the report as HTML. Without the extra `report` it has the tables, and a line that says what to install."""
    there = {"inside": result.layers or result.difficulty, "examples": result.disagreements}
    nav = contents("weak-to-strong generalization", CONTENTS, [name for name, what in there.items() if not what])
    return document(f"{headline(result)} · {result.task.name}", nav, masthead(result), *_sections(result))


def _sections(result: WeakToStrongResult) -> list[Markup | None]:
    frame = Frame(result, series(result), svg.available())
    main = grid(panels.accuracy(frame), panels.recovered(frame))
    inside = [slices.layers(frame)] if result.layers else []
    tags = dict.fromkeys(b.tag for b in result.difficulty)
    inside += [slices.difficulty(frame, which, place) for place, which in enumerate(tags)]
    learned = [panels.agreement(frame), *([panels.tests(frame)] if result.tests else []), slices.calibration(frame)]
    return [
        frame.missing(),
        tag("section", key_figures(result, frame.book), verdict(result), main, id="result"),
        section("inside", "Where it holds", inside) if inside else None,
        section("learned", "What the student learned", learned),
        examples(result),
        omissions(result),
        method(result),
        reproduction(result),
    ]
