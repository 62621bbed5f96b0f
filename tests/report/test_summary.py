from __future__ import annotations

import io

import pytest
from rich.console import Console
from sample import HOSTILE, sample

from superalign.report import render, summary, words
from superalign.report.finding import headline
from superalign.result import Interval, WeakToStrongResult


def printed(result: WeakToStrongResult, width: int = 160, colour: bool = False) -> str:
    out = io.StringIO()
    Console(file=out, width=width, force_terminal=colour, color_system="truecolor" if colour else None).print(
        summary(result)
    )
    return out.getvalue()


def test_every_figure_is_there() -> None:
    result = sample()
    text = printed(result)
    for one in result.summary:
        assert words.percent(one.accuracy.value) in text
        assert words.percents(one.accuracy) in text
        assert words.count(one.n) in text
    for pgr in result.pgr:
        assert pgr.pooled is not None
        assert words.ratios(pgr.pooled) in text
    for test in result.tests:
        assert words.p_value(test.p) in text
    assert headline(result) in text
    assert all(words.prose(sentence) in text for sentence in result.verdict)
    assert f"Warning: {result.flags[0]}" in text
    assert "Left out: 3\u00a0rows of the data could not be used" in text


def test_a_refused_pgr_gives_its_reason() -> None:
    text = printed(sample(refused=True))
    assert "refused" in text
    assert "No PGR is given: ceiling − weak is +0.004" in text
    assert "0.57" not in text


LONG = ("logconf,alpha=0.75,warmup=0.2", "product-confidence,alpha=2")


@pytest.mark.parametrize("width", [60, 80, 120])
@pytest.mark.parametrize("methods", [("naive", "logconf"), LONG])
def test_nothing_is_cut_off_in_a_narrow_terminal(methods: tuple[str, str], width: int) -> None:
    result = sample(methods=methods)
    text = printed(result, width=width)
    assert max(map(len, text.splitlines())) <= width
    assert "…" not in text
    whole = "".join(text.split())
    for method in methods:
        assert method in whole
    assert all(word in text for word in ["Weak", "supervisor", "Strong", "ceiling", "Random-label", "control"])
    for one in result.summary:
        assert f"{words.percent(one.accuracy.value)} {words.percents(one.accuracy)}" in text
    for pgr in result.pgr:
        assert pgr.pooled is not None
        assert f"{words.ratio(pgr.pooled.value)} {words.ratios(pgr.pooled)}" in text


def test_each_learner_is_one_line_of_80_columns() -> None:
    lines = printed(sample(methods=LONG), width=80).splitlines()
    for method in LONG:
        assert sum(line.startswith(f"Student · {method} ") for line in lines) == 1


def test_sizes_that_differ_have_columns() -> None:
    result = sample()
    uneven = [one.model_copy(update={"seeds": place + 1}) for place, one in enumerate(result.summary)]
    text = printed(result.model_copy(update={"summary": uneven}), width=80)
    assert "test items   seeds" in text
    assert "1,200       1\n" in text


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_texts_send_nothing_to_the_terminal(text: str) -> None:
    result = sample(methods=("a", "b"))
    rows = [one.model_copy(update={"method": text}) for one in result.summary]
    tests = [one.model_copy(update={"a": text}) for one in result.tests]
    hostile = result.model_copy(update={"flags": [text], "summary": rows, "tests": tests})
    assert "\x1b" not in printed(hostile)
    coloured = printed(hostile, colour=True)
    assert all(part.startswith("[") and part[1:].lstrip("0123456789;")[0] == "m" for part in coloured.split("\x1b")[1:])
    assert not {"\x07", "\x00", "\x9b", "\u202e"} & set(coloured)


def test_markup_in_a_name_is_text() -> None:
    assert "[bold]x[/bold]" in printed(sample(methods=("[bold]x[/bold]", "b")))


@pytest.mark.parametrize(
    ("low", "high", "said"),
    [
        (0.01, 0.05, "The student does better than its supervisor, recovering"),
        (-0.05, -0.01, "The student falls below its supervisor"),
        (-0.01, 0.02, "The student cannot be told from its supervisor"),
    ],
)
def test_headline_follows_the_paired_tests(low: float, high: float, said: str) -> None:
    result = sample()
    difference = Interval(value=(low + high) / 2, low=low, high=high)
    tests = [test.model_copy(update={"difference": difference}) for test in result.tests]
    assert headline(result.model_copy(update={"tests": tests})).startswith(said)


def test_headline_tells_methods_apart() -> None:
    result = sample()
    worse = result.tests[0].model_copy(update={"difference": Interval(value=-0.1, low=-0.2, high=-0.05)})
    text = headline(result.model_copy(update={"tests": [worse, *result.tests[1:]]}))
    assert text == "The student with naive falls below its supervisor; with logconf does better than its supervisor"


def uneven(majority: float) -> WeakToStrongResult:
    result = sample()
    fair = Interval(value=0.6129, low=0.5, high=0.7)
    summed = [one.model_copy(update={"balanced_accuracy": fair, "weighted_f1": fair}) for one in result.summary]
    return result.model_copy(update={"majority": majority, "summary": summed})


def test_scores_by_class_are_shown_where_one_class_has_most() -> None:
    shown, hidden = printed(uneven(0.71)), printed(uneven(0.54))
    assert "balanced accuracy" in shown
    assert "weighted F1" in shown
    assert shown.count("61.3%") == 2 * len(sample().summary)
    assert "71.0% of the test items" in shown
    assert "balanced accuracy" not in hidden
    assert "61.3%" not in hidden
    assert ("balanced_accuracy", "weak", "naive") in uneven(0.71).figures
    assert ("balanced_accuracy", "weak", "naive") not in uneven(0.54).figures
    page = render(uneven(0.71))
    assert "Balanced accuracy" in page
    assert "Balanced accuracy" not in render(uneven(0.54))
