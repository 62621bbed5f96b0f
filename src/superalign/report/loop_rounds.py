"""The panels of the loop's rounds: the three players side by side, the gate, and the ledger."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

from superalign.loop_result import LoopResult, RoundRow
from superalign.report import words
from superalign.report.frame import Frame, Rows, numbers, tabled
from superalign.report.loop_figures import ATTACKER, CRITIC, LEARNER, SEEDS, Kind, Measure, over_rounds, path
from superalign.report.loop_ledger import falls, standings
from superalign.report.markup import Column, Markup, cut, passage, table, tag
from superalign.report.overview import glyph, legend
from superalign.report.series import INK, MUTED, Series

LoopFrame = Frame[LoopResult]
Read = Callable[[RoundRow], float | None]
ATTACKS: dict[str, tuple[Read, Kind]] = {
    "Attempts that broke the learner, %": (lambda row: row.broken, "share"),
    "Diversity of what broke it, distinct-2": (lambda row: row.distinct_2, "number"),
    "Attempts, broken or held": (lambda row: row.attempts, "count"),
}
JUDGES: dict[str, tuple[Read, Kind]] = {
    "Verdicts that are right, %": (lambda row: row.label_accuracy, "share"),
    "Disagreement of the critics": (lambda row: row.disagreement, "number"),
    "Answers of the expert": (lambda row: row.experts, "count"),
    "Answers that the critics gave, too, %": (lambda row: row.agreed, "share"),
    "Pieces of feedback": (lambda row: sum(row.feedback.values()), "count"),
}
LOSS = "Loss of the last step (grey: of the first)"
GATED = {
    "plain": "Plain answers kept, %",
    "open": "Evidence followed, %",
    "steadfast": "Attacks withstood, %",
    "text": "General text, nats a token",
    "critic": "Critic agrees with the expert, %",
}
WHAT = {
    ATTACKER.label: "What the round's attacks did to the learner as it was before the round.",
    CRITIC.label: "What the round was learnt from. Only the metric knows which verdicts are right.",
    LEARNER.label: "What the gate saw after the round, without the truth; round 0 is the start.",
}


def players(frame: LoopFrame) -> Markup | None:
    """Return each player's measures over the rounds of the first arm; None where there was no round."""
    rows = first(frame.result)
    if not rows:
        return None
    columns = [
        _player(frame, ATTACKER, [_read(rows, name, *how) for name, how in ATTACKS.items()]),
        _player(frame, CRITIC, [_read(rows, name, *how) for name, how in JUDGES.items()]),
        _player(frame, LEARNER, [*_gated(rows), _loss(rows)]),
    ]
    seeds = sorted({row.seed for row in rows})[: len(SEEDS)]
    key = [Series("student", "", f"Seed {seed}", MUTED, SEEDS[place]) for place, seed in enumerate(seeds)]
    back = [Series("student", "", "rolled back", INK, "cross")] if any(not row.accepted for row in rows) else []
    shown = legend([*key, *back]) if frame.draws else None
    title = tag("h3", "The three players, round after round")
    what = (
        f"Arm {cut(rows[0].arm, 40)}, by round; a line is a seed. A cross is a round that the gate rolled back: the "
        "learner went on as it was before."
    )
    body = tag("div", *columns, class_="players")
    data = frame.numbers(_table(rows, "Rounds of the first arm"))
    return tag("section", title, tag("p", what, class_="what"), shown, body, data, class_="panel wide", id="players")


def gate(result: LoopResult) -> Markup | None:
    """Return what was rolled back, and why; None where there was no round."""
    if not result.rows:
        return None
    odd = [row for row in result.rows if row.fate != "passed"]
    passed = f"{sum(row.accepted for row in result.rows)} of {words.plural(len(result.rows), 'round')} passed the gate."
    what = (
        f"{passed} Where the whole update loses more than is allowed, smaller parts of it are tried; where none will "
        "do, the round is rolled back and the learner goes on as it was before."
    )
    rows: Rows = [
        [cut(row.arm, 40), row.seed, row.round, row.fate, passage("; ".join(row.why), 400) or words.NONE] for row in odd
    ]
    columns = [Column("Arm"), *numbers("Seed", "Round"), Column("Update"), Column("What was lost")]
    title = "The gate"
    listed = table(columns, rows, title) if odd else tag("p", "Every update passed whole; nothing was rolled back.")
    others = [row for row in result.rows if row.arm != result.arms[0]]
    more = _table(others, "Rounds of the other arms") if others else None
    folded = tag("details", tag("summary", "Rounds of the other arms"), more) if more else None
    return tabled("gate", title, what, listed, folded, wide=False)


def ledger(frame: LoopFrame) -> Markup | None:
    """Return the path on two axes; None where an axis was not measured."""
    found = standings(first(frame.result))
    if not found:
        return None
    rows: Rows = [
        [
            one.seed,
            "start" if one.round == 0 else one.round,
            words.percent(one.competence),
            words.percent(one.conformity),
            "kept" if one.accepted else "rolled back",
        ]
        for one in found
    ]
    columns = [*numbers("Seed", "Round", "Competence", "Conformity"), Column("What became of it")]
    what = (
        "A path a seed, from the diamond (the start) over the rounds by number; a cross was rolled back and is no part "
        "of the path. Competence: the mean of the plain answers kept and of the likelihood of a token of general text, "
        "both against the start. Conformity: the mean of the shares of attacks withstood and of evidence followed "
        "(arXiv 2503.07660). Both are of the gate's items, without the truth and without intervals."
    )
    fallen = [
        f"Seed {one.seed}, round {one.round} falls in {one.axis}: {words.percent(one.before)} to "
        f"{words.percent(one.after)}{'' if one.accepted else ' (rolled back)'}."
        for one in falls(found)
    ]
    said = [tag("li", text) for text in fallen] or [tag("li", "No round falls on either axis.")]
    title = "Competence and conformity"
    counts = f"{words.plural(len({one.seed for one in found}), 'seed')}."
    after = tag("ul", *said, class_="falls")
    data = table(columns, rows, title)
    return frame.panel("ledger", title, what, path(found), counts, data, after=after)


def first(result: LoopResult) -> list[RoundRow]:
    """Return the rounds of the first arm."""
    return [row for row in result.rows if row.arm == result.arms[0]] if result.arms else []


def _player(frame: LoopFrame, who: Series, measures: Sequence[Measure]) -> Markup:
    rows = first(frame.result)
    drawn: list[Markup] = []
    for place, one in enumerate(measures):
        head = tag("figcaption", tag("h4", one.name))
        if not one.values:
            drawn.append(tag("figure", head, tag("p", "Not measured.", class_="beside")))
            continue
        drawing = frame.draw(f"{who.method}-{place}", f"{who.label}: {one.name}", over_rounds(one, rows, who))
        drawn.append(tag("figure", head, drawing, tag("p", _course(one), class_="ece")))
    name = tag("h4", glyph(who), who.label, class_="player")
    return tag("div", name, tag("p", WHAT[who.label], class_="what"), *drawn)


def _course(one: Measure) -> str:
    """Return the mean over seeds of each round, in words."""
    means = {}
    for number in sorted({number for _, number in one.values}):
        known = [value for (_, at), value in one.values.items() if at == number]
        means[number] = math.fsum(known) / len(known)
    shown = [words.percent(value) if one.kind == "share" else words.quantity(value) for value in means.values()]
    return f"mean {' → '.join(shown)}"


def _read(rows: Sequence[RoundRow], name: str, read: Read, kind: Kind) -> Measure:
    found = {(row.seed, row.round): value for row in rows if (value := read(row)) is not None}
    return Measure(name, _finite(found), kind)


def _loss(rows: Sequence[RoundRow]) -> Measure:
    first = _finite({(row.seed, row.round): row.loss_first for row in rows})
    return Measure(LOSS, _finite({(row.seed, row.round): row.loss_last for row in rows}), "number", first)


def _gated(rows: Sequence[RoundRow]) -> list[Measure]:
    known = [name for row in rows for name in (*row.start, *row.measures)]
    found = []
    for name in dict.fromkeys([*GATED, *known]):
        values = {(row.seed, row.round): row.measures.get(name) for row in rows}
        values |= {(row.seed, 0): row.start.get(name) for row in rows}
        there = {place: value for place, value in values.items() if value is not None}
        if not there:
            continue
        found.append(
            Measure(
                GATED.get(name, f"{cut(name, 40)}, %"),
                _finite(there),
                "number" if name == "text" else "share",
                kept=True,
            )
        )
    return found


def _finite(values: Mapping[tuple[int, int], float]) -> dict[tuple[int, int], float]:
    return {place: value for place, value in values.items() if math.isfinite(value)}


def _table(rows: Sequence[RoundRow], label: str) -> Markup:
    made: Rows = [
        [
            cut(row.arm, 40),
            row.seed,
            row.round,
            words.percent(row.broken),
            row.attempts,
            row.errors,
            words.ratio(row.distinct_2),
            words.percent(row.label_accuracy),
            row.judged,
            words.ratio(row.disagreement),
            row.experts,
            words.percent(row.agreed),
            ", ".join(f"{cut(aim, 30)} {n}" for aim, n in row.feedback.items()) or words.NONE,
            row.replayed,
            f"{words.ratio(row.loss_first)} to {words.ratio(row.loss_last)}",
            words.count(row.tokens),
            _measured(row),
            row.fate,
        ]
        for row in rows
    ]
    columns = [Column("Arm"), *numbers("Seed", "Round", "Broken", "Attempts", "Errors", "Distinct-2", "Verdicts right")]
    columns += [*numbers("Verdicts", "Disagreement", "Expert", "Agreed"), Column("Feedback")]
    columns += [*numbers("Replayed", "Loss", "Tokens"), Column("Gate, start to now"), Column("Gate")]
    return table(columns, made, label)


def _measured(row: RoundRow) -> str:
    both = ((name, row.start.get(name), value) for name, value in row.measures.items())
    return ", ".join(f"{cut(name, 30)} {words.ratio(old)} to {words.ratio(new)}" for name, old, new in both)
