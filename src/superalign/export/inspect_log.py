"""The exam of a loop, before and after, as two logs that inspect opens."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from superalign.attack_evidence import DECIDED
from superalign.errors import require
from superalign.export.choose import artifact
from superalign.export.folder import written
from superalign.export.rounds import Rounds, choose_rounds
from superalign.job import Job
from superalign.loop_result import Phase
from superalign.runs import RESULTS, versions
from superalign.store import Store
from superalign.task import Task

SCORER = "held"
VALUES = {"held": "C", "broken": "I", "undetermined": "N"}  # inspect's letters of right, wrong, and no answer


def export_log(
    run: Path | str, out: Path | str, store: Store | None = None, *, arm: str | None = None, seed: int | None = None
) -> Path:
    """Write before.eval, after.eval and a manifest; return the folder.

    Every attempt of the exam is a sample: the conversation, the answer that the learner found likelier, and whether it
    held to what it said plainly. An attempt that failed is a sample with an error and without a score.

    Args:
        run: the run's folder.
        out: the folder to write.
        store: where the run's artifacts are.
        arm: which variant of the loop; by default the loop as it was set.
        seed: which seed; by default the first.

    Raises:
        MissingExtraError: inspect is not installed.
        ConfigError: there is no such arm or seed, or `out` holds something else.
    """
    require("inspect_ai", "inspect")
    from inspect_ai.log import write_eval_log

    keep = store or Store()
    rounds = choose_rounds(Path(run), arm, seed)
    task = Task.from_meta(artifact(rounds.plan.items, rounds.run, keep).meta)
    exams: dict[Phase, Job] = {"before": rounds.plan.exam, "after": rounds.line.exam}
    about = {
        "what": "log",
        "learner": rounds.identity,
        "run": {"study": rounds.study.name, "config_sha256": rounds.result.config_sha256},
    }
    with written(out, about) as folder:
        for phase, job in exams.items():
            meta = artifact(job, rounds.run, keep).meta
            write_eval_log(_log(rounds, phase, job, meta, task), str(folder / f"{phase}.eval"), format="eval")
    return Path(out)


def _log(rounds: Rounds, phase: Phase, job: Job, meta: Mapping[str, Any], task: Task) -> Any:
    """Return inspect's EvalLog of one exam."""
    from inspect_ai.log import EvalConfig, EvalDataset, EvalLog, EvalResults, EvalSpec, EvalStats

    tags = {item.id: dict(item.tags) for item in task.items}
    attempts = meta["attempts"]
    samples = [
        _sample(place, row, str(rounds.model), tags[row["goal"]], job) for place, row in enumerate(attempts, start=1)
    ]
    ended = datetime.fromtimestamp((rounds.run / RESULTS).stat().st_mtime, UTC).isoformat(timespec="seconds")
    summary = rounds.result.of(rounds.arm, phase)
    spec = EvalSpec(
        eval_id=f"{job.key[:22]}",
        run_id=f"{rounds.result.config_sha256[:22]}",
        task_id=f"{job.key[22:44]}",
        created=ended,
        task=f"superalign exam {phase}",
        task_args={"arm": rounds.arm, "seed": rounds.seed, "phase": phase},
        dataset=EvalDataset(name=task.name, samples=len(samples), sample_ids=[sample.id for sample in samples]),
        model=str(rounds.model),
        config=EvalConfig(epochs=1),
        packages=versions(),
        tags=["superalign", rounds.study.name, rounds.arm, phase],
        metadata={
            "learner": "as it was" if phase == "before" else str(rounds),
            "target": "what the model said plainly before it learnt anything, right or wrong",
            "unanswered": dict(meta["errors"]),
            "figures of the run": summary.model_dump(mode="json") if summary else None,
            "what they count": "attempts on questions that the learner answers rightly when asked plainly, all seeds",
        },
    )
    failed = sum(sample.error is not None for sample in samples)
    return EvalLog(
        status="success",
        eval=spec,
        results=EvalResults(
            total_samples=len(samples), completed_samples=len(samples) - failed, scores=[_score(attempts)]
        ),
        stats=EvalStats(started_at=ended, completed_at=ended),
        samples=samples,
    )


def _sample(place: int, row: Mapping[str, Any], model: str, tags: Mapping[str, Any], job: Job) -> Any:
    """Return an attempt as inspect's EvalSample."""
    from inspect_ai.log import EvalError, EvalSample
    from inspect_ai.model import ChatMessageAssistant, ChatMessageSystem, ChatMessageUser, ModelOutput
    from inspect_ai.scorer import Score

    kinds = {"system": ChatMessageSystem, "user": ChatMessageUser, "assistant": ChatMessageAssistant}
    talk = [
        kinds[role](id=f"{job.key[:12]}-{place}-{turn}", content=content)
        for turn, (role, content) in enumerate(row["messages"])
    ]
    about = {"goal": row["goal"], "attack": row["attack"], "tactic": row["tactic"], "outcome": row["outcome"]}
    facts: dict[str, Any] = {
        "id": place,
        "epoch": 1,
        "input": talk,
        "choices": [row["claim"], row["denied"]],
        "target": row["denied"],
        "metadata": {**about, "query": dict(row["tags"]), "item": dict(tags)},
        "uuid": f"{job.key[:16]}-{place}",
    }
    if row["outcome"] == "error":
        return EvalSample(**facts, messages=talk, error=EvalError(message=row["why"], traceback="", traceback_ansi=""))
    said = {"held": row["denied"], "broken": row["claim"]}.get(row["outcome"], "")
    output = ModelOutput.from_content(model, said)
    score = Score(
        value=VALUES[row["outcome"]],
        answer=said or None,
        explanation=f"{row['outcome']}: log p(claim) - log p(denied) = {row['score']:.3f} nats"
        + (f" ({row['why']})" if row["why"] else ""),
        metadata={"log_odds": row["score"]},
    )
    return EvalSample(**facts, messages=[*talk, output.message], output=output, scores={SCORER: score})


def _score(attempts: Sequence[Mapping[str, Any]]) -> Any:
    """Return the share of decided attempts that were held, as inspect's EvalScore; nothing decided is no share."""
    from inspect_ai.log import EvalMetric, EvalScore

    decided = [row["outcome"] == "held" for row in attempts if row["outcome"] in DECIDED]
    share = {"held": EvalMetric(name="held", value=sum(decided) / len(decided))} if decided else {}
    return EvalScore(
        name=SCORER,
        scorer=SCORER,
        scored_samples=len(decided),
        unscored_samples=len(attempts) - len(decided),
        metrics=share,
    )
