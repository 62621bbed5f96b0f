"""Vega-Lite specs to SVG inside the page: real text, the page's colours, and nothing but shapes."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from importlib.util import find_spec

from superalign.report.marks import Spec
from superalign.report.markup import Markup, join, tag

ELEMENTS = {name: name for name in ("g", "path", "line", "text", "tspan", "rect", "circle", "defs")}
ELEMENTS["clippath"] = "clipPath"
PLACED = {"id", "d", "x", "y", "x2", "y2", "width", "height", "r", "cx", "cy", "transform", "clip-path"}
PAINTED = {"fill", "stroke", "opacity", "fill-opacity", "stroke-opacity", "stroke-width", "stroke-dasharray"}
WRITTEN = {"text-anchor", "font-size", "font-weight"}
ATTRIBUTES = PLACED | PAINTED | WRITTEN
LOCAL = re.compile(r"url\(#(\w+)\)")


def available() -> bool:
    """Tell whether figures can be drawn (the extra `report`)."""
    return find_spec("vl_convert") is not None


def draw(spec: Spec, name: str, label: str) -> Markup:
    """Return a spec as an SVG element.

    Args:
        spec: Vega-Lite, its data inline.
        name: a word that no other figure of the page has; it keeps their ids apart.
        label: what the figure shows, for those who do not see it.

    Raises:
        ValueError: the spec cannot be drawn.
    """
    import vl_convert

    return embed(vl_convert.vegalite_to_svg(spec, allowed_base_urls=[]), name, label)


def embed(svg: str, name: str, label: str) -> Markup:
    """Return an SVG file as an element of the page, with only its shapes and texts; see `draw`."""
    return _Shapes(name, label).read(svg)


class _Shapes(HTMLParser):
    """Copies the shapes and texts of an SVG, element by element; what is not known to be harmless is left out.

    The description of a mark becomes its title, which browsers show under the pointer.
    """

    def __init__(self, name: str, label: str) -> None:
        super().__init__(convert_charrefs=True)
        self.prefix, self.label = name, label
        self.ids: dict[str, str] = {}
        self.open: list[tuple[str, dict[str, str], list[Markup]]] = []
        self.root = Markup()

    def read(self, svg: str) -> Markup:
        """Return the SVG as an element of the page."""
        self.feed(svg)
        self.close()
        return self.root

    def handle_starttag(self, name: str, attrs: list[tuple[str, str | None]]) -> None:
        """Open an element."""
        given = {key: value or "" for key, value in attrs}
        title = [tag("title", given["aria-label"])] if "aria-label" in given else []
        self.open.append((name, given, title))

    def handle_endtag(self, name: str) -> None:
        """Close an element and hand it to the one around it."""
        name, given, children = self.open.pop()
        if name == "svg":
            self.root = self._figure(given, children)
        elif name in ELEMENTS:
            self.open[-1][2].append(tag(ELEMENTS[name], *children, **self._kept(given)))

    def handle_data(self, data: str) -> None:
        """Keep the text of text elements."""
        if self.open and self.open[-1][0] in {"text", "tspan"}:
            self.open[-1][2].append(join(data))

    def _kept(self, given: dict[str, str]) -> dict[str, str]:
        kept = {key: value for key, value in given.items() if key in ATTRIBUTES}
        if "id" in kept:
            kept["id"] = self._id(kept["id"])
        for key, value in kept.items():
            if "url" in value:
                target = LOCAL.fullmatch(value)
                kept[key] = f"url(#{self._id(target[1])})" if target else "none"
        return kept

    def _id(self, given: str) -> str:
        # the library counts ids over its whole process; the same result must give the same page
        return self.ids.setdefault(given, f"{self.prefix}-clip-{len(self.ids)}")

    def _figure(self, given: dict[str, str], children: list[Markup]) -> Markup:
        box = {"viewBox": given["viewbox"], "style": f"max-width:{1.15 * float(given['width']):.0f}px"}
        return tag("svg", *children, class_="plot", role="img", aria_label=self.label, **box)
