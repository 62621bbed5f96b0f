"""A realistic result of the critic-eval study, drawn from a fixed random state."""

from __future__ import annotations

from itertools import combinations

import numpy as np
from sample import HOSTILE, SCRIPT, sample

from superalign.config import digest
from superalign.critic_result import (
    Concord,
    Cost,
    CriticEvalResult,
    CriticRow,
    CriticSummary,
    Found,
    JudgedCase,
    Planted,
    Position,
    Rate,
    Refinement,
)
from superalign.critic_verdict import verdict
from superalign.metric import holm
from superalign.result import Interval, PairedTest, ReliabilityBin

NAMES = ("keywords", "trained", "self", "rubric,model=embedded:smollm2")
N = 400


def critic_sample(
    *,
    critics: tuple[str, ...] = NAMES,
    pairwise: bool = False,
    planted: bool = True,
    annotators: bool = True,
    mute: tuple[str, ...] = (),
    held: tuple[str, ...] = (),
    hostile: bool = False,
) -> CriticEvalResult:
    """Return a result as `superalign run critic-eval` would; critics in `mute` gave no verdict at all."""
    rng = np.random.default_rng(5)
    base = sample(hostile=hostile, pairwise=pairwise)
    summary = [_summary(name, place, pairwise, planted, name in mute, rng) for place, name in enumerate(critics)]
    tests = _tests(summary)
    people = _people(summary) if annotators else []
    texts = HOSTILE if hostile else ("It was 1904, I think.", "There is no such place.")
    config = {
        "study": "critic-eval",
        "task": {"name": "facts"},
        "critics": [{"name": name.partition(",")[0]} for name in critics],
        "good": [],
        "holdout": "model" if held else None,
        "flaws": 60,
        "seeds": 3,
        "shares": [8, 3, 5],
    }
    mistakes = [
        JudgedCase(
            critic=one.critic,
            prompt=texts[place % len(texts)],
            responses=[texts[(place + more) % len(texts)] for more in range(2 if pairwise else 1)],
            truth="bad",
            verdict="good",
            confidence=0.9,
            words=texts[(place + 1) % len(texts)],
        )
        for place, one in enumerate(summary)
        if one.accuracy
    ]
    return CriticEvalResult(
        config=config,
        config_sha256=digest(config),
        versions=base.versions,
        seconds=48.5,
        jobs=base.jobs,
        task=base.task,
        unsealed=base.unsealed,
        flags=[SCRIPT] if hostile else ["self gave no verdict on 30.0% of the cases (abstained 40)"],
        verdict=verdict(pairwise, 0.55, held, summary, tests, people),
        good=["true"],
        held_out=list(held),
        guess=0.55,
        rows=[row for one in summary for row in _rows(one)],
        summary=summary,
        tests=tests,
        annotators=people,
        refinements=_refinements(summary) if planted else [],
        mistakes=mistakes,
    )


def _summary(
    name: str, place: int, pairwise: bool, planted: bool, mute: bool, rng: np.random.Generator
) -> CriticSummary:
    kappa = 0.72 - 0.21 * place
    learns, of = name.startswith("trained"), lambda value, half=0.05: None if mute else _interval(value, half)
    position = Position(first=_interval(0.61, 0.04) if pairwise else None, consistent=_interval(0.83, 0.03), n=N)
    refused = place == 2
    rate = Rate(
        told=_interval(0.61, 0.05),
        corrected=None if refused else _interval(0.5, 0.09),
        reason="sensitivity + specificity - 1 is not above 0 beyond chance" if refused else None,
        true=0.52,
        sensitivity=_interval(0.8, 0.06),
        specificity=_interval(0.7, 0.06),
        n=220,
    )
    return CriticSummary(
        critic=name,
        learns=learns,
        fingerprint="f" * 64,
        seeds=3 if learns else 1,
        n=N,
        coverage=_interval(0.0 if mute else 0.9, 0.0 if mute else 0.03),
        undetermined={"abstained": N} if mute else {"abstained": 30, "errors": 3, "unparsable": 7},
        accuracy=of((kappa + 1) / 2),
        kappa=of(kappa, 0.09),
        auroc=of(0.5 + kappa / 2.1),
        brier=of(0.2),
        ece=of(0.07, 0.02),
        precision=None if pairwise else of(0.77),
        recall=None if pairwise else of(0.66),
        position=None if mute or name == "keywords" else position,
        rate=None if mute else rate,
        planted=_planted(pairwise, mute, place) if planted else None,
        cost=Cost(tokens_in=41_200 * place, tokens_out=812 * place, seconds=0.2 + 31 * place, people=0),
        reliability=[] if mute else _bins(rng),
    )


def _planted(pairwise: bool, mute: bool, place: int) -> Planted:
    def of(value: float, half: float = 0.08) -> Interval | None:
        return None if mute else _interval(value, half)

    single = None if pairwise or mute else _interval(0.12 + 0.1 * place, 0.06)
    return Planted(
        n=60,
        detected=of(0.7 - 0.2 * place),
        flipped=single,
        false_alarms=single,
        located=single,
        invented=single,
        kinds=[Found(kind="negation", detected=of(0.8), n=35), Found(kind="wrong number", detected=of(0.4), n=25)],
    )


def _rows(one: CriticSummary) -> list[CriticRow]:
    judged = round(one.coverage.value * one.n)
    return [
        CriticRow(
            critic=one.critic,
            seed=seed,
            n=one.n,
            judged=judged,
            correct=round(judged * (one.accuracy.value if one.accuracy else 0)),
            **{
                name: getattr(one, name).value if getattr(one, name) else None
                for name in ("accuracy", "kappa", "auroc", "brier", "ece", "precision", "recall")
            },
            **{name: one.undetermined.get(name, 0) for name in ("abstained", "unparsable", "unanswered", "errors")},
            tokens_in=1200,
            tokens_out=30,
            people=0,
            seconds=2.5,
            facts={"errors": [SCRIPT]},
        )
        for seed in range(one.seeds)
    ]


def _tests(summary: list[CriticSummary]) -> list[PairedTest]:
    known = [(one, one.accuracy.value) for one in summary if one.accuracy]
    pairs = list(combinations(known, 2))
    p = [float(np.exp(-abs(a - b) / 0.02)) for (_, a), (_, b) in pairs]
    return [
        PairedTest(
            a=a.critic,
            b=b.critic,
            difference=_interval(x - y, 0.06),
            p=chance,
            p_holm=corrected,
            n=N - 20,
            groups=150,
            seeds=3,
        )
        for ((a, x), (b, y)), chance, corrected in zip(pairs, p, holm(p), strict=True)
    ]


def _refinements(summary: list[CriticSummary]) -> list[Refinement]:
    return [
        Refinement(
            critic=name,
            gain=_interval(0.31, 0.08),
            harm=_interval(0.12, 0.05),
            net=_interval(0.09, 0.07),
            beyond=None if name == "no critique" else _interval(0.04, 0.05),
            n_wrong=33,
            n_right=27,
            inexact=4,
            errors=1,
        )
        for name in ("no critique", *(one.critic for one in summary))
    ]


def _people(summary: list[CriticSummary]) -> list[Concord]:
    names = ["annotator_1", "annotator_2"]
    among = [Concord(a=names[0], b=names[1], same=_interval(0.83, 0.04), kappa=_interval(0.66, 0.07), n=380)]
    return among + [
        Concord(a=one.critic, b=name, same=one.accuracy, kappa=one.kappa, n=380) for one in summary for name in names
    ]


def _bins(rng: np.random.Generator) -> list[ReliabilityBin]:
    return [
        ReliabilityBin(
            confidence=at, accuracy=float(np.clip(at + rng.normal(0, 0.05), 0, 1)), n=int(rng.integers(9, 90))
        )
        for at in (0.53, 0.61, 0.7, 0.83, 0.94)
    ]


def _interval(value: float, half: float) -> Interval:
    return Interval(value=value, low=value - half, high=value + 0.95 * half)
