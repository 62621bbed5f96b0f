"""Chess: positions that can be played, gold by the real engine, puzzles, and engines that hang, die and lie."""

from __future__ import annotations

import csv
import os
import re
import shutil
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from superalign.errors import ConfigError, DataError, MissingExtraError
from superalign.task import Comparison, Example, Task, split, tasks
from superalign.tasks._engine import MATE, PLACES, Engine, find_engine
from superalign.tasks._positions import played

chess = pytest.importorskip("chess", reason="superalign[chess] is not installed")
STOCKFISH = shutil.which("stockfish") or shutil.which("stockfish", path=PLACES)
real = pytest.mark.skipif(STOCKFISH is None, reason="no stockfish here: apt-get install stockfish")
SCHOLAR = "r1bqkbnr/pppp1ppp/2n5/4p3/2B1P3/5Q2/PPPP1PPP/RNB1K1NR w KQkq - 2 3"
HEADER = ["PuzzleId", "FEN", "Moves", "Rating", "GameUrl"]

POLITE = """#!/bin/sh
# Answers like an engine, by the alphabet: it knows the positions it was made for alone.
while read -r word rest; do
  case "$word" in
    uci) echo uciok;;
    isready) echo readyok;;
    go) %s;;
  esac
done
"""


def script(folder: Path, text: str, name: str = "engine") -> Path:
    path = folder / name
    path.write_text(text)
    path.chmod(0o755)
    return path


def board_after(prompt: str) -> Any:
    """Play a prompt's moves with python-chess's own reader of SAN."""
    header, _, text = prompt.rpartition("\n\n")
    board = chess.Board(header.split('"')[1]) if header else chess.Board()
    for word in text.split():
        if san := re.sub(r"^\d+\.+", "", word):
            board.push_san(san)
    return board


@real
def test_the_better_move_is_the_engines(isolated_home: Path) -> None:
    source = tasks.build("chess,positions=24,nodes=2000,longest=20")
    task, labels = source.load()
    assert len(task.items) == len(set(task.groups())) == 24
    assert task.pairwise
    assert 0.2 < labels.mean() < 0.8
    for item, label in zip(task.items, labels, strict=True):
        assert isinstance(item, Comparison)
        board = board_after(item.prompt)
        assert item.prompt.endswith(".") == board.turn  # a PGN numbers white's moves
        assert item.tags["ply"] == board.ply() == len(board.move_stack)
        moves = [board.parse_san(move) for move in item.responses]  # raises where one is illegal
        assert float(item.tags["gap"]) >= 50
        with Engine(Path(STOCKFISH or ""), 2000, 20.0) as engine:
            best = engine.ask(board.fen())
            assert moves[label].uci() == best.move
            assert best.score - engine.ask(board.fen(), moves[1 - label].uci()).score == item.tags["gap"]
    again, same = tasks.build(str(source)).load()
    assert again == task
    assert (same == labels).all()


@real
def test_an_independent_search_agrees(isolated_home: Path) -> None:
    """python-chess's own client of the engine, at ten times the nodes, mostly prefers the same of the two moves."""
    from chess.engine import Limit, SimpleEngine

    task, labels = tasks.build("chess,positions=24,nodes=2000,longest=20,margin=150").load()
    agreed = 0
    with SimpleEngine.popen_uci(STOCKFISH) as engine:
        engine.configure({"Threads": 1, "Hash": 16})
        for item, label in zip(task.items, labels, strict=True):
            assert isinstance(item, Comparison)
            board = board_after(item.prompt)
            moves = [board.parse_san(move) for move in item.responses]
            said = engine.play(board, Limit(nodes=20_000), root_moves=moves)
            agreed += said.move == moves[label]
    assert agreed >= 22


@real
def test_a_mate_is_worth_more_than_any_material() -> None:
    with Engine(Path(STOCKFISH or ""), 2000, 20.0) as engine:
        assert engine.ask(SCHOLAR) == ("f3f7", MATE - 1)
        assert engine.ask(SCHOLAR, "a2a3").score < MATE / 2
        assert engine.ask("6k1/8/5KQ1/8/8/8/8/8 b - - 0 1", "g8h8").score == -MATE + 1


@real
def test_what_was_judged_is_not_judged_again(isolated_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = "chess,nodes=500,longest=12"
    tasks.build(f"{settings},positions=20,margin=1").load()
    monkeypatch.setattr(Engine, "ask", lambda *_: pytest.fail("the engine was asked again"))
    task, _ = tasks.build(f"{settings},positions=12,margin=20").load()  # another margin and number: the same games
    assert len(task.items) == 12
    with pytest.raises(pytest.fail.Exception):
        tasks.build(f"{settings},positions=12,seed=1").load()


@real
def test_examples_ask_whether_a_move_is_the_best(isolated_home: Path) -> None:
    pairs, better = tasks.build("chess,positions=16,nodes=500").load()
    task, labels = tasks.build("chess,positions=16,nodes=500,pairs=false").load()
    assert task.classes == ("other", "best")
    assert labels.reshape(16, 2).sum(1).tolist() == [1] * 16
    for place, item in enumerate(pairs.items):
        assert isinstance(item, Comparison)
        two = task.items[2 * place : 2 * place + 2]
        assert all(isinstance(one, Example) and one.group == item.group for one in two)
        assert [one.response for one in two if isinstance(one, Example)] == list(item.responses)
        assert labels[2 * place : 2 * place + 2].tolist() == [int(better[place] == 0), int(better[place] == 1)]
    parts = split(task, (1, 1, 1), 0)
    held = [{task.items[i].group for i in part} for part in parts]
    assert not held[0] & held[1]
    assert not held[0] & held[2]
    assert not held[1] & held[2]


@real
def test_moves_that_look_alike(isolated_home: Path) -> None:
    def told(item: Any) -> list[bool]:
        return ["x" in move for move in item.responses]

    settings = "chess,positions=40,nodes=500,longest=16"
    plain, _ = tasks.build(settings).load()
    alike, _ = tasks.build(f"{settings},alike=true").load()
    differ = [sum(len(set(told(item))) == 2 for item in task.items) for task in (plain, alike)]
    assert differ[1] < differ[0] / 2
    for item in alike.items:
        board = board_after(item.prompt)
        first, second = (board.parse_san(move) for move in item.responses)
        if board.is_capture(first) != board.is_capture(second):  # only where no other move is of the best one's kind
            kinds = Counter((board.is_capture(move), board.gives_check(move)) for move in board.legal_moves)
            assert 1 in kinds.values()


@real
def test_the_fingerprint_follows_what_decides(tmp_path: Path) -> None:
    prints = {
        words: tasks.build(f"chess{words}").fingerprint()
        for words in (
            "",
            ",positions=9",
            ",nodes=9",
            ",seed=9",
            ",margin=9",
            ",longest=9",
            ",pairs=false",
            ",alike=true",
        )
    }
    assert len(set(prints.values())) == len(prints)
    assert tasks.build("chess,patience=9").fingerprint() == prints[""]
    assert tasks.build(f"chess,engine={STOCKFISH}").fingerprint() == prints[""]
    other = script(tmp_path, POLITE % "echo bestmove a2a3")
    assert tasks.build(f"chess,engine={other}").fingerprint() != prints[""]


def test_games_are_legal_varied_and_the_same_every_time() -> None:
    def first(n: int, seed: int = 0) -> list[Any]:
        games = played(seed, 4, 40)
        return [next(games) for _ in range(n)]

    found = first(40)
    assert found == first(40)
    assert found[:10] == first(10)
    assert found[0] != first(1, seed=1)[0]
    assert len({one.group for one in found}) == len({one.fen for one in found}) == 40
    plies = [int(one.tags["ply"]) for one in found]
    assert min(plies) >= 4
    assert max(plies) <= 40
    assert len(set(plies)) > 10
    for one in found:
        board = chess.Board(one.fen)
        assert sorted(one.moves) == sorted(move.uci() for move in board.legal_moves)
        assert board_after(one.prompt).fen() == board.fen()
    assert {one.moves.index(min(one.moves)) for one in found} != {0}  # their order is drawn
    assert {str(one.tags["phase"]) for one in found} == {"opening", "middlegame"}


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("#!/bin/sh\nsleep 60\n", "did not say 'uciok' within 0.5 s"),
        ("#!/bin/sh\nsleep 60 & sleep 60\n", "did not say 'uciok' within 0.5 s"),
        ("#!/bin/sh\nexit 3\n", r"(?s)ended before it said 'uciok'.*exit status 3"),
        ("#!/bin/sh\nkill -9 $$\n", r"(?s)ended before it said 'uciok'.*signal 9"),
        ("#!/bin/sh\ncat\n", "did not say 'uciok'"),
        ("#!/nowhere/at/all\n", "cannot be started"),
        ("no program at all", "cannot be started"),
        ("#!/bin/sh\nhead -c 3000000 /dev/zero; sleep 60\n", "(?s)answers nonsense.*more than 1 MB"),
        ("#!/bin/sh\nwhile :; do echo uciokay; done\n", "did not say 'uciok' within"),
        (POLITE % "sleep 60", "(?s)did not say 'bestmove' within 0.5 s.*10,000 nodes take longer"),
        (POLITE % "exit 1", "(?s)ended before it said 'bestmove'.*exit status 1"),
        (POLITE % "exec >&-; sleep 60", "(?s)ended before it said 'bestmove'.*closed its output"),
        (POLITE % "echo bestmove", "(?s)answers nonsense.*it said 'bestmove'"),
        (POLITE % "echo bestmove e2e4", "(?s)answers nonsense.*no score"),
        (POLITE % "echo info score cp 5; echo bestmove '(none)'", "(?s)answers nonsense.*'.none.' is no legal move"),
        (POLITE % "echo info score cp 5; echo bestmove a1a8", "(?s)answers nonsense.*'a1a8' is no legal move"),
        (POLITE % r"printf '\377\376 bestmove\nbestmove \377\n'", "answers nonsense"),
    ],
)
def test_a_bad_engine_is_named_in_time_and_ended(fault: str, message: str, tmp_path: Path, isolated_home: Path) -> None:
    path = script(tmp_path, fault)
    start = time.monotonic()
    with pytest.raises(DataError, match=message) as caught:
        tasks.build(f"chess,positions=12,engine={path},patience=0.5").load()
    assert time.monotonic() - start < 5
    assert caught.value.where == str(path)
    assert not alive(path)


def alive(path: Path) -> list[str]:
    """Return the processes, zombies among them, that were started from a path or are this process's children."""
    rows = subprocess.run(["ps", "-eo", "ppid,stat,args"], capture_output=True, text=True, check=True).stdout
    mine = str(os.getpid())
    return [row for row in rows.splitlines() if str(path) in row or (row.split()[0] == mine and "Z" in row.split()[1])]


def test_a_missing_engine_names_the_command() -> None:
    with pytest.raises(MissingExtraError, match=r"(?s)no chess engine 'nosuch'.*apt-get install stockfish"):
        tasks.build("chess,engine=nosuch").fingerprint()


def test_a_file_that_may_not_run(tmp_path: Path) -> None:
    path = tmp_path / "engine"
    path.write_text("#!/bin/sh\n")
    with pytest.raises(DataError, match=r"(?s)may not be executed.*chmod \+x"):
        find_engine(str(path))


def test_without_python_chess(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    for ask in (tasks.build("chess").fingerprint, tasks.build("chess").load):
        with pytest.raises(MissingExtraError) as caught:
            ask()
        assert caught.value.fix == "pip install 'superalign[chess]'"


def test_settings_that_contradict() -> None:
    with pytest.raises(ConfigError, match=r"'shortest' .50. is more than 'longest' .40."):
        tasks.build("chess,shortest=50")


EQUAL = """#!%s
import sys, chess
for line in sys.stdin:
    match line.split():
        case ["uci"]: print("uciok", flush=True)
        case ["isready"]: print("readyok", flush=True)
        case ["position", "fen", *fen]: moves = [str(m) for m in chess.Board(" ".join(fen)).legal_moves]
        case ["go", "nodes", _]: print("info score cp 5\\nbestmove", moves[0], flush=True)
        case ["go", *_, move]: print("info score cp 5\\nbestmove", move, flush=True)
"""


def test_an_engine_that_holds_all_moves_equal_is_not_asked_for_ever(tmp_path: Path, isolated_home: Path) -> None:
    path = script(tmp_path, EQUAL % sys.executable)
    with pytest.raises(
        DataError, match=r"(?s)too few positions with a clear best move.*of 240 positions.*lower the margin"
    ):
        tasks.build(f"chess,positions=12,longest=12,engine={path}").load()


def puzzles(path: Path, rows: list[list[str]]) -> Path:
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([HEADER, *rows])
    return path


def rows_of(n: int, seed: int = 3) -> list[list[str]]:
    """Legal rows: a position of random play before a move, that move, and the first legal answer by the alphabet."""
    found = []
    for number, one in zip(range(n), played(seed, 6, 60), strict=False):
        board = chess.Board(one.fen)
        board.push_uci(one.moves[0])
        answers = sorted(move.uci() for move in board.legal_moves)
        if len(answers) > 2:
            url = f"https://lichess.org/G{number // 2}/black#{number}"
            found.append([f"p{number}", one.fen, f"{one.moves[0]} {answers[0]} e2e4", str(900 + 10 * number), url])
    return found


def test_a_puzzles_solution_is_the_better_move(tmp_path: Path) -> None:
    rows = rows_of(40)
    path = puzzles(tmp_path / "puzzles.csv", rows)
    task, labels = tasks.build(f"chess,puzzles={path},engine=nosuch").load()  # it needs no engine
    assert task.name == "puzzles"
    assert [item.id for item in task.items] == [row[0] for row in rows]
    for row, item, label in zip(rows, task.items, labels, strict=True):
        assert isinstance(item, Comparison)
        first, solution = row[2].split()[:2]
        board = chess.Board(row[1])
        board.push_uci(first)
        assert item.prompt.startswith(f'[FEN "{row[1]}"]\n\n')
        assert board_after(item.prompt).fen() == board.fen()
        moves = [board.parse_san(move).uci() for move in item.responses]
        assert moves[label] == solution
        assert item.tags["rating"] == int(row[3])
    assert max(Counter(task.groups()).values()) == 2
    assert len(set(task.groups())) == len({row[4].split("/")[3] for row in rows})
    alike, _ = tasks.build(f"chess,puzzles={path},alike=true").load()
    mixed = [sum(len({"x" in move for move in item.responses}) == 2 for item in one.items) for one in (task, alike)]
    assert mixed[1] < mixed[0]
    few, _ = tasks.build(f"chess,puzzles={path},positions=30").load()
    assert few.items == task.items[:30]


@pytest.mark.parametrize(
    ("place", "value", "reason"),
    [
        (1, "not a position", "'FEN' is no position"),
        (1, "8/8/8/8/8/8/8/8 w - - 0 1", "'FEN' is an illegal position: no white king, no black king"),
        (1, "4k3/8/8/8/8/8/8/4K2R b K - 0 1 " * 9, "'FEN' is no position"),
        (1, "", "'FEN' is missing|'FEN' is empty"),
        (2, "e2e5 e7e5", "'Moves' does not follow from 'FEN'"),
        (2, "hello world", "'Moves' does not follow from 'FEN'"),
        (2, "a2a3", "'Moves' holds no solution"),
        (3, "hard", "'Rating' is not a whole number"),
    ],
)
def test_a_bad_puzzle_is_quarantined_with_its_line(place: int, value: str, reason: str, tmp_path: Path) -> None:
    rows = rows_of(40)
    rows[5][place] = value
    task, labels = tasks.build(f"chess,puzzles={puzzles(tmp_path / 'puzzles.csv', rows)}").load()
    assert len(task.items) == len(labels) == len(rows) - 1
    (bad,) = task.dropped
    assert bad.where == "puzzles.csv:7"
    assert re.match(reason, bad.reason), bad.reason
    with pytest.raises(DataError, match="cannot be used; the limit is 1%"):
        tasks.build(f"chess,puzzles={tmp_path / 'puzzles.csv'},max_bad=0.01").load()


def test_other_mates_are_no_wrong_choice(tmp_path: Path) -> None:
    """Two rooks mate on the back rank in two ways; neither may stand beside the other as the worse move."""
    rows = [*rows_of(30), ["mate", "6k1/3p1ppp/8/8/8/8/8/RR4K1 b - - 0 1", "d7d6 a1a8", "800", ""]]
    task, labels = tasks.build(f"chess,puzzles={puzzles(tmp_path / 'puzzles.csv', rows)}").load()
    item, label = task.items[-1], labels[-1]
    assert isinstance(item, Comparison)
    assert item.responses[label] == "Ra8#"
    assert not item.responses[1 - label].endswith("#")


def test_a_table_without_the_columns(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_text("Fen,Moves\nx,y\n")
    with pytest.raises(DataError, match=r"(?s)no column 'FEN'.*one of: Fen, Moves"):
        tasks.build(f"chess,puzzles={path}").load()


def test_tasks_survive_the_store(tmp_path: Path) -> None:
    task, labels = tasks.build(f"chess,puzzles={puzzles(tmp_path / 'p.csv', rows_of(30))},pairs=false").load()
    assert Task.from_meta(task.to_meta()) == task
    assert np.bincount(labels).tolist() == [len(task.items) // 2] * 2
