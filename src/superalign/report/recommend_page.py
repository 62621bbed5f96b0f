"""The report of `recommend`: one HTML file that needs nothing else, from a result alone."""

from __future__ import annotations

from collections.abc import Iterator

from superalign.objective import objectives
from superalign.recommend_result import RecommendResult
from superalign.report import recommend_panels as panels
from superalign.report import svg, words
from superalign.report.document import CLOSING, contents, document, grid, section
from superalign.report.finding import headline
from superalign.report.frame import Frame
from superalign.report.markup import Markup, cut, tag
from superalign.report.method import REST, chosen, model, named, parts, task, told
from superalign.report.overview import duration, header, verdict
from superalign.report.record import omissions, reproduction

CONTENTS = {"result": "Result", "reasons": "Reasons", "check": "Check", **CLOSING}


def render(result: RecommendResult) -> str:
    """Return the report as HTML. Without the extra `report` it has the tables, and a line that says what to install."""
    frame, check = Frame(result, {}, svg.available()), result.check
    found = [panels.predictors(check), panels.grid(check)] if check else []
    return document(
        headline(result),
        contents("recommend", CONTENTS, [] if check else ["check"]),
        _masthead(result),
        frame.missing(),
        tag("section", panels.cards(result), verdict(result), grid(panels.candidates(frame)), id="result"),
        section("reasons", "Reasons", [panels.supervisors(result)]),
        section("check", "Check", [one for one in found if one]) if check else None,
        omissions(result),
        told(result, _steps(result)),
        reproduction(result),
    )


def _masthead(result: RecommendResult) -> Markup:
    strong, *weak = result.models
    seeds = result.check.seeds if result.check else 1
    setup = {
        "Student": strong.spec,
        "Supervisors": ", ".join(one.spec for one in weak),
        "Task": result.task.name,
        "Run": duration(result, seeds),
    }
    return header(result, {name: cut(text, 400) for name, text in setup.items()})


def _steps(result: RecommendResult) -> Iterator[tuple[str, str]]:
    config = result.config
    strong, *weak = result.models
    yield "Task", task(result)
    yield "Parts", parts(result)
    yield (
        "Gold labels",
        f"{words.count(result.gold)} items of the supervise part, dealt anew by each seed. No other truth is read for "
        "a prediction; they are in five folds, and who is scored on a fold had none of its labels.",
    )
    yield "Supervisors", f"{', '.join(map(model, weak))}{named(config.get('weak_fit'))}. Taught by the gold labels."
    yield (
        "Student",
        f"{model(strong)}{named(config.get('fit'))}, taught by its supervisor's labels of the transfer part, and by "
        "as many gold labels as the candidate says. Beside these: by gold labels alone.",
    )
    yield from chosen("Method", objectives, config.get("methods", []))
    if result.check:
        yield "Strong ceiling", REST["Strong ceiling"]
