"""The store: whole artifacts or none, damage found on read, nothing half-written on a full disk."""

from __future__ import annotations

import errno
import json
import multiprocessing
import os
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from superalign import store as store_module
from superalign.errors import StoreError
from superalign.store import LEFT_AFTER, RECORD, TENSORS, Artifact, Store, sweep_written, write_atomic, writer

KEY = "ab" + "0" * 62


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


def example() -> Artifact:
    return Artifact({"x": np.arange(6, dtype=np.float32).reshape(2, 3), "y": np.array([1, 2])}, {"n": 2, "name": "é"})


def same(a: Artifact, b: Artifact) -> bool:
    return a.meta == b.meta and all(np.array_equal(a.tensors[k], b.tensors[k], equal_nan=True) for k in a.tensors)


@settings(max_examples=40)
@given(
    hnp.arrays(st.sampled_from([np.float32, np.int64, np.uint8]), hnp.array_shapes(min_dims=0, max_dims=3, min_side=0)),
    st.dictionaries(
        st.text(),
        st.none() | st.booleans() | st.integers() | st.text() | st.floats(allow_nan=False, allow_infinity=False),
    ),
)
def test_what_is_saved_is_what_is_loaded(tmp_path, value, meta):
    store = Store(tmp_path / os.urandom(4).hex())
    store.save(KEY, Artifact({"value": value}, meta))
    found = store.load(KEY)
    assert found is not None
    assert found.tensors["value"].dtype == value.dtype
    assert same(found, Artifact({"value": value}, meta))


def test_nothing_is_none(store):
    assert store.load(KEY) is None
    assert not store.has(KEY)
    assert list(store) == []


@settings(max_examples=120)
@given(st.sampled_from([RECORD, TENSORS]), st.integers(0, 10**6), st.integers(0, 7))
def test_a_flipped_bit_anywhere_is_found(tmp_path, name, position, bit):
    store = Store(tmp_path / os.urandom(4).hex())
    store.save(KEY, example())
    path = store.path(KEY) / name
    data = bytearray(path.read_bytes())
    data[position % len(data)] ^= 1 << bit
    path.write_bytes(data)
    found = store.load(KEY)
    # a flipped bit in a JSON space or in padding may be harmless: then the artifact must be exactly the old one
    assert found is None or same(found, example())
    if found is None:
        assert "damaged" in store.notices[0]
        assert not store.has(KEY)


@pytest.mark.parametrize("name", [RECORD, TENSORS])
@pytest.mark.parametrize("keep", [0, 1, 20])
def test_a_truncated_file_is_found(store, name, keep):
    store.save(KEY, example())
    path = store.path(KEY) / name
    path.write_bytes(path.read_bytes()[:keep])
    assert store.load(KEY) is None


def test_reading_one_tensor_does_not_look_at_the_others(tmp_path):
    found = []
    for name in ("x", "y"):
        store = Store(tmp_path / name)
        store.save(KEY, example())
        path = store.path(KEY) / TENSORS
        data = path.read_bytes()
        path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))  # the last byte is of one tensor only
        found.append(store.load(KEY, only={name}))
    assert sum(one is None for one in found) == 1


def test_a_record_moved_to_another_key_is_refused(store):
    store.save(KEY, example())
    other = "ab" + "1" * 62
    store.path(KEY).rename(store.path(other))
    assert store.load(other) is None


@pytest.mark.parametrize("call", [1, 2])
def test_a_full_disk_is_said_and_leaves_nothing(store, monkeypatch, call):
    calls = 0
    real = store_module.write_synced

    def full(path: Path, data: bytes) -> None:
        nonlocal calls
        calls += 1
        if calls == call:
            path.write_bytes(data[: len(data) // 2])
            raise OSError(errno.ENOSPC, "No space left on device")
        real(path, data)

    monkeypatch.setattr(store_module, "write_synced", full)
    with pytest.raises(StoreError, match="disk is full"):
        store.save(KEY, example())
    assert not [path for path in store.root.rglob("*") if path.is_file()]
    store.save(KEY, example())
    assert same(store.load(KEY), example())


def test_an_atomic_write_that_fails_keeps_the_old_text(tmp_path, monkeypatch):
    path = tmp_path / "results.json"
    write_atomic(path, "old")
    monkeypatch.setattr(store_module, "write_synced", lambda *_: (_ for _ in ()).throw(OSError(errno.ENOSPC, "full")))
    with pytest.raises(StoreError, match="disk is full"):
        write_atomic(path, "new")
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["results.json"]


def _save(root: str, value: float) -> None:
    Store(Path(root)).save(KEY, Artifact({"x": np.full(1000, value)}, {"value": value}))


def test_two_processes_at_once_leave_one_whole_artifact(store):
    context = multiprocessing.get_context("spawn")
    savers = [context.Process(target=_save, args=(str(store.root), float(i))) for i in range(3)]
    for saver in savers:
        saver.start()
    for saver in savers:
        saver.join()
    assert [saver.exitcode for saver in savers] == [0, 0, 0]
    found = store.load(KEY)
    assert (found.tensors["x"] == found.meta["value"]).all()
    assert list((store.root / "tmp").iterdir()) == []


def test_sweep_removes_what_dead_processes_left_and_nothing_else(store):
    dead = multiprocessing.get_context("spawn").Process(target=int)
    dead.start()
    dead.join()
    machine = writer().partition("@")[2]
    for owner in (f"{dead.pid}@{machine}", writer()):
        (store.root / "tmp" / f"{owner}-x").mkdir(parents=True)
    store.save(KEY, example())
    store.sweep()
    assert [path.name for path in (store.root / "tmp").iterdir()] == [f"{writer()}-x"]
    assert store.has(KEY)


def test_the_process_number_of_another_machine_says_nothing_here(store, tmp_path):
    machine = writer().partition("@")[2]
    nobody = 2**22 + 1  # above the largest process number there is
    names = [f"{nobody}@{machine}-x", f"{nobody}@elsewhere.00000000-x", f"{nobody}-x"]
    for name in names:
        (store.root / "tmp" / name).mkdir(parents=True)
    store.sweep()
    assert sorted(path.name for path in (store.root / "tmp").iterdir()) == sorted(names[1:])
    for name in names[1:]:
        os.utime(store.root / "tmp" / name, (0, time.time() - LEFT_AFTER - 60))
    store.sweep()
    assert list((store.root / "tmp").iterdir()) == []
    here, there = (tmp_path / f".results.json.{nobody}@{host}" for host in (machine, "else.where.00000000"))
    for file in (here, there):
        file.touch()
    sweep_written(tmp_path / "results.json")
    assert not here.exists()
    assert there.exists()


def test_no_pickle_ever_touches_the_disk(store):
    store.save(KEY, example())
    assert {path.name for path in store.path(KEY).iterdir()} == {RECORD, TENSORS}
    assert json.loads((store.path(KEY) / RECORD).read_text())["schema"] == store_module.SCHEMA
