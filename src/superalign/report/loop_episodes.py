"""What is there to read of a loop: what each answer of the expert bought, and the episodes, with filters."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from superalign.loop_result import Episode, LoopResult
from superalign.report import words
from superalign.report.choices import choices, numbered
from superalign.report.frame import Rows, numbers, tabled
from superalign.report.markup import Column, Markup, cut, join, passage, table, tag

SHOWN, BOUGHT = 300, 200
OUTCOMES = ("broken", "held", "undetermined", "error")
WHAT = (
    "Of a goal the attempt that came nearest to breaking it: what was put to the learner, what it answered, what the "
    "critics said without the truth, and what was learnt from it."
)
Filters = tuple[dict[str, str], dict[str, str], dict[str, str]]


def bought(result: LoopResult) -> Markup:
    """Return what each answer of the expert changed."""
    title = "What each answer of the expert bought"
    if not result.bought:
        return tabled("bought", title, "No expert was asked.")
    turned = sum(one.turned for one in result.bought)
    what = (
        f"{words.plural(len(result.bought), 'answer')}, of which {turned} turned the critics' verdict round. The "
        "expert is asked where critics disagree most (apart: the distance of their probabilities). Before and after: "
        "the probability that what the learner said plainly is right. Pieces: of feedback that carry the answer."
    )
    rows: Rows = [
        [
            f"{one.seed}, {one.round}",
            passage(one.question, 200),
            passage(one.denied, 120),
            passage(one.claim, 120),
            words.ratio(one.disagreement),
            words.percent(one.before),
            words.percent(one.after),
            "turned round" if one.turned else "confirmed",
            one.pieces,
        ]
        for one in sorted(result.bought, key=lambda one: not one.turned)[:BOUGHT]
    ]
    columns = [Column(name) for name in ("Seed, round", "Question", "Said plainly", "Attacked with")]
    columns += numbers("Apart", "Before", "After", "Verdict", "Pieces")
    return tabled(
        "bought", title, what, table(columns, rows, title, "examples"), _more(len(result.bought) - BOUGHT, "answer")
    )


def episodes(result: LoopResult) -> Markup | None:
    """Return the explorer of episodes; None when there are none."""
    shown = _shown(result.episodes)
    if not shown:
        return None
    seeds, seed_options = numbered("seed", list(dict.fromkeys(str(one.seed) for one in shown)))
    rounds, round_options = numbered("round", list(dict.fromkeys(str(one.round) for one in shown)))
    common = [tactic for tactic, _ in Counter(one.tactic for one in shown).most_common()]
    tactics, tactic_options = numbered("tactic", common)
    counts = Counter(one.outcome for one in shown)
    outcomes = {name: f"{name} ({counts[name]})" for name in OUTCOMES if counts[name]}
    filters = [
        _filter("seed", "seeds", {place: f"seed {name}" for place, name in seed_options.items()}),
        _filter("round", "rounds", {place: f"round {name}" for place, name in round_options.items()}),
        _filter("tactic", "tactics", {place: cut(name, 30) for place, name in tactic_options.items()}),
        _filter("outcome", "outcomes", outcomes),
    ]
    names = ["Attack", "Response", "Critique", "Feedback"]
    names += ["Revision"] if any(one.revised is not None for one in shown) else []
    rows = [_row(one, (seeds, rounds, tactics), revised=len(names) > 4) for one in shown]
    head = tag("tr", *(tag("th", name, scope="col") for name in names))
    whole = tag("table", tag("thead", head), tag("tbody", *rows), class_="examples episodes")
    return tag(
        "section",
        tag("h2", "Episodes"),
        tag("p", WHAT, class_="what"),
        *filters,
        tag("div", whole, class_="scroll", role="region", aria_label="Episodes", tabindex=0),
        _more(len(result.episodes) - len(shown), "episode"),
        class_="filtered",
        id="episodes",
    )


def _shown(every: Sequence[Episode]) -> list[Episode]:
    """Return the episodes that the page has room for, as many of each seed and round, those that broke first."""
    if len(every) <= SHOWN:
        return list(every)
    cells: dict[tuple[int, int], list[Episode]] = {}
    for one in every:
        cells.setdefault((one.seed, one.round), []).append(one)
    each = max(1, SHOWN // len(cells))
    return [one for cell in cells.values() for one in cell[:each]][:SHOWN]


def _filter(name: str, several: str, options: dict[str, str]) -> Markup | None:
    if len(options) < 2:
        return None
    return choices(name, {"all": f"All {several}", **options}, name.capitalize())


def _row(one: Episode, places: Filters, *, revised: bool) -> Markup:
    seeds, rounds, tactics = places
    outcome = one.outcome if one.outcome in OUTCOMES else "error"
    kind = f"seed-{seeds[str(one.seed)]} round-{rounds[str(one.round)]} tactic-{tactics[one.tactic]}"
    where = f"{cut(one.tactic, 40)} · seed {one.seed}, round {one.round}"
    said = "\n\n".join(one.critique) or "No words."
    return tag(
        "tr",
        tag("td", passage(one.conversation, 700), tag("p", where, class_="beside")),
        _response(one),
        tag("td", passage(said, 500), data_label="Critique"),
        _feedback(one),
        _revision(one) if revised else None,
        class_=f"{kind} outcome-{outcome}",
    )


def _response(one: Episode) -> Markup:
    odds = f"{cut(one.outcome, 20)}, log-odds {_odds(one.score)}"
    pair = _lines(("Said plainly", one.denied), ("Attacked with", one.claim))
    return tag("td", tag("b", odds), pair, data_label="Response")


def _feedback(one: Episode) -> Markup:
    if one.good is None:
        return tag("td", "No verdict, so no feedback.", data_label="Feedback")
    said = tag("p", "The plain answer is right: ", tag("b", words.percent(one.good)))
    return tag("td", said, tag("p", f"by {cut(one.by, 40)}", class_="beside"), data_label="Feedback")


def _revision(one: Episode) -> Markup:
    if one.revised is None:
        return tag("td", "Not revised.", data_label="Revision")
    likelier = "the plain answer is likelier" if one.revised > 0 else "the claim is likelier"
    return tag("td", tag("b", likelier), f", log-odds {_odds(one.revised)}", data_label="Revision")


def _lines(*terms: tuple[str, str]) -> Markup:
    return join(*(tag("p", tag("span", f"{name}: ", class_="sure"), passage(text, 160)) for name, text in terms))


def _odds(value: float | None) -> str:
    if value is None:
        return words.NONE
    return ("+" if value > 0 else "") + words.ratio(value)


def _more(rest: int, what: str) -> Markup | None:
    return tag("p", f"{words.plural(rest, f'more {what}')} in results.json.", class_="beside") if rest > 0 else None
