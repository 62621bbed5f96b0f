from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from pages import SEARCH, assert_inert, assert_links_lead_somewhere
from sample import HOSTILE, SCRIPT, sample
from test_markup import Reader

from superalign.errors import StoreError
from superalign.report import render, words, write_report
from superalign.report.markup import clean
from superalign.result import JobCounts, WeakToStrongResult

VARIANTS: dict[str, dict[str, Any]] = {
    "binary": {},
    "one seed": {"seeds": 1, "methods": ("naive",)},
    "refused": {"refused": True},
    "pairs": {"pairwise": True, "classes": ("first", "second")},
    "many classes": {"classes": ("World", "Sports", "Business", "Sci/Tech")},
    "bare": {"difficulty": False, "layers": False, "hostile": False},
    "many methods": {"methods": ("naive", "logconf", "window", "product", "entropy", "kl")},
    "hostile names": {"methods": (SCRIPT, '"><b onclick=x>'), "classes": (SCRIPT, "</style>")},
}
DRAWN = {"svg", "g", "path", "line", "text", "title", "rect", "defs", "clippath"}
HEAD = {"html", "head", "meta", "link", "style", "body"}
PARTS = {
    "main",
    "header",
    "nav",
    "section",
    "figure",
    "figcaption",
    "details",
    "summary",
    "div",
    "span",
    "label",
    "input",
}
TEXT = {"h1", "h2", "h3", "h4", "p", "a", "b", "abbr", "bdi", "br", "code", "pre", "ul", "li", "dl", "dt", "dd"}
OURS = DRAWN | HEAD | PARTS | TEXT | {"table", "thead", "tbody", "tr", "th", "td"}


@pytest.fixture(params=VARIANTS, scope="module")
def variant(request: pytest.FixtureRequest) -> WeakToStrongResult:
    return sample(**VARIANTS[request.param])


@pytest.fixture(scope="module")
def page(variant: WeakToStrongResult) -> str:
    return render(variant)


def test_every_figure_of_the_result_is_on_the_page(variant: WeakToStrongResult, page: str) -> None:
    text = Reader(page).text
    for one in variant.summary:
        assert words.percent(one.accuracy.value) in text
        assert words.percents(one.accuracy) in text
    for row in variant.rows:
        assert words.count(row.correct) in text
    for test in variant.tests:
        assert words.points(test.difference) in text
    for point in [*variant.layers, *variant.difficulty]:
        assert words.percents(point.accuracy) in text
    for pgr in variant.pgr:
        if pgr.pooled:
            assert f"PGR {words.ratio(pgr.pooled.value)} {words.ratios(pgr.pooled)}" in text
    for sentence in [*variant.verdict, *variant.flags, *variant.task.warnings]:
        assert clean(words.prose(sentence)) in text
    assert variant.config_sha256 in text


def test_nothing_on_the_page_can_run_or_leave_it(page: str) -> None:
    assert_inert(page)
    seen = Reader(page.replace(SEARCH, ""))
    assert {name for name, _ in seen.elements} <= OURS
    for _, attributes in seen.elements:
        assert "url(" not in re.sub(r"url\(#[\w-]+\)", "", " ".join(filter(None, attributes.values())))
    assert "javascript:" not in re.sub(r">[^<]*<", "><", page)
    policy = next(attrs["content"] for name, attrs in seen.elements if attrs.get("http-equiv"))
    assert policy is not None
    assert policy.startswith("default-src 'none'; style-src 'unsafe-inline'; img-src data:")


def test_ids_are_unique_and_links_lead_somewhere(page: str) -> None:
    assert_links_lead_somewhere(page)


def test_figures_are_named_and_have_their_numbers_as_a_table(page: str) -> None:
    elements = Reader(page).elements
    plots = [attrs for name, attrs in elements if name == "svg" and attrs["class"] == "plot"]
    assert len(plots) >= 7
    assert all(attrs["role"] == "img" and attrs["aria-label"] for attrs in plots)
    panels = re.findall(r'class="panel[^"]*" id="([\w-]+)"', page)
    assert {"accuracy", "pgr", "agreement", "tests", "calibration"} <= set(panels)
    assert page.count("<summary>Numbers</summary>") >= 4


def test_the_page_is_small(page: str) -> None:
    assert len(page.encode()) < 1_000_000


def test_hostile_texts_are_shown_as_text() -> None:
    text = Reader(render(sample())).text
    for hostile in HOSTILE:
        assert clean(hostile)[:200] in text


def test_a_refused_pgr_gives_its_reason_and_no_value() -> None:
    result = sample(refused=True)
    reason = result.pgr[0].reason
    text = Reader(render(result)).text
    assert reason is not None
    assert words.prose(reason) in text
    assert "No PGR is given" in text
    assert "No gap to recover" in text
    assert not re.search(r"PGR −?\d", text)


def test_one_refused_method_does_not_hide_the_other() -> None:
    result = sample()
    refused = result.pgr[0].model_copy(update={"pooled": None, "reason": "ceiling - weak is within noise"})
    text = Reader(render(result.model_copy(update={"pgr": [refused, result.pgr[1]]}))).text
    pooled = result.pgr[1].pooled
    assert pooled is not None
    assert "naive: ceiling − weak is within noise." in text
    assert f"PGR {words.ratio(pooled.value)} {words.ratios(pooled)}" in text


def test_what_was_left_out_stands_beside_the_figures_and_in_full() -> None:
    result = sample(hostile=False)
    text = Reader(render(result)).text
    for row in result.task.dropped_rows:
        assert row.where in text
        assert row.reason in text
    assert text.count("3\u00a0rows quarantined, 12\u00a0texts cut, 1\u00a0job failed") >= 6
    assert "No PGR of naive, seed 3: ceiling − weak of this seed is within noise." in text
    assert "2\u00a0seeds without PGR" in text


def test_when_nothing_was_left_out_the_page_says_so() -> None:
    result = sample(methods=("naive",))
    seeds = [seed.model_copy(update={"value": 0.4}) for seed in result.pgr[0].seeds]
    whole = result.model_copy(
        update={
            "task": result.task.model_copy(update={"dropped": 0, "dropped_rows": [], "warnings": []}),
            "strong": result.strong.model_copy(update={"truncated": 0}),
            "jobs": JobCounts(total=4, computed=4, reused=0, failed=0),
            "pgr": [result.pgr[0].model_copy(update={"seeds": seeds})],
        }
    )
    text = Reader(render(whole)).text
    assert "Left out: nothing." in text
    assert "Nothing: no row was quarantined, no text cut, no job failed." in text


def test_flags_are_visible_warnings() -> None:
    result = sample()
    assert re.search(r'role="note"><span class="badge">Warning</span> oracle early stop', render(result))


def test_settings_on_the_page_are_the_exact_config() -> None:
    import yaml

    result = sample()
    config = {**result.config, "task": {"name": "file", "path": "a\u202eb.csv", "label": "<b>"}}
    seen = Reader(render(result.model_copy(update={"config": config})))
    start = seen.text.index("study: weak-to-strong")
    shown = seen.text[start : seen.text.index("SHA-256 of the settings")]
    assert yaml.safe_load(shown) == config


def test_method_section_names_what_was_done() -> None:
    text = Reader(render(sample())).text
    assert "in the proportions 5 : 6 : 5" in text
    assert "fit probe (steps 100, l2 0.03 0.1 0.3 1.0, validation 0.2)" in text
    assert "Cross-entropy against soft labels" in text
    assert "OracleSupervisor" in text


def test_settings_of_a_method_that_is_not_installed_are_still_shown() -> None:
    result = sample()
    config = {**result.config, "methods": [{"name": "from-a-plug-in", "strength": 3}]}
    text = Reader(render(result.model_copy(update={"config": config}))).text
    assert "strength 3" in text


def test_filters_cover_every_row_of_the_examples() -> None:
    page = render(sample(classes=("a", "b", "c"), hostile=False))
    seen = Reader(page)
    rows = [str(attrs["class"]).split() for name, attrs in seen.elements if name == "tr" and "class" in attrs]
    inputs = {attrs["id"] for name, attrs in seen.elements if name == "input"}
    assert rows
    for classes in rows:
        assert set(classes) <= inputs
        assert all(f"#{name}:checked~.scroll tbody tr:not(.{name})" in page for name in classes)


def test_without_vl_convert_the_tables_stand_in(monkeypatch: pytest.MonkeyPatch) -> None:
    result = sample()
    monkeypatch.setitem(sys.modules, "vl_convert", None)
    page = render(result)
    seen = Reader(page)
    assert "pip install 'superalign[report]'" in seen.text
    assert not any(attrs.get("class") == "plot" for _, attrs in seen.elements)
    assert "<details open>" in page
    assert all(words.percents(one.accuracy) in seen.text for one in result.summary)


def test_missing_numbers_do_not_stop_the_report() -> None:
    nan = float("nan")
    result = sample()
    bins = [b.model_copy(update={"accuracy": b.accuracy.model_copy(update={"low": nan})}) for b in result.difficulty]
    rows = [row.model_copy(update={"agreement": None, "agreement_when_right": None}) for row in result.rows]
    rows = [row.model_copy(update={"agreement_when_wrong": None}) for row in rows]
    text = Reader(render(result.model_copy(update={"difficulty": bins, "rows": rows, "tests": []}))).text
    assert "[–, " in text
    assert "nan" not in text.lower().replace("finance", "")


def test_write_report_writes_the_page_and_returns_its_path(tmp_path: Path) -> None:
    result = sample()
    path = write_report(result, tmp_path / "deep" / "report.html")
    assert path.read_text(encoding="utf-8") == render(result)


def test_write_report_to_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="cannot write"):
        write_report(sample(), tmp_path / "file" / "report.html")


def test_importing_the_report_imports_nothing_heavy() -> None:
    code = (
        "import sys, superalign.report; print(*({'torch', 'pandas', 'rich', 'vl_convert', 'yaml'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
