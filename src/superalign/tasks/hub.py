"""Tasks read through the `datasets` library: from the hub, or from a local folder it can load."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from difflib import get_close_matches
from pathlib import Path
from typing import Any, ClassVar

from superalign.config import digest
from superalign.errors import DataError, did_you_mean, require
from superalign.task import Loaded, tasks
from superalign.tasks._files import FORMATS, find, sha256
from superalign.tasks._read import Row
from superalign.tasks._rows import Table, assemble
from superalign.tasks._tabular import Tabular

RULES = 2
"""Raised when the same data set would give another task, so that stored results are not taken for new ones."""
MEDIA = {"Image", "Audio", "Video", "Pdf", "Nifti"}
HIDDEN = 100
Splits = list[tuple[str | None, str, Any]]
PATIENCE = 5.0  # seconds for the hub to answer at all


@tasks.register("hf")
class HubData(Tabular):
    """Examples or Comparisons from a data set of the hub or a folder: `hf:imdb`, `hf:glue,subset=rte`, `hf:./folder`.

    Code that comes with a data set is never run.
    """

    argument: ClassVar[str] = "dataset"

    dataset: str
    """The id of a hub data set, or a folder of csv, jsonl or parquet files."""
    subset: str | None = None
    """The configuration, where a data set has several."""
    data_dir: str | None = None
    """A folder of the data set: its files alone are read."""
    revision: str | None = None
    """The commit, tag or branch of a hub data set."""
    split: str | None = None
    """By default `train`, with its test or validation split as the test part."""
    transfer: str | None = None
    """The split that is the transfer part."""
    test: str | None = None
    """The split that is the test part."""

    @classmethod
    def known_arguments(cls, name: str) -> Iterable[str]:
        """Return the name when it is a folder."""
        return [name] if name and Path(name).expanduser().is_dir() else []

    def load(self) -> Loaded:
        """Load the splits.

        Raises:
            DataError: the data set cannot be loaded, or is no data for a task.
            MissingExtraError: `datasets` is not installed.
        """
        splits = self._opened()
        return assemble(
            self._title, self.fingerprint()[:12], self.tables(splits), self, _class_names(splits[0][2].features)
        )

    def tables(self, splits: Splits | None = None) -> list[Table]:
        """Return the rows of the splits that are used, as they stand there."""
        return [Table(_rows(data, label), part, label) for part, label, data in splits or self._opened()]

    def _opened(self) -> Splits:
        require("datasets", "data")
        return self._splits(self._read())

    def fingerprint(self) -> str:
        """Return a digest of the settings and of the folder's files, or of the revision that the hub serves.

        Raises:
            DataError: there is no such data set.
        """
        settings, folder = self.model_dump(mode="json"), self._folder()
        if folder is not None:
            settings["dataset"] = self._title
            files = sorted(path for path in folder.rglob("*") if path.is_file())
            return digest([self.name, RULES, settings, [[str(p.relative_to(folder)), sha256(p)] for p in files]])
        require("datasets", "data")
        from datasets import load_dataset_builder

        with _explained(self.dataset), _spared_of_retries():
            builder = load_dataset_builder(self.dataset, self.subset, data_dir=self.data_dir, revision=self.revision)
        return digest([self.name, RULES, settings, builder.hash])

    @property
    def _title(self) -> str:
        """The id, or the folder's own name."""
        folder = Path(self.dataset).expanduser()
        return folder.resolve().name if folder.is_dir() else self.dataset

    def _folder(self) -> Path | None:
        """Return the folder that holds the data, or None when the name is the hub's.

        Raises:
            DataError: it names a file, or a folder that is not there.
        """
        place = Path(self.dataset).expanduser()
        if place.is_dir():
            return place
        if place.suffix.lower() in FORMATS or place.is_file():
            raise DataError(f"'{self.dataset}' is a file, and 'hf:' takes a data set", fix=f"file:{find(place)}")
        if self.dataset.startswith((".", "~", "/")) or self.dataset.count("/") > 1 or self.dataset.endswith("/"):
            raise DataError(f"there is no folder '{self.dataset}'", fix=_nearest_folder(place))
        return None

    def _read(self, split: str | None = None) -> Any:
        folder = self._folder()
        chosen = {"name": self.subset, "data_dir": self.data_dir, "revision": self.revision, "split": split}
        return _load(str(folder) if folder else self.dataset, chosen, hub=folder is None)

    def _splits(self, data: Mapping[str, Any]) -> Splits:
        """Return (part, label for messages, rows) of each split that is used."""
        own = self.split or ("train" if "train" in data else next(iter(data)))
        test = self.test
        if not test and not self.split:
            test = next((name for name in ("test", "validation") if name != own and _labelled(data.get(name))), None)
        part = "supervise" if self.transfer and test else None
        wanted = ((part, own), ("transfer", self.transfer), ("test", test))
        return [(part, f"{self._title}/{name}", self._split(data, name)) for part, name in wanted if name]

    def _split(self, data: Mapping[str, Any], name: str) -> Any:
        base = name.partition("[")[0]
        if base not in data:
            raise DataError(f"there is no split '{base}'", where=self.dataset, fix=did_you_mean(base, data))
        return data[name] if name in data else self._read(split=name)


def _nearest_folder(place: Path) -> str | None:
    if not place.parent.is_dir():
        return None
    folders = [entry.name for entry in place.parent.iterdir() if entry.is_dir()]
    close = get_close_matches(place.name, folders, n=1)
    return f"did you mean '{place.parent / close[0]}'?" if close else None


def _load(dataset: str, chosen: Mapping[str, str | None], hub: bool) -> Any:
    with _explained(dataset), _spared_of_retries() if hub else nullcontext():
        import datasets

        shown = datasets.are_progress_bars_disabled()
        datasets.disable_progress_bars()
        try:
            return datasets.load_dataset(dataset, **chosen)
        finally:
            if not shown:
                datasets.enable_progress_bars()


@contextmanager
def _spared_of_retries() -> Iterator[None]:
    """Keep to the local cache in the block when the hub does not answer: its client would retry for 25 s."""
    import datasets
    from huggingface_hub import constants, get_session

    before = constants.HF_HUB_OFFLINE, datasets.config.HF_HUB_OFFLINE
    try:
        get_session().head(constants.ENDPOINT, timeout=PATIENCE)
    except Exception:  # of whatever HTTP library the client uses
        constants.HF_HUB_OFFLINE = datasets.config.HF_HUB_OFFLINE = True
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE, datasets.config.HF_HUB_OFFLINE = before


@contextmanager
def _explained(dataset: str) -> Iterator[None]:
    """Turn what `datasets` raises (of many kinds) into a DataError that says what it said."""
    try:
        yield
    except Exception as error:
        what = f"data set '{dataset}' cannot be loaded"
        if isinstance(error, ConnectionError):
            raise DataError(
                what,
                why="the hub cannot be reached (or HF_HUB_OFFLINE is set) and the data set is not in its local cache",
                fix="connect to the network, or download the data set and give its folder",
            ) from error
        said = [str(cause).partition("\n")[0] for cause in (error, error.__cause__) if cause and str(cause)]
        raise DataError(what, why=": ".join(said) or type(error).__name__) from error


def _rows(data: Any, label: str) -> Iterator[Row]:
    media = [name for name, feature in data.features.items() if type(feature).__name__ in MEDIA]
    for number, values in enumerate(data.remove_columns(media), 1):
        yield Row(f"{label}:{number}", values)


def _class_names(features: Mapping[str, Any]) -> dict[str, Sequence[str]]:
    return {column: feature.names for column, feature in features.items() if hasattr(feature, "names")}


def _labelled(data: Any) -> bool:
    """Tell whether a split has its labels: hidden ones are written as -1."""
    if data is None:
        return False
    head = data[:HIDDEN]
    return not any(set(head[column]) == {-1} for column in _class_names(data.features))
