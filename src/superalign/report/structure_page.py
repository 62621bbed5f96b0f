"""The report of the error lab: one HTML file that needs nothing else, from a result alone."""

from __future__ import annotations

from collections.abc import Iterator

from superalign.filter import filters
from superalign.objective import objectives
from superalign.report import structure_panels as panels
from superalign.report import svg
from superalign.report.document import CLOSING, contents, document, grid, section
from superalign.report.finding import headline
from superalign.report.frame import Frame
from superalign.report.markup import Markup, tag
from superalign.report.method import REST, chosen, model, named, parts, task, told
from superalign.report.overview import duration, header, verdict
from superalign.report.overview import model as short_model
from superalign.report.overview import task as short_task
from superalign.report.record import omissions, reproduction
from superalign.structure import structures
from superalign.structure_result import ErrorLabResult
from superalign.structure_verdict import SURVIVED

CONTENTS = {
    "result": "Result",
    "imitation": "Imitation",
    "claims": "Claims",
    "places": "The errors",
    **CLOSING,
}
MATCHED = {
    "class": "In every true class as many labels are wrong as the weak model gets wrong there, so that the labels are "
    "as balanced as its own; wrong labels are its own, dealt anew, unless a structure has its own (of Comparisons only "
    "the number of errors is the same).",
    "rate": "As many labels are wrong as the weak model gets wrong, whatever their classes; the balance may differ.",
}


def render(result: ErrorLabResult) -> str:
    """Return the report as HTML. Without the extra `report` it has the tables, and a line that says what to install."""
    frame = Frame(result, {}, svg.available())
    compared = panels.tests(result)
    main = [panels.survival(result), panels.accuracy(frame), compared]
    return document(
        f"{headline(result)} · {result.task.name}",
        contents("error lab", CONTENTS),
        _masthead(result),
        frame.missing(),
        tag("section", panels.cards(result), verdict(result), grid(*main), id="result"),
        section("imitation", "Does the student imitate the errors?", [panels.imitation(frame)]),
        panels.claims(result),
        panels.places(result),
        omissions(result),
        told(result, _steps(result)),
        reproduction(result),
    )


def _masthead(result: ErrorLabResult) -> Markup:
    setup = {
        "Weak model": short_model(result.weak),
        "Strong model": short_model(result.strong),
        "Task": short_task(result),
        "Run": duration(result, result.summary[0].seeds),
    }
    return header(result, setup)


def _steps(result: ErrorLabResult) -> Iterator[tuple[str, str]]:
    config = result.config
    yield "Task", task(result)
    yield "Parts", parts(result)
    yield (
        "Weak model",
        f"{model(result.weak)}{named(config.get('weak_fit'))}, trained on the truth of the supervise part. Its wrong "
        "labels of the transfer part are counted, a seed at a time; it is also the floor.",
    )
    yield "Matched", MATCHED[result.match]
    yield from chosen("Structure", structures, config.get("structures", []))
    yield (
        "Student",
        f"{model(result.strong)}{named(config.get('fit'))}, trained on the labels of one structure alone. The labels "
        "are hard, also the weak model's, so that only the places of the errors differ.",
    )
    yield from chosen("Objective", objectives, config.get("methods", []))
    yield from chosen("Filter", filters, config.get("filters", []))
    yield "Strong ceiling", f"{REST['Strong ceiling']} Those of the structures are probes that did not see the item."
    yield "PGR", REST["PGR"]
    yield (
        "Survived",
        f"The 95% interval of the PGR lies at or above {SURVIVED:g}. Not survived: it lies below. Not told: neither. "
        "Each cell is judged by its own interval, which is not corrected for their number.",
    )
    yield (
        "Imitation",
        "The supervisor of a structure also labels the test part by the same rule and with as many errors as the weak "
        "model makes there; nothing learns from that. Agreement is the share of those items on which a learner says "
        "the same. Where it is wrong, and there are two classes, that is the learner's own share of errors there.",
    )
    yield "Intervals", REST["Intervals"]
    yield (
        "Paired tests",
        f"{REST['Paired tests']} p (Holm) is corrected for all methods and structures at once. A difference is claimed "
        "where it is below 0.05 and the interval leaves out 0.",
    )
    yield "Calibration", REST["Calibration"]
