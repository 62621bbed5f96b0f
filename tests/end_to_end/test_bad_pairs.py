"""Preferences with bad rows among good ones: each is named with its line and reason, and nothing else is lost."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from faults import Shell
from superalign import WeakToStrongResult, load

pytestmark = pytest.mark.slow
Row = dict[str, object]


def pair(number: int) -> Row:
    return {
        "prompt": f"How is film {number}?",
        "chosen": f"It is bright, number {number}.",
        "rejected": f"It is dull, number {number}.",
    }


def reply(number: int) -> Row:
    good = number % 2 == 0
    return {"prompt": f"How is film {number}?", "completion": f"It is {'bright' if good else 'dull'}.", "label": good}


BAD_PAIRS: dict[int, tuple[Row, str]] = {
    5: ({"prompt": "How is film 5?", "rejected": "It is dull."}, "chosen"),
    11: ({**pair(11), "chosen": None}, "chosen"),
    17: ({**pair(17), "rejected": pair(17)["chosen"]}, "identical"),
    23: ({**pair(23), "chosen": ""}, "empty"),
    29: ({**pair(29), "rejected": 7.5}, "rejected"),
}
BAD_REPLIES: dict[int, tuple[Row, str]] = {
    4: ({"prompt": "How is film 4?", "completion": "It is bright."}, "label"),
    8: ({**reply(8), "completion": "   "}, "empty"),
    12: ({**reply(12), "label": "perhaps"}, "perhaps"),
}


@pytest.fixture
def study_of(shell: Shell, tiny: Callable[[str], Path]) -> Callable[..., WeakToStrongResult]:
    """Return a function that studies good rows, some of which are replaced by bad ones."""

    def run(good: Callable[[int], Row], bad: dict[int, tuple[Row, str]], *words: str) -> WeakToStrongResult:
        rows = [bad[number][0] if number in bad else good(number) for number in range(1, 121)]
        (shell.folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        models = ["--weak", f"hf:{tiny('bert')}", "--strong", f"hf:{tiny('llama')}"]
        settings = ["--seeds", "1", "--sweep", "0", "--threads", "1", "--quiet", "--out", "run"]
        shell.fork("run", "weak-to-strong", *models, *settings, *words).exits(0)
        result: WeakToStrongResult = load(shell.folder / "run")
        return result

    return run


@pytest.mark.parametrize("fit", ["probe", "lora,epochs=1", "lora,epochs=1,read=policy"])
def test_bad_pairs(study_of: Callable[..., WeakToStrongResult], fit: str) -> None:
    result = study_of(pair, BAD_PAIRS, "--task", "file:rows.jsonl,max_bad=0.1", "--fit", fit)
    named = {row.where: row.reason for row in result.task.dropped_rows}
    assert set(named) == {f"rows.jsonl:{line}" for line in BAD_PAIRS}
    for line, (_, reason) in BAD_PAIRS.items():
        assert reason in named[f"rows.jsonl:{line}"], named
    assert result.task.items == 120 - len(BAD_PAIRS)


@pytest.mark.parametrize("fit", ["probe", "lora,epochs=1,read=policy"])
def test_bad_replies(study_of: Callable[..., WeakToStrongResult], fit: str) -> None:
    task = "file:rows.jsonl,max_bad=0.1,classes=false+true"
    result = study_of(reply, BAD_REPLIES, "--task", task, "--fit", fit)
    named = {row.where: row.reason for row in result.task.dropped_rows if "repeat" not in row.reason}
    assert {f"rows.jsonl:{line}" for line in BAD_REPLIES} <= set(named), named
    for line, (_, reason) in BAD_REPLIES.items():
        assert reason in named[f"rows.jsonl:{line}"], named


def test_texts_that_are_all_too_long_are_cut_counted_and_learnt_from(
    shell: Shell, tiny: Callable[[str], Path], study_of: Callable[..., WeakToStrongResult]
) -> None:
    strong = f"hf:{tiny('llama')},max_tokens=4"
    fit = "lora,epochs=1,read=policy"
    result = study_of(pair, {}, "--task", "file:rows.jsonl", "--strong", strong, "--fit", fit)
    read = result.task.parts["transfer"] + result.task.parts["test"]
    assert result.strong.truncated == read  # a pair is cut as one row: its prompt from the front, then its responses
