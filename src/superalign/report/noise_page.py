"""The report of the label-noise study: one HTML file that needs nothing else, from a result alone."""

from __future__ import annotations

from collections.abc import Iterator

from superalign.filter import filters
from superalign.noise import noises
from superalign.noise_result import LabelNoiseResult
from superalign.noise_verdict import written
from superalign.objective import objectives
from superalign.report import noise_panels as panels
from superalign.report import svg
from superalign.report.document import CLOSING, contents, document, grid, section
from superalign.report.finding import headline
from superalign.report.frame import Frame
from superalign.report.markup import Markup, tag
from superalign.report.method import REST, chosen, described, model, named, parts, task, told
from superalign.report.noise_figures import who
from superalign.report.overview import duration, header, verdict
from superalign.report.overview import model as short_model
from superalign.report.overview import task as short_task
from superalign.report.record import omissions, reproduction

CONTENTS = {
    "result": "Result",
    "against": "Against the first",
    "labels": "Labels",
    **CLOSING,
}


def render(result: LabelNoiseResult) -> str:
    """Return the report as HTML. Without the extra `report` it has the tables, and a line that says what to install."""
    frame = Frame(result, {}, svg.available())
    book, after = who(result), list(dict.fromkeys(one.filter for one in result.summary))
    curves = [panels.accuracy(frame, name, place, book) for place, name in enumerate(after)]
    compared = [panels.tests(frame, name, place, book) for place, name in enumerate(after)]
    tests = [one for one in compared if one]
    labels = panels.labels(result)
    absent = [name for name, what in {"against": tests, "labels": labels}.items() if not what]
    main = [panels.cards(result, book), verdict(result), grid(*curves, panels.overview(result))]
    return document(
        f"{headline(result)} · {result.task.name}",
        contents("learning from wrong labels", CONTENTS, absent),
        _masthead(result),
        frame.missing(),
        tag("section", *main, id="result"),
        section("against", "Against the first method", tests) if tests else None,
        labels,
        omissions(result),
        told(result, _steps(result)),
        reproduction(result),
    )


def _masthead(result: LabelNoiseResult) -> Markup:
    rates = ", ".join(written(rate) for rate in result.rates)
    setup = {
        "Model": short_model(result.model),
        "Task": short_task(result),
        "Noise": f"{result.noise}, {rates}",
        "Run": duration(result, result.summary[0].seeds),
    }
    return header(result, setup)


def _steps(result: LabelNoiseResult) -> Iterator[tuple[str, str]]:
    config = result.config
    yield "Task", task(result)
    yield "Parts", f"{parts(result)} The supervise part is not used."
    rates = ", ".join(written(rate) for rate in result.rates)
    noise = config.get("noise", {})
    settings = {key: value for key, value in noise.items() if key != "rate"} if isinstance(noise, dict) else noise
    yield "Noise", f"{described(noises, settings)} The rates are {rates} of the transfer labels, drawn anew a seed."
    yield "Model", f"{model(result.model)}{named(config.get('fit'))}, trained on the noisy labels alone."
    yield from chosen("Objective", objectives, config.get("methods", []))
    yield from chosen("Filter", filters, config.get("filters", []))
    yield (
        "What is known",
        "No method is told the noise or its rate. One that must know it is given an estimate from the labels and from "
        "probes that never saw the item.",
    )
    yield (
        "Loss",
        "Accuracy of the same method and seeds at rate 0, where it learns from the truth, minus its accuracy; paired.",
    )
    yield "Intervals", REST["Intervals"]
    yield (
        "Paired tests",
        f"{REST['Paired tests']} p (Holm) is corrected for all methods and rates at once. A difference is claimed "
        "where it is below 0.05 and the interval leaves out 0.",
    )
    yield "Calibration", REST["Calibration"]
