"""The panels of the loop's emergent risks: candidates with examples, and what of the taxonomy was tested."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from superalign.loop_result import Covered, LoopResult, Risk
from superalign.report import words
from superalign.report.document import grid
from superalign.report.frame import Rows, numbers
from superalign.report.markup import Child, Column, Markup, cut, join, passage, table, tag
from superalign.taxonomy import claim

RISKS_SHOWN, TAGS_SHOWN = 20, 8
INDENT = "\N{EM SPACE}"


def panels(result: LoopResult) -> Markup | None:
    """Return the section on emergent risks; None for a result that knows nothing of them."""
    if not result.coverage:
        return None
    return tag("section", tag("h2", "Emergent risks"), grid(candidates(result), covered(result.coverage)), id="risks")


def candidates(result: LoopResult) -> Markup:
    """Return the kinds of failure that are new or grow, with examples."""
    title = "Candidates for new risks"
    what = (
        "Failures of the first arm are clustered by what the attacker wrote, without the words of its question. New: "
        "far from every kind of the first round. Grows: its share of the broken goals grows from round to round, "
        "which it also does where others shrink. A candidate is a hint to look at, not a proof."
    )
    columns = [Column("What was said"), Column("Kind"), Column("Broken goals, by round"), *numbers("Distance", "p")]
    rows: Rows = [_row(one) for one in result.risks[:RISKS_SHOWN]]
    nothing = "None was named: no kind of failure is new, or grows, beyond what chance does."
    if result.rounds < 2:
        nothing = "One round cannot show what is new or grows."
    body = table(columns, rows, title, "examples") if rows else tag("p", nothing)
    more = len(result.risks) - len(rows)
    counts = f"{words.plural(len(result.risks), 'candidate')}{f', {more} more in results.json' if more > 0 else ''}."
    said = tag("p", counts, class_="beside") if rows else None
    return tag("section", tag("h3", title), tag("p", what, class_="what"), body, said, class_="panel wide", id="new")


def covered(tree: Sequence[Covered]) -> Markup:
    """Return the taxonomy, a table a branch, with what was tested of it."""
    title = "What was tested"
    what = "Attempts and measures by the taxonomy, before and after learning. An empty leaf was not tested at all."
    said = tag("p", claim({one.id: one.tested for one in tree if one.leaf and one.tested}), class_="flag", role="note")
    parts = [_branch(rows) for rows in _branches(tree)]
    head = (tag("h3", title), tag("p", what, class_="what"), said)
    return tag("section", *head, *parts, class_="panel wide", id="coverage")


def _row(one: Risk) -> list[Child]:
    kinds = [name for name, so in (("new", one.new), ("grows", one.grows)) if so]
    tactics, tags = cut(", ".join(one.tactics), 120), cut(", ".join(one.tags[:TAGS_SHOWN]), 300)
    kind = join(tag("b", " and ".join(kinds)), tag("br"), tactics, tag("br"), tag("span", tags, class_="sure"))
    known = [p for p in (one.p_new if one.new else None, one.p_grows if one.grows else None) if p is not None]
    return [
        join(*(tag("p", passage(text, 300)) for text in one.examples)),
        kind,
        join(*_bars(one)),
        words.ratio(one.distance),
        words.p_value(min(known)) if known else words.NONE,
    ]


def _bars(one: Risk) -> Iterator[Markup]:
    """Yield a small bar a round: which share of the broken goals this kind has."""
    for number, (size, total, share) in enumerate(zip(one.sizes, one.totals, one.shares, strict=True), 1):
        said = f"round {number}: {words.count(size)} of {words.count(total)}, {words.percent(share)}"
        yield tag("div", said, tag("span", class_="bar", style=f"--sure:{100 * (share or 0.0):.0f}%"))


def _branches(tree: Sequence[Covered]) -> Iterator[list[Covered]]:
    """Yield each branch with all that is below it."""
    starts = [place for place, one in enumerate(tree) if one.depth == 0]
    for start, end in zip(starts, [*starts[1:], len(tree)], strict=True):
        yield list(tree[start:end])


def _branch(rows: Sequence[Covered]) -> Markup:
    top, leaves = rows[0], [one for one in rows if one.leaf]
    there = sum(one.tested > 0 for one in leaves)
    told: Rows = [
        [
            join(INDENT * max(0, one.depth - 1), tag("span", cut(one.name, 120), title=cut(one.id, 80))),
            words.count(one.tested) if one.tested else tag("span", "empty", class_="sure"),
            words.count(one.failed) if one.tested else words.NONE,
        ]
        for one in rows[1:]
    ]
    summary = f"{cut(top.name, 80)}: {there} of {words.plural(len(leaves), 'leaf', 'leaves')} tested"
    data = table([Column("Kind"), *numbers("Tested", "Failed")], told, f"Tested: {cut(top.name, 80)}")
    return tag("details", tag("summary", summary), data, open=top.id == "failure")
