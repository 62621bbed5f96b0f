"""A model that learns to write what worked, or worked better: an adapter on a frozen base, kept in the store."""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from filecmp import cmpfiles
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from superalign import __version__
from superalign.config import digest
from superalign.errors import ConfigError, ModelError
from superalign.fit import Lesson
from superalign.fits._base import release
from superalign.fits._generative import Likelihood
from superalign.fits._peft import blueprint, write_adapter
from superalign.fits.lora import Lora
from superalign.label import Labels
from superalign.model import Model
from superalign.models._adapter import CONFIG, WEIGHTS
from superalign.models.embedded import Embedded
from superalign.models.hf import HuggingFace
from superalign.objective import Objective
from superalign.store import Array, Artifact, Store, writer, writing
from superalign.task import Comparison, Example, Item, Task

ADAPTER_FILES = (CONFIG, WEIGHTS)


def check_teachable(model: Model, who: str, fix: str) -> None:
    """Refuse a model that no adapter can be trained for.

    Raises:
        ConfigError: its weights are not here, or it stands on an adapter already.
    """
    if not model.trainable:
        raise ConfigError(f"{who} cannot train {model}", why="its weights are not here", fix=fix)
    if getattr(model, "adapter", None) is not None:
        raise ConfigError(f"{who} cannot train {model}", why="what it learns is an adapter, and only one fits", fix=fix)


class Pair(NamedTuple):
    """What the model is told, what it shall write, and what it shall rather not: of all pairs, or of none."""

    told: str
    text: str
    worse: str | None = None

    def item(self, name: str) -> Item:
        """Return this as an item: of two texts the first is the better one."""
        if self.worse is None:
            return Example(name, self.told, self.text)
        return Comparison(name, self.told, (self.text, self.worse))


@dataclass(frozen=True)
class Apprentice:
    """What a model becomes by learning to write texts. It is learnt once, ever.

    Args:
        base: the model, frozen.
        fit: how its adapter learns.
        pairs: from which; each weighs the same.
        seed: of the training.
        store: keeps the adapter.
        objective: by which; by default it learns to say the texts.
    """

    base: Model
    fit: Lora
    pairs: Sequence[Pair]
    seed: int
    store: Store
    objective: Objective = field(default_factory=Likelihood)

    @cached_property
    def key(self) -> str:
        """SHA-256 (hex) of all that decides the adapter, which it is kept by."""
        base = [self.base.fingerprint(), self.base.precision()]
        how = [self.fit.spec(), self.objective.spec()]
        return digest([__version__, base, *how, [list(pair) for pair in self.pairs], self.seed])

    def learn(self) -> dict[str, Any]:
        """Return the adapter's key and what its training saw, JSON-able."""
        return {"adapter": self.key, **self.learnt().meta}

    def model(self) -> Model:
        """Return the base with its adapter; see `with_adapter`."""
        return with_adapter(self.base, self.fit, self.learnt().tensors, self.key, self.store)

    def learnt(self) -> Artifact:
        """Return the adapter: from the store, else learnt now by the training loop of all fits."""
        if (found := self.store.load(self.key)) is not None:
            return found
        items = tuple(pair.item(str(n)) for n, pair in enumerate(self.pairs))
        task = Task("what worked", self.key, items, ("bad", "good"))
        rows = np.arange(len(items))
        labels = Labels.hard(np.full_like(rows, 0 if task.pairwise else 1), 2, "what worked")
        lesson = Lesson(self.objective, rows, labels, self.seed)
        (learned,) = self.fit.learn(self.base, task, [lesson], [rows[:0]], store=self.store, report=lambda **_: None)
        release()
        self.store.save(self.key, Artifact(learned.kept, dict(learned.facts)), {"adapter of": str(self.base)})
        return Artifact(learned.kept, dict(learned.facts))


def with_adapter(base: Model, fit: Lora, tensors: Mapping[str, Array], key: str, store: Store) -> Model:
    """Return a model with an adapter, whose folder is written where it is not as it was learnt.

    Args:
        base: the model it was learnt on.
        fit: what learnt it.
        tensors: as the fit kept them.
        key: names the folder.
        store: under which it stands.

    Raises:
        ModelError: the base has no weights here.
        StoreError: the disk is full or the folder cannot be written.
    """
    folder = store.root / "adapters" / key[:32]
    temporary = store.root / "tmp" / f"{writer()}-{uuid.uuid4().hex}"
    with writing(folder):
        try:
            temporary.mkdir(parents=True)
            _write(temporary, base, fit, tensors)
            if not _same(folder, temporary):
                shutil.rmtree(folder, ignore_errors=True)
                folder.parent.mkdir(exist_ok=True)
                temporary.rename(folder)
        except OSError:
            if not _same(folder, temporary):  # else another process was first
                raise
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
    return base.model_copy(update={"adapter": str(folder)})


def _write(folder: Path, base: Model, fit: Lora, tensors: Mapping[str, Array]) -> None:
    origin = base.origin() if isinstance(base, HuggingFace | Embedded) else None
    if origin is None:
        raise ModelError(f"{base} has no weights that an adapter could stand on")
    settings = {"task_type": "CAUSAL_LM", "base_model_name_or_path": str(origin.folder)}
    write_adapter(folder, tensors, fit, blueprint("AutoModelForCausalLM", origin), settings)


def _same(one: Path, other: Path) -> bool:
    """Tell whether two folders hold the same adapter."""
    equal, *_ = cmpfiles(one, other, ADAPTER_FILES, shallow=False)
    return len(equal) == len(ADAPTER_FILES)
