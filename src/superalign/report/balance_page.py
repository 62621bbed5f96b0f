"""The report of the study of balance: one HTML file that needs nothing else, from a result alone."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from superalign.axis import axes
from superalign.balance_result import BalanceResult
from superalign.merging.method import methods
from superalign.objective import objectives
from superalign.report import balance_panels as panels
from superalign.report import svg, words
from superalign.report.document import CLOSING, contents, document, grid, section
from superalign.report.finding import headline
from superalign.report.frame import Frame
from superalign.report.markup import Markup, cut, tag
from superalign.report.method import REST, chosen, model, named, parts, task, told
from superalign.report.overview import duration, header, verdict
from superalign.report.overview import model as short_model
from superalign.report.overview import task as short_task
from superalign.report.record import omissions, reproduction

CONTENTS = {
    "result": "Result",
    "front": "Trade-off",
    "experts": "Experts",
    "claims": "Claims",
    **CLOSING,
}
MIXED = {
    "equal": "As many pairs of each axis.",
    "lagging": "The less often the model itself does what an axis wants (validation part), the more pairs of it; our "
    "reading of Hummer's decoupled mixing.",
    "scored": "The pairs with the largest sum of the experts' rewards, each reward being how much likelier an expert "
    "finds the better response than the model itself does; our reading of selection by a reward model of several "
    "aims. It needs the experts, so it costs more than the others.",
}


def render(result: BalanceResult) -> str:
    """Return the report as HTML. Without the extra `report` it has the tables, and a line that says what to install."""
    frame = Frame(result, {}, svg.available())
    return document(
        f"{headline(result)} · {result.task.name}",
        contents("balance", CONTENTS),
        _masthead(result),
        frame.missing(),
        tag("section", verdict(result), grid(panels.arms(frame), panels.tests(result)), id="result"),
        section("front", "The trade-off", [panels.tradeoff(frame)]),
        section("experts", "The experts and their axes", [panels.interference(result), panels.made_of(result)]),
        section("claims", "Claims", [panels.claims(result)]),
        omissions(result),
        told(result, _steps(result)),
        reproduction(result),
    )


def _masthead(result: BalanceResult) -> Markup:
    setup = {
        "Model": short_model(result.model),
        "Axes": cut(", ".join(axis.axis for axis in result.axes), 160),
        "Task": short_task(result),
        "Run": duration(result, result.summary[0].seeds),
    }
    return header(result, setup)


def _steps(result: BalanceResult) -> Iterator[tuple[str, str]]:
    config: dict[str, Any] = result.config
    yield "Task", task(result)
    yield "Parts", parts(result)
    yield from chosen("Axis", axes, config.get("axes", []))
    yield (
        "Probes",
        "Two answers to a conversation; it counts which one the model finds likelier, exactly, and without any judge. "
        "They are made of items that nothing learns from, and worded as no pair is.",
    )
    yield (
        "Experts",
        f"{model(result.model)}{named(config.get('fit'))}, one on {words.count(config.get('pairs', 0))} pairs of each "
        "axis. A mixture learns from as many pairs as all experts together, in one adapter.",
    )
    yield from chosen("Objective", objectives, [config.get("objective")])
    for how in config.get("mixtures", []):
        yield f"Mixture {cut(how, 20)}", MIXED.get(how, "")
    yield (
        "Merges",
        "Made by the engine of superalign merge from the experts' adapters, written as a checkpoint in the base's "
        "precision, asked, and removed. Methods have their own default scale unless the settings say another.",
    )
    yield from chosen("Merge", methods, config.get("methods", []))
    yield (
        "Choice",
        f"The merge and the mixture with the best {result.chosen.by} of the axes on the validation part (the supervise "
        "part, all seeds averaged) are compared on the test part.",
    )
    yield "Intervals", REST["Intervals"]
    yield (
        "Paired tests",
        "The difference of the average, or of the worst, of the axes on the same probes; p is two-sided and of the "
        "same bootstrap as the interval. A difference is claimed where p (Holm) is below 0.05 and the interval leaves "
        "out 0.",
    )
