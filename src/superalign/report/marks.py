"""What charts are made of: an axis, and the marks on it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from superalign.report.series import MUTED

Spec = dict[str, Any]


@dataclass(frozen=True)
class Axis:
    """A numeric axis: its title, its ends, whether it is logarithmic, where numbers stand, and whether lines do."""

    title: str
    low: float
    high: float
    log: bool = False
    values: tuple[float, ...] = ()
    grid: bool = True
    whole: bool = False
    """Whether its numbers are whole."""

    def channel(self, field: str) -> Spec:
        """Return the Vega-Lite encoding of a field along this axis."""
        kind = "log" if self.log else "linear"
        scale = {"domain": [self.low, self.high], "nice": False, "zero": False, "type": kind}
        axis: Spec = {"title": self.title or None, "grid": self.grid}
        if self.whole:
            axis["format"] = "d"
        if self.log:
            axis["format"] = "~s"
        if self.values:
            axis |= {"values": list(self.values), "labelOverlap": True}
        return {"field": field, "type": "quantitative", "scale": scale, "axis": axis}


@dataclass(frozen=True)
class Dot:
    """One figure on a row, with its interval."""

    row: str
    value: float
    low: float
    high: float
    colour: str
    tip: str
    shape: str = "circle"
    text: str = ""
    hollow: bool = False
    side: Literal["above", "below", "left", "right"] = "above"
    shift: int = 0
    """Pixels below the middle of its row, so that two of one row stand apart."""


@dataclass(frozen=True)
class Mark:
    """A small ring on a row: one seed."""

    row: str
    value: float
    colour: str
    tip: str


@dataclass(frozen=True)
class Band:
    """A range across the whole chart, such as the interval of the floor."""

    low: float
    high: float
    colour: str


@dataclass(frozen=True)
class Rule:
    """A reference value, named above the chart."""

    at: float
    text: str
    colour: str = MUTED.light
    side: Literal["left", "center"] = "center"


@dataclass(frozen=True)
class Point:
    """A point of a curve, with its interval."""

    x: float
    y: float
    low: float
    high: float
    series: str
    colour: str
    shape: str
    tip: str
    size: float = 60
    label: str = ""
    """What stands over it."""
