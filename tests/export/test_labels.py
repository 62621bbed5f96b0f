"""Exported labels: what TRL takes and what our own `file:` reads back; dropped items and the truth stay out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from checkpoints import CHATML
from superalign.errors import ConfigError
from superalign.export import export_labels
from superalign.export.choose import choose
from superalign.export.labels import trl_rows
from superalign.label import Labels
from superalign.steps import part_of
from superalign.store import Store
from superalign.task import Comparison, Example, Task
from superalign.tasks.file import File


def rows_of(out: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (out / "labels.jsonl").read_text(encoding="utf-8").splitlines()]


def given(run: Path, **which: Any) -> tuple[Task, np.ndarray, np.ndarray, np.ndarray]:
    """The task, the rows of its transfer part, and the probabilities and weights that the store has for them."""
    chosen = choose(run, **which)
    items, labels = Store().load(chosen.items.key), Store().load(chosen.labels.key)
    assert items
    assert labels
    task = Task.from_meta(items.meta)
    rows = part_of(task, (5, 6, 5), chosen.seed, "transfer")
    seed = chosen.lesson["row"]
    probs, weight = (labels.tensors.get(name) for name in ("probs", "weight"))
    assert probs is not None
    return task, rows, probs[seed][rows], np.ones(len(rows)) if weight is None else weight[seed][rows]


@pytest.mark.parametrize("format", ["trl", "trl-messages"])
@pytest.mark.parametrize("kind", ["pairs", "texts", "replies"])
def test_our_own_reader_reads_the_same_items_and_labels(ran, tmp_path, kind, format):
    run = ran("llama", "probe", kind, filters=("knn,k=5,share=0.3",))
    out = export_labels(run, tmp_path / "out", format, method="naive after knn,k=5,share=0.3")
    task, rows, probs, weight = given(run, method="naive after knn,k=5,share=0.3")
    kept = {task.items[row].id: (task.items[row], p) for row, p, w in zip(rows, probs, weight, strict=True) if w}
    assert 0 < len(kept) < len(rows)  # the filter dropped some
    loaded = File(path=out / "labels.jsonl", max_bad=0.0).load()
    assert {item.id for item in loaded.task.items} == set(kept)
    for item, label in zip(loaded.task.items, loaded.labels, strict=True):
        ours, p = kept[item.id]
        assert (item.prompt, item.group) == (ours.prompt, ours.group)
        if isinstance(item, Comparison):
            assert isinstance(ours, Comparison)
            assert set(item.responses) == set(ours.responses)
            assert item.responses[label] == ours.responses[p.argmax()]
        else:
            assert isinstance(ours, Example)
            assert item.response == ours.response
            assert loaded.task.classes[label] == task.classes[p.argmax()]
    written = {row["id"]: row for row in rows_of(out)}
    for name, (_, p) in kept.items():
        assert written[name]["probability"] == pytest.approx(p.max(), abs=1e-6)
        assert written[name]["weight"] == 1


def test_columns_are_trls(ran, tmp_path):
    expected = {
        ("pairs", "trl"): {"prompt": str, "chosen": str, "rejected": str},
        ("pairs", "trl-messages"): {"prompt": list, "chosen": list, "rejected": list},
        ("replies", "trl"): {"prompt": str, "completion": str, "label": bool},
        ("replies", "trl-messages"): {"prompt": list, "completion": list, "label": bool},
        ("texts", "trl"): {"text": str, "label": str},
        ("texts", "trl-messages"): {"messages": list, "label": str},
    }
    runs = {kind: ran("llama", "probe", kind) for kind in ("pairs", "replies", "texts")}
    for (kind, format), columns in expected.items():
        rows = rows_of(export_labels(runs[kind], tmp_path / f"{kind}-{format}", format))
        beside = {"id": str, "probability": float, "weight": float, "group": str}
        assert all({name: type(value) for name, value in row.items()} == columns | beside for row in rows)
    with pytest.raises(ConfigError, match="not empty"):
        export_labels(runs["pairs"], tmp_path / "pairs-trl", "trl-messages")
    with pytest.raises(ConfigError, match="unknown format 'csv'"):
        export_labels(runs["pairs"], tmp_path / "other", "csv")


def test_no_truth_leaves(ran, tables, tmp_path):
    run = ran("llama", "probe", "replies")
    for role in ("ceiling", "weak"):
        with pytest.raises(ConfigError, match="no labels to export") as caught:
            export_labels(run, tmp_path / "out", role=role)
        assert "truth" in str(caught.value.why)
    assert not (tmp_path / "out").exists()
    out = export_labels(run, tmp_path / "out")
    truth = {row["completion"]: row["label"] for row in map(json.loads, tables["replies"].open())}
    said = [row["label"] == truth[row["completion"]] for row in rows_of(out)]
    assert 0 < sum(said) < len(said)  # a weak supervisor's labels, not the truth
    assert "superalign" in (out / "README.md").read_text()
    assert json.loads((out / "superalign.json").read_text())["labels"]["given"] == len(said)


def test_comparisons_without_prompts_and_weights(tmp_path):
    items = [Comparison(str(n), "", (f"one {n}", f"two {n}")) for n in range(3)]
    task = Task("t", "1", tuple(items), ("first", "second"))
    labels = Labels(np.array([[0.2, 0.8], [0.9, 0.1], [0.5, 0.5]], np.float32), np.array([1, 0.25, 0], np.float32), "x")
    first, second = trl_rows(list(items), labels, task)
    assert (first["chosen"], first["rejected"], first["probability"]) == ("two 0", "one 0", 0.8)
    assert (second["chosen"], second["weight"]) == ("one 1", 0.25)
    assert "prompt" not in first


def trainer_of(name: str, folder: Path, data: Any, place: Path) -> Any:
    """TRL's own trainer on a tiny model, which checks and prepares the columns as it is made."""
    from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification, AutoTokenizer

    if name == "KTO":
        from trl.experimental.kto import KTOConfig as Settings
        from trl.experimental.kto import KTOTrainer as Trainer
    elif name == "DPO":
        from trl import DPOConfig as Settings
        from trl import DPOTrainer as Trainer
    else:
        from trl import RewardConfig as Settings
        from trl import RewardTrainer as Trainer
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.chat_template = CHATML
    model: Any = (
        AutoModelForSequenceClassification.from_pretrained(folder, num_labels=1)
        if name == "Reward"
        else AutoModelForCausalLM.from_pretrained(folder)
    )
    settings = Settings(
        output_dir=str(place), use_cpu=True, bf16=False, report_to=[], max_steps=1, per_device_train_batch_size=4
    )
    return Trainer(model=model, args=settings, train_dataset=data, processing_class=tokenizer)


@pytest.mark.parametrize("format", ["trl", "trl-messages"])
@pytest.mark.parametrize(("name", "kind"), [("DPO", "pairs"), ("Reward", "pairs"), ("KTO", "replies")])
def test_trl_trains_on_them(ran, tiny, tmp_path, name, kind, format):
    pytest.importorskip("trl", reason="TRL is not installed")
    from datasets import load_dataset

    out = export_labels(ran("llama", "probe", kind), tmp_path / "out", format)
    cache = str(tmp_path / "cache")
    data = load_dataset("json", data_files=str(out / "labels.jsonl"), split="train", cache_dir=cache)
    assert len(data) == len(rows_of(out))
    assert load_dataset(str(out), split="train", cache_dir=cache).column_names == data.column_names  # by its card
    trainer = trainer_of(name, tiny("llama"), data, tmp_path / "trl")
    trainer.train()
    assert np.isfinite(trainer.state.log_history[-1]["train_loss"])
