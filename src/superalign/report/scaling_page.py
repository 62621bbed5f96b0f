"""The report of the scaling study: one HTML file that needs nothing else, from a result alone."""

from __future__ import annotations

from collections.abc import Iterator

from superalign.objective import objectives
from superalign.report import scaling_figures as figures
from superalign.report import scaling_panels as panels
from superalign.report import svg, words
from superalign.report.document import CLOSING, contents, document, grid, section
from superalign.report.finding import headline
from superalign.report.frame import Frame
from superalign.report.markup import Markup, cut, tag
from superalign.report.method import REST, chosen, model, named, parts, told
from superalign.report.overview import duration, header, verdict
from superalign.report.record import omissions, reproduction
from superalign.scaling_result import ScalingResult

CONTENTS = {"result": "Result", "size": "Over size", "methods": "Methods", **CLOSING}


def render(result: ScalingResult) -> str:
    """Return the report as HTML. Without the extra `report` it has the tables, and a line that says what to install."""
    frame = Frame(result, figures.book(result), svg.available())
    shown = panels.drawn(result)
    maps = [panels.maps(result, name, place) for place, name in enumerate(shown)]
    curves = [
        panel
        for place, name in enumerate(shown)
        for panel in (*panels.sizes(frame, name, place), panels.trends(frame, name, place))
    ]
    methods = [panel for panel in (panels.summary(result), panels.tests(result)) if panel]
    return document(
        headline(result),
        contents("scaling", CONTENTS, [] if methods else ["methods"]),
        _masthead(result),
        frame.missing(),
        tag("section", panels.cards(result), verdict(result), grid(*maps, panels.refused(result)), id="result"),
        section("size", "Over size", curves),
        section("methods", "Methods", methods) if methods else None,
        omissions(result),
        told(result, _steps(result)),
        reproduction(result),
    )


def _masthead(result: ScalingResult) -> Markup:
    weak = ", ".join(cut(one.model, 60) for one in result.sizes if one.weak)
    strong = ", ".join(cut(one.model, 60) for one in result.sizes if one.strong)
    setup = {
        "Supervisors": weak,
        "Students": strong,
        "Tasks": ", ".join(cut(name, 60) for name in result.names),
        "Run": duration(result, result.cells[0].seeds),
    }
    return header(result, {name: cut(text, 600) for name, text in setup.items()})


def _steps(result: ScalingResult) -> Iterator[tuple[str, str]]:
    config = result.config
    for name, one in zip(result.names, result.tasks, strict=True):
        yield f"Task {cut(name, 60)}", f"{words.count(one.items)} items, {words.count(one.parts['test'])} in test."
    yield "Parts", f"{parts(result)} These are the sums over tasks." if len(result.tasks) > 1 else parts(result)
    yield "Sizes", ", ".join(f"{model(one)}" for one in result.models)
    yield "Weak supervisors", f"Trained on the truth of the supervise part{named(config.get('weak_fit'))}."
    yield "Students", f"Trained on the labels of their supervisor alone{named(config.get('fit'))}."
    yield from chosen("Method", objectives, config.get("methods", []))
    yield (
        "Cells",
        "A pair whose weak model has no fewer parameters up to its layer than the strong one is none.",
    )
    yield from ((name, REST[name]) for name in ("Strong ceiling", "Intervals", "PGR"))
