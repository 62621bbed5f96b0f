"""The result of the critic-eval study as typed data."""

from __future__ import annotations

from typing import Any, Literal

from superalign.config import Config
from superalign.result import Figures, Interval, ModelFacts, PairedTest, ReliabilityBin, StudyResult, bounded


class CriticRow(Config):
    """One critic of one seed on the test part; figures are over cases with a verdict, None where one does not exist."""

    critic: str
    seed: int
    n: int
    judged: int
    """How many got a verdict."""
    correct: int
    accuracy: float | None
    kappa: float | None
    auroc: float | None
    brier: float | None
    ece: float | None
    precision: float | None
    """Of the verdict bad; None of pairs."""
    recall: float | None
    abstained: int
    unparsable: int
    unanswered: int
    errors: int
    tokens_in: int
    tokens_out: int
    people: int
    seconds: float
    facts: dict[str, Any]
    """What else is known of the judging, such as the first errors."""


class Position(Config):
    """What the order does to verdicts: of two responses, or of the answers that a critic may give."""

    first: Interval | None
    """Share of verdicts for the response that stood first, over both orders: 0.5 without a bias; None of no pairs."""
    consistent: Interval | None
    """Share of cases that get the same verdict in both orders."""
    n: int
    """Cases with a verdict in both."""


class Rate(Config):
    """The share of good responses by a critic, and corrected for the critic's errors (Rogan and Gladen 1978)."""

    told: Interval
    """By its verdicts on the test part; of pairs, the share of those whose second response is better."""
    corrected: Interval | None
    """(told + specificity - 1) / (sensitivity + specificity - 1); its interval knows of both parts' chance."""
    reason: str | None
    """Why it is not corrected."""
    true: float
    """Of the same test cases."""
    sensitivity: Interval | None
    """On the transfer part: share of good responses that are called good."""
    specificity: Interval | None
    """On the transfer part: share of bad responses that are called bad."""
    n: int
    """Transfer cases with a verdict, a seed."""


class Cost(Config):
    """What 1,000 judgements take."""

    tokens_in: float
    tokens_out: float
    seconds: float
    people: float
    """Answers of people."""


class Found(Config):
    """A kind of planted flaw, and how often it is found."""

    kind: str
    detected: Interval | None
    n: int


class Planted(Config):
    """What a critic says of good responses in which one flaw was planted, beside what it says of them untouched."""

    n: int
    detected: Interval | None
    """Share called bad; of a pair, where the response that was not tampered with is called better."""
    flipped: Interval | None
    """Share called bad of those that were called good untouched; None of pairs."""
    false_alarms: Interval | None
    """Share of the same responses, untouched, that are called bad; None of pairs."""
    located: Interval | None
    """Share of flaws of which it quotes a part; dropped sentences are left out. None where it quotes nothing."""
    invented: Interval | None
    """Share of the untouched responses in which it names a flaw; None of pairs."""
    kinds: list[Found]


class CriticSummary(Config):
    """One critic over all seeds; intervals are a bootstrap over test groups, and seeds where the critic learns."""

    critic: str
    learns: bool
    fingerprint: str
    """Digest of its settings and models."""
    seeds: int
    n: int
    coverage: Interval
    """Share of cases with a verdict. All other figures are over these; None where a figure does not exist."""
    undetermined: dict[str, int]
    """Cases without a verdict, by the reason, over all seeds."""
    accuracy: Interval | None
    kappa: Interval | None
    auroc: Interval | None
    brier: Interval | None
    ece: Interval | None
    precision: Interval | None = None
    """Of the verdict bad; None of pairs."""
    recall: Interval | None = None
    position: Position | None
    rate: Rate | None
    planted: Planted | None
    cost: Cost
    reliability: list[ReliabilityBin]


class Concord(Config):
    """Agreement of two who judged the same cases, at least one of them a person; ties are left out."""

    a: str
    b: str
    same: Interval | None
    kappa: Interval | None
    n: int


class Refinement(Config):
    """What became of responses that a fixed model revised by a critic's words; of `no critique`, by none."""

    critic: str
    gain: Interval | None
    """Share of wrong responses that are right when revised."""
    harm: Interval | None
    """Share of right responses that are no longer right when revised."""
    net: Interval | None
    """Share of right responses after minus before."""
    beyond: Interval | None
    """Share of right responses with the critique minus without; None of `no critique`."""
    n_wrong: int
    n_right: int
    inexact: int
    """Responses left out, since no exact answer is known."""
    errors: int
    """Revisions that the model could not write, over all seeds; they are left out."""


class JudgedCase(Config):
    """A test case that a critic judged wrongly (first seed), the surest first."""

    critic: str
    prompt: str
    responses: list[str]
    truth: str
    verdict: str
    confidence: float
    words: str


class CriticEvalResult(StudyResult):
    """Everything `superalign run critic-eval` found; written to results.json."""

    schema_version: Literal["superalign.critic-eval/1"] = "superalign.critic-eval/1"
    study: Literal["critic-eval"] = "critic-eval"
    good: list[str]
    """Classes that are good responses; of pairs the second response."""
    held_out: list[str]
    """Values of the tag that only the test part has."""
    guess: float
    """What always giving the commonest verdict of the test part would score."""
    rows: list[CriticRow]
    summary: list[CriticSummary]
    tests: list[PairedTest]
    """Every critic against every other, on the cases that both gave a verdict on."""
    annotators: list[Concord]
    refinements: list[Refinement]
    """Without a critique first; empty where no model revises or no exact answer is known."""
    mistakes: list[JudgedCase]

    @property
    def models(self) -> list[ModelFacts]:
        """None: a critic's fingerprint covers its models."""
        return []

    @property
    def figures(self) -> Figures:
        """The figures that are shown beside those of other runs."""
        found: Figures = {("seconds",): self.seconds}
        for one in self.summary:
            for name in ("coverage", "accuracy", "kappa", "auroc", "brier", "ece", "precision", "recall"):
                found |= bounded(name, getattr(one, name), one.critic)
            if one.planted:
                found |= bounded("flaws_detected", one.planted.detected, one.critic)
        return found

    def of(self, critic: str) -> CriticSummary:
        """Return the figures of a critic."""
        return next(one for one in self.summary if one.critic == critic)
