"""The figures of the critic-eval report: agreement with the truth, planted flaws, calibration."""

from __future__ import annotations

from dataclasses import replace

from superalign.critic_result import CriticEvalResult, CriticSummary
from superalign.critic_verdict import ranked, ratio
from superalign.report import words
from superalign.report.chart import rows_of_dots
from superalign.report.marks import Axis, Dot, Mark, Rule, Spec
from superalign.report.markup import cut
from superalign.report.noise_figures import COLOURS, SHAPES
from superalign.report.series import Series, unique
from superalign.result import Interval

Who = dict[str, Series]
NAME = 28  # letters that a row has room for
SEEDS_DRAWN = 50


def who(result: CriticEvalResult) -> Who:
    """Return how each critic is drawn, alike in all figures."""
    found: Who = {}
    for place, one in enumerate(result.summary):
        label = unique(cut(one.critic, NAME), {known.label for known in found.values()})
        turn = place // len(COLOURS)  # a colour that comes again comes with another shape
        look = COLOURS[place % len(COLOURS)], SHAPES[(place + turn) % len(SHAPES)]
        found[one.critic] = Series("student", one.critic, label, *look)
    return found


def kappa(result: CriticEvalResult, book: Who) -> Spec:
    """Cohen's kappa of every critic that has one, the best first."""
    dots, marks = [], []
    for one in ranked(result.summary):
        if one.kappa is None:
            continue
        dots.append(_dot(book[one.critic], one.kappa, ratio(one.kappa), words.ratio(one.kappa.value)))
        known = [(row.seed, row.kappa) for row in result.rows if row.critic == one.critic and row.kappa is not None]
        marks += [_seed(book[one.critic], *each) for each in known[:SEEDS_DRAWN]] if one.learns else []
    edges = [0.0, *(edge for dot in dots for edge in (dot.low, dot.high)), *(mark.value for mark in marks)]
    low, high = min(edges), max(edges)
    axis = Axis("Cohen's kappa", max(-1.0, low - 0.06), min(1.04, high + 0.06))
    return rows_of_dots(dots, axis, marks=marks, rules=[Rule(0, "chance", side="left")])


def planted(result: CriticEvalResult, book: Who) -> Spec:
    """Share of planted flaws that each critic finds, and of the same responses that it calls bad untouched."""
    dots = []
    for one in result.summary:
        found = one.planted
        if found is None or found.detected is None:
            continue
        name, alarms = book[one.critic], found.false_alarms
        left = alarms is not None and found.detected.value < alarms.value
        dots.append(_share(name, found.detected, "flawed", left, hollow=False))
        if alarms:
            dots.append(_share(name, alarms, "untouched", not left, hollow=True))
    return rows_of_dots(dots, Axis("called bad, %", -4, 104, values=tuple(range(0, 101, 20))))


def calibrated(result: CriticEvalResult) -> list[CriticSummary]:
    """Return the critics whose confidence says something: with more than one bin."""
    return [one for one in result.summary if one.reliability]


def _share(who: Series, figure: Interval, which: str, left: bool, *, hollow: bool) -> Dot:
    said = f"{which}: {words.percent(figure.value)} {words.percents(figure)}"
    dot = _dot(who, figure, said, words.percent(figure.value, unit=False), 100)
    return replace(dot, hollow=hollow, side="left" if left else "right")


def _dot(who: Series, figure: Interval, said: str, text: str, scale: float = 1) -> Dot:
    value, low, high = scale * figure.value, scale * figure.low, scale * figure.high
    return Dot(who.label, value, low, high, who.colour.light, f"{who.label}: {said}", who.shape, text)


def _seed(who: Series, seed: int, value: float) -> Mark:
    return Mark(who.label, value, who.colour.light, f"{who.label}, seed {seed}: {words.ratio(value)}")
