"""Every sink writes what it hears where its tool reads it; read back by the tool or from its format."""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path

import pytest

import sink_readers
from superalign.sink import Opening, sinks

SERIES = {"student_naive/loss": [(10, 0.75), (20, 0.5)], "student_naive/tokens_per_second": [(20, 1000.0)]}
FIGURES = {"accuracy/student/naive": 0.875, "accuracy_low/student/naive": 0.75, "gap": -0.125}
SPELT = {"mlflow": {"stopped": "killed"}, "trackio": {"stopped": "not finished", "failed": "not finished"}}


@pytest.fixture(scope="session")
def database(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return the address of a database that all tests share: MLflow takes ten seconds to make one."""
    return f"sqlite:///{tmp_path_factory.mktemp('mlflow') / 'runs.db'}"


@pytest.fixture(autouse=True)
def tool_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("WANDB_DATA_DIR", "WANDB_CACHE_DIR", "WANDB_CONFIG_DIR"):
        monkeypatch.setenv(name, str(tmp_path / "tools"))
    monkeypatch.chdir(tmp_path)


def feed(name: str, folder: Path, state: str, database: str) -> sink_readers.Shown:
    if find_spec(name) is None:
        pytest.skip(f"{name} is not installed: pip install 'superalign[{name}]'")
    project = f"p-{folder.name}"
    settings = {
        "wandb": "wandb,mode=offline",
        "mlflow": f"mlflow,uri={database},experiment={project}",
        "trackio": f"trackio,project={project}",
    }
    (folder / "run").mkdir()
    (folder / "report.html").write_text("<p>report</p>")
    config = {"study": "weak-to-strong", "task": {"name": "file", "path": "<script>\x1b[31m.csv"}, "seeds": 3}
    opened = sinks.build(settings.get(name, name)).open(Opening("run", folder / "run", config))
    opened.progress("student_naive", 10, {"loss": 0.75})
    opened.progress("student_naive", 20, {"loss": 0.5, "tokens_per_second": 1000.0})
    opened.progress("jobs", 1, {"share_done": 1.0})
    if state == "finished":
        opened.conclude(FIGURES, folder / "report.html")
    opened.close(state)
    if name == "tensorboard":
        return sink_readers.tensorboard(folder / "run" / "tensorboard")
    if name == "wandb":
        return sink_readers.wandb(folder / "run")
    if name == "mlflow":
        return sink_readers.mlflow(database, project)
    return sink_readers.trackio(Path(os.environ["TRACKIO_DIR"]), project)


@pytest.mark.parametrize("name", ["mlflow", "tensorboard", "trackio", "wandb"])
def test_a_whole_run(name, tmp_path, capfd, database):
    shown = feed(name, tmp_path, "finished", database)
    assert (shown.name, shown.state, shown.reports) == ("run", "finished", 1)
    assert SERIES.items() <= shown.series.items()
    assert FIGURES.items() <= shown.figures.items()
    assert "weak-to-strong" in shown.config
    said = capfd.readouterr()
    assert (said.out, said.err) == ("", "")


@pytest.mark.slow
@pytest.mark.parametrize("state", ["failed", "stopped"])
@pytest.mark.parametrize("name", ["mlflow", "tensorboard", "trackio", "wandb"])
def test_a_run_that_did_not_finish(name, state, tmp_path, database):
    shown = feed(name, tmp_path, state, database)
    assert shown.state == SPELT.get(name, {}).get(state, state)
    assert SERIES.items() <= shown.series.items()
    assert shown.reports == 0
