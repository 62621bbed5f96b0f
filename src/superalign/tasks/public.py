"""The public sets that the weak-to-strong papers use, by a short name, made into tasks as the papers do."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Annotated, Any, ClassVar

from pydantic import Field, field_validator

from superalign.config import digest
from superalign.errors import ConfigError, did_you_mean
from superalign.task import Dropped, Loaded, TaskSource, tasks
from superalign.tasks._convert import short
from superalign.tasks._public import PARQUET, SETS, Recipe
from superalign.tasks._read import Outcome, Row
from superalign.tasks._rows import Table, assemble
from superalign.tasks.hub import HubData

RULES = 1
"""Raised when the same rows would make another task, so that stored results are not taken for new ones."""
ROLES: dict[str, dict[str, Any]] = {
    "classes": {"text": ("text",), "label": "label", "classes": ("no", "yes")},
    "choice": {"prompt": ("prompt",), "choices": "choices", "label": "label"},
    "pair": {"chosen": "chosen", "rejected": "rejected"},
}


@tasks.register("public")
class Public(TaskSource):
    """A public set by its short name: `public:boolq`. Read through `datasets`, from the hub or a folder.

    Classes are made two and equal, a question gives its right answer and one wrong one, and rows on the same text or
    question are one group.
    """

    argument: ClassVar[str] = "set"

    set: str
    """Its name; docs/tasks.md lists them."""
    folder: str | None = None
    """Where a copy of the set lies, in place of the hub."""
    limit: Annotated[int, Field(gt=0)] | None = None
    """Keep at most so many rows of each split, whole groups drawn by `seed`."""
    seed: int = 0
    """Draws the wrong choices, and the rows that are kept."""

    @field_validator("set")
    @classmethod
    def _known(cls, name: str) -> str:
        if name not in SETS:
            raise ConfigError(f"there is no public set '{name}'", fix=did_you_mean(name, SETS))
        return name

    @classmethod
    def known_arguments(cls, name: str) -> Iterable[str]:
        """Return the names of the sets."""
        return SETS

    def load(self) -> Loaded:
        """Read the splits and shape their rows.

        Raises:
            DataError: the set cannot be loaded, or is not what its name says.
            MissingExtraError: `datasets` is not installed.
        """
        recipe, source = SETS[self.set], self._source()
        tables = [Table(_shaped(one.rows, recipe), one.part, one.label) for one in source.tables()]
        return assemble(self.set, self.fingerprint()[:12], tables, source)

    def fingerprint(self) -> str:
        """Return a digest of the settings, the rules, and the folder's files or the revision that the hub serves."""
        return digest([self.name, RULES, self.set, self._source().fingerprint()])

    def _source(self) -> HubData:
        """Return how the set is read; its columns are those of the shaped rows."""
        recipe = SETS[self.set]
        place = {"dataset": recipe.dataset, "subset": recipe.subset, "revision": recipe.revision}
        if self.folder:
            place = {"dataset": self.folder, "subset": recipe.subset}
        elif recipe.revision == PARQUET:  # there a configuration is a folder
            place = {"dataset": recipe.dataset, "data_dir": recipe.subset, "revision": PARQUET}
        settings = {"group": "group", "balance": recipe.balance, "limit": self.limit, "seed": self.seed}
        splits = {"split": recipe.train, "test": recipe.test}
        return HubData.parse({**place, **splits, **ROLES[recipe.kind], **settings}, where=str(self))


def _shaped(rows: Iterable[Outcome], recipe: Recipe) -> Iterator[Outcome]:
    for row in rows:
        if isinstance(row, Dropped):
            yield row
            continue
        try:
            values = dict(recipe.shape(row.values))
        except KeyError as error:
            yield Dropped(row.where, f"there is no column {error}, which rows of {recipe.dataset} have")
        except (TypeError, ValueError, IndexError, AttributeError) as error:
            yield Dropped(row.where, f"it is no row of {recipe.dataset}: {str(error)[:80]}")
        else:
            yield Row(row.where, {**values, "group": short(" ".join(str(values["group"]).split()))})
