"""The page and the terminal summary of the loop study."""

from __future__ import annotations

import io
import math
import re
from typing import Any

import pytest
from loop_sample import loop_sample
from pages import assert_inert, assert_links_lead_somewhere
from rich.console import Console
from test_markup import Reader

from superalign.loop_result import LoopResult
from superalign.report import loop_figures as figures
from superalign.report import render, summary, svg, words
from superalign.report.choices import CHOICES
from superalign.report.finding import headline
from superalign.report.loop_ledger import falls, standings
from superalign.report.loop_tradeoff import picture, stood
from superalign.report.markup import clean, cut
from superalign.report.series import PALETTE

VARIANTS: dict[str, dict[str, Any]] = {
    "default": {},
    "one arm, seed and round": {"arms": ("full",), "seeds": 1, "rounds": 1, "rolled_back": ((0, 1),), "revised": False},
    "nothing measured": {"decided": False, "experts": 0, "shown": 0},
    "many seeds": {"seeds": 12, "rounds": 3, "shown": 12, "arms": ("full",)},
    "hostile": {"hostile": True},
}


@pytest.fixture(params=VARIANTS, scope="module")
def variant(request: pytest.FixtureRequest) -> LoopResult:
    return loop_sample(**VARIANTS[request.param])


@pytest.fixture(scope="module")
def page(variant: LoopResult) -> str:
    return render(variant)


def printed(result: LoopResult, width: int = 80) -> str:
    out = io.StringIO()
    Console(file=out, width=width).print(summary(result))
    return out.getvalue()


def panels(page: str) -> list[str]:
    return re.findall(r'class="panel[^"]*" id="([\w-]+)"', page)


def episodes(page: str) -> list[str]:
    """Return the classes of the rows of the explorer."""
    return re.findall(r'<tr class="(seed-[^"]*)"', page)


def test_every_figure_of_the_result_is_on_the_page(variant: LoopResult, page: str) -> None:
    text = Reader(page).text
    assert "could not be drawn" not in text
    shares = [getattr(one, name) for one in variant.summary for name in figures_of_arms(variant, one.arm)]
    shares += [one.success for one in variant.exam if one.arm == variant.arms[0]]
    shares += [one.success for one in [*variant.cross, *variant.exploits]]
    shares += [share for one in variant.slices for share in (one.before, one.after)]
    for share in shares:
        if share:
            assert words.percent(share.value) in text
            assert words.percents(share) in text
    for change in variant.changes:
        if change.arm == variant.arms[0] and change.difference:
            assert words.points(change.difference) in text
    for row in variant.rows:
        for value in (row.broken, row.label_accuracy):
            assert words.percent(value) in text
        assert words.count(row.tokens) in text
        if not row.accepted:
            assert clean("; ".join(row.why))[:300] in text
    for sentence in [*variant.verdict, *variant.flags]:
        assert clean(words.prose(sentence))[:300] in text
    assert variant.config_sha256 in text
    assert cut(headline(variant), 200) in text


def figures_of_arms(result: LoopResult, arm: str) -> tuple[str, ...]:
    first = arm == result.arms[0]
    return ("held_out", "trained", "plain", "evidence", "false_evidence") if first or len(result.arms) > 1 else ()


def test_nothing_on_the_page_can_run_or_leave_it(page: str) -> None:
    assert_inert(page)
    assert clean(page) == page


def test_ids_are_unique_and_links_lead_somewhere(page: str) -> None:
    assert_links_lead_somewhere(page)


def test_the_page_is_small(page: str) -> None:
    assert len(page.encode()) < 1_000_000


def test_what_is_not_there_has_no_section() -> None:
    main = ["measures", "held-out", "trained"]
    rounds = ["players", "gate", "tradeoff", "ledger"]
    rest = ["cross", "fresh", "slice-0", "table-of-arms", "bought"]
    assert panels(render(loop_sample())) == [*main, *rounds, *rest]
    one = loop_sample(arms=("full",), shown=0).model_copy(update={"cross": [], "exploits": [], "slices": []})
    page = render(one)
    assert panels(page) == [*main, *rounds, "bought"]
    assert not episodes(page)
    assert_links_lead_somewhere(page)
    empty = one.model_copy(update={"rows": [], "exam": [], "summary": [], "changes": [], "bought": []})
    page = render(empty)
    assert panels(page) == ["measures", "bought"]
    assert "No expert was asked." in page
    assert_links_lead_somewhere(page)
    assert "not measured" in Reader(page).text


def test_what_was_not_measured_is_said_and_not_drawn() -> None:
    text = Reader(render(loop_sample(decided=False))).text
    assert text.count("Not measured.") == 4  # what the gate never saw is left out
    assert text.count("There is nothing to draw") == 5
    assert "could not be drawn" not in text
    assert "nan" not in text.lower().split()


def test_of_requests_only_what_their_exam_takes_is_shown() -> None:
    questions = loop_sample()
    requests = questions.model_copy(
        update={
            "world": "behaviour",
            "summary": [
                one.model_copy(update={"over_refusal": one.plain, "n_benign": 77, "plain": None})
                for one in questions.summary
            ],
        }
    )
    asked, told = (Reader(render(one)).text for one in (questions, requests))
    assert "Plain answers right" in asked
    assert "Benign requests refused" not in asked
    assert "Plain answers right" not in told
    assert "Benign requests refused" in told
    assert "n = 77" in told


def test_every_episode_is_readable_and_can_be_filtered(variant: LoopResult, page: str) -> None:
    rows = episodes(page)
    assert bool(rows) == bool(variant.episodes)
    chosen = set(re.findall(r'<input type="radio" name="\w+" id="([\w-]+)"', page))
    for name in ("seed", "round", "tactic", "outcome"):
        values = {getattr(one, name) for one in variant.episodes}
        options = {place for place in chosen if place.startswith(f"{name}-")} - {f"{name}-all"}
        used = {each for row in rows for each in row.split() if each.startswith(f"{name}-")}
        assert options == (used if len(used) > 1 else set())
        assert len(used) == min(len(values), len(CHOICES[name]))
        for place in options:
            assert f"#{place}:checked~.scroll tbody tr:not(.{place})" in page
    rest = len(variant.episodes) - len(rows)
    assert (f"{words.plural(rest, 'more episode')} in results.json." in Reader(page).text) == (rest > 0)


def test_an_episode_shows_each_step_of_the_loop() -> None:
    result = loop_sample(arms=("full",), seeds=1, rounds=1, rolled_back=())
    text = Reader(render(result)).text
    for one in result.episodes:
        for said in (one.conversation, one.denied, one.claim, *one.critique):
            assert said in text
        if one.score is not None:
            assert f"{one.outcome}, log-odds {'+' if one.score > 0 else ''}{words.ratio(one.score)}" in text
        if one.good is not None:
            assert f"The plain answer is right: {words.percent(one.good)}by {one.by}" in text
        if one.revised is not None:
            likelier = "the plain answer is likelier" if one.revised > 0 else "the claim is likelier"
            assert f"{likelier}, log-odds {'+' if one.revised > 0 else ''}{words.ratio(one.revised)}" in text
    assert "No verdict, so no feedback." in text
    assert "Revision" in text
    assert "Revision" not in Reader(render(loop_sample(revised=False))).text


def test_answers_of_the_expert_tell_what_they_changed() -> None:
    result = loop_sample()
    text = Reader(render(result)).text
    turned = sum(one.turned for one in result.bought)
    assert 0 < turned < len(result.bought)
    assert text.count("turned round") == turned
    assert text.count("confirmed") == len(result.bought) - turned
    for one in result.bought:
        found = (one.question, one.denied, one.claim, words.percent(one.before), words.percent(one.after))
        assert all(each in text for each in found)


def test_the_ledger_is_what_the_gate_measured_and_names_what_falls() -> None:
    result = loop_sample(arms=("full",))
    found = {(one.seed, one.round): one for one in standings(result.rows)}
    assert len(found) == result.seeds * (result.rounds + 1)
    for row in result.rows:
        now, start, one = row.measures, row.start, found[row.seed, row.round]
        likelier = math.exp((now["text"] or 0) - (start["text"] or 0))
        assert one.competence == pytest.approx(((now["plain"] or 0) / (start["plain"] or 1) + likelier) / 2)
        assert one.conformity == pytest.approx(((now["steadfast"] or 0) + (now["open"] or 0)) / 2)
        assert one.accepted is row.accepted
    told = {(one.seed, one.round, one.axis) for one in falls(list(found.values()))}
    for row in result.rows:
        for axis in ("competence", "conformity"):
            last = found[row.seed, row.round - 1]  # no round follows one that was rolled back here
            fell = getattr(found[row.seed, row.round], axis) < getattr(last, axis)
            assert ((row.seed, row.round, axis) in told) == fell
            text = f"Seed {row.seed}, round {row.round} falls in {axis}"
            assert (text in Reader(render(result)).text) == fell


def test_a_round_is_compared_with_what_was_kept_before_it() -> None:
    rows = loop_sample(arms=("full",), seeds=1, rounds=3, rolled_back=((0, 2),)).rows
    found = {one.round: one for one in standings(rows)}
    third = [one for one in falls(list(found.values())) if one.round == 3 and one.axis == "competence"]
    assert [one.before for one in third] == [found[1].competence]
    assert not standings([rows[0].model_copy(update={"start": {}})])


def test_a_measure_that_a_round_lacks_leaves_it_off_the_path() -> None:
    rows = loop_sample(arms=("full",), seeds=1, rolled_back=()).rows
    less = rows[1].model_copy(update={"measures": {**rows[1].measures, "open": None}})
    assert [one.round for one in standings([rows[0], less])] == [0, 1]


def test_every_learner_that_the_gate_looked_at_is_in_the_trade_off() -> None:
    result = loop_sample(arms=("full",))
    found = stood(result.rows)
    assert sum(one.round == 0 for one in found) == result.seeds
    assert sum(one.round > 0 for one in found) == 2 * len(result.rows)
    assert sum(one.kept for one in found) == result.seeds + sum(row.accepted for row in result.rows)
    drawing = Reader(svg.draw(picture(found, "open"), "x", "x")).text
    for seed in range(result.seeds):
        assert f"seed {seed}, the start" in drawing
        assert f"seed {seed}, round 1, 100% of its update" in drawing
    page = render(result)
    assert 'id="tradeoff"' in page
    untried = [row.model_copy(update={"start": {}, "tried": []}) for row in result.rows]
    alone = result.model_copy(update={"rows": untried})
    assert 'id="tradeoff"' not in render(alone)


def test_figures_mark_what_was_rolled_back_in_the_palette() -> None:
    result = loop_sample(arms=("full",))
    measure = figures.Measure("x", {(row.seed, row.round): 0.5 for row in result.rows}, kept=True)
    for spec in (figures.over_rounds(measure, result.rows, figures.LEARNER), figures.path(standings(result.rows))):
        drawing = Reader(svg.draw(spec, "x", "x"))
        assert drawing.text.count("rolled back") == 1
        assert "seed 1, round 2" in drawing.text
        paints = {attrs.get(key) for _, attrs in drawing.elements for key in ("fill", "stroke")}
        assert paints - {None, "none", "transparent"} <= {colour.light for colour in PALETTE}


def test_before_stands_above_after_in_a_row() -> None:
    result = loop_sample()
    one = next(one for one in result.exam if one.success)
    pair = figures.Pair("row", one.success, one.success, (one.n, 0))
    drawing = Reader(svg.draw(figures.before_and_after([pair], "%"), "x", "x"))
    places = re.findall(r"row, (before|after)", drawing.text)
    assert places == ["before", "after"]
    heights = [
        float(re.findall(r",([\d.]+)\)", str(attrs["transform"]))[0])
        for name, attrs in drawing.elements
        if name == "path" and "translate" in str(attrs.get("transform"))
    ]
    assert heights == sorted(heights)
    assert len(set(heights)) == 2


def test_without_figures_the_tables_stand_open(variant: LoopResult, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(svg, "available", lambda: False)
    page = render(variant)
    assert "vl-convert-python" in page
    assert "<svg" not in page.replace('<svg class="glyph"', "")
    for one in variant.exam:
        if one.arm == variant.arms[0] and one.success:
            assert words.percents(one.success) in page


def test_the_summary_holds_the_figures_at_eighty_columns(variant: LoopResult) -> None:
    text = printed(variant)
    assert max(map(len, text.splitlines())) <= 80
    for phase in ("before", "after"):
        one = variant.of(variant.arms[0], phase)
        assert one
        for name in ("held_out", "trained", "plain", "evidence", "false_evidence"):
            share = getattr(one, name)
            assert share is None or f"{words.percent(share.value)} {words.percents(share)}" in text
    back = sum(not row.accepted for row in variant.rows if row.arm == variant.arms[0])
    assert len(re.findall(r"rolled back$", text, re.MULTILINE)) == back
    assert all(arm in text for arm in variant.arms)
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f\u202e]", text)


def test_a_result_survives_its_own_json(variant: LoopResult) -> None:
    assert LoopResult.model_validate_json(variant.model_dump_json()) == variant
