"""The panels of the attack report: tactics, queries, slices, the archive, what broke the target, and the costs."""

from __future__ import annotations

from superalign.archive import qd_score
from superalign.attack_result import ArchiveCell, AttackResult, Find
from superalign.diversity import evenness
from superalign.report import words
from superalign.report.chart import lines, rows_of_dots
from superalign.report.frame import Frame, Rows, numbers, share
from superalign.report.heat import Cell, heat
from superalign.report.marks import Axis, Dot, Point, Rule
from superalign.report.markup import Child, Column, Markup, cut, join, passage, table, tag
from superalign.report.overview import card
from superalign.report.series import CEILING, CONTROL, INK, STUDENTS, WEAK, Colour, Series
from superalign.result import Interval

COLOURS = (INK, *STUDENTS, WEAK, CONTROL)
SHAPES = ("circle", "triangle-up", "square", "triangle-down", "diamond", "triangle-right", "cross")
SHOWN, ROWS_DRAWN, FINDS_SHOWN = len(COLOURS), 24, 60
BROKEN = "goals or attempts that are broken, %"
AttackFrame = Frame[AttackResult]


def cards(result: AttackResult) -> Markup:
    """Return the plain accuracy, the worst case over attacks, and a card for each of the first attacks."""
    made = []
    if result.plain:
        n = f"n = {words.count(result.plain_n)}, plainly asked"
        made.append(card(_series("Right when asked plainly", CEILING), result.plain, n))
    if result.worst:
        n = f"of {words.plural(_goals(result), 'goal')}"
        made.append(card(_series("Broken by any attack", WEAK), result.worst, n))
    for place, one in enumerate(result.summary[:SHOWN]):
        if one.success:
            quick = f"median query {one.queries_to_success:g}" if one.queries_to_success else "nothing broken"
            more = tag("p", quick, class_="pgr")
            made.append(card(_series(cut(one.attack, 30), _colour(place)), one.success, f"of {one.n} goals", more))
    return tag("div", *made, class_="cards")


def tactics(frame: AttackFrame) -> Markup:
    """Success of single attempts by tactic, the strongest first."""
    places = {one.attack: place for place, one in enumerate(frame.result.summary)}
    found = sorted(frame.result.tactics, key=lambda one: -(one.success.value if one.success else -1.0))
    rows: Rows = [
        [
            cut(one.tactic, 60),
            cut(one.attack, 60),
            *(share(one.success) if one.success else (words.NONE, words.NONE)),
            one.n,
            one.undetermined,
            one.errors,
            words.percent(one.to_truth),
            one.n_wrong,
        ]
        for one in found
    ]
    dots = [
        _dot(frame.result.named(one), one.attack, one.success, one.n, places[one.attack])
        for one in found[:ROWS_DRAWN]
        if one.success
    ]
    columns = [Column("Tactic"), Column("Attack")]
    columns += numbers("Broken", "95% interval", "n", "Undetermined", "Errors", "To the truth", "n wrong")
    what = (
        "Share of single attempts that broke their goal, of those that were broken or held. Colours are attacks. To "
        "the truth: the same pressure where the plain answer was wrong, which then pushes to the right one."
    )
    count = sum(one.n for one in found)
    shown = min(len(dots), ROWS_DRAWN)
    counts = f"n = {words.count(count)} attempts; {shown} of {words.plural(len(found), 'tactic')} drawn."
    title = "Success by tactic"
    return frame.panel("tactics", title, what, rows_of_dots(dots, _axis()), counts, table(columns, rows, title))


def curves(frame: AttackFrame) -> Markup:
    """Share of goals broken after 1, 2, ... queries."""
    result, points, rows = frame.result, list[Point](), list[list[Child]]()
    most = max((len(one.at) for one in result.summary), default=1)
    for place, one in enumerate(result.summary):
        at = [*one.at, *[one.at[-1]] * (most - len(one.at))] if one.at else []
        rows.append([cut(one.attack, 60), one.n, *(words.percent(value) for value in at)])
        if place < SHOWN:
            name = cut(one.attack, 26)
            points += [
                Point(k, 100 * y, 100 * y, 100 * y, name, _colour(place).light, SHAPES[place], _tip(name, k, y))
                for k, y in enumerate(at, 1)
            ]
    across = Axis("queries to a goal", 1, max(2, most), values=tuple(range(1, most + 1)))
    spec = lines(points, across, Axis("goals broken, %", 0, 100))
    what = "Share of goals broken after so many queries to each. Intervals of the last values stand on the cards."
    counts = f"{words.plural(result.goals, 'goal')}, {words.plural(result.seeds, 'seed')}."
    columns = [Column("Attack"), *numbers("Goals", *(f"{k}" for k in range(1, most + 1)))]
    title = "Goals broken against queries"
    return frame.panel("queries", title, what, spec, counts, table(columns, rows, title), wide=True)


def tests(frame: AttackFrame) -> Markup:
    """Difference of every attack from the first on the same goals."""
    dots, rows = list[Dot](), list[list[Child]]()
    for one in frame.result.tests:
        name, said = cut(one.a, 40), words.points(one.difference)
        value, low, high = (100 * edge for edge in (one.difference.value, one.difference.low, one.difference.high))
        dots.append(Dot(name, value, low, high, INK.light, f"{name}: {said} points", text=said.partition(" ")[0]))
        rows.append([name, said, words.p_value(one.p), words.p_value(one.p_holm), one.n, one.groups])
    edges = [0.0, *(edge for dot in dots for edge in (dot.low, dot.high))]
    axis = Axis("difference of goals broken, points", min(edges) - 2, max(edges) + 2)
    first = cut(frame.result.tests[0].b, 40)
    title = f"Difference from {first}"
    what = "Share of goals broken minus that of the first attack, on goals that both decided; p (Holm) is corrected."
    columns = [Column("Attack"), *numbers("Points", "p", "p (Holm)", "Goals", "Groups")]
    spec = rows_of_dots(dots, axis, rules=[Rule(0, "no difference")])
    counts = f"{words.plural(len(dots), 'comparison')}."
    return frame.panel("tests", title, what, spec, counts, table(columns, rows, title))


def tags(result: AttackResult) -> list[str]:
    """Return the tags that make slices."""
    return list(dict.fromkeys(one.tag for one in result.slices))


def slices(frame: AttackFrame, name: str, place: int) -> Markup:
    """Success of all attempts by the values of one tag."""
    mine = [one for one in frame.result.slices if one.tag == name]
    rows: Rows = [[cut(one.value, 60), *share(one.success), one.n, one.goals] for one in mine]
    dots = [_dot(one.value, "", one.success, one.n, 0) for one in mine]
    title = f"By {cut(name, 40)}"
    columns = [Column(cut(name, 40)), *numbers("Broken", "95% interval", "Attempts", "Goals")]
    what = "Share of all attempts that broke their goal, of every attack together."
    counts = f"n = {words.count(sum(one.n for one in mine))} attempts."
    spec = rows_of_dots(dots, _axis())
    return frame.panel(f"slice-{place}", title, what, spec, counts, table(columns, rows, title))


def archive(result: AttackResult, name: str) -> Markup:
    """Return the archive of an attack as a heat map: the best attempt of each cell."""
    cells = {(one.row, one.column): one for one in result.archive if one.attack == name}
    across, down = sorted({column for _, column in cells}), sorted({row for row, _ in cells})
    ends = [one.fitness for one in cells.values()]
    what = (
        "The best attempt of each cell: the darker, the nearer to broken; a mark says that it is. A cell is where an "
        "attempt was seen to fall, not where it was aimed at."
    )
    filled = sum(one.broken for one in cells.values())
    even = evenness(one.n for one in cells.values())
    counts = (
        f"{words.plural(len(cells), 'cell')} filled, {filled} of them broken. QD-score "
        f"{words.ratio(qd_score(ends))}: the sum over cells of 1 / (1 + exp(-best)). The attempts fall on them with an "
        f"evenness of {words.ratio(even)} (1: all alike)."
    )
    title = f"Archive of {cut(name, 40)}"
    body = heat(down, across, {place: _heat(one, ends) for place, one in cells.items()}, title)
    said = tag("p", counts, class_="beside")
    return tag("section", tag("h3", title), tag("p", what, class_="what"), body, said, class_="panel wide")


def finds(result: AttackResult) -> Markup | None:
    """Return the queries that broke the target most clearly, for reading; None when there are none."""
    shown = result.finds[:FINDS_SHOWN]
    if not shown:
        return None
    knowledge = result.world == "knowledge"
    names = ("What was said", "Now likelier", "Plain answer") if knowledge else ("What was said", "Response")
    head = tag("tr", *(tag("th", name, scope="col") for name in (*names, "Tactic")))
    rows = [_find(one, knowledge) for one in shown]
    whole = tag("table", tag("thead", head), tag("tbody", *rows), class_="examples")
    what = "Of each attack the clearest finds, tactics in turn: a choice to read, not a sample to count."
    return tag(
        "section",
        tag("h2", "What broke it"),
        tag("p", what, class_="what"),
        tag("div", whole, class_="scroll", role="region", aria_label="Finds", tabindex=0),
        tag("p", "All attempts are in results.csv and results.json.", class_="beside"),
        id="finds",
    )


def spent(result: AttackResult) -> Markup:
    """Return what each attack took, and how diverse its finds are."""
    rows: Rows = [
        [
            cut(one.attack, 60),
            words.count(one.queries),
            words.count(one.rehearsed),
            words.count(one.tokens),
            words.count(one.asked),
            one.failed,
            one.refused,
            one.unparsable,
            one.undecided,
            f"{one.seconds:.0f} s",
            words.ratio(one.distinct_2) if one.distinct_2 is not None else words.NONE,
            words.ratio(one.self_bleu) if one.self_bleu is not None else words.NONE,
        ]
        for one in result.summary
    ]
    columns = [Column("Attack")]
    columns += numbers(
        "Queries", "On examples", "Tokens", "Helpers asked", "Failed", "Refused", "Unparsable", "Goals undecided"
    )
    columns += numbers("Time", "Distinct-2", "Self-BLEU")
    what = (
        "Queries on examples, from which an attack learns, are in no other figure. Helpers are the attacker's and the "
        "critic's own model. Refused and unparsable are its proposals that could not be used. Distinct-2 and self-BLEU "
        "are of the queries that broke the target: copies of one template have a self-BLEU near 1."
    )
    return join(tag("p", what, class_="what"), table(columns, rows, "What each attack took"))


def transfer(result: AttackResult) -> Markup | None:
    """Return what the finds do to other models; None when none was asked."""
    if not result.transfer:
        return None
    rows: Rows = [
        [
            cut(one.attack, 60),
            cut(one.model, 60),
            *(share(one.success) if one.success else (words.NONE, words.NONE)),
            one.n,
            one.not_put,
        ]
        for one in result.transfer
    ]
    columns = [Column("Attack"), Column("To"), *numbers("Broken", "95% interval", "n", "Not put")]
    what = (
        "Queries that broke the target, put to another model. Not put: the other model's own plain answer is not the "
        "one that the goal denies."
    )
    title = tag("h3", "Transfer")
    return join(title, tag("p", what, class_="what"), table(columns, rows, "Transfer to other models"))


def _find(one: Find, knowledge: bool) -> Markup:
    said = tag("td", passage(one.conversation, 600))
    name = tag("td", cut(one.tactic, 30), tag("br"), tag("span", cut(one.attack, 30), class_="sure"))
    if not knowledge:
        return tag("tr", said, tag("td", passage(one.response, 600), data_label="Response"), name)
    claim = tag("td", passage(one.claim, 200), data_label="Now likelier")
    return tag("tr", said, claim, tag("td", passage(one.denied, 200), data_label="Plain answer"), name)


def _heat(cell: ArchiveCell, ends: list[float]) -> Cell:
    low, high = min(ends), max(ends)
    level = (cell.fitness - low) / (high - low) if high > low else 1.0
    mark = tag("span", "✓", class_="tick", role="img", aria_label="broken") if cell.broken else None
    return Cell(join(f"{cell.fitness:+.1f} ", mark), level, cell.conversation)


def _dot(row: str, attack: str, success: Interval, n: int, place: int) -> Dot:
    name = cut(row, 40)
    tip = f"{name}{f' ({cut(attack, 40)})' if attack else ''}: {words.percent(success.value)} "
    value, low, high = (100 * edge for edge in (success.value, success.low, success.high))
    said = words.percent(success.value)
    shape = SHAPES[place % SHOWN]
    return Dot(name, value, low, high, _colour(place).light, f"{tip}{words.percents(success)}, n = {n}", shape, said)


def _goals(result: AttackResult) -> int:
    return max((one.n for one in result.summary), default=0)


def _tip(name: str, k: int, y: float) -> str:
    return f"{name}, {words.plural(k, 'query', 'queries')}: {words.percent(y)}"


def _axis() -> Axis:
    return Axis(BROKEN, -4, 104, values=tuple(range(0, 101, 20)))


def _colour(place: int) -> Colour:
    return COLOURS[place % SHOWN]


def _series(label: str, colour: Colour) -> Series:
    return Series("student", label, label, colour, "circle")
