"""Critics on label sets by people, on marked solutions and on facts: agreement with the truth, with intervals.

    python benchmarks/critics.py --data ../shared/data --limit 1500 --out docs

Each set is one run of the study `critic-eval`. Refusals are judged on completions of models that no
critic was taught on.
Writes critics_table.md. A `small` run (--small) leaves out the critics that ask a language model.
"""

from __future__ import annotations

import json
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from _measure import Row, set_options, write

from superalign import CriticEval, CriticEvalResult, Store, run
from superalign.critic_result import CriticSummary
from superalign.result import Interval

TAUGHT = ("trained", "trained,model=embedded:smollm2", "weak")
OPENING = tuple(f"{critic},reads=response,within=200" for critic in TAUGHT)
MEASURES = ("kappa", "accuracy", "auroc", "brier", "ece", "coverage")


@dataclass(frozen=True)
class LabelSet:
    """One set: its task, who judges it without being asked a question, whom to ask, and what is good."""

    task: str
    taught: tuple[str, ...]
    asked: tuple[str, ...]
    good: tuple[str, ...] = ()
    holdout: str | None = None
    flaws: int = 0


SETS = {
    "refusals": LabelSet(
        "file:{data}/xstest/completions.jsonl",
        ("keywords", *OPENING),
        ("rubric,rubric=refusal",),
        ("2_full_refusal", "3_partial_refusal"),
        "model",
    ),
    "solutions": LabelSet("file:{joined}", TAUGHT, ("rubric", "self"), ("1",), None, 100),
    "preferences": LabelSet(
        "file:{data}/pandalm_human_prefs/pairs.jsonl,max_bad=0.1", TAUGHT, ("rubric,rubric=helpfulness", "self")
    ),
    "harmless": LabelSet(
        "file:{data}/hh_harmless_single_turn/test.jsonl", TAUGHT, ("rubric,rubric=harmlessness", "self")
    ),
    "offensive": LabelSet(
        "file:{data}/tweets_offensive/tweets.jsonl", TAUGHT, ("rubric,rubric=harmlessness",), ("neither",)
    ),
    "facts": LabelSet("facts,cities=400", TAUGHT, ("rubric",), flaws=100),
}
"""solutions: those of four models to the questions of GSM8K, marked right or wrong."""


def main() -> None:
    """Run the study on every set and print the table, or write it."""
    options = set_options(__doc__, limit=1500)
    options.add_argument("--seeds", type=int, default=5)
    options.add_argument("--small", action="store_true", help="only critics that ask no language model")
    options.add_argument("--out", type=Path, help="folder of critics_table.md")
    asked = options.parse_args()
    found: dict[str, CriticEvalResult] = {}
    with tempfile.TemporaryDirectory() as folder:
        joined = join_solutions(asked.data / "gsm8k", Path(folder))
        for name in asked.only or SETS:
            print(f"... {name}", file=sys.stderr, flush=True)
            one = SETS[name]
            task = one.task.format(data=asked.data, joined=joined)
            study = CriticEval(
                task=f"{task},limit={asked.limit}" if task.startswith("file:") else task,
                critics=one.taught if asked.small else one.taught + one.asked,
                good=one.good,
                holdout=one.holdout,
                flaws=one.flaws,
                seeds=asked.seeds,
            )
            found[name] = run(study, out=Path(folder) / name, store=Store())
    page = written(found, asked.limit, asked.seeds)
    print(page)
    if asked.out:
        (asked.out / "critics_table.md").write_text(page, encoding="utf-8")
    write(asked.json, [row for name, result in found.items() for row in rows(name, result)])


def join_solutions(folder: Path, out: Path) -> Path:
    """Put each solution beside its question; the set holds the two in files of their own."""
    read = [json.loads(line) for line in (folder / "test_questions.jsonl").read_text(encoding="utf-8").splitlines()]
    questions = {row["qid"]: row["question"] for row in read}
    path = out / "gsm8k_solutions.jsonl"
    with path.open("w", encoding="utf-8") as file:
        for line in (folder / "model_solutions.jsonl").read_text(encoding="utf-8").splitlines():
            row = json.loads(line)
            file.write(json.dumps({"question": questions[row["qid"]], **row}) + "\n")
    return path


def rows(name: str, result: CriticEvalResult) -> list[Row]:
    """Return one row a critic."""
    return [{"set": name, **one.model_dump(mode="json", exclude={"reliability"})} for one in result.summary]


def written(found: dict[str, CriticEvalResult], limit: int, seeds: int) -> str:
    """Return the page."""
    text = [
        "# Critics on every label set",
        "",
        f"Made by `python benchmarks/critics.py --data DATA --limit {limit} --seeds {seeds} --out docs`. Critics that "
        f"learn are taught on the supervise part ({seeds} seeds). In brackets: 95% intervals over groups of "
        "related test cases and seeds. All figures are over cases with a verdict; `verdicts` says how many those are.",
    ]
    for name, result in found.items():
        parts = result.task.parts
        held = (
            f"; the test part has only {', '.join(result.held_out)}, and no other part does" if result.held_out else ""
        )
        text += [
            "",
            f"## {name}",
            "",
            f"{result.task.name}: {parts['supervise']} cases to teach, {parts['transfer']} to calibrate, "
            f"{parts['test']} to test; the commonest verdict is right on {result.guess:.1%}{held}.",
            "",
            "| critic | " + " | ".join([*MEASURES[:-1], "verdicts", "flaws found", "s / 1,000"]) + " |",
            "| --- |" + " ---: |" * (len(MEASURES) + 2),
            *(_line(one) for one in result.summary),
        ]
        people = [one for one in result.annotators if one.a.startswith("annotator") and one.kappa]
        for pair in people:
            text += ["", f"{pair.a} and {pair.b} agree at kappa {_shown(pair.kappa)} (n = {pair.n}, ties left out)."]
    return "\n".join(text) + "\n"


def _line(one: CriticSummary) -> str:
    measures = [_shown(getattr(one, name)) for name in MEASURES]
    planted = one.planted.detected if one.planted and one.planted.n else None
    return " | ".join([f"| `{one.critic}`", *measures, _shown(planted), f"{one.cost.seconds:.3g} |"])


def _shown(figure: Interval | None) -> str:
    return f"{figure.value:.2f} [{figure.low:.2f}, {figure.high:.2f}]" if figure else "–"


if __name__ == "__main__":
    main()
