"""Shared fixtures: a home of its own for every test, tiny checkpoints of each architecture, the embedded models."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from checkpoints import save_checkpoint
from superalign.errors import SuperalignError
from superalign.store import home

OPEN_MODELS = ("vader", "wordllama", "minilm", "smollm2")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
for threads in ("SUPERALIGN_THREADS", "OMP_NUM_THREADS"):  # tiny models are several times slower on two
    os.environ.setdefault(threads, "1")
USERS_HOME = home()  # before any test moves it
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # started in the background: commands would inherit that
    signal.signal(signal.SIGINT, signal.default_int_handler)


settings.register_profile("project", deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
settings.load_profile("project")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the files that take longest, so that two processes end together."""

    def late(item: pytest.Item) -> int:
        marks = {mark.name for mark in item.iter_markers()}
        return 0 if {"model", "slow"} <= marks else 1 if "slow" in marks else 2

    items.sort(key=late)


@pytest.fixture(autouse=True)
def isolated_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give every test a home of its own, so that none reads or writes the user's cache."""
    folder = tmp_path / "home"
    monkeypatch.setenv("SUPERALIGN_HOME", str(folder))
    return folder


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Return a function from an architecture's name to the folder of its tiny random checkpoint (3 layers)."""
    root = tmp_path_factory.mktemp("checkpoints")

    def folder(architecture: str) -> Path:
        place = root / architecture
        if not place.is_dir():
            save_checkpoint(architecture, place)
        return place

    return folder


@pytest.fixture(scope="session")
def users_models() -> Path:
    """Return the user's cache of models with the open ones in it; fetch them once, or skip with the reason."""
    from superalign.fetch import fetch

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SUPERALIGN_HOME", str(USERS_HOME))
        for name in OPEN_MODELS:
            try:
                fetch(name)
            except SuperalignError as error:
                pytest.skip(f"embedded model '{name}' is not in the cache and cannot be fetched: {error}")
    return USERS_HOME / "models"


@pytest.fixture
def embedded_home(isolated_home: Path, users_models: Path) -> Iterator[Path]:
    """Return this test's home, with the open embedded models in it and an empty store."""
    isolated_home.mkdir(exist_ok=True)
    (isolated_home / "models").symlink_to(users_models)
    yield isolated_home
    (isolated_home / "models").unlink(missing_ok=True)
