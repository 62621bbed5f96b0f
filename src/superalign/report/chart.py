"""The kinds of chart of the report, as Vega-Lite: rows of dots with intervals, curves with bands, named lines."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from itertools import pairwise
from math import isfinite
from typing import TYPE_CHECKING

from superalign.report.marks import Axis, Band, Dot, Mark, Point, Rule, Spec
from superalign.report.series import HAIR, INK, MUTED, PAPER

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

WIDTH = 440
ROW = 46
WIDE, TALL = 640, 320
LETTER, LINE, GAP = 7.2, 15, 26
"""Of the names at the ends of lines: width of a letter, height of a line, and the gap before them, in pixels."""
CONFIG: Spec = {
    "background": "transparent",
    "font": "Liberation Sans, Arial, Helvetica, sans-serif",
    "view": {"stroke": None},
    "axis": {
        "aria": False,
        "labelColor": MUTED.light,
        "titleColor": MUTED.light,
        "labelFontSize": 12,
        "titleFontSize": 12,
        "titleFontWeight": "normal",
        "titlePadding": 10,
        "labelPadding": 6,
        "gridColor": HAIR.light,
        "domain": False,
        "ticks": False,
        "tickCount": 6,
    },
}
BOLD: Spec = {"type": "text", "fontSize": 12, "fontWeight": "bold", "color": INK.light}
DASHED: Spec = {"strokeDash": [4, 4], "strokeWidth": 1.2}
SHADE: Spec = {"opacity": 0.13}
SEED: Spec = {"type": "point", "filled": False, "size": 26, "strokeWidth": 1.3, "opacity": 0.75, "yOffset": 13}
DOT: Spec = {"type": "point", "filled": True, "size": 95, "strokeWidth": 2, "opacity": 1}
PLACES: dict[str, Spec] = {
    "above": {"yOffset": -14},
    "below": {"yOffset": 14},
    "left": {"align": "right", "xOffset": -10},
    "right": {"align": "left", "xOffset": 10},
}
ROW_NAMES: Spec = {
    "title": None,
    "labelColor": INK.light,
    "labelFontSize": 12.5,
    "labelLimit": 190,
    "labelPadding": 12,
}


def rows_of_dots(
    dots: Sequence[Dot],
    axis: Axis,
    *,
    marks: Sequence[Mark] = (),
    bands: Sequence[Band] = (),
    rules: Sequence[Rule] = (),
    row: int = ROW,
) -> Spec:
    """Return a chart with one row a label: the interval, a dot for the value with its text, rings for seeds below.

    `row` is the height of a row in pixels.
    """
    names = list(dict.fromkeys(dot.row for dot in dots))
    x = axis.channel("value")
    y = {"field": "row", "type": "nominal", "axis": ROW_NAMES, "scale": {"domain": names}}
    span = {"x": axis.channel("low"), "x2": {"field": "high"}, "color": _raw("colour")}
    tip = {"description": {"field": "tip"}}
    data = [{**asdict(dot), "fill": PAPER.light if dot.hollow else dot.colour} for dot in dots]
    look = {"fill": _raw("fill"), "stroke": _raw("colour"), "shape": _raw("shape")}
    layers = [
        _layer(_dicts(bands), {"type": "rect", **SHADE}, span),
        *_rules(rules, axis),
        _layer(_dicts(marks), {**SEED, "aria": True}, {"x": x, "y": y, "color": _raw("colour"), **tip}),
    ]
    for shift in sorted({dot.shift for dot in dots}):
        mine = [dot for dot in data if dot["shift"] == shift]
        layers.append(_layer(mine, {"type": "rule", "strokeWidth": 2.5, "yOffset": shift}, {**span, "y": y}))
        layers.append(_layer(mine, {**DOT, "aria": True, "yOffset": shift}, {"x": x, "y": y, **look, **tip}))
        for side, place in PLACES.items():
            texts = [dot for dot in mine if dot["side"] == side]
            moved = {**BOLD, **place, "yOffset": place.get("yOffset", 0) + shift}
            layers.append(_layer(texts, moved, {"x": x, "y": y, "text": {"field": "text"}}))
    return _chart(layers, row * len(names), WIDTH)


def curves(
    points: Sequence[Point],
    across: Axis,
    up: Axis,
    *,
    bands: Sequence[Band] = (),
    rules: Sequence[Rule] = (),
    diagonal: bool = False,
    height: int = 280,
    width: int = WIDTH,
) -> Spec:
    """Return a chart with one curve a series, its interval as a band, and its points."""
    across = replace(across, grid=False)
    x, y = across.channel("x"), up.channel("y")
    span = {"y": up.channel("low"), "y2": {"field": "high"}, "color": _raw("colour")}
    curve = {"x": x, "color": _raw("colour"), "detail": {"field": "series"}}
    ends = [max(across.low, up.low), min(across.high, up.high)] if diagonal else []
    equal = [{"x": end, "y": end} for end in ends]
    data = _dicts(points)
    wide = [point for point in data if point["low"] < point["high"]]
    named = [point for point in data if point["label"]]
    look = {"size": {**_raw("size"), "type": "quantitative"}, "shape": _raw("shape"), "description": {"field": "tip"}}
    layers = [
        _layer(_dicts(bands), {"type": "rect", **SHADE}, span),
        *_rules(rules, across),
        _layer(equal, {"type": "line", "color": MUTED.light, **DASHED}, {"x": x, "y": y}),
        _layer(wide, {"type": "area", **SHADE}, {**curve, **span}),
        _layer(data, {"type": "line", "strokeWidth": 2}, {**curve, "y": y}),
        _layer(data, {"type": "point", "filled": True, "opacity": 1, "aria": True}, {**curve, "y": y, **look}),
        _layer(named, {**BOLD, **PLACES["above"]}, {"x": x, "y": y, "text": {"field": "label"}}),
    ]
    return _chart(layers, height, width)


def lines(points: Sequence[Point], across: Axis, up: Axis, *, level: Rule | None = None, width: int = WIDE) -> Spec:
    """Return a chart with one line a series, named at its end, and the interval of each point as an upright line.

    Points of one x stand side by side, so that their intervals can be told apart.

    Args:
        points: in the order of x within a series.
        across: its `values` are where points may be.
        up: the other axis.
        level: a reference value of the other axis.
        width: of the drawing, names included.
    """
    names = list(dict.fromkeys(point.series for point in points))
    room = max(map(len, [*names, level.text if level else ""])) * LETTER + GAP  # pixels of the names at the ends
    step = _apart(across.values, len(names), (across.high - across.low) / (width - room))
    shift = {name: step * (place - (len(names) - 1) / 2) for place, name in enumerate(names)}
    data = _dicts([replace(point, x=point.x + shift[point.series]) for point in points])
    side = max(abs(step) * len(names), 0.02 * (across.high - across.low))
    low, high = across.low - side, across.high + side
    shown = replace(across, grid=False, low=low, high=high + room * (high - low) / (width - room))
    x, y = shown.channel("x"), up.channel("y")
    curve = {"x": x, "color": _raw("colour"), "detail": {"field": "series"}}
    span = {"x": x, "y": up.channel("low"), "y2": {"field": "high"}, "color": _raw("colour")}
    look = {"shape": _raw("shape"), "description": {"field": "tip"}}
    dot = {"type": "point", "filled": True, "opacity": 1, "size": 60, "aria": True}
    last = [(point["y"], point["series"], point["colour"]) for point in {p["series"]: p for p in data}.values()]
    levels = [(level.at, level.text, level.colour)] if level else []
    upto = [{"y": at, "x": low, "end": high} for at, *_ in levels]
    beside = high + GAP / 2 * (high - low) / (width - room)
    ends = [{"x": beside, "y": at, "text": text, "colour": c} for at, text, c in _spread([*last, *levels], up)]
    name = {"x": x, "y": y, "text": {"field": "text"}}
    layers = [
        _layer(upto, {"type": "rule", "color": MUTED.light, **DASHED}, {"y": y, "x": x, "x2": {"field": "end"}}),
        _layer(data, {"type": "rule", "strokeWidth": 1.6, "opacity": 0.45}, span),
        _layer(data, {"type": "line", "strokeWidth": 2}, {**curve, "y": y}),
        _layer(data, dot, {**curve, "y": y, **look}),
        _layer(ends, {**BOLD, "align": "left", "stroke": PAPER.light, "strokeWidth": 4}, name),
        _layer(ends, {**BOLD, "align": "left"}, {**name, "color": _raw("colour")}),
    ]
    return _chart(layers, TALL, width)


def _apart(places: Sequence[float], series: int, pixel: float) -> float:
    """Return how far, in units of x, points of neighbouring series stand apart: 6 pixels where there is room."""
    gaps = [b - a for a, b in pairwise(places)]
    return min(6 * pixel, 0.6 * min(gaps) / series) if gaps else 6 * pixel


def _spread(names: Sequence[tuple[float, str, str]], up: Axis) -> list[tuple[float, str, str]]:
    """Return names (height, text, colour), moved apart around their common middle where they would touch."""
    apart = LINE * (up.high - up.low) / TALL
    blocks: list[tuple[float, list[tuple[float, str, str]]]] = []
    for one in sorted((one for one in names if isfinite(one[0])), key=lambda one: one[0]):
        middle, block = one[0], [one]
        while blocks and middle - blocks[-1][0] < apart * (len(block) + len(blocks[-1][1])) / 2:
            block = [*blocks.pop()[1], *block]
            middle = sum(at for at, *_ in block) / len(block)
        blocks.append((middle, block))
    return [
        (middle + apart * (place - (len(block) - 1) / 2), text, colour)
        for middle, block in blocks
        for place, (_, text, colour) in enumerate(block)
    ]


def _rules(rules: Sequence[Rule], axis: Axis) -> list[Spec]:
    layers = []
    for rule in rules:
        at = {"x": axis.channel("at")}
        name = {"type": "text", "align": rule.side, "baseline": "bottom", "y": -6, "fontSize": 11}
        layers.append(_layer(_dicts([rule]), {"type": "rule", "color": rule.colour, **DASHED}, at))
        layers.append(_layer(_dicts([rule]), {**name, "color": rule.colour}, {**at, "text": {"field": "text"}}))
    return layers


def _dicts(items: Sequence[DataclassInstance]) -> list[Spec]:
    return [asdict(item) for item in items]


def _layer(data: list[Spec], mark: Spec, encoding: Spec) -> Spec:
    mark = {"aria": False, "clip": mark["type"] != "text", **mark}
    return {"data": {"values": data}, "mark": mark, "encoding": encoding}


def _raw(field: str) -> Spec:
    return {"field": field, "type": "nominal", "scale": None, "legend": None}


def _chart(layers: list[Spec], height: int, width: int) -> Spec:
    return {
        "width": width,
        "height": height,
        "padding": {"left": 12, "right": 14, "top": 8, "bottom": 4},
        "autosize": {"type": "fit-x", "contains": "padding"},
        "config": CONFIG,
        "layer": [layer for layer in layers if layer["data"]["values"]],
    }
