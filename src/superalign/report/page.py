"""The report: one HTML file that needs nothing else, from a result alone."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

from superalign.report import panels, slices, svg
from superalign.report.examples import examples
from superalign.report.finding import headline
from superalign.report.frame import Frame
from superalign.report.markup import Markup, cut, tag
from superalign.report.method import method
from superalign.report.overview import key_figures, masthead, verdict
from superalign.report.record import omissions, reproduction
from superalign.report.series import PALETTE, series
from superalign.result import WeakToStrongResult
from superalign.store import write_atomic

POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'"
NO_FIGURES = "Figures need the package vl-convert-python; install it with: pip install 'superalign[report]'"
CONTENTS = {
    "result": "Result",
    "inside": "Where it holds",
    "learned": "What was learned",
    "examples": "Examples",
    "left-out": "Left out",
    "method": "Method",
    "reproduce": "Reproduce",
}


def write_report(result: WeakToStrongResult, path: Path) -> Path:
    """Write the report of a result to `path` and return it.

    Raises:
        StoreError: the disk is full or the folder cannot be written; an older report stays.
    """
    write_atomic(path, render(result))
    return path


def render(result: WeakToStrongResult) -> str:
    """Return the report as HTML. Without the extra `report` it has the tables, and a line that says what to install."""
    body = tag("main", _contents(result), masthead(result), *_sections(result))
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=POLICY),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="color-scheme", content="light dark"),
        tag("title", cut(f"{headline(result)} · {result.task.name}", 160)),
        tag("link", rel="icon", href="data:,"),
        tag("style", Markup(_style())),
    )
    return f"<!doctype html>\n{tag('html', head, tag('body', body), lang='en')}\n"


def _sections(result: WeakToStrongResult) -> list[Markup | None]:
    frame = Frame(result, series(result), svg.available())
    missing = None if frame.draws else tag("p", NO_FIGURES, class_="flag", role="note")
    main = _grid(panels.accuracy(frame), panels.recovered(frame))
    inside = [slices.layers(frame)] if result.layers else []
    tags = dict.fromkeys(b.tag for b in result.difficulty)
    inside += [slices.difficulty(frame, which, place) for place, which in enumerate(tags)]
    learned = [panels.agreement(frame), *([panels.tests(frame)] if result.tests else []), slices.calibration(frame)]
    return [
        missing,
        tag("section", key_figures(result, frame.book), verdict(result), main, id="result"),
        _section("inside", "Where it holds", inside) if inside else None,
        _section("learned", "What the student learned", learned),
        examples(result),
        omissions(result),
        method(result),
        reproduction(result),
    ]


def _section(name: str, title: str, children: list[Markup]) -> Markup:
    return tag("section", tag("h2", title), _grid(*children), id=name)


def _grid(*children: Markup) -> Markup:
    return tag("div", *children, class_="grid")


def _contents(result: WeakToStrongResult) -> Markup:
    absent = {"inside": not (result.layers or result.difficulty), "examples": not result.disagreements}
    links = [tag("a", text, href=f"#{name}") for name, text in CONTENTS.items() if not absent.get(name)]
    name = tag("span", "superalign · weak-to-strong generalization", class_="eyebrow")
    return tag("nav", name, *links, aria_label="Contents")


def _style() -> str:
    light = "".join(f"--{colour.name}:{colour.light};" for colour in PALETTE)
    dark = "".join(f"--{colour.name}:{colour.dark};" for colour in PALETTE)
    drawn = "".join(
        f'[fill="{colour.light}"]{{fill:var(--{colour.name})}}[stroke="{colour.light}"]{{stroke:var(--{colour.name})}}'
        for colour in PALETTE
    )
    sheet = files("superalign.report").joinpath("style.css").read_text(encoding="utf-8")
    schemes = f":root{{{light}}}@media screen and (prefers-color-scheme:dark){{:root{{{dark}}}}}"
    return f"{schemes}{drawn}\n{sheet}"
