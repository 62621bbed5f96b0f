"""Small tasks of mixed length, and lessons on them, for the fits that train a model's body."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from superalign.fit import Lesson
from superalign.label import Labels
from superalign.models.hf import HuggingFace
from superalign.objective import objectives
from superalign.task import Comparison, Example, Task

WORDS = [
    "Paris",
    "Lima",
    "France",
    "Peru",
    "river",
    "question",
    "answer",
    "model",
    "very",
    "long",
    "one",
    "two",
    "three",
]
KINDS = ("true", "false", "yes", "no")


def sentences(n: int, kinds: int, seed: int = 0) -> tuple[list[str], np.ndarray]:
    """Texts of 2 to 12 words that end in the word of their class, and the class."""
    rng = np.random.default_rng(seed)
    truth = np.arange(n) % kinds
    return [" ".join([*rng.choice(WORDS, rng.integers(1, 12)), KINDS[kind]]) for kind in truth], truth


def examples(n: int = 12, kinds: int = 2, seed: int = 0) -> tuple[Task, np.ndarray]:
    texts, truth = sentences(n, kinds, seed)
    items = tuple(Example(str(number), text, group=f"g{number // 2}") for number, text in enumerate(texts))
    return Task("small", "1", items, KINDS[:kinds]), truth


def comparisons(n: int = 12) -> tuple[Task, np.ndarray]:
    """The preferred response ends in "false"."""
    texts, _ = sentences(2 * n, 2)
    items = []
    for number, (true, false) in enumerate(zip(texts[::2], texts[1::2], strict=True)):
        pair = (true, false) if number % 2 else (false, true)
        items.append(Comparison(str(number), "Is the river long?", pair))
    return Task("small-pairs", "1", tuple(items), ("first", "second")), np.arange(n) % 2


def swapped(task: Task) -> Task:
    """The same Comparisons with their responses exchanged."""
    items = []
    for item in task.items:
        assert isinstance(item, Comparison)
        items.append(Comparison(item.id, item.prompt, item.responses[::-1]))
    return Task(task.name, task.version, tuple(items), task.classes)


def lesson(truth: np.ndarray, k: int = 2, seed: int = 0, objective: str = "naive", **more: Any) -> Lesson:
    return Lesson(objectives.build(objective), np.arange(len(truth)), Labels.hard(truth, k, "test"), seed, **more)


def model(folder: Path, **settings: Any) -> HuggingFace:
    return HuggingFace(path=str(folder), **{"dtype": "fp32", "device": "cpu", **settings})
