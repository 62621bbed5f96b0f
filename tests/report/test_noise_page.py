"""The page and the terminal summary of the label-noise study."""

from __future__ import annotations

import io
import re
import sys
from itertools import pairwise
from typing import Any

import pytest
from noise_sample import noise_sample
from pages import assert_inert, assert_links_lead_somewhere
from rich.console import Console
from sample import HOSTILE, SCRIPT
from test_markup import Reader

from superalign.noise_result import LabelNoiseResult
from superalign.noise_verdict import verdict, written
from superalign.report import noise_figures as figures
from superalign.report import render, summary, svg, words
from superalign.report.chart import LINE, TALL, lines
from superalign.report.finding import headline
from superalign.report.marks import Axis, Point
from superalign.report.markup import clean
from superalign.report.series import PALETTE
from superalign.result import Interval
from superalign.verdict import differs

VARIANTS: dict[str, dict[str, Any]] = {
    "default": {},
    "one method": {"methods": ("naive",), "seeds": 1},
    "filters": {"filters": ("posterior", "agreement")},
    "no rate 0": {"rates": (0.1, 0.4)},
    "one rate": {"rates": (0.3,)},
    "many methods": {"methods": tuple(f"gce,q=0.{place}" for place in range(1, 10))},
    "many rates": {"rates": tuple(place / 40 for place in range(17))},
    "hostile": {"methods": (SCRIPT, '"><b onclick=x>'), "filters": ("</style>",), "hostile": True},
}


@pytest.fixture(params=VARIANTS, scope="module")
def variant(request: pytest.FixtureRequest) -> LabelNoiseResult:
    return noise_sample(**VARIANTS[request.param])


@pytest.fixture(scope="module")
def page(variant: LabelNoiseResult) -> str:
    return render(variant)


def printed(result: LabelNoiseResult, width: int = 100) -> str:
    out = io.StringIO()
    Console(file=out, width=width).print(summary(result))
    return out.getvalue()


def values(spec: dict[str, Any], field: str) -> list[Any]:
    return [row[field] for layer in spec["layer"] for row in layer["data"]["values"] if field in row]


def test_every_figure_of_the_result_is_on_the_page(variant: LabelNoiseResult, page: str) -> None:
    text = Reader(page).text
    assert "could not be drawn" not in text
    for one in variant.summary:
        assert f"{words.percent(one.accuracy.value)} {words.percents(one.accuracy)}" in text
        assert words.error(one.ece) in text
        if one.loss:
            assert words.lost(one.loss) in text
    for row in variant.rows[:300]:
        assert words.count(row.correct) in text
    for test in variant.tests:
        assert words.points(test.difference) in text
        assert words.p_value(test.p_holm) in text
    for sentence in [*variant.verdict, *variant.task.warnings]:
        assert clean(words.prose(sentence))[:550] in text
    assert variant.config_sha256 in text


def test_nothing_on_the_page_can_run_or_leave_it(page: str) -> None:
    assert_inert(page)


def test_ids_are_unique_and_links_lead_somewhere(page: str) -> None:
    assert_links_lead_somewhere(page)


def test_a_filter_has_its_own_figures() -> None:
    page = render(noise_sample(filters=("posterior",)))
    panels = re.findall(r'class="panel[^"]*" id="([\w-]+)"', page)
    assert panels == ["accuracy", "accuracy-1", "rates", "tests", "tests-1"]
    assert "Wrong among them" in page


def test_what_is_not_there_has_no_section() -> None:
    page = render(noise_sample(methods=("naive",)))
    assert 'id="tests"' not in page
    assert 'id="labels"' not in page


def test_lines_hold_every_point_and_name_every_method() -> None:
    result = noise_sample()
    spec = figures.accuracy(result, None, figures.who(result))
    heights = values(spec, "y")
    assert all(100 * one.accuracy.value in heights for one in result.summary)
    assert set(result.methods) <= set(values(spec, "text"))
    tips = Reader(svg.draw(spec, "x", "x")).text
    assert f"gce, 40% wrong labels: {words.percent(result.at('gce', 0.4).accuracy.value)}" in tips
    tips = Reader(svg.draw(figures.differences(result, None, figures.who(result)), "x", "x")).text
    for test in result.tests:
        assert words.points(test.difference) in tips


def test_of_many_methods_the_first_and_the_best_are_drawn_and_all_are_listed() -> None:
    result = noise_sample(methods=("naive", *(f"gce,q=0.{place}" for place in range(1, 10))))
    drawn = list(dict.fromkeys(one.method for one in figures.drawn(result, None)))
    assert len(drawn) == figures.SHOWN
    assert drawn[0] == "naive"
    worst = {method: result.at(method, 0.4).accuracy.value for method in result.methods}
    assert min(worst[method] for method in drawn[1:]) >= max(
        value for method, value in worst.items() if method not in drawn
    )
    assert "3\u00a0methods in the table only." in Reader(render(result)).text


def test_lines_use_only_the_palette() -> None:
    result = noise_sample()
    drawing = svg.draw(figures.accuracy(result, None, figures.who(result)), "x", "x")
    paints = {attrs.get(key) for _, attrs in Reader(drawing).elements for key in ("fill", "stroke")}
    assert paints - {None, "none", "transparent"} <= {colour.light for colour in PALETTE}


@pytest.mark.parametrize("heights", [[50.0] * 7, [10.0, 50.0, 50.5, 51.0, 90.0], [0.0, 0.1, 99.9, 100.0]])
def test_names_at_the_ends_do_not_touch_and_stay_near_their_lines(heights: list[float]) -> None:
    points = [Point(x, y, y, y, f"line {n}", "#000", "circle", "") for n, y in enumerate(heights) for x in (0, 1)]
    spec = lines(points, Axis("x", 0, 1, values=(0, 1)), Axis("y", 0, 100))
    (ends,) = {
        tuple((row["y"], row["text"]) for row in layer["data"]["values"])
        for layer in spec["layer"]
        if "text" in layer["data"]["values"][0]
    }
    assert len(ends) == len(heights)
    at = sorted(height for height, _ in ends)
    assert all(b - a >= 100 / TALL * LINE - 1e-9 for a, b in pairwise(at))
    near = 100 / TALL * LINE * len(heights) / 2
    assert all(abs(height - heights[int(name.split()[1])]) <= near for height, name in ends)


def test_points_of_one_rate_stand_side_by_side_in_order() -> None:
    points = [Point(x, 1, 0, 2, name, "#000", "circle", "") for name in "abc" for x in (0.0, 1.0)]
    spec = lines(points, Axis("x", 0, 1, values=(0, 1)), Axis("y", 0, 3))
    dots = next(layer["data"]["values"] for layer in spec["layer"] if layer["mark"]["type"] == "point")
    for x in (0.0, 1.0):
        near = [dot["x"] for dot in dots if abs(dot["x"] - x) < 0.5]
        assert near == sorted(near)
        assert len(set(near)) == 3
        assert sum(near) / 3 == pytest.approx(x)


def test_without_vl_convert_the_tables_stand_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "vl_convert", None)
    page = render(noise_sample())
    assert "pip install 'superalign[report]'" in Reader(page).text
    assert '<svg class="plot"' not in page
    assert "<details open>" in page


def test_method_section_names_what_was_done() -> None:
    text = Reader(render(noise_sample(filters=("posterior",)))).text
    assert "The rates are 0%, 10%, 20%, 30%, 40% of the transfer labels" in text
    assert "Exactly round(rate n) labels are wrong" in text
    assert "fit probe (steps 50)" in text
    assert "Objective gce" in text
    assert "Filter posterior" in text


@pytest.mark.parametrize("width", [60, 80, 120])
def test_the_terminal_shows_all_in_any_width(variant: LabelNoiseResult, width: int) -> None:
    text = printed(variant, width)
    assert max(map(len, text.splitlines())) <= width
    if width >= 80:
        worst = max(variant.rates)
        for method in variant.methods:
            one = variant.at(method, worst)
            assert f"{words.percent(one.accuracy.value)} {words.percents(one.accuracy)}" in text
    assert "\x1b" not in text


def test_the_terminal_shows_the_ends_and_some_of_many_rates() -> None:
    header = printed(noise_sample(rates=tuple(place / 40 for place in range(17)))).splitlines()[2]
    assert header.split() == ["0%", "10%", "20%", "30%", "40%"]


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_texts_send_nothing_to_the_terminal(text: str) -> None:
    result = noise_sample()
    rows = [one.model_copy(update={"method": text if one.method == "gce" else one.method}) for one in result.summary]
    tests = [one.model_copy(update={"a": text if one.a == "gce" else one.a}) for one in result.tests]
    result = result.model_copy(update={"summary": rows, "tests": tests})
    assert not {"\x07", "\x00", "\x9b", "\u202e", "\x1b"} & set(printed(result.model_copy(update={"flags": [text]})))


def test_headline_claims_only_corrected_differences() -> None:
    result = noise_sample()
    assert headline(result) == "With 40% wrong labels, logconf, gce and forward score above naive"
    weak = [test.model_copy(update={"p_holm": 0.06}) for test in result.tests]
    none = result.model_copy(update={"tests": weak})
    assert headline(none) == "With 40% wrong labels, no method is shown to score above naive"
    assert headline(noise_sample(methods=("naive",))).startswith("With 40% wrong labels, naive loses ")
    assert headline(noise_sample(methods=("naive",), rates=(0.3,))).startswith("With 30% wrong labels, naive scores ")


def test_the_verdict_says_no_more_than_its_intervals() -> None:
    result = noise_sample()
    said = "\n".join(result.verdict)
    for test in result.tests:
        claimed = f"{words.points(test.difference).split()[0]}".replace("−", "-")
        assert differs(test) == (f"at {written(test.rate)} by {claimed} points" in said), test
    kept = [one.method for one in result.summary if one.rate == 0.4 and one.loss and one.loss.high <= 0.05]
    assert kept
    assert f"{' and '.join(kept)} lose" in said
    wide = [
        one.model_copy(update={"loss": Interval(value=0.01, low=-0.2, high=0.2)} if one.loss else {})
        for one in result.summary
    ]
    quiet = [test.model_copy(update={"p_holm": 1.0}) for test in result.tests]
    said = "\n".join(verdict("symmetric", 1200, 0.5, wide, quiet))
    assert "No method can be told from naive at any rate (corrected for 15 comparisons)." in said
    assert "No method is shown to lose no more than 5 points with 40% wrong labels." in said
    assert "no loss beyond the interval" in said


def test_a_method_that_learned_nothing_is_not_said_to_have_survived() -> None:
    result = noise_sample()
    said = "\n".join(verdict("symmetric", 1200, 0.9, result.summary, result.tests))
    assert "no more than 5 points" not in said


@pytest.mark.parametrize(("rate", "text"), [(0.0, "0%"), (0.07, "7%"), (0.125, "12.5%"), (0.3, "30%")])
def test_rates_are_written_without_needless_digits(rate: float, text: str) -> None:
    assert written(rate) == text
