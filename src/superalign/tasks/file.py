"""Tasks read from files: CSV, TSV, JSON lines, JSON and parquet."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import ClassVar

from superalign.config import digest
from superalign.errors import DataError
from superalign.task import Loaded, Original, tasks
from superalign.tasks._files import FORMATS, find, sha256
from superalign.tasks._originals import originals
from superalign.tasks._read import read
from superalign.tasks._rows import Table, assemble
from superalign.tasks._tabular import Tabular

RULES = 3
"""Raised when the same file would give another task, so that stored results are not taken for new ones."""


@tasks.register("file")
class File(Tabular):
    """Examples or Comparisons from a table: `file:reviews.csv`, `file:train.jsonl,test=test.jsonl,label=intent`.

    With both `transfer` and `test`, `path` is the supervise part; with one of them, the split divides `path`
    between the two other parts; with neither, it makes all three.
    """

    argument: ClassVar[str] = "path"

    path: Path
    """A .csv, .tsv, .jsonl, .ndjson, .json or .parquet file."""
    transfer: Path | None = None
    """A file whose rows are the transfer part."""
    test: Path | None = None
    """A file whose rows are the test part."""

    @classmethod
    def known_arguments(cls, name: str) -> Iterable[str]:
        """Return the name when it is one of a data file."""
        return [name] if Path(name).suffix.lower() in FORMATS else []

    def load(self) -> Loaded:
        """Read the files.

        Raises:
            DataError: a file is missing or unreadable, too many rows are bad, or the data is degenerate.
        """
        path = self._files()[0][1].resolve()
        return assemble(f"{path.parent.name}/{path.stem}", self.fingerprint()[:12], self._tables(), self)

    def originals(self, loaded: Loaded) -> Iterator[Original]:
        """Yield every readable row of the files with its own columns."""
        return originals(self._tables(), self, loaded.task)

    def fingerprint(self) -> str:
        """Return a digest of the files' names and SHA-256 and of the settings; not of the folder they are in."""
        settings = self.model_dump(mode="json", exclude={"path", "transfer", "test"})
        files = [[part, path.name, sha256(path)] for part, path in self._files()]
        return digest([self.name, RULES, settings, files])

    def _tables(self) -> list[Table]:
        files = self._files()
        labels = _labels([path for _, path in files])
        return [Table(read(path, label), part, label) for (part, path), label in zip(files, labels, strict=True)]

    def _files(self) -> list[tuple[str | None, Path]]:
        own = "supervise" if self.transfer and self.test else None
        given = ((own, self.path), ("transfer", self.transfer), ("test", self.test))
        files = [(part, find(path)) for part, path in given if path is not None]
        twice = [path for path, count in Counter(path.resolve() for _, path in files).items() if count > 1]
        if twice:
            raise DataError(f"'{twice[0].name}' is given for two parts")
        return files


def _labels(paths: list[Path]) -> list[str]:
    """Return the shortest names that tell the files apart, for messages and ids."""
    names = [path.name for path in paths]
    if len(set(names)) < len(names):
        names = ["/".join(path.resolve().parts[-2:]) for path in paths]
    if len(set(names)) < len(names):
        names = [str(path) for path in paths]
    return [name.encode(errors="replace").decode() for name in names]
