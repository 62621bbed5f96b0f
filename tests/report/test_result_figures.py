"""The figures that sinks are told: each with its interval, by name, and none that was refused."""

from __future__ import annotations

import pytest
from noise_sample import noise_sample
from sample import sample


def test_weak_to_strong():
    result = sample()
    for one in result.summary:
        bounds = (one.accuracy.low, one.accuracy.value, one.accuracy.high)
        names = [(name, one.role, one.method) for name in ("accuracy_low", "accuracy", "accuracy_high")]
        assert tuple(result.figures[name] for name in names) == bounds
        assert result.figures["ece", one.role, one.method] == one.ece
    assert result.figures["gap",] == result.gap.value
    kept = {pgr.method: pgr.pooled.value for pgr in result.pgr if pgr.pooled}
    assert kept
    assert {name[1]: value for name, value in result.figures.items() if name[0] == "pgr"} == kept


def test_a_refused_figure_is_absent():
    assert any(name[0].startswith("pgr") for name in sample().figures)
    assert not any(name[0].startswith("pgr") for name in sample(refused=True).figures)


def test_label_noise():
    result = noise_sample()
    for one in result.summary:
        of = (f"noise {one.rate:g}", one.method)
        assert result.figures["accuracy", *of] == one.accuracy.value
        assert result.figures["ece", *of] == one.ece
        lost = result.figures.get(("accuracy_lost", *of))
        assert lost == (pytest.approx(one.loss.value) if one.loss else None)
