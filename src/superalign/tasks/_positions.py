"""Chess positions: by random legal play, or from puzzles; each with what a model reads and the moves to choose from."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from superalign.task import Tag
from superalign.tasks._convert import short
from superalign.tasks._texts import BadRowError, LeftOutError, read_text

if TYPE_CHECKING:
    import chess

OPENING = 10  # moves
ENDGAME = 6  # pieces
LONGEST_FEN = 120
GAME = "lichess.org/"


class Position(NamedTuple):
    """A position to move in.

    Args:
        fen: the position.
        prompt: the moves so far, as a PGN writes them, up to where the next one stands.
        group: the game it is of.
        tags: its phase, and how many plies were played.
        moves: legal ones in UCI's notation, in an order drawn by a hash.
    """

    fen: str
    prompt: str
    group: str
    tags: Mapping[str, Tag]
    moves: Sequence[str]

    def san(self, move: str) -> str:
        """Return a move as a PGN writes it."""
        import chess

        board = chess.Board(self.fen)
        return board.san(board.parse_uci(move))

    def other(self, best: str, alike: bool) -> str:
        """Return the first other move; if `alike`, the first that captures and checks as the best, where one does."""
        others = [move for move in self.moves if move != best]
        if not alike:
            return others[0]
        return min(others, key=lambda move: self._looks(move) != self._looks(best))

    def _looks(self, move: str) -> tuple[bool, bool]:
        """Tell whether a move captures, and whether it gives check: what its SAN tells."""
        san = self.san(move)
        return "x" in san, san[-1] in "+#"


def played(seed: int, shortest: int, longest: int) -> Iterator[Position]:
    """Yield a position of each of endlessly many games of random legal moves; no position twice.

    Args:
        seed: of the games; the first n are the same, however many are asked for.
        shortest: fewest plies played.
        longest: most plies; how many is drawn evenly.
    """
    import chess

    seen: set[str] = set()
    game = 0
    while True:
        rng = np.random.default_rng([seed, game])
        board, plies = chess.Board(), int(rng.integers(shortest, longest + 1))
        while len(board.move_stack) < plies and (legal := _legal(board)):
            board.push_uci(legal[int(rng.integers(len(legal)))])
        if len(board.move_stack) == plies and len(_legal(board)) > 1 and board.epd() not in seen:
            seen.add(board.epd())
            yield _position(chess.Board(), list(board.move_stack), f"game {game}", seed)
        game += 1


def puzzle(values: Mapping[str, Any], seed: int) -> tuple[Position, str]:
    """Return the position of a row of lichess's table of puzzles, and its solution.

    The first of `Moves` is played on `FEN`, the second is the solution. As other mates solve it too, they are no
    choice beside one that mates.

    Raises:
        BadRowError: the position or a move is illegal.
        LeftOutError: there is no other move than the solution.
    """
    import chess

    fen = read_text(values.get("FEN"), "FEN")
    try:
        board = chess.Board(fen[:LONGEST_FEN])
    except ValueError as error:
        raise BadRowError(f"'FEN' is no position: {str(error)[:80]}") from None
    if not board.is_valid():
        faults = [str(one.name).lower().replace("_", " ") for one in chess.Status if one & board.status()]
        raise BadRowError(f"'FEN' is an illegal position: {', '.join(faults)}")
    words = read_text(values.get("Moves"), "Moves").split()
    if len(words) < 2:
        raise BadRowError("'Moves' holds no solution: the first move is the opponent's, the second solves the puzzle")
    start = board.copy()
    try:
        first = board.parse_uci(words[0])
        board.push(first)
        solution = board.parse_uci(words[1])
    except ValueError as error:
        raise BadRowError(f"'Moves' does not follow from 'FEN': {str(error)[:80]}") from None
    game = str(values.get("GameUrl") or "").partition(GAME)[2].partition("/")[0].partition("#")[0]
    found = _position(start, [first], game and f"game {game}", seed, _rating(values.get("Rating")))
    others = [one for one in found.moves if one != words[1]]
    if _mates(board, solution):
        others = [one for one in others if not _mates(board, chess.Move.from_uci(one))]
    if not others:
        raise LeftOutError("no legal move is worse than the solution")
    header = f'[FEN "{start.fen()}"]\n\n{found.prompt}'
    return found._replace(prompt=header, moves=others), solution.uci()


def _position(
    start: chess.Board, moves: list[chess.Move], group: str, seed: int, tags: Mapping[str, Tag] | None = None
) -> Position:
    board = start.copy(stack=False)
    text = board.variation_san(moves)
    for move in moves:
        board.push(move)
    number = f"{board.fullmove_number}." if board.turn else ""
    drawn = sorted(_legal(board), key=lambda move: _rank(f"{seed}/{board.epd()}/{move}"))
    described: dict[str, Tag] = {"phase": _phase(board), "ply": board.ply(), **(tags or {})}
    return Position(board.fen(), f"{text} {number}".strip(), group or short(board.epd()), described, drawn)


def _legal(board: chess.Board) -> list[str]:
    return [] if board.is_insufficient_material() else sorted(move.uci() for move in board.legal_moves)


def _mates(board: chess.Board, move: chess.Move) -> bool:
    board.push(move)
    mate = board.is_checkmate()
    board.pop()
    return mate


def _phase(board: chess.Board) -> str:
    """Return endgame with at most six pieces beside kings and pawns, else opening in the first ten moves."""
    pieces = (board.occupied & ~board.kings & ~board.pawns).bit_count()
    if pieces <= ENDGAME:
        return "endgame"
    return "opening" if board.fullmove_number <= OPENING else "middlegame"


def _rating(value: Any) -> dict[str, Tag]:
    if value is None or not str(value).strip():
        return {}
    if not str(value).strip().isdecimal():
        raise BadRowError("'Rating' is not a whole number")
    return {"rating": int(str(value).strip()[:9])}


def _rank(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()
