"""The page, the terminal summary and the sentences of `recommend`."""

from __future__ import annotations

import io
from typing import Any

import pytest
from pages import assert_inert, assert_links_lead_somewhere
from rich.console import Console
from sample import SCRIPT, sample
from test_markup import Reader

from superalign.recommend_result import (
    Candidate,
    Check,
    GridCell,
    Predictor,
    RecommendResult,
    RecommendRow,
    SupervisorFacts,
    SupervisorPair,
)
from superalign.recommend_verdict import flags, verdict
from superalign.report import render, summary, words
from superalign.report.finding import headline
from superalign.result import Interval


def around(value: float, half: float = 0.1) -> Interval:
    return Interval(value=value, low=value - half, high=value + half)


def candidate(rank: int, supervisor: str | None, budget: int, apart: bool) -> Candidate:
    given = supervisor is not None
    return Candidate(
        rank=rank,
        supervisor=supervisor,
        method="naive",
        budget=budget,
        predicted=around(0.8 - 0.05 * rank),
        behind=None if rank == 1 else around(0.2, 0.1) if apart else around(0.02, 0.1),
        cross_fitted=around(0.8 - 0.05 * rank),
        gain=around(0.15) if given else None,
        misfit=0.031 if given else None,
        bound=0.172 if given else None,
        squared_error=0.19,
        agreement=0.83 if given else None,
    )


def recommend_sample(
    *, check: bool = True, alone_first: bool = False, weak: tuple[str, ...] = ("a", "b"), rho: float | None = 0.5
) -> RecommendResult:
    base = sample(hostile=False)
    order: list[tuple[str | None, int]] = [(name, budget) for name in weak for budget in (0, 30)]
    order.insert(0 if alone_first else 2, (None, 60))
    candidates = [candidate(rank, *one, apart=rank == len(order)) for rank, one in enumerate(order, 1)]
    supervisors = [
        SupervisorFacts(model=n, accuracy=around(0.7), squared_error=0.2, error_similarity=0.3) for n in weak
    ]
    pairs = [SupervisorPair(a=weak[0], b=weak[-1], agreement=0.8, kappa=None, error_similarity=0.2)]
    rows = [
        RecommendRow(
            seed=seed,
            rank=one.rank,
            supervisor=one.supervisor,
            method=one.method,
            budget=one.budget,
            predicted=one.predicted.value,
            low=one.predicted.low,
            high=one.predicted.high,
            cross_fitted=one.cross_fitted.value,
            supervisor_accuracy=None,
            misfit=one.misfit,
            bound=one.bound,
            agreement=one.agreement,
            error_similarity=None,
            accuracy=0.71 if check else None,
        )
        for seed in range(3 if check else 1)
        for one in candidates
    ]
    found = None if rho is None else around(rho, 0.3)
    checked = Check(
        seeds=3,
        n=500,
        candidates=len(candidates),
        correlation=found,
        regret=around(0.02, 0.01),
        regret_of_any=around(0.09, 0.02),
        coverage=around(0.9),
        coverage_of_first=2,
        error=around(-0.03),
        error_of_first=around(0.01),
        bound_held=7,
        bounds=12,
        ceiling=0.9,
        predictors=[
            Predictor(figure="bound", correlation=around(0.8, 0.1), regret=around(0.03, 0.01)),
            Predictor(figure="unlike errors", correlation=None, regret=around(0.1, 0.01)),
        ],
        grid=[GridCell(supervisor=weak[0], method="naive", supervisor_accuracy=0.7, accuracy=0.8, predicted=0.75)],
        grid_correlation=None,
    )
    shown: Any = checked if check else None
    return RecommendResult(
        config={"study": "recommend", "methods": [{"name": "naive"}], "shares": [5, 6, 5]},
        config_sha256=base.config_sha256,
        versions=base.versions,
        seconds=12.0,
        jobs=base.jobs,
        task=base.task,
        used=[base.strong, base.weak],
        gold=60,
        gold_groups=60,
        unlabelled=200,
        unlabelled_part="supervise",
        candidates=candidates,
        supervisors=supervisors,
        pairs=pairs,
        rows=rows,
        check=shown,
        unsealed=base.unsealed,
        flags=flags(candidates),
        verdict=verdict(60, candidates, supervisors, shown),
    )


@pytest.mark.parametrize(
    "settings", [{}, {"check": False}, {"alone_first": True}, {"rho": None}, {"weak": (SCRIPT, "</style>")}], ids=str
)
def test_the_page_and_the_terminal_hold_every_figure(settings: dict[str, Any]) -> None:
    result = recommend_sample(**settings)
    page = render(result)
    assert_inert(page)
    assert_links_lead_somewhere(page)
    text = Reader(page).text
    assert "could not be drawn" not in text
    assert ("What orders the candidates" in text) == (result.check is not None)
    out = io.StringIO()
    Console(file=out, width=120).print(summary(result))
    assert "\x1b" not in out.getvalue()
    for one in result.candidates:
        assert words.percents(one.predicted) in text
        assert words.percents(one.predicted) in out.getvalue()
    assert RecommendResult.model_validate_json(result.model_dump_json()) == result


def test_sentences_claim_what_intervals_carry() -> None:
    result = recommend_sample()
    said = "\n".join(result.verdict)
    assert headline(result) == "Recommended from 60 gold labels: a, naive, predicted accuracy 75.0% [65.0%, 85.0%]."
    assert "3 of 4 other candidates are not told apart from it." in said
    assert "Without a supervisor (no supervisor, 60 gold labels): 65.0% [55.0%, 75.0%], not told apart" in said
    assert "its student is above its supervisor" in said
    assert "is predicted better than by chance: Spearman's rho 0.50" in said
    assert "The bound by misfit held for 7 of 12" in said
    assert "each by its own interval: bound 0.80 [0.70, 0.90]." in said
    assert "Not shown to order them: unlike errors." in said
    unsure = "\n".join(recommend_sample(rho=0.2).verdict)
    assert "cannot be told to be predicted" in unsure
    wrong = "\n".join(recommend_sample(rho=-0.5).verdict)
    assert "is predicted the wrong way round" in wrong
    assert "No supervisor comes before people's labels alone" in "\n".join(recommend_sample(alone_first=True).verdict)


def test_without_a_check_nothing_is_said_of_the_truth() -> None:
    assert "truth" not in "\n".join(recommend_sample(check=False).verdict)
