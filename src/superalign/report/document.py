"""The frame of every page: one HTML document that needs nothing else, fetches nothing, and runs our search at most."""

from __future__ import annotations

import hashlib
from base64 import b64encode
from collections.abc import Collection, Mapping
from importlib.resources import files

from superalign.report.choices import rules
from superalign.report.markup import Markup, cut, tag
from superalign.report.series import PALETTE

CLOSING = {"left-out": "Left out", "method": "Method", "reproduce": "Reproduce"}
"""The sections that the page of every study ends with."""
POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'"


def document(title: str, *body: Markup | None) -> str:
    """Return a whole page; one with a table to filter has the script that searches it, which alone may run there."""
    main = tag("main", *body)
    script = _search() if 'class="filtered"' in main else None
    allowed = f"; script-src 'sha256-{_sha256(script)}'" if script else ""
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=POLICY + allowed),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="color-scheme", content="light dark"),
        tag("title", cut(title, 160)),
        tag("link", rel="icon", href="data:,"),
        tag("style", Markup(_style())),
    )
    whole = tag("body", main, tag("script", script) if script else None)
    return f"<!doctype html>\n{tag('html', head, whole, lang='en')}\n"


def contents(name: str, sections: Mapping[str, str], absent: Collection[str] = ()) -> Markup:
    """Return the name of a page, and links to its sections, those that are absent left out."""
    listed = [tag("a", text, href=f"#{place}") for place, text in sections.items() if place not in absent]
    return tag("nav", tag("span", f"superalign · {name}", class_="eyebrow"), *listed, aria_label="Contents")


def section(name: str, title: str, children: list[Markup]) -> Markup:
    """Return a titled section with its panels side by side."""
    return tag("section", tag("h2", title), grid(*children), id=name)


def grid(*children: Markup | None) -> Markup:
    """Return panels side by side, as many as fit."""
    return tag("div", *children, class_="grid")


def _search() -> Markup:
    return Markup(files("superalign.report").joinpath("search.js").read_text(encoding="utf-8"))


def _sha256(script: str) -> str:
    return b64encode(hashlib.sha256(script.encode()).digest()).decode()


def _style() -> str:
    light = "".join(f"--{colour.name}:{colour.light};" for colour in PALETTE)
    dark = "".join(f"--{colour.name}:{colour.dark};" for colour in PALETTE)
    drawn = "".join(
        f'[fill="{colour.light}"]{{fill:var(--{colour.name})}}[stroke="{colour.light}"]{{stroke:var(--{colour.name})}}'
        for colour in PALETTE
    )
    sheet = files("superalign.report").joinpath("style.css").read_text(encoding="utf-8")
    schemes = f":root{{{light}}}@media screen and (prefers-color-scheme:dark){{:root{{{dark}}}}}"
    return f"{schemes}{drawn}\n{sheet}{rules()}"
