"""The feedback of a loop's rounds, as conversations in TRL's columns."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from superalign.display import printable
from superalign.errors import ConfigError
from superalign.export.choose import artifact
from superalign.export.folder import written
from superalign.export.labels import ROWS
from superalign.export.rounds import Rounds, choose_rounds
from superalign.feedback import Feedback
from superalign.store import Store, write_synced

FORMAT = "trl-messages"


def export_feedback(
    run: Path | str,
    out: Path | str,
    format: str = FORMAT,
    store: Store | None = None,
    *,
    arm: str | None = None,
    seed: int | None = None,
) -> Path:
    """Write labels.jsonl, its manifest and its card; return the folder.

    Args:
        run: the run's folder.
        out: the folder to write.
        format: trl-messages; there is no other, because feedback is about conversations.
        store: where the run's artifacts are.
        arm: which variant of the loop; by default the loop as it was set.
        seed: which seed; by default the first.

    Raises:
        ConfigError: there is no such arm or seed, its labels are the truth, or `out` holds something else.
    """
    if format != FORMAT:
        why = "the feedback of a loop is about conversations"
        raise ConfigError(f"a loop's feedback has no format '{format}'", why=why, fix=f"--format {FORMAT}")
    rounds = choose_rounds(Path(run), arm, seed)
    if rounds.judged_by == "oracle":
        why = "in this arm the truth itself says which answer is better, and it stays sealed"
        raise ConfigError("there are no labels to export", where=str(rounds), why=why, fix="another --arm")
    keep = store or Store()
    rows = [row for turn in range(len(rounds.line.turns)) for row in feedback_rows(rounds, turn, keep)]
    about = {
        "what": f"labels ({FORMAT})",
        "learner": rounds.identity,
        "labels": {"given": len(rows), "ties": sum(row["tie"] for row in rows)},
        "run": {"study": rounds.study.name, "config_sha256": rounds.result.config_sha256},
    }
    with written(out, about) as folder:
        lines = "".join(f"{json.dumps(row, ensure_ascii=False)}\n" for row in rows)
        write_synced(folder / ROWS, lines.encode())
        write_synced(folder / "README.md", _card(rounds, rows).encode())
    return Path(out)


def feedback_rows(rounds: Rounds, turn: int, store: Store) -> Iterator[dict[str, Any]]:
    """Yield the new feedback of a round."""
    job, passed = rounds.line.turns[turn].taught, rounds.line.turns[turn].passed
    accepted = artifact(passed, rounds.run, store).meta["accepted"]
    when = {"round": turn + 1, "accepted": accepted, "seed": rounds.seed}
    for place, row in enumerate(artifact(job, rounds.run, store).meta["feedback"]):
        yield {"id": f"{turn + 1}/{place}", **trl_pair(Feedback.read(row)), **when}


def trl_pair(row: Feedback) -> dict[str, Any]:
    """Return a piece of feedback in TRL's columns, the better response, as far as is known, as `chosen`.

    Where both are as probably the better one, it is a tie, and they stand in their own order.
    """
    second = int(row.better > 0.5)
    chosen, rejected = (
        [{"role": "assistant", "content": text}] for text in (row.responses[second], row.responses[1 - second])
    )
    return {
        "prompt": [{"role": said.role, "content": said.content} for said in row.messages],
        "chosen": chosen,
        "rejected": rejected,
        "probability": round(max(row.better, 1 - row.better), 6),
        "tie": row.better == 0.5,
        "weight": row.weight,
        "aim": row.aim,
        "tactic": row.tactic,
        "by": row.by,
        "goal": row.goal,
        "group": row.group or row.goal,
    }


def _card(rounds: Rounds, rows: list[dict[str, Any]]) -> str:
    config = [{"config_name": "default", "data_files": ROWS}]
    front = yaml.safe_dump({"configs": config, "tags": ["superalign", "noisy-labels"]}, sort_keys=False)
    experts = sum(row["by"] == "an expert" for row in rows)
    return (
        f"---\n{front}---\n\n"
        f"# Feedback of {printable(rounds)}\n\n"
        f"What `{printable(rounds.model)}` was taught in {len(rounds.rows)} rounds of superalign's closed loop: "
        f"{len(rows):,} pairs about questions of `{printable(rounds.result.task.name)}`, those of rounds that were "
        "rolled back included (`accepted` is false). Older pairs that a round repeated stand here once.\n\n"
        "`probability` is how sure who judged (`by`) is that `chosen` is better than `rejected`; the labels are often "
        f"wrong. In a `tie` neither is: {sum(row['tie'] for row in rows):,} pairs, whose order says nothing. "
        + (f"{experts:,} pairs go by an expert{rounds.simulated}." if experts else "No row holds the truth.")
        + "\n"
    )
