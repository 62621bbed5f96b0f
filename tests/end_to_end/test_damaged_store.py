"""A flipped bit, a torn file, no store at all: computed again with a notice, or refused in clear words."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from faults import Shell, flip_bit, leftovers, rows
from superalign.store import Store

pytestmark = pytest.mark.slow
Damage = Callable[[Path], None]
LABELS, PROBE, FEATURES = "labels: weak", "student, ceiling, control", "features of hf:"


def cut_short(file: Path) -> None:
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def empty(file: Path) -> None:
    file.write_bytes(b"")


def artifact(store: Path, title: str) -> Path:
    """Return the folder of the artifact whose job's title holds some words."""
    for record in store.glob("??/*/record.json"):
        if title in json.loads(record.read_text(encoding="utf-8"))["about"].get("title", ""):
            return record.parent
    raise AssertionError(title)


@pytest.mark.parametrize(
    ("title", "name", "damage"),
    [
        ("read the task", "record.json", flip_bit),
        ("read the truth", "tensors.safetensors", flip_bit),
        (FEATURES, "record.json", empty),
        (LABELS, "tensors.safetensors", cut_short),
        (LABELS, "tensors.safetensors", Path.unlink),
        (PROBE, "record.json", flip_bit),
        (PROBE, "tensors.safetensors", flip_bit),
    ],
)
def test_a_damaged_artifact_is_computed_again(
    finished: Shell, study: list[str], title: str, name: str, damage: Damage
) -> None:
    before, store = rows(finished.folder / "run"), Store(finished.home / "store")
    hurt = artifact(store.root, title)
    damage(hurt / name)
    ended = finished.fork(*study, "--out", "run").exits(0)
    ended.says(f"notice: artifact {hurt.name[:12]} is damaged", "it is computed again")
    assert rows(finished.folder / "run") == before
    assert store.load(hurt.name) is not None
    assert json.loads((finished.folder / "run" / "results.json").read_text())["jobs"]["computed"] == 1
    assert not leftovers(finished.home)


@pytest.mark.parametrize("name", ["record.json", "tensors.safetensors"])
def test_a_damaged_shard_of_features_is_computed_again(finished: Shell, study: list[str], name: str) -> None:
    before = rows(finished.folder / "run")
    shutil.rmtree(artifact(finished.home / "store", PROBE))
    shards = sorted((finished.home / "store" / "features").glob(f"*/??/*/{name}"))
    assert len(shards) == 4  # two models, two shards each
    for shard in shards:
        flip_bit(shard)
    ended = finished.fork(*study, "--out", "run").exits(0)
    ended.says("is damaged", "it is computed again")
    assert rows(finished.folder / "run") == before


def test_what_is_no_artifact_is_replaced(finished: Shell, study: list[str]) -> None:
    before, hurt = rows(finished.folder / "run"), artifact(finished.home / "store", PROBE)
    (hurt / "record.json").unlink()
    finished.fork(*study, "--out", "run").exits(0)
    assert rows(finished.folder / "run") == before
    assert Store(finished.home / "store").has(hurt.name)


def test_missing_artifacts_are_computed_again(finished: Shell, study: list[str]) -> None:
    before = rows(finished.folder / "run")
    for title in (LABELS, "labels: truth", FEATURES):
        shutil.rmtree(artifact(finished.home / "store", title))
    finished.fork(*study, "--out", "run").exits(0)
    assert rows(finished.folder / "run") == before


@pytest.mark.parametrize("place", ["", "store"])
def test_a_file_where_the_store_should_be(shell: Shell, study: list[str], place: str) -> None:
    file = shell.home / place if place else shell.home
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("not a folder")
    shell.fork(*study, "--out", "run").exits(3).says("error: cannot write", str(file), "Not a directory")
    assert file.read_text() == "not a folder"
