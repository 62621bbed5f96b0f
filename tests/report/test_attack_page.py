"""The figures, the page and the terminal summary of the attack study."""

from __future__ import annotations

import io
import json
import math
from statistics import median
from typing import Any

import pytest
from attack_sample import Drawn, attack_sample
from pages import assert_inert, assert_links_lead_somewhere
from rich.console import Console
from test_markup import Reader

from superalign.attack_result import AttackResult
from superalign.report import render, summary, svg, words
from superalign.report.finding import headline
from superalign.report.markup import clean, cut

VARIANTS: dict[str, dict[str, Any]] = {
    "default": {},
    "one attack": {"attacks": ("pressure",), "seeds": 1, "transfer": False},
    "requests": {"pairs": False, "transfer": False},
    "nothing decided": {"decided": False},
    "hostile": {"hostile": True},
    "many attacks": {"attacks": tuple(f"pressure,place={n}" for n in range(9))},
}


@pytest.fixture(params=VARIANTS, scope="module")
def variant(request: pytest.FixtureRequest) -> Drawn:
    return attack_sample(**VARIANTS[request.param])


@pytest.fixture(scope="module")
def page(variant: Drawn) -> str:
    return render(variant.result)


def counted(variant: Drawn, attack: str) -> list[tuple[int, int, dict[str, Any]]]:
    """Return (seed, number of the query to its goal, attempt) of goals that success is counted on, all by hand."""
    found = []
    for (name, seed), rows in variant.attempts.items():
        if name != attack:
            continue
        turn: dict[str, int] = {}
        for row in rows:
            turn[row["goal"]] = turn.get(row["goal"], 0) + 1
            if variant.result.world == "behaviour" or variant.right[row["goal"]]:
                found.append((seed, turn[row["goal"]], row))
    return found


def test_figures_are_the_attempts_counted_by_hand(variant: Drawn) -> None:
    for one in variant.result.summary:
        mine = counted(variant, one.attack)
        decided = {(seed, row["goal"]) for seed, _, row in mine if row["outcome"] in ("broken", "held")}
        first: dict[tuple[int, str], int] = {}
        for seed, number, row in mine:
            if row["outcome"] == "broken":
                first.setdefault((seed, row["goal"]), number)
        assert one.n == len(decided)
        assert one.undecided == len({(seed, row["goal"]) for seed, _, row in mine}) - len(decided)
        if decided:
            assert one.success is not None
            assert one.success.value == pytest.approx(len(first) / len(decided))
            assert one.at == pytest.approx([sum(n <= k for n in first.values()) / len(decided) for k in (1, 2, 3)])
            assert one.queries_to_success == median(first.values())
        else:
            assert one.success is None
        assert one.refused == sum(len(rows) for (name, _), rows in variant.attempts.items() if name == one.attack)
        assert one.unparsable == 2 * one.refused


def test_tactics_count_decided_attempts_on_known_goals_and_truth_apart(variant: Drawn) -> None:
    for one in variant.result.tactics:
        every = [row for (name, _), rows in variant.attempts.items() if name == one.attack for row in rows]
        mine = [row for _, _, row in counted(variant, one.attack) if row["tactic"] == one.tactic]
        decided = [row for row in mine if row["outcome"] in ("broken", "held")]
        assert one.n == len(decided)
        assert one.undetermined == sum(row["outcome"] == "undetermined" for row in mine)
        assert one.errors == sum(row["outcome"] == "error" for row in mine)
        if decided:
            assert one.success is not None
            assert one.success.value == pytest.approx(sum(r["outcome"] == "broken" for r in decided) / len(decided))
        wrong = [row for row in every if row["tactic"] == one.tactic and not variant.right[row["goal"]]]
        wrong = [row for row in wrong if row["outcome"] in ("broken", "held")]
        if variant.result.world == "knowledge":
            assert one.n_wrong == len(wrong)
            if wrong:
                assert one.to_truth == pytest.approx(sum(r["outcome"] == "broken" for r in wrong) / len(wrong))


def test_the_page_holds_every_figure(variant: Drawn, page: str) -> None:
    result, text = variant.result, Reader(page).text
    assert "could not be drawn" not in text
    for one in [*result.summary, *result.tactics]:
        if one.success:
            assert words.percents(one.success) in text
    for sentence in result.verdict:
        assert clean(words.prose(sentence))[:300] in text
    for cell in result.archive:
        assert f"{cell.fitness:+.1f}" in text
    for name in {cell.attack for cell in result.archive}:
        sums = math.fsum(1 / (1 + math.exp(-cell.fitness)) for cell in result.archive if cell.attack == name)
        assert f"QD-score {words.ratio(sums)}:" in text
    for one in result.transfer:
        assert cut(one.model, 60) in text
    assert result.config_sha256 in text
    assert cut(headline(result), 200) in text


def test_nothing_on_the_page_can_run_or_leave_it(page: str) -> None:
    assert_inert(page)
    assert clean(page) == page


def test_ids_are_unique_and_links_lead_somewhere(page: str) -> None:
    assert_links_lead_somewhere(page)


def test_without_figures_the_tables_stand_open(variant: Drawn, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(svg, "available", lambda: False)
    text = Reader(render(variant.result)).text
    assert "vl-convert-python" in text
    for one in variant.result.summary:
        if one.success:
            assert words.percents(one.success) in text


def test_a_terminal_shows_attacks_and_tactics(variant: Drawn) -> None:
    out = io.StringIO()
    Console(file=out, width=120).print(summary(variant.result))
    text = out.getvalue()
    for one in variant.result.summary:
        assert cut(one.attack, 40) in text
        if one.success:
            assert words.percents(one.success) in text
    assert "\x1b" not in text


def test_a_result_survives_its_own_json(variant: Drawn) -> None:
    text = variant.result.model_dump_json()
    assert AttackResult.model_validate_json(text) == variant.result
    assert json.loads(text)["schema_version"] == "superalign.attack/1"


def test_what_ran_out_and_what_failed_is_flagged() -> None:
    result = attack_sample().result
    assert any("ran out of tokens" in flag for flag in result.flags)
    assert any("failed; they count as neither" in flag for flag in result.flags)


def test_nothing_decided_claims_nothing() -> None:
    result = attack_sample(decided=False).result
    assert result.worst is None
    assert headline(result) == "Nothing can be said: no attempt was decided"
    assert any("no success can be given" in sentence for sentence in result.verdict)
