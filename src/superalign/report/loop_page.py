"""The report of the loop study: one HTML file that needs nothing else, from a result alone."""

from __future__ import annotations

from collections.abc import Iterator

from superalign.aim import aims
from superalign.attacker import attacks
from superalign.critic import critics
from superalign.loop_result import LoopResult
from superalign.report import loop_episodes, loop_rounds, loop_tradeoff, risk_panels, svg, words
from superalign.report import loop_panels as panels
from superalign.report.document import CLOSING, contents, document, grid, section
from superalign.report.finding import headline
from superalign.report.frame import Frame
from superalign.report.markup import Markup, cut, tag
from superalign.report.method import chosen, model, named, parts, task, told
from superalign.report.overview import duration, header, verdict
from superalign.report.overview import model as short_model
from superalign.report.overview import task as short_task
from superalign.report.record import omissions, reproduction
from superalign.update import updates

CONTENTS = {
    "result": "Result",
    "rounds": "Rounds",
    "against": "Cross-play",
    "where": "Slices",
    "arms": "Ablations",
    "human": "Expert",
    "risks": "Risks",
    "episodes": "Episodes",
    **CLOSING,
}


def render(result: LoopResult) -> str:
    """Return the report as HTML. Without the extra `report` it has the tables, and a line that says what to install."""
    frame = Frame(result, {}, svg.available())
    tags = dict.fromkeys(one.tag for one in result.slices)
    bodies: dict[str, list[Markup | None]] = {
        "rounds": [
            loop_rounds.players(frame),
            loop_rounds.gate(result),
            loop_tradeoff.tradeoff(frame),
            loop_rounds.ledger(frame),
        ],
        "against": [panels.cross(result), panels.exploits(frame)],
        "where": [panels.slices(frame, name, place) for place, name in enumerate(tags)],
        "arms": [panels.arms(result)],
        "human": [loop_episodes.bought(result)],
    }
    titles = {"rounds": "Round by round", "where": "Where it holds", "arms": "What each part is worth"}
    titles["human"] = "What human help bought"
    found = {name: [one for one in body if one] for name, body in bodies.items()}
    ends = {"risks": risk_panels.panels(result), "episodes": loop_episodes.episodes(result)}
    absent = [name for name, body in (*found.items(), *ends.items()) if not body]
    exam = grid(panels.measures(frame), panels.tactics(frame, True), panels.tactics(frame, False))
    return document(
        f"{headline(result)} · {result.task.name}",
        contents("the closed loop", CONTENTS, absent),
        _masthead(result),
        frame.missing(),
        tag("section", panels.cards(result), verdict(result), exam, id="result"),
        *(section(name, titles.get(name, CONTENTS[name]), body) for name, body in found.items() if body),
        *ends.values(),
        omissions(result),
        told(result, _steps(result)),
        reproduction(result),
    )


def _masthead(result: LoopResult) -> Markup:
    arms = ", ".join(cut(one, 40) for one in result.arms)
    setup = {
        "Learner": short_model(result.learner),
        "Task": short_task(result),
        "Rounds": f"{result.rounds} a seed" + (f"; arms {arms}" if len(result.arms) > 1 else ""),
        "Run": duration(result, result.seeds),
    }
    return header(result, setup)


def _steps(result: LoopResult) -> Iterator[tuple[str, str]]:
    config = result.config
    yield "Task", task(result)
    yield (
        "Parts",
        f"{parts(result)} A round attacks questions of the transfer part that no other round has seen; the gate asks "
        "about the supervise part, the exam about the test part.",
    )
    if unseen := config.get("unseen"):
        yield "Never learnt from", f"{cut(', '.join(map(str, unseen)), 200)}: only the exam asks about such items."
    yield "Learner", f"{model(result.learner)}{named(config.get('fit'))}; the base is frozen."
    yield from chosen("Attack, trained on", attacks, config.get("attacks", []))
    yield from chosen("Attack, held out", attacks, config.get("held_out", []))
    yield from chosen("Fresh attacker", attacks, [config.get("fresh")] if config.get("fresh") else [])
    yield (
        "Outcome",
        "Broken: after the attack the claim is likelier than the plain answer, in training that of the model before it "
        "learnt anything, in the exam the learner's own. In the exam success is counted where that answer is right.",
    )
    yield from chosen("Critic", critics, config.get("critics", []))
    experts = words.plural(int(config.get("experts") or 0), "answer")
    who = config.get("expert")
    yield "Expert", f"At most {experts} a seed, where critics disagree most{'' if who else '; simulated by the truth'}."
    yield from chosen("Who that is", critics, [who] if who else [])
    yield from chosen("Aim", aims, config.get("aims", []))
    yield from chosen("Update", updates, [config.get("update")] if config.get("update") else [])
    yield (
        "Gate",
        "A round is rolled back when it loses more against the start than is allowed: "
        + ", ".join(f"{aim.name} {aim.limit:g}" for aim in map(aims.build, config.get("aims", [])))
        + f", text {config.get('lose_text', words.NONE)}. It never sees the truth.",
    )
    if step := config.get("dual_step"):
        yield "Constraint mode", f"After a round each aim but the first weighs more by {step:g} of its relative excess."
    yield (
        "Intervals",
        "95%, Wilson's at the effective number of items, which is smaller than their number where items are related; "
        "those of differences and ratios are percentiles of a bootstrap over groups of items.",
    )
    yield "Diversity", "Distinct-2: the share of different word pairs among those of the queries that broke it."
