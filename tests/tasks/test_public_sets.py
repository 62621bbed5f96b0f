"""The public sets by their short names, on files of their shapes."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
import yaml

from superalign.errors import ConfigError, DataError
from superalign.task import Comparison, Example, Loaded, split, tasks
from superalign.tasks._public import SETS

datasets = pytest.importorskip("datasets", reason="needs the extra 'data'")
N = 36  # rows of a split; three rows in a row are related, where a set has what relates them


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep what `datasets` writes out of the user's cache."""
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", str(tmp_path / "cache"))


def binary(*columns: str) -> Callable[[str, int], dict[str, Any]]:
    """Rows with a label 0 or 1, twice as many of the second; the first column is shared by three rows."""

    def row(at: str, n: int) -> dict[str, Any]:
        told = {column: f"{column} {at}{n // 3 if place == 0 else n}" for place, column in enumerate(columns)}
        return {**told, "label": int(n % 3 > 0)}

    return row


def alone(*columns: str) -> Callable[[str, int], dict[str, Any]]:
    return lambda at, n: {**{column: f"{column} {at}{n}" for column in columns}, "label": int(n % 3 > 0)}


def asked(shared: str, more: Callable[[str, int], dict[str, Any]]) -> Callable[[str, int], dict[str, Any]]:
    return lambda at, n: {shared: f"about {at}{n // 3}", "question": f"Which one is {at}{n}?", **more(at, n)}


def answers(at: str, n: int, k: int = 4) -> list[str]:
    return [f"right {at}{n}" if place == n % k else f"wrong {at}{n}/{place}" for place in range(k)]


def lettered(at: str, n: int, k: int = 4) -> dict[str, Any]:
    return {"choices": {"text": answers(at, n, k), "label": list("ABCD"[:k])}, "answerKey": "ABCD"[n % k]}


def columns(names: list[str], at: str, n: int) -> dict[str, str]:
    return dict(zip(names, answers(at, n, len(names)), strict=True))


ROWS: dict[str, Callable[[str, int], dict[str, Any]]] = {
    "amazon-polarity": binary("title", "content"),
    "anli-r2": lambda at, n: {**binary("premise", "hypothesis")(at, n), "label": n % 3, "uid": str(n)},
    "boolq": lambda at, n: {"passage": f"p {at}{n // 3}", "question": f"is it {at}{n}", "answer": n % 3 > 0},
    "cola": lambda at, n: {**alone("sentence")(at, n), "idx": n},
    "cosmos-qa": asked("context", lambda at, n: {**columns([f"answer{i}" for i in range(4)], at, n), "label": n % 4}),
    "dream": lambda at, n: {
        "dialogue": [f"W: hello {at}{n // 3}", "M: hi"],
        "question": f"Who is {at}{n}?",
        "choice": answers(at, n, 3),
        "answer": f"right {at}{n}",
    },
    "ethics-deontology": binary("scenario", "excuse"),
    "ethics-justice": lambda at, n: {"scenario": f"I do {at}{n // 3} because {n}.", "label": int(n % 3 > 0)},
    "ethics-utilitarianism": lambda at, n: {
        "baseline": f"Day {at}{n // 3}. right {n}",
        "less_pleasant": f"Day {at}{n // 3}. wrong {n}",
    },
    "ethics-virtue": lambda at, n: {"scenario": f"She ran {at}{n // 3}. [SEP] trait {n}", "label": int(n % 3 > 0)},
    "hellaswag": lambda at, n: {
        "ctx": f"A man {at}{n}",
        "endings": answers(at, n),
        "label": str(n % 4),
        "source_id": f"video {at}{n // 3}",
    },
    "hh": lambda at, n: {
        "chosen": f"\n\nHuman: Say {at}{n // 3}\n\nAssistant: right {at}{n}",
        "rejected": f"\n\nHuman: Say {at}{n // 3}\n\nAssistant: wrong {at}{n}",
    },
    "mc-taco": binary("sentence", "question", "answer"),
    "multirc": binary("paragraph", "question", "answer"),
    "openbookqa": lambda at, n: {"question_stem": f"The sun {at}{n}", **lettered(at, n), "id": str(n)},
    "paws": binary("sentence1", "sentence2"),
    "piqa": lambda at, n: {"goal": f"Open {at}{n}", **columns(["sol1", "sol2"], at, n), "label": n % 2},
    "pku-safe": lambda at, n: {
        "prompt": f"How {at}{n // 3}?",
        **columns(["response_0", "response_1"], at, n),
        "better_response_id": 1 - n % 2,
        "safer_response_id": n % 2,
    },
    "privacy-policy": lambda at, n: {
        "text": f"We keep {at}{n}.",
        "question": f"Is {n // 3} kept?",
        "answer": "Relevant" if n % 3 else "Irrelevant",
    },
    "quail": asked("context", lambda at, n: {"answers": answers(at, n), "correct_answer_id": n % 4}),
    "quartz": asked("para", lambda at, n: lettered(at, n, 2)),
    "sciq": lambda at, n: {
        "question": f"What is {at}{n}?",
        "correct_answer": f"right {at}{n}",
        **{f"distractor{i}": f"wrong {at}{n}/{i}" for i in (1, 2, 3)},
        "support": "",
    },
    "social-iqa": asked(
        "context", lambda at, n: {**columns(["answerA", "answerB", "answerC"], at, n), "label": str(n % 3 + 1)}
    ),
    "sst2": alone("sentence"),
    "toxic-prompts": lambda at, n: {
        "filename": f"{n // 3}.txt",
        "prompt": {"text": f"prompt {at}{n}", "toxicity": 0.1 if n % 3 == 0 else 0.5},
    },
    "twitter-sentiment": alone("text"),
    "wic": binary("word", "sentence1", "sentence2"),
}
UNRELATED = {"cola", "openbookqa", "piqa", "sciq", "sst2", "twitter-sentiment"}


def copy_of(name: str, folder: Path, n: int = N) -> Path:
    """Write a folder of files in the shape of a set: its configuration, its splits, its columns."""
    recipe = SETS[name]
    files = []
    for part in filter(None, (recipe.train, recipe.test)):
        rows = [ROWS[name]("" if part == recipe.train else "t", number) for number in range(n)]
        (folder / f"{part}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        files.append({"split": part, "path": f"{part}.jsonl"})
    configs = [{"config_name": recipe.subset or "default", "data_files": files}]
    (folder / "README.md").write_text(f"---\n{yaml.safe_dump({'configs': configs})}---\n")
    return folder


def load(name: str, tmp_path: Path, **more: Any) -> Loaded:
    folder = tmp_path / "copy"
    folder.mkdir()
    return tasks.build({"name": "public", "set": name, "folder": str(copy_of(name, folder)), **more}).load()


def test_every_set_has_a_shape_here_and_a_row_in_the_docs() -> None:
    assert set(ROWS) == set(SETS)
    text = (Path(__file__).parents[2] / "docs/tasks.md").read_text()
    for name, recipe in SETS.items():
        (row,) = [line for line in text.splitlines() if line.startswith(f"| `{name}` |")]
        assert f"`{recipe.dataset}`" in row
        assert not recipe.subset or f"`{recipe.subset}`" in row


@pytest.mark.parametrize("name", sorted(SETS))
def test_a_set_becomes_the_task_of_the_papers(name: str, tmp_path: Path) -> None:
    recipe = SETS[name]
    task, labels = load(name, tmp_path)
    assert task.name == name
    assert not task.dropped
    tested = Counter(task.fixed_parts)["test"]
    assert (tested > 0) == (recipe.test is not None)
    if recipe.kind == "pair":
        assert len(task.items) == N * (1 + (recipe.test is not None))
        for item, label in zip(task.items, labels, strict=True):
            assert isinstance(item, Comparison)
            assert "right" in item.responses[label]
            assert "wrong" in item.responses[1 - label]
    elif recipe.kind == "choice":
        assert task.classes == ("wrong", "right")
        assert labels.mean() == 0.5
        for item, label in zip(task.items, labels, strict=True):
            assert isinstance(item, Example)
            assert item.response is not None
            assert item.response.startswith(("wrong", "right")[label])
    else:
        assert task.classes == ("no", "yes")
        kept = labels.mean() == 0.5 if recipe.balance else labels.mean() == pytest.approx(2 / 3)
        assert kept
        for item, label in zip(task.items, labels, strict=True):
            number = int("".join(filter(str.isdigit, item.id.rpartition(":")[2]))) - 1 if ":" in item.id else None
            if number is not None:
                assert label == (number % 3 == 0 if name == "anli-r2" else number % 3 > 0)
    if name not in UNRELATED:
        assert max(Counter(task.groups()).values()) > (2 if recipe.kind == "choice" else 1)
    parts = split(task, (1, 1, 1), 0)
    held = [{task.groups()[i] for i in part} for part in parts]
    assert not held[0] & held[1]
    assert not held[0] & held[2]
    assert not held[1] & held[2]


def test_a_limit_and_a_seed(tmp_path: Path) -> None:
    task, _ = load("boolq", tmp_path, limit=18)
    assert 12 <= len(task.items) <= 36


def test_the_fingerprint_follows_the_files(tmp_path: Path) -> None:
    folder = copy_of("sst2", tmp_path)
    source = tasks.build(f"public:sst2,folder={folder}")
    before = source.fingerprint()
    assert before == tasks.build(str(source)).fingerprint()
    assert before != tasks.build(f"public:sst2,folder={folder},seed=1").fingerprint()
    with (folder / "train.jsonl").open("a") as file:
        file.write(json.dumps(ROWS["sst2"]("", 99)) + "\n")
    assert before != source.fingerprint()


def test_another_set_is_refused_with_what_is_missing(tmp_path: Path) -> None:
    folder = copy_of("sst2", tmp_path)
    with pytest.raises(DataError, match="there is no column 'passage', which rows of google/boolq have"):
        tasks.build(f"public:boolq,folder={folder}").load()


def test_names_are_mended() -> None:
    with pytest.raises(ConfigError, match=r"(?s)no public set 'bolq'.*did you mean 'boolq'"):
        tasks.build("public:bolq")
    with pytest.raises(ConfigError, match="did you mean 'public:hellaswag'"):
        tasks.build("hellaswag")


@pytest.mark.parametrize("name", sorted(SETS))
def test_the_hub_is_asked_for_rows_and_never_for_a_program(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, dict[str, Any]]] = []

    def load_dataset(dataset: str, **chosen: Any) -> Any:
        asked.append((dataset, chosen))
        raise ConnectionError

    monkeypatch.setattr("superalign.tasks.hub._spared_of_retries", nullcontext)
    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    with pytest.raises(DataError, match="the hub cannot be reached"):
        tasks.build(f"public:{name}").load()
    ((dataset, chosen),) = asked
    recipe = SETS[name]
    assert dataset == recipe.dataset
    assert "trust_remote_code" not in chosen
    place = "data_dir" if recipe.revision else "name"
    assert {key: value for key, value in chosen.items() if value} == {
        key: value for key, value in {place: recipe.subset, "revision": recipe.revision}.items() if value
    }


@pytest.mark.parametrize(
    ("name", "files", "splits"),
    [
        ("boolq", ("boolq/dev.jsonl", "boolq/dev.jsonl"), ("train", "validation")),
        ("hh", ("hh_harmless_single_turn/train_gt.jsonl", "hh_harmless_single_turn/test.jsonl"), ("train", "test")),
    ],
)
def test_on_the_real_rows(
    name: str, files: tuple[str, str], splits: tuple[str, str], shared_data: Path, tmp_path: Path
) -> None:
    for place, (file, part) in enumerate(zip(files, splits, strict=True)):
        rows = (shared_data / file).read_text(encoding="utf-8").splitlines()[600 * place : 600 * (place + 1)]
        text = "\n".join(rows).replace('"label":', '"answer":')  # what the hub calls it
        (tmp_path / f"{part}.jsonl").write_text(text, encoding="utf-8")
    task, labels = tasks.build(f"public:{name},folder={tmp_path}").load()
    assert len(task.dropped) < 60
    assert len(task.items) > 700
    assert 0.45 < labels.mean() < 0.55
    assert not any("cannot be used" in row.reason for row in task.dropped)
    if name == "hh":
        assert all(isinstance(item, Comparison) and item.prompt for item in task.items)
    else:
        assert max(Counter(task.groups()).values()) > 1
