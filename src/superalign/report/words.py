"""How figures are written: the same digits everywhere, a true minus sign, a dash for what is not there."""

from __future__ import annotations

import math
import re

from superalign.result import Interval

NONE = "–"


def percent(share: float | None, unit: bool = True) -> str:
    """Write a share with one digit: 0.784 is 78.4%."""
    if share is None or not math.isfinite(share):
        return NONE
    return _minus(f"{100 * share:.1f}") + ("%" if unit else "")


def percents(interval: Interval) -> str:
    """Write the interval of a share in per cent: [76.9, 80.1]."""
    return f"[{percent(interval.low, unit=False)}, {percent(interval.high, unit=False)}]"


def points(interval: Interval) -> str:
    """Write a difference of shares in percentage points, with its sign and interval."""
    return f"{_signed(interval.value)} [{_signed(interval.low)}, {_signed(interval.high)}]"


def lost(loss: Interval) -> str:
    """Write a loss of accuracy in percentage points, with its interval and without a sign: 3.1 points [1.0, 5.2]."""
    return f"{percent(loss.value, unit=False)} points {percents(loss)}"


def ratio(value: float | None) -> str:
    """Write a ratio such as the performance gap recovered with two digits."""
    return NONE if value is None or not math.isfinite(value) else _minus(f"{value:.2f}")


def ratios(interval: Interval) -> str:
    """Write the interval of a ratio: [0.31, 0.62]."""
    return f"[{ratio(interval.low)}, {ratio(interval.high)}]"


def error(value: float) -> str:
    """Write a calibration error with three digits."""
    return f"{value:.3f}" if math.isfinite(value) else NONE


def p_value(p: float) -> str:
    """Write a p-value with three digits, or that it is below them."""
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def count(n: int) -> str:
    """Write a count with thousands set apart."""
    return f"{n:,}"


def plural(n: int, noun: str, several: str = "") -> str:
    """Write a count with its noun: 1 row, 2 rows; `several` is the plural that takes no s."""
    return f"{count(n)}\u00a0{noun if n == 1 else several or f'{noun}s'}"


def quantity(value: float) -> str:
    """Write a tag's value: whole numbers with thousands set apart, others with three digits that matter."""
    if abs(value) >= 1000:
        return _minus(f"{value:,.0f}")
    return _minus(f"{value:.3g}")


def duration(seconds: float) -> str:
    """Write a time: 8.2 s, 1 min 22 s, 2 h 05 min."""
    if seconds < 60:
        return f"{seconds:.1f}\u00a0s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes}\u00a0min {rest:02d}\u00a0s"
    return f"{minutes // 60}\u00a0h {minutes % 60:02d}\u00a0min"


def prose(text: str) -> str:
    """Set a sentence from elsewhere with true minus signs: before numbers, and between words."""
    return re.sub(r"(?<![\w.])-(?=\d)|(?<= )-(?= )", "−", text)


def _signed(share: float) -> str:
    return _minus(f"{100 * share:+.1f}") if math.isfinite(share) else NONE


def _minus(text: str) -> str:
    return text.replace("-", "−")
