"""The panels of the loop's proof: before and after, attackers against learners, slices, the arms."""

from __future__ import annotations

from collections.abc import Sequence

from superalign.loop_result import ArmSummary, ExamRow, LoopResult, Phase, Slice
from superalign.report import words
from superalign.report.frame import Frame, Rows, numbers, share, tabled
from superalign.report.heat import Cell, heat
from superalign.report.loop_figures import Pair, before_and_after
from superalign.report.markup import Child, Column, Markup, cut, table, tag
from superalign.report.overview import bare_card, card
from superalign.report.series import CEILING, STUDENTS, WEAK, Colour, Series, unique
from superalign.result import Interval

ROWS_DRAWN, NAME = 24, 30
MEASURES = {
    "held_out": "Broken, never trained on",
    "trained": "Broken, trained on",
    "plain": "Plain answers right",
    "evidence": "True evidence accepted",
    "false_evidence": "False evidence followed",
    "over_refusal": "Benign requests refused",
}
HEADS = dict(zip(MEASURES, ("Held out", "Trained", "Plain", "True evidence", "False evidence", "Refused"), strict=True))
HUES: tuple[Colour, ...] = (WEAK, WEAK, CEILING, STUDENTS[1], STUDENTS[3], CEILING)
COLOURS: dict[str, Colour] = dict(zip(MEASURES, HUES, strict=True))
KEY = "Hollow and above: before the first round. Filled and below: after the last. Lines are 95% intervals."
LoopFrame = Frame[LoopResult]


def cards(result: LoopResult) -> Markup:
    """Return a card a measure of the first arm: after, and before."""
    before, after = _both(result)
    made = []
    for name in result.measured:
        label = MEASURES[name]
        old, new = (getattr(one, name) if one else None for one in (before, after))
        who, was = (
            _series(label, COLOURS[name]),
            tag("p", f"before {words.percent(old.value if old else None)}", class_="pgr"),
        )
        n = _counted(after, name)
        counted = f"n = {words.count(n)}" if n else "on items it knew"
        made.append(card(who, new, counted, was) if new else bare_card(who, words.NONE, tag("p", "not measured"), was))
    text = [one.text if one else None for one in (before, after)]
    lines = [tag("p", "log-likelihood, nats a token"), tag("p", f"before {_nats(text[0])}", class_="pgr")]
    made.append(bare_card(_series("General text", STUDENTS[2]), _nats(text[1]), *lines))
    return tag("div", *made, class_="cards six")


def measures(frame: LoopFrame) -> Markup:
    """All measures of the first arm, before and after."""
    result, (before, after) = frame.result, _both(frame.result)
    changes = {one.measure: one for one in result.changes if result.arms and one.arm == result.arms[0]}
    rows: Rows = []
    pairs = []
    for name in result.measured:
        label = MEASURES[name]
        old, new = (getattr(one, name) if one else None for one in (before, after))
        n = (_counted(before, name), _counted(after, name))
        change = changes.get(name)
        moved = words.points(change.difference) if change and change.difference else words.NONE
        factor = f"{words.ratio(change.ratio.value)} {words.ratios(change.ratio)}" if change and change.ratio else None
        rows.append([label, *_shared(old), n[0], *_shared(new), n[1], moved, factor or words.NONE])
        pairs.append(Pair(label, old, new, n))
    text = [_nats(one.text if one else None) for one in (before, after)]
    rest: list[Child] = [words.NONE] * 4
    rows.append(["General text, nats a token", text[0], *rest[:2], text[1], *rest])
    columns = [Column("Measure"), *numbers("Before", "95% interval", "n", "After", "95% interval", "n")]
    columns += numbers("Difference, points", "Ratio")
    what = f"The exam: items of the test part, of which nothing was learnt. {KEY}"
    title = "What was gained, and what it cost"
    counts = f"Arm {_arm(result)}, {words.plural(result.seeds, 'seed')} after."
    drawing = before_and_after(pairs, "% of what was asked")
    return frame.panel("measures", title, what, drawing, counts, table(columns, rows, title))


def tactics(frame: LoopFrame, held_out: bool) -> Markup | None:
    """Attack success by tactic before and after; None where the exam had no such attack."""
    mine = [one for one in frame.result.exam if one.held_out is held_out and one.arm == _arm(frame.result)]
    if not mine:
        return None
    found: dict[tuple[str, str], dict[Phase, ExamRow]] = {}
    for one in mine:
        found.setdefault((one.attack, one.tactic), {})[one.phase] = one
    pairs, taken = list[Pair](), set[str]()
    rows: Rows = []
    alone = [tactic for _, tactic in found]
    for (attack, tactic), both in found.items():
        old, new = both.get("before"), both.get("after")
        name = unique(cut(tactic if alone.count(tactic) == 1 else _named(attack, tactic), NAME), taken)
        taken.add(name)
        pairs.append(Pair(name, old.success if old else None, new.success if new else None, (_n(old), _n(new))))
        lost = f"{sum(one.undetermined for one in both.values())}, {sum(one.errors for one in both.values())}"
        shares = (*_shared(pairs[-1].before), _n(old), *_shared(pairs[-1].after), _n(new))
        rows.append([cut(tactic, 60), cut(attack, 80), *shares, lost])
    columns = [Column("Tactic"), Column("Attack"), *numbers("Before", "95% interval", "n", "After", "95% interval")]
    columns += numbers("n", "Undetermined, errors")
    title = "Attacks never trained on" if held_out else "Attacks trained on"
    tail = "Tactics or wordings that no round has used." if held_out else "What the rounds themselves attacked with."
    what = f"Share of single attempts that made it deny a right plain answer. {tail}"
    drawn = [pair for pair in pairs if pair.before or pair.after][:ROWS_DRAWN]
    counts = f"{words.count(sum(one.n for one in mine))} attempts; {len(drawn)} of {len(pairs)} rows drawn."
    spec = before_and_after(drawn, "attempts that broke it, %")
    name = "held-out" if held_out else "trained"
    return frame.panel(name, title, what, spec, counts, table(columns, rows, title))


def cross(result: LoopResult) -> Markup | None:
    """Return what broke the learner before one round, put to the learner before another; None where none was."""
    if not result.cross:
        return None
    last = max(one.learner for one in result.cross)
    down = {i: f"Attacks of round {i + 1}" for i in sorted({one.attacker for one in result.cross})}
    across = {j: _stage(j, last) for j in sorted({one.learner for one in result.cross})}
    cells = {}
    for one in result.cross:
        n = f"n = {words.count(one.n)}"
        if one.success is None:
            text: Child = f"{words.NONE} ({n})"
        else:
            text = f"{words.percent(one.success.value)} {words.percents(one.success)}"
        level = one.success.value if one.success else 0.0
        cells[down[one.attacker], across[one.learner]] = Cell(text, level, n)
    title = "Attackers against learners"
    what = (
        "What broke the learner in a round, put to the learner at every stage: at the start, and after each round. "
        "The attacks of a round were found on the learner before it; to the right stand those that came later. The "
        "darker, the more attempts break it; 95% intervals in brackets."
    )
    body = heat(list(down.values()), list(across.values()), cells, title)
    said = tag("p", f"{words.count(sum(one.n for one in result.cross))} attempts, all seeds together.", class_="beside")
    return tabled("cross", title, what, body, said)


def exploits(frame: LoopFrame) -> Markup | None:
    """Share of goals that a fresh attacker breaks, before and after; None where none was let loose."""
    found = {one.phase: one for one in frame.result.exploits}
    if not found:
        return None
    old, new = found.get("before"), found.get("after")
    pair = Pair(
        "Goals broken",
        old.success if old else None,
        new.success if new else None,
        (old.n if old else 0, new.n if new else 0),
    )
    rows: Rows = [[phase, *_shared(one.success), words.count(one.n)] for phase, one in found.items()]
    title = "A fresh attacker"
    what = f"It searches anew with a budget of its own, against the learner before and after. {KEY}"
    counts = f"Budget: {frame.result.config.get('exploits', words.NONE)} queries a goal."
    data = table([Column("When"), *numbers("Goals broken", "95% interval", "n")], rows, title)
    return frame.panel("fresh", title, what, before_and_after([pair], "goals broken, %"), counts, data)


def slices(frame: LoopFrame, name: str, place: int) -> Markup:
    """Held-out attack success by the values of one tag."""
    mine = [one for one in frame.result.slices if one.tag == name]
    rows: Rows = [
        [cut(one.value, 60), "yes" if one.seen else "never", *_shared(one.before), *_shared(one.after), one.n]
        for one in mine
    ]
    pairs = [Pair(_value(one), one.before, one.after, (0, 0)) for one in mine if one.before or one.after]
    title = f"By {cut(name, 40)}"
    columns = [Column(cut(name, 40)), Column("Learnt from"), *numbers("Before", "95% interval", "After")]
    columns += numbers("95% interval", "n, both")
    what = (
        "Share of attempts of attacks never trained on that broke it. Of a value marked never seen nothing was learnt."
    )
    counts = f"n = {words.count(sum(one.n for one in mine))} attempts."
    spec = before_and_after(pairs[:ROWS_DRAWN], "attempts that broke it, %")
    return frame.panel(f"slice-{place}", title, what, spec, counts, table(columns, rows, title))


def arms(result: LoopResult) -> Markup | None:
    """Return what every arm came to; None where there is only one."""
    if len(result.arms) < 2:
        return None
    start = result.of(result.arms[0], "before")
    rows: Rows = [_arm_row("before any round", start, words.NONE, result.measured)] if start else []
    for arm in result.arms:
        mine = [row for row in result.rows if row.arm == arm]
        passed = f"{sum(row.accepted for row in mine)} of {len(mine)}"
        rows.append(_arm_row(arm, result.of(arm, "after"), passed, result.measured))
    columns = [
        Column("Arm"),
        *numbers(*(HEADS[name] for name in result.measured), "Text", "Passed"),
    ]
    title = "The loop with something taken out"
    what = (
        "Each arm is the same loop with one thing taken out or put in its place, examined after its last round, all "
        f"seeds together: {'; '.join(MEASURES[name].lower() for name in result.measured)}; nats a token of general "
        "text; rounds that passed the gate. 95% intervals in brackets."
    )
    return tabled("table-of-arms", title, what, table(columns, rows, title, "arms"))


def _arm_row(name: str, one: ArmSummary | None, passed: str, names: Sequence[str]) -> list[Child]:
    shares = [_said(getattr(one, measure)) if one else words.NONE for measure in names]
    return [cut(name, 40), *shares, _nats(one.text) if one else words.NONE, passed]


def _both(result: LoopResult) -> tuple[ArmSummary | None, ArmSummary | None]:
    return result.of(_arm(result), "before"), result.of(_arm(result), "after")


def _arm(result: LoopResult) -> str:
    return result.arms[0] if result.arms else ""


def _named(attack: str, tactic: str) -> str:
    """Return a tactic with those settings of its attack that do not list tactics."""
    name, *settings = attack.split(",")
    rest = [one for one in settings if not one.startswith("tactics=")]
    return f"{tactic}, {' '.join(rest) or name}"


def _counted(one: ArmSummary | None, name: str) -> int:
    known: int = getattr(one, "n_benign" if name == "over_refusal" else f"n_{name}", 0)
    return known


def _stage(learner: int, last: int) -> str:
    if learner == 0:
        return "Learner at the start"
    return f"after round {learner}" + (", the last" if learner == last else "")


def _value(one: Slice) -> str:
    return cut(one.value, NAME - 13) + ("" if one.seen else " (never seen)")


def _n(one: ExamRow | None) -> int:
    return one.n if one else 0


def _shared(figure: Interval | None) -> tuple[str, str]:
    return share(figure) if figure else (words.NONE, words.NONE)


def _said(figure: Interval | None) -> str:
    return f"{words.percent(figure.value)} {words.percents(figure)}" if figure else words.NONE


def _nats(value: float | None) -> str:
    return words.ratio(value)


def _series(label: str, colour: Colour) -> Series:
    return Series("student", label, label, colour, "circle")
