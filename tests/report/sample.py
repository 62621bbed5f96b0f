"""A realistic result: the default study's shape, with hostile texts where data and models can put them."""

from __future__ import annotations

from itertools import combinations, pairwise
from typing import Any

import numpy as np

from superalign.config import digest
from superalign.result import (
    PGR,
    DifficultyBin,
    Disagreement,
    DroppedRow,
    Interval,
    JobCounts,
    LayerPoint,
    ModelFacts,
    PairedTest,
    Reliability,
    ReliabilityBin,
    Role,
    Row,
    SeedPGR,
    Summary,
    TaskFacts,
    UnsealedRecord,
    WeakToStrongResult,
)

SCRIPT = "<script>alert(1)</script>"
HOSTILE = (
    SCRIPT,
    '"><img src=x onerror=alert(1)>',
    "</style></title></table><svg onload=alert(1)>",
    "\x1b[31mred\x1b[0m \x1b]8;;file:///etc/passwd\x07link\x1b]8;;\x07\x00\x9b2J",
    "abc\u202egnp.exe\u2066 hidden\u200b\U000e0041",
    "lone \ud800 surrogate {{ config }} ${7*7} <%= 1 %> &lt;b&gt;",
    "javascript:alert(1) http" + "://evil.example/a.js [bold]markup[/bold] %s {0}",
    "no-spaces-" * 400,
)
ACCURACY: dict[Role, float] = {"weak": 0.72, "ceiling": 0.85, "control": 0.50}
STUDENTS = {"naive": 0.784, "logconf": 0.791}


def sample(
    *,
    seeds: int = 5,
    methods: tuple[str, ...] = ("naive", "logconf"),
    refused: bool = False,
    pairwise: bool = False,
    classes: tuple[str, ...] = ("false", "true"),
    difficulty: bool = True,
    layers: bool = True,
    hostile: bool = True,
    n: int = 1200,
) -> WeakToStrongResult:
    """Return a result as `superalign run weak-to-strong` would, drawn from a fixed random state."""
    rng = np.random.default_rng(7)
    chance = 1 / len(classes)
    means: dict[tuple[Role, str], float] = {("weak", "naive"): ACCURACY["weak"]}
    means |= {("student", m): STUDENTS.get(m, 0.76) for m in methods}
    means |= {("ceiling", "naive"): ACCURACY["ceiling"], ("control", "naive"): chance}
    if refused:
        means |= {key: 0.725 + rng.normal(0, 0.004) for key in means if key[0] != "control"}
    rows = [_row(key, mean, seed, n, rng) for key, mean in means.items() for seed in range(seeds)]
    summary = [_summary(key, rows, seeds, n) for key in means]
    by_role = {s.role: s.accuracy.value for s in summary if s.role != "student"}
    gap = by_role["ceiling"] - by_role["weak"]
    reason = "ceiling - weak is +0.004 [-0.011, +0.019]: within noise, there is no gap to recover" if refused else None
    config = _config(seeds, methods, pairwise)
    pgr, tests = [_pgr(m, rows, summary, reason) for m in methods], _tests(summary, n, seeds)
    return WeakToStrongResult(
        config=config,
        config_sha256=digest(config),
        versions={
            "superalign": "0.1.0",
            "python": "3.11.7",
            "numpy": "2.4.1",
            "torch": "2.13.0",
            "transformers": "5.23.0",
        },
        seconds=81.6,
        task=_task(pairwise, classes, n, hostile),
        weak=ModelFacts(
            spec="embedded:minilm", layer=6, depth=6, fingerprint="a1" * 32, texts=3600, truncated=0, tokens=41_210
        ),
        strong=ModelFacts(
            spec="embedded:smollm2", layer=18, depth=30, fingerprint="b2" * 32, texts=3600, truncated=12, tokens=44_902
        ),
        gap=_interval(gap, 0.015),
        rows=rows,
        summary=summary,
        pgr=pgr,
        tests=tests,
        layers=_layers(means, rng) if layers else [],
        reliability=[_reliability(key, mean, chance, n * seeds, rng) for key, mean in means.items()],
        difficulty=_difficulty(means, n, rng) if difficulty else [],
        disagreements=_disagreements(classes, methods, pairwise, hostile),
        unsealed=[
            UnsealedRecord(part="supervise", reader="GroundTruth", why="to train the weak supervisor", n=1200),
            UnsealedRecord(part="transfer", reader="OracleSupervisor", why="to train the strong ceiling", n=1200),
            UnsealedRecord(part="test", reader="Metric", why="to score predictions", n=n),
        ],
        jobs=JobCounts(total=46, computed=12, reused=33, failed=1),
        flags=["oracle early stop: lora,oracle_early_stop=True chose its stopping point by ground truth"],
        verdict=_verdict(summary, pgr, tests),
    )


def _verdict(summary: list[Summary], pgr: list[PGR], tests: list[PairedTest]) -> list[str]:
    by = {(s.role, s.method): f"{s.accuracy.value:.1%} [{s.accuracy.low:.1%}, {s.accuracy.high:.1%}]" for s in summary}
    n, seeds = summary[0].n, summary[0].seeds
    said = [
        f"The weak supervisor scores {by['weak', 'naive']} and the strong ceiling {by['ceiling', 'naive']} "
        f"on {n} test items over {seeds} seeds."
    ]
    for one in pgr:
        test = next(t.difference for t in tests if (t.a, t.b) == (one.method, "weak"))
        said.append(f"Trained with {one.method}, the student scores {by['student', one.method]}: {test.value:+.1%}.")
        recovered = f"PGR of {one.method}: {one.pooled.value:.2f}." if one.pooled else f"No PGR: {one.reason}."
        said.append(recovered)
    return [*said, f"The random-label control scores {by['control', 'naive']}, at chance (50.0%)."]


def _row(key: tuple[Role, str], mean: float, seed: int, n: int, rng: np.random.Generator) -> Row:
    role, method = key
    correct = int(rng.binomial(n, np.clip(mean + rng.normal(0, 0.006), 0, 1)))
    learns = role != "weak"
    return Row(
        role=role,
        method=method,
        seed=seed,
        accuracy=correct / n,
        correct=correct,
        n=n,
        ece=float(abs(rng.normal(0.05, 0.01))),
        label_accuracy={"weak": 1.0, "ceiling": 1.0, "student": 0.718, "control": 0.5}[role],
        kept=500,
        agreement=0.78 if learns else None,
        agreement_when_right=float(np.clip(rng.normal({"student": 0.9, "ceiling": 0.91}.get(role, 0.5), 0.01), 0, 1))
        if learns
        else None,
        agreement_when_wrong=float(
            np.clip(rng.normal(0.3 if role == "ceiling" else 0.52 - 0.06 * (method == "logconf"), 0.02), 0, 1)
        )
        if learns
        else None,
        n_supervisor_wrong=336 if learns else None,
        facts={"l2": 0.1, "steps": 100},
    )


def _interval(value: float, half: float) -> Interval:
    return Interval(value=value, low=value - half, high=value + 0.95 * half)


def _summary(key: tuple[Role, str], rows: list[Row], seeds: int, n: int) -> Summary:
    mine = [row for row in rows if (row.role, row.method) == key]
    accuracy = _interval(float(np.mean([row.accuracy for row in mine])), 0.016)
    ece = float(np.mean([row.ece for row in mine]))
    return Summary(role=key[0], method=key[1], accuracy=accuracy, n=n, seeds=seeds, ece=ece)


def _pgr(method: str, rows: list[Row], summary: list[Summary], reason: str | None) -> PGR:
    def of(role: Role, name: str, seed: int) -> float:
        return next(r.accuracy for r in rows if (r.role, r.method, r.seed) == (role, name, seed))

    if reason:
        seeds = [SeedPGR(seed=r.seed, value=None, reason=reason) for r in rows if r.role == "weak"]
        return PGR(method=method, pooled=None, seeds=seeds, reason=reason)
    seeds = []
    for seed in [r.seed for r in rows if r.role == "weak"]:
        weak, ceiling = of("weak", "naive", seed), of("ceiling", "naive", seed)
        value = (of("student", method, seed) - weak) / (ceiling - weak)
        refused = seed == 3
        why = "ceiling - weak of this seed is within noise" if refused else None
        seeds.append(SeedPGR(seed=seed, value=None if refused else value, reason=why))
    mean = {(s.role, s.method): s.accuracy.value for s in summary}
    weak, ceiling = mean["weak", "naive"], mean["ceiling", "naive"]
    return PGR(method=method, pooled=_interval((mean["student", method] - weak) / (ceiling - weak), 0.14), seeds=seeds)


def _tests(summary: list[Summary], n: int, seeds: int) -> list[PairedTest]:
    students = [s for s in summary if s.role == "student"]
    weak = next(s for s in summary if s.role == "weak")
    pairs = [*((s, weak) for s in students), *((b, a) for a, b in combinations(students, 2))]
    return [
        PairedTest(
            a=a.method,
            b="weak" if b.role == "weak" else b.method,
            difference=_interval(a.accuracy.value - b.accuracy.value, 0.018),
            p=0.00025 if abs(a.accuracy.value - b.accuracy.value) > 0.03 else 0.312,
            p_holm=0.0005 if abs(a.accuracy.value - b.accuracy.value) > 0.03 else 0.624,
            n=n,
            groups=n // 4,
            seeds=seeds,
        )
        for a, b in pairs
    ]


def _layers(means: dict[tuple[Role, str], float], rng: np.random.Generator) -> list[LayerPoint]:
    points = []
    for layer in range(0, 31, 3):
        rise = 1 / (1 + np.exp(-(layer - 9) / 3)) - 0.12 * max(0, layer - 21) / 9
        for (role, method), mean in means.items():
            if role in ("student", "ceiling") and method == "naive":
                value = float(np.clip(0.53 + (mean - 0.53) * rise + rng.normal(0, 0.006), 0, 1))
                points.append(LayerPoint(layer=layer, role=role, method=method, accuracy=_interval(value, 0.017)))
    return points


def _reliability(
    key: tuple[Role, str], mean: float, chance: float, answers: int, rng: np.random.Generator
) -> Reliability:
    centres = np.linspace(chance + 0.02, 0.99, 8)
    share = np.exp(-(((centres - mean) / 0.18) ** 2))
    counts = np.maximum(1, share / share.sum() * answers).astype(int)
    slope = 0.0 if key[0] == "control" else 0.85
    right = np.clip(chance + slope * (centres - chance) + rng.normal(0, 0.02, len(centres)), 0, 1)
    bins = [
        ReliabilityBin(confidence=float(c), accuracy=float(a), n=int(k))
        for c, a, k in zip(centres, right, counts, strict=True)
    ]
    ece = float(sum(abs(b.confidence - b.accuracy) * b.n for b in bins) / sum(b.n for b in bins))
    return Reliability(role=key[0], method=key[1], ece=ece, bins=bins)


def _difficulty(means: dict[tuple[Role, str], float], n: int, rng: np.random.Generator) -> list[DifficultyBin]:
    edges = np.geomspace(1e5, 2e7, 7)
    bins = []
    for i, (low, high) in enumerate(pairwise(edges)):
        for (role, method), mean in means.items():
            slope = 0.0 if role == "control" else 0.035
            value = float(np.clip(mean + slope * (i - 2.5) + rng.normal(0, 0.01), 0, 1))
            bins.append(
                DifficultyBin(
                    tag="population",
                    low=float(low),
                    high=float(high),
                    role=role,
                    method=method,
                    accuracy=_interval(value, 0.03),
                    n=n // 6 - 5,
                )
            )
    return bins


def _disagreements(
    classes: tuple[str, ...], methods: tuple[str, ...], pairwise: bool, hostile: bool
) -> list[Disagreement]:
    plain = [
        f"The city of {city} is in {country}."
        for city, country in [
            ("Kinshasa", "DR Congo"), ("Medellín", "Colombia"), ("Ürümqi", "Kazakhstan"), ("Kharkiv", "Ukraine"),
            ("São Luís", "Brazil"), ("Kano", "Ghana"), ("Surabaya", "Malaysia"), ("القاهرة", "Egypt"),
            ("Fukuoka", "Japan"), ("Antwerp", "the Netherlands"), ("Cúcuta", "Venezuela"), ("Łódź", "Poland"),
        ]
    ]  # fmt: skip
    texts = [*plain, *(HOSTILE if hostile else ())]
    if pairwise:
        texts = [f"{text}\n⟷ first / second\n{text[::-1]}" for text in texts]
    found = []
    for i, text in enumerate(texts):
        gold, other = classes[i % len(classes)], classes[(i + 1) % len(classes)]
        right = i % 3 != 0
        found.append(
            Disagreement(
                text=text,
                gold=gold if len(classes) == 2 or i % 4 else classes[(i + 2) % len(classes)],
                supervisor=other if right else gold,
                supervisor_confidence=0.55 + 0.02 * (i % 15),
                student=gold if right else other,
                student_confidence=0.6 + 0.019 * (i % 20),
                method=methods[i % len(methods)],
                student_right=right and not (len(classes) > 2 and i % 4 == 0),
            )
        )
    return found


def _task(pairwise: bool, classes: tuple[str, ...], n: int, hostile: bool) -> TaskFacts:
    dropped = [
        DroppedRow(where="cities.csv:4711", reason="empty text"),
        DroppedRow(where="cities.csv:4802", reason="label 'maybe' is none of: false, true"),
        DroppedRow(where="cities.csv:5003", reason=f"duplicate id {HOSTILE[0] if hostile else 'x'}"),
    ]
    return TaskFacts(
        name="facts",
        version="1",
        pairwise=pairwise,
        classes=list(classes),
        items=3 * n,
        groups=3 * n // 4,
        parts={"supervise": n, "transfer": n, "test": n},
        dropped=len(dropped),
        dropped_rows=dropped,
        warnings=["4 texts occur twice with the same label; each was kept once"],
    )


def _config(seeds: int, methods: tuple[str, ...], pairwise: bool) -> dict[str, Any]:
    return {
        "study": "weak-to-strong",
        "weak": {"name": "embedded", "model": "minilm", "layer": -1, "pooling": "mean"},
        "strong": {"name": "embedded", "model": "smollm2", "layer": 18, "pooling": "last"},
        "task": {"name": "facts", "relations": ["city-country", "capital", "currency"], "pairs": pairwise},
        "fit": {"name": "probe", "steps": 100, "l2": [0.03, 0.1, 0.3, 1.0], "validation": 0.2},
        "weak_fit": {"name": "probe", "steps": 100, "l2": [0.03, 0.1, 0.3, 1.0], "validation": 0.2},
        "methods": [{"name": m, **({"alpha": 0.5, "warmup": 0.2} if m == "logconf" else {})} for m in methods],
        "seeds": seeds,
        "shares": [5, 6, 5],
        "sweep": 8,
    }
