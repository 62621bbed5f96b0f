"""What is said of a change of attack success: a fall, a rise, or neither, as its interval carries it."""

from __future__ import annotations

import pytest

from superalign.loop_result import ArmSummary, Change
from superalign.loop_verdict import headline, verdict
from superalign.result import Interval


def told(before: float, after: float, width: float) -> tuple[str, list[str]]:
    summary = [
        ArmSummary(
            arm="full",
            phase=phase,
            held_out=Interval(value=value, low=value, high=value),
            n_held_out=9,
            trained=None,
            n_trained=0,
            plain=None,
            n_plain=0,
            evidence=None,
            n_evidence=0,
            false_evidence=None,
            text=None,
            over_refusal=Interval(value=0.25, low=0.1, high=0.5),
            n_benign=8,
        )
        for phase, value in (("before", before), ("after", after))
    ]
    moved, ratio = after - before, after / before
    change = Change(
        arm="full",
        measure="held_out",
        difference=Interval(value=moved, low=moved - width, high=moved + width),
        ratio=Interval(value=ratio, low=ratio - width, high=ratio + width),
        n=18,
    )
    return headline(summary, [change]), verdict(summary, [change], [], [], [], "behaviour")


@pytest.mark.parametrize(
    ("before", "after", "width", "first", "second"),
    [
        (0.8, 0.2, 0.1, "attacks fall", "success falls by 75.0%"),
        (0.4, 0.8, 0.1, "attacks rise", "success rises, by a factor of 2.00"),
        (0.4, 0.5, 0.3, "cannot be told to fall", "cannot be told from none"),
        (0.5, 0.4, 0.3, "cannot be told to fall", "cannot be told from none"),
    ],
)
def test_a_rise_is_called_a_rise(before: float, after: float, width: float, first: str, second: str) -> None:
    line, sentences = told(before, after, width)
    assert first in line
    assert any(second in one for one in sentences)
    assert any("nobody should refuse it refuses 25.0%" in one and "n = 8 and 8" in one for one in sentences)
