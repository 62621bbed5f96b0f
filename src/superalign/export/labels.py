"""The labels that a learner was trained on, as rows in TRL's columns."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from superalign.display import printable
from superalign.errors import ConfigError
from superalign.export.choose import Chosen, artifact, choose
from superalign.export.folder import written
from superalign.job import Job
from superalign.label import Labels
from superalign.steps import labels_of, part_of
from superalign.store import Store, write_synced
from superalign.task import Comparison, Item, Task

FORMATS = ("trl", "trl-messages")
ROWS = "labels.jsonl"


def export_labels(
    run: Path | str, out: Path | str, format: str = "trl", store: Store | None = None, **which: Any
) -> Path:
    """Write labels.jsonl, its manifest and its card; return the folder.

    Comparisons become `prompt`, `chosen`, `rejected`; Examples with a response `prompt`, `completion`, `label`, true or
    false where there are two classes; other Examples `text`, `label`. Each row has the `probability` of its label, its
    `weight`, and the item's `id` and `group`. Items without weight, which a filter dropped, are left out.

    Args:
        run: the run's folder.
        out: the folder to write.
        format: trl, or trl-messages for texts as chat messages.
        store: where the run's artifacts are.
        which: of `choose`: role, method, seed, rate.

    Raises:
        ConfigError: there is no such learner, its labels are the truth, or `out` holds something else.
    """
    if format not in FORMATS:
        raise ConfigError(f"unknown format '{format}'", fix=f"one of: {', '.join(FORMATS)}")
    keep = store or Store()
    chosen = choose(Path(run), **which)
    if _are_truth(chosen):
        why = f"the {chosen.role} learnt from the truth itself, which stays sealed"
        raise ConfigError("there are no labels to export", where=str(chosen), why=why, fix="--role student")
    task = Task.from_meta(artifact(chosen.items, chosen.run, keep).meta)
    given = artifact(chosen.labels, chosen.run, keep)
    params = chosen.job.params
    rows = part_of(task, params["shares"], chosen.lesson["seed"], params["part"])
    labels = labels_of(given, chosen.lesson["row"], rows)
    about = {
        "what": f"labels ({format})",
        "learner": chosen.identity,
        "labels": {"by": labels.by, "given": len(labels), "kept": int(np.count_nonzero(labels.weight))},
        "task": {"name": task.name, "version": task.version, "classes": list(task.classes)},
        "run": {"study": chosen.result.study, "config_sha256": chosen.result.config_sha256},
    }
    items = [task.items[row] for row in rows]
    lines = [json.dumps(row, ensure_ascii=False) for row in trl_rows(items, labels, task, format == "trl-messages")]
    with written(out, about) as folder:
        write_synced(folder / ROWS, "".join(f"{line}\n" for line in lines).encode())
        write_synced(folder / "README.md", _card(chosen, task, labels).encode())
    return Path(out)


def trl_rows(items: list[Item], labels: Labels, task: Task, messages: bool = False) -> Iterator[dict[str, Any]]:
    """Yield one row an item that has a weight; no row holds any truth.

    Args:
        items: of the task.
        labels: theirs, in the same order.
        task: whose classes the labels are.
        messages: whether texts are written as chat messages.
    """
    prompted = any(item.prompt for item in items)
    for item, probs, weight, best in zip(items, labels.probs, labels.weight, labels.argmax.tolist(), strict=True):
        if not weight:
            continue
        row: dict[str, Any] = {"id": item.id}
        if isinstance(item, Comparison):
            prompt = {"prompt": _said("user", item.prompt, messages)} if prompted else {}
            sides = {"chosen": item.responses[best], "rejected": item.responses[1 - best]}
            row |= prompt | {name: _said("assistant", text, messages) for name, text in sides.items()}
        elif item.response is not None:
            row |= {
                "prompt": _said("user", item.prompt, messages),
                "completion": _said("assistant", item.response, messages),
                "label": bool(best) if len(task.classes) == 2 else task.classes[best],
            }
        else:
            row |= {"messages" if messages else "text": _said("user", item.prompt, messages)}
            row |= {"label": task.classes[best]}
        yield {
            **row,
            "probability": round(float(probs[best]), 6),
            "weight": float(weight),
            "group": item.group or item.id,
        }


def _said(role: str, text: str, messages: bool) -> str | list[dict[str, str]]:
    return [{"role": role, "content": text}] if messages else text


def _are_truth(chosen: Chosen) -> bool:
    source: Job = chosen.labels
    while "labels" in source.inputs:  # what a filter went over
        source = source.inputs["labels"]
    return source.params.get("by") in ("truth", "oracle") or chosen.rate == 0


def _card(chosen: Chosen, task: Task, labels: Labels) -> str:
    config = [{"config_name": "default", "data_files": ROWS}]
    front = yaml.safe_dump({"configs": config, "tags": ["superalign", "noisy-labels"]}, sort_keys=False)
    dropped = len(labels) - int(np.count_nonzero(labels.weight))
    return (
        f"---\n{front}---\n\n"
        f"# Labels of {printable(task.name)} by {printable(labels.by)}\n\n"
        f"What the {printable(chosen)} of a superalign run learnt from: {len(labels):,} items of the "
        f"{chosen.job.params['part']} part, {dropped:,} of them dropped by a filter and left out here.\n"
        "The labels are those of a supervisor that is often wrong. No row holds the truth.\n\n"
        "`probability` is the supervisor's own, of the label it gave; `weight` that of the item in the loss.\n"
    )
