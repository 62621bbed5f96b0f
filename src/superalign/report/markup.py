"""HTML that is escaped by construction: a text becomes markup only through `tag`."""

from __future__ import annotations

import html
import re
from typing import NamedTuple

VOID = frozenset({"meta", "link", "input", "br"})
CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f]")
HIDDEN = re.compile(
    "[\u061c\u200b\u200e\u200f\u2028\u2029\u202a-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\U000e0000-\U000e007f]"
)
BROKEN = re.compile("[\ud800-\udfff\ufffe\uffff]")


class Markup(str):
    """A text that is HTML already. Only this module and the figures make one."""

    __slots__ = ()


Child = str | int | None
Attribute = str | int | bool | None


class Column(NamedTuple):
    """A table column; numbers are set flush right."""

    name: str
    number: bool = False


def clean(text: str) -> str:
    """Make a text safe to show anywhere: control characters go, hidden and direction-changing ones become visible."""
    text = CONTROL.sub("", text.replace("\r\n", "\n").replace("\r", "\n"))
    return BROKEN.sub("\N{REPLACEMENT CHARACTER}", HIDDEN.sub(lambda found: f"[U+{ord(found.group()):04X}]", text))


def cut(text: str, limit: int) -> str:
    """Return the cleaned text, shortened to `limit` characters with an ellipsis."""
    text = clean(text[: 4 * limit])
    return text if len(text) <= limit else text[: limit - 1].rstrip() + "…"


def tag(name: str, /, *children: Child, **attributes: Attribute) -> Markup:
    """Return an element. Children that are not Markup are cleaned and escaped, None is left out.

    Attribute names may end in `_` (`class_`), and their `_` becomes `-` (`aria_label`); None and False are left out.
    """
    head = "".join([name, *(_attribute(key, value) for key, value in attributes.items())])
    if name in VOID:
        return Markup(f"<{head}>")
    return Markup(f"<{head}>{join(*children)}</{name}>")


def join(*children: Child) -> Markup:
    """Return children one after the other, each escaped unless it is Markup."""
    return Markup("".join(_escape(child) for child in children if child is not None))


def passage(text: str, limit: int = 280) -> Markup:
    """Return a text by a model or from data: isolated from its surroundings, cut, with the full text in its title."""
    short, full = cut(text, limit), cut(text, 2000)
    return tag("bdi", short, class_="passage", dir="auto", title=full if full != short else None)


def table(columns: list[Column], rows: list[list[Child]], label: str, class_: str | None = None) -> Markup:
    """Return a table that scrolls sideways where it does not fit; the first cell of a row is its header.

    Args:
        columns: names, and which of them are numbers.
        rows: cells, as many a row as there are columns.
        label: what the table shows, for those who do not see it.
        class_: class of the table; the cells of `examples` bear the names of their columns, for narrow screens.
    """
    head = [tag("th", c.name, scope="col", class_="num" if c.number else None) for c in columns]
    named = class_ == "examples"
    body = [
        tag("tr", *(_cell(i, column, cell, named) for i, (column, cell) in enumerate(zip(columns, row, strict=True))))
        for row in rows
    ]
    whole = tag("table", tag("thead", tag("tr", *head)), tag("tbody", *body), class_=class_)
    return tag("div", whole, class_="scroll", role="region", aria_label=label, tabindex=0)


def _cell(index: int, column: Column, cell: Child, named: bool) -> Markup:
    style, label = "num" if column.number else None, column.name if named else None
    if index == 0:
        return tag("th", cell, scope="row", class_=style, data_label=label)
    return tag("td", cell, class_=style, data_label=label)


def _escape(child: Child) -> str:
    return child if isinstance(child, Markup) else html.escape(clean(str(child)))


def _attribute(key: str, value: Attribute) -> str:
    if value is None or value is False:
        return ""
    name = key.removesuffix("_").replace("_", "-")
    return f" {name}" if value is True else f' {name}="{html.escape(clean(str(value)))}"'
