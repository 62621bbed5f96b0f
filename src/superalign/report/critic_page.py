"""The report of the critic-eval study: one HTML file that needs nothing else, from a result alone."""

from __future__ import annotations

from collections.abc import Iterator

from superalign.critic import critics
from superalign.critic_result import CriticEvalResult
from superalign.report import critic_panels as panels
from superalign.report import svg, words
from superalign.report.critic_figures import who
from superalign.report.document import CLOSING, contents, document, grid, section
from superalign.report.finding import headline
from superalign.report.frame import Frame
from superalign.report.markup import Markup, cut, tag
from superalign.report.method import REST, chosen, parts, task, told
from superalign.report.overview import duration, header, verdict
from superalign.report.overview import task as short_task
from superalign.report.record import omissions, reproduction

CONTENTS = {
    "result": "Result",
    "judges": "The judges",
    "mistakes": "Wrong verdicts",
    **CLOSING,
}


def render(result: CriticEvalResult) -> str:
    """Return the report as HTML. Without the extra `report` it has the tables, and a line that says what to install."""
    frame, book = Frame(result, {}, svg.available()), who(result)
    compared = panels.tests(frame) if result.tests else None
    calibrated = panels.calibration(frame, book) if any(one.reliability for one in result.summary) else None
    inside = [panels.planted(frame, book), panels.order(result), panels.rates(result), panels.annotators(result)]
    inside.append(panels.refinements(result))
    judges = [one for one in (compared, *inside, calibrated, panels.verdicts(result)) if one]
    wrong = panels.mistakes(result)
    main = [panels.cards(result, book), verdict(result), grid(panels.agreement(frame, book)), panels.by_seed(result)]
    return document(
        f"{headline(result)} · {result.task.name}",
        contents("judging critics", CONTENTS, () if wrong else ("mistakes",)),
        _masthead(result),
        frame.missing(),
        tag("section", *main, id="result"),
        section("judges", "The judges, judged", judges),
        wrong,
        omissions(result),
        told(result, _steps(result)),
        reproduction(result),
    )


def _masthead(result: CriticEvalResult) -> Markup:
    named = ", ".join(cut(one.critic, 40) for one in result.summary[:6])
    more = f" and {len(result.summary) - 6} more" if len(result.summary) > 6 else ""
    held = {"Held out": cut(", ".join(result.held_out), 120)} if result.held_out else {}
    run = duration(result, max(one.seeds for one in result.summary))
    return header(result, {"Critics": named + more, "Task": short_task(result), **held, "Run": run})


def _steps(result: CriticEvalResult) -> Iterator[tuple[str, str]]:
    yield "Task", task(result)
    if not result.task.pairwise:
        yield "Good responses", f"Those of the class {cut(', '.join(result.good), 200)}; all others are bad."
    yield "Parts", f"{parts(result)} Critics that learn are taught on supervise; errors are measured on transfer."
    if result.held_out:
        held = cut(", ".join(result.held_out), 300)
        yield "Held out", f"The test part has only these values of the tag, and the other parts none of them: {held}."
    yield from chosen("Critic", critics, result.config.get("critics", []))
    yield (
        "Undetermined",
        "A case without a verdict (abstained, unparsable, unanswered, error) is counted and never scored.",
    )
    yield "Intervals", REST["Intervals"]
    yield "Kappa", "Cohen's kappa against the truth, of each seed over its cases with a verdict; mean over seeds."
    yield (
        "Corrected rate",
        "(rate + specificity − 1) / (sensitivity + specificity − 1), Rogan and Gladen 1978, with the errors of the "
        "transfer part of the same seed; its interval resamples both parts. Refused where the divisor reaches 0.",
    )
    yield (
        "Planted flaws",
        "Without a model: a wrong number, a swapped name, a negation, a dropped or an inserted sentence, at a known "
        f"place, in at most {words.count(int(result.config.get('flaws', 0)))} good responses of the test part.",
    )
    if result.refinements:
        yield (
            "Revisions",
            "A fixed model is given a response with the critic's words and writes it anew, or without any, at equal "
            "cost. An oracle reads the answer: the number marked as such or the last one, or which of two statements "
            "it makes; a revision that makes neither is not right.",
        )
    yield "Paired tests", f"{REST['Paired tests']} Over the cases that both gave a verdict on; all pairs of critics."
    yield "Calibration", REST["Calibration"]
