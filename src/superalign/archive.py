"""A quality-diversity archive: the best attempts of each cell of a grid of kinds, and how full and how good it is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from superalign.attacker import Attempt
from superalign.diversity import evenness
from superalign.odds import sigmoid

Cell = tuple[str, str]


class Archive:
    """Keeps the fittest attempts of each cell; an attempt's cell stands in its query's tag `cell`.

    Args:
        size: how many cells there are.
        per_cell: most attempts kept in one.
    """

    def __init__(self, size: int, per_cell: int = 1) -> None:
        self.size, self.per_cell = size, per_cell
        self.cells: dict[Cell, list[Attempt]] = {}
        self.tries: Counter[Cell] = Counter()

    def add(self, attempt: Attempt) -> bool:
        """Keep the attempt if it is among the fittest of its cell; say whether it was. Of equals the first stays."""
        row, column = attempt.query.tags["cell"]
        fitness = attempt.fitness
        if fitness is None:
            return False
        self.tries[row, column] += 1
        held = [*self.cells.get((row, column), ()), attempt]
        held = sorted(held, key=lambda one: -(one.fitness or 0.0))[: self.per_cell]
        self.cells[row, column] = held
        return any(one is attempt for one in held)

    def best(self, cell: Cell) -> float | None:
        """Return the fitness of a cell's best attempt; None when it is empty."""
        return self.cells[cell][0].fitness if cell in self.cells else None

    @property
    def coverage(self) -> float:
        """Share of the cells that hold something."""
        return len(self.cells) / self.size

    @property
    def quality(self) -> float:
        """The QD-score of the best of each cell."""
        return qd_score(self.best(cell) or 0.0 for cell in self.cells)

    @property
    def evenness(self) -> float | None:
        """How evenly the attempts fall on the filled cells; None for fewer than two."""
        return evenness(self.tries.values())


def qd_score(best: Iterable[float]) -> float:
    """Return the sum over filled cells of 1 / (1 + exp(-best fitness)), so that an empty cell counts as 0."""
    return sum(sigmoid(fitness) for fitness in best)


def history(attempts: Iterable[Attempt], size: int, per_cell: int = 1) -> list[tuple[float, float, float | None]]:
    """Return coverage, QD-score and evenness after each attempt, in order; one without a cell changes nothing."""
    archive, rows = Archive(size, per_cell), []
    for attempt in attempts:
        if "cell" in attempt.query.tags:
            archive.add(attempt)
        rows.append((archive.coverage, archive.quality, archive.evenness))
    return rows
