"""The task `chess`: which of two moves is better, by an engine's judgement or by a puzzle's solution."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.metadata import version
from itertools import islice
from pathlib import Path
from typing import Annotated

from pydantic import Field, model_validator

from superalign.config import digest
from superalign.errors import ConfigError, DataError, did_you_mean, require
from superalign.task import Dropped, Example, Loaded, TaskSource, tasks
from superalign.tasks._checks import refuse_degenerate, sift
from superalign.tasks._convert import Draft, Frame, compare, short
from superalign.tasks._engine import Engine, find_engine
from superalign.tasks._files import find, sha256
from superalign.tasks._judged import judged
from superalign.tasks._positions import Position, played, puzzle
from superalign.tasks._read import Row, read
from superalign.tasks._rows import PREFERRED, Quarantine, finish
from superalign.tasks._texts import BadRowError, LeftOutError

RULES = 1
"""Raised when the same settings would make other items, so that stored results are not taken for new ones."""
CLASSES = ("other", "best")
HOPELESS = 20
"""So many positions are judged for one that is kept, at most."""


@tasks.register("chess")
class Chess(TaskSource):
    """Comparisons of two legal moves; the prompt is the moves so far, as a PGN writes them.

    Positions are of random legal play, one a game; the better move is the best that a UCI engine finds in a fixed
    number of nodes with one thread, the other one is drawn. Or they are lichess puzzles, solved by the better move.
    """

    positions: Annotated[int, Field(gt=0)] = 800
    """How many positions; of puzzles the first so many of the file."""
    puzzles: Path | None = None
    """A table of puzzles in lichess's columns (FEN, Moves, Rating, GameUrl); it needs no engine."""
    shortest: Annotated[int, Field(ge=1)] = 8
    """Fewest plies of random play."""
    longest: Annotated[int, Field(ge=1, le=300)] = 40
    """Most plies of random play."""
    margin: Annotated[int, Field(ge=1)] = 50
    """Leave out positions in which the two moves are less than so many centipawns apart."""
    alike: bool = False
    """Take, where there is one, an other move that captures and checks as the best one does."""
    nodes: Annotated[int, Field(ge=1)] = 10_000
    """How many nodes the engine searches for a judgement."""
    engine: str = "stockfish"
    """The engine's path, or its name."""
    patience: Annotated[float, Field(gt=0)] = 30.0
    """Seconds in which the engine must give a judgement."""
    pairs: bool = True
    """Make Comparisons; else two Examples a position, each a move: is it the best?"""
    max_bad: Annotated[float, Field(ge=0, lt=1)] = 0.05
    """Go on while less than this share of the puzzles is bad."""
    seed: int = 0
    """Draws the games and the other moves."""

    @model_validator(mode="after")
    def _ordered(self) -> Chess:
        if self.shortest > self.longest:
            raise ConfigError(f"'shortest' ({self.shortest}) is more than 'longest' ({self.longest})")
        return self

    def load(self) -> Loaded:
        """Make the items; what the engine says is kept, so that it is asked once.

        Raises:
            DataError: the engine fails or the file cannot be used; the positions are too few.
            MissingExtraError: python-chess, or the engine, is not installed.
        """
        require("chess", "chess")
        return self._solved() if self.puzzles else self._judged()

    def fingerprint(self) -> str:
        """Return a digest of the settings, the rules, python-chess's version, and the engine or the file."""
        require("chess", "chess")
        settings = self.model_dump(mode="json", exclude={"engine", "patience", "puzzles"})
        decides = sha256(find(self.puzzles)) if self.puzzles else self._engine().fingerprint()
        return digest([self.name, RULES, settings, version("chess"), decides])

    def _judged(self) -> Loaded:
        drafts, read_so_far = list[Draft](), 0
        for one in judged(played(self.seed, self.shortest, self.longest), self._engine(), self.alike):
            read_so_far += 1
            if one.gap >= self.margin:
                tags = {**one.position.tags, "gap": one.gap}
                drafts += self._drafts(one.position.group, one.position._replace(tags=tags), one.best, one.other)
            if len({draft.item.group for draft in drafts}) >= self.positions:
                break
            if read_so_far >= HOPELESS * self.positions:
                why = f"of {read_so_far:,} positions, {len(drafts):,} moves are {self.margin} centipawns apart"
                raise DataError("too few positions with a clear best move", why=why, fix="lower the margin")
        left_out = read_so_far - self.positions
        note = [f"positions left out, whose two moves are less than {self.margin} centipawns apart: {left_out:,}"]
        return self._task("chess", drafts, [], note if left_out else [])

    def _solved(self) -> Loaded:
        path = find(self.puzzles or Path())
        quarantine, drafts = Quarantine(path.name, self.max_bad), list[Draft]()
        for row in self._rows(path, quarantine):
            try:
                position, solution = puzzle(row.values, self.seed)
                drafts += self._drafts(
                    self._name(row), position, solution, position.other(solution, self.alike), row.where
                )
            except LeftOutError as error:
                quarantine.left_out.append(Dropped(row.where, str(error)))
            except BadRowError as error:
                quarantine.bad.append(Dropped(row.where, str(error)))
                quarantine.check(final=False)
        quarantine.check(final=True)
        kept, dropped, warnings = sift(drafts)
        return self._task(path.stem, kept, [*quarantine.bad, *quarantine.left_out, *dropped], warnings)

    def _rows(self, path: Path, quarantine: Quarantine) -> Iterator[Row]:
        for row in islice(read(path, path.name), self.positions):
            quarantine.read += 1
            if isinstance(row, Dropped):
                quarantine.bad.append(row)
                continue
            for column in ("FEN", "Moves"):
                if column not in row.values:
                    fix = did_you_mean(column, map(str, row.values))
                    why = "a table of puzzles has lichess's columns: FEN, Moves, Rating, ..."
                    raise DataError(f"there is no column '{column}'", where=row.where, why=why, fix=fix)
            yield row

    def _drafts(self, name: str, position: Position, best: str, other: str, where: str = "") -> Iterator[Draft]:
        frame = Frame(name, position.group, position.tags)
        moves = position.san(best), position.san(other)
        item, better = compare(frame, position.prompt, moves, 0)
        if self.pairs:
            yield Draft(where, None, item, better)
            return
        for place, move in enumerate(item.responses):
            example = Example(f"{name}/{move}", position.prompt, move, position.group, position.tags)
            yield Draft(where, None, example, int(place == better))

    def _task(self, name: str, drafts: list[Draft], dropped: list[Dropped], warnings: list[str]) -> Loaded:
        classes = PREFERRED if self.pairs else CLASSES
        refuse_degenerate(drafts, classes, str(self))
        return finish(name, self.fingerprint()[:12], drafts, classes, dropped, warnings)

    def _engine(self) -> Engine:
        return Engine(find_engine(self.engine), self.nodes, self.patience)

    @staticmethod
    def _name(row: Row) -> str:
        return short(str(row.values.get("PuzzleId") or row.where))
