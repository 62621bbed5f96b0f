from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from sample import SCRIPT, sample
from test_markup import Reader

from superalign.report import figures, svg, words
from superalign.report.chart import rows_of_dots
from superalign.report.frame import Frame
from superalign.report.marks import Axis, Band, Dot
from superalign.report.series import CEILING, CONTROL, HAIR, INK, MUTED, PALETTE, PAPER, STUDENTS, WEAK, series
from superalign.result import WeakToStrongResult

Floats = npt.NDArray[np.float64]
SEEN_AS: dict[str, Floats] = {  # Machado et al. 2009, severity 1, on linear RGB
    "protanopia": np.array([[0.1523, 1.0526, -0.2049], [0.1145, 0.7863, 0.0992], [-0.0039, -0.0481, 1.0520]]),
    "deuteranopia": np.array([[0.3673, 0.8606, -0.2280], [0.2801, 0.6725, 0.0474], [-0.0118, 0.0429, 0.9689]]),
    "tritanopia": np.array([[1.2555, -0.0767, -0.1788], [-0.0784, 0.9308, 0.1476], [0.0047, 0.6914, 0.3039]]),
    "trichromacy": np.eye(3),
}


@pytest.fixture(scope="module")
def result() -> WeakToStrongResult:
    return sample(hostile=False)


def values(spec: dict[str, Any], field: str) -> list[Any]:
    return [row[field] for layer in spec["layer"] for row in layer["data"]["values"] if field in row]


def titles(spec: dict[str, Any]) -> str:
    return Reader(svg.draw(spec, "x", "figure")).text


def test_accuracy_shows_every_role_method_and_seed(result: WeakToStrongResult) -> None:
    spec = figures.accuracy(result, series(result))
    text = titles(spec)
    for one in result.summary:
        assert f"{words.percent(one.accuracy.value)} {words.percents(one.accuracy)}" in text
    for row in result.rows:
        assert f"seed {row.seed}: {words.percent(row.accuracy)}" in text
    assert {"Weak supervisor", "Student · naive", "Student · logconf", "Strong ceiling"} <= set(values(spec, "row"))
    weak = next(s for s in result.summary if s.role == "weak")
    assert 100 * weak.accuracy.low in values(spec, "low")


def test_pgr_shows_pooled_values_and_every_seed_that_has_one(result: WeakToStrongResult) -> None:
    spec = figures.pgr(result, series(result))
    drawn = values(spec, "value")
    for pgr in result.pgr:
        assert pgr.pooled is not None
        assert pgr.pooled.value in drawn
        assert all(seed.value in drawn for seed in pgr.seeds if seed.value is not None)
    text = titles(spec)
    assert "seed 4: PGR" in text
    assert "seed 3: PGR" not in text  # refused


def test_layers_difficulty_and_reliability_show_their_points(result: WeakToStrongResult) -> None:
    book = series(result)
    text = titles(figures.layers(result, book))
    assert all(f"layer {p.layer}, {book[p.role, p.method].label}" in text for p in result.layers)
    text = titles(figures.difficulty(result.difficulty, book))
    assert all(words.percents(b.accuracy) in text for b in result.difficulty)
    curve = result.reliability[0]
    text = titles(figures.reliability(curve.bins, book[curve.role, curve.method], 40))
    assert all(f"{words.plural(b.n, 'answer')}: sure {words.percent(b.confidence)}" in text for b in curve.bins)


def test_agreement_shows_the_means_of_both_halves(result: WeakToStrongResult) -> None:
    spec = figures.agreement(result, series(result))
    rows = [row for row in result.rows if (row.role, row.method) == ("student", "logconf")]
    wrong = math.fsum(row.agreement_when_wrong or 0 for row in rows) / len(rows)
    assert pytest.approx(100 * wrong) in values(spec, "value")
    assert "Weak supervisor" not in values(spec, "row")


def test_paired_tests_show_difference_and_p(result: WeakToStrongResult) -> None:
    text = titles(figures.tests(result))
    for test in result.tests:
        assert words.points(test.difference) in text
        assert words.p_value(test.p) in text


def test_difficulty_is_logarithmic_where_that_spreads_the_bins() -> None:
    edges = np.geomspace(1e5, 2e7, 7).tolist()
    assert figures.logarithmic(list(itertools.pairwise(edges)))
    assert not figures.logarithmic([(1, 300), (301, 600), (601, 900)])
    assert not figures.logarithmic([(0, 10), (10, 100), (100, 1000)])
    assert not figures.logarithmic([(5, 7), (7, 9), (9, 12)])


def test_a_name_from_data_is_text_in_a_figure() -> None:
    hostile = sample(methods=(SCRIPT, "b"))
    drawing = svg.draw(figures.accuracy(hostile, series(hostile)), "x", SCRIPT)
    seen = Reader(drawing)
    assert "script" not in {name for name, _ in seen.elements}
    assert "<script>alert(1)" in seen.text


def test_only_shapes_pass_into_the_page() -> None:
    given = (
        '<svg xmlns="urn:x" width="10" height="10" viewBox="0 0 10 10"><script>alert(1)</script>'
        '<a href="urn:y"><text>linked</text></a><g onclick="x" clip-path="url(#c1)" fill="url(urn:z)">'
        '<path d="M0 0" aria-label="a &lt;b&gt;" style="x"/><text font-family="F" fill="#1b1f24">1 &lt; 2</text></g>'
        '<defs><clipPath id="c1"><rect x="0"/></clipPath></defs><image href="urn:w"/></svg>'
    )
    drawing = svg.embed(given, "fig", "label")
    seen = Reader(drawing)
    assert {name for name, _ in seen.elements} == {"svg", "g", "path", "title", "text", "defs", "clippath", "rect"}
    assert seen.text == "a <b>1 < 2"
    group = dict(seen.elements)["g"]
    assert group == {"clip-path": "url(#fig-clip-0)", "fill": "none"}
    assert dict(seen.elements)["clippath"] == {"id": "fig-clip-0"}
    assert dict(seen.elements)["svg"]["role"] == "img"


def test_a_figure_that_cannot_be_drawn_says_so(result: WeakToStrongResult) -> None:
    frame = Frame(result, series(result), draws=True)
    assert "could not be drawn" in str(frame.draw("x", "x", {"layer": [{"mark": "no such mark"}]}))
    assert frame.draw("x", "x", {"layer": []}) is None


def test_figures_use_only_the_palette(result: WeakToStrongResult) -> None:
    drawing = svg.draw(figures.difficulty(result.difficulty, series(result)), "x", "x")
    paints = {attrs.get(k) for _, attrs in Reader(drawing).elements for k in ("fill", "stroke")}
    assert paints - {None, "none", "transparent"} <= {colour.light for colour in PALETTE}


def test_bands_lie_where_their_interval_is() -> None:
    dot = Dot("row", 50, 50, 50, INK.light, "tip")
    spec = rows_of_dots([dot], Axis("x", 0, 100), bands=[Band(20, 40, WEAK.light)])
    drawing = Reader(svg.draw(spec, "x", "x"))
    lines = [a for n, a in drawing.elements if n == "path" and a.get("fill") == WEAK.light]
    assert len(lines) == 1
    assert float(str(lines[0]["opacity"])) < 0.3


def test_methods_keep_colour_and_shape_apart() -> None:
    many = sample(methods=tuple("abcdefgh"))
    looks = [(who.colour, who.shape) for who in series(many).values()]
    assert len(set(looks)) == len(looks)


def test_names_that_look_alike_when_cut_stay_apart() -> None:
    twins = sample(methods=("x" * 40 + "a", "x" * 40 + "b"))
    labels = [who.label for who in series(twins).values()]
    assert len(set(labels)) == len(labels)


@pytest.mark.parametrize("mode", ["light", "dark"])
def test_colours_stand_out_from_the_page(mode: str) -> None:
    page = getattr(PAPER, mode)
    assert contrast(getattr(INK, mode), page) > 12
    assert contrast(getattr(MUTED, mode), page) > 4.5
    assert all(contrast(getattr(c, mode), page) > 3 for c in (WEAK, CEILING, CONTROL, *STUDENTS))
    assert contrast(getattr(HAIR, mode), page) > 1.2


@pytest.mark.parametrize("seen_as", SEEN_AS)
@pytest.mark.parametrize("mode", ["light", "dark"])
def test_colours_stay_apart_for_every_kind_of_sight(mode: str, seen_as: str) -> None:
    drawn = [getattr(colour, mode) for colour in (WEAK, CEILING, CONTROL, *STUDENTS)]
    labs = [lab(SEEN_AS[seen_as] @ linear(colour)) for colour in drawn]
    assert min(float(np.linalg.norm(a - b)) for a, b in itertools.combinations(labs, 2)) > 12


def linear(colour: str) -> Floats:
    channels = np.array([int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)])
    return np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)


def contrast(a: str, b: str) -> float:
    low, high = sorted(float(linear(colour) @ [0.2126, 0.7152, 0.0722]) for colour in (a, b))
    return (high + 0.05) / (low + 0.05)


def lab(rgb: Floats) -> Floats:
    to_xyz = np.array([[0.4125, 0.3576, 0.1804], [0.2127, 0.7152, 0.0722], [0.0193, 0.1192, 0.9503]])
    xyz = to_xyz @ np.clip(rgb, 0, 1) / [0.9505, 1, 1.0888]
    f = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])
