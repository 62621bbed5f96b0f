"""The frame of a panel: title, what it shows, its key, the drawing, what is left out, and its numbers as a table."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, NamedTuple, TypeVar

from superalign.report import svg, words
from superalign.report.marks import Spec
from superalign.report.markup import Child, Column, Markup, cut, table, tag
from superalign.report.overview import beside, legend
from superalign.report.results import Shown
from superalign.report.series import Book, Key
from superalign.result import Interval, PairedTest, Role

R = TypeVar("R", bound=Shown)
T = TypeVar("T", bound=PairedTest)
WHO = Column("Role and method")
Rows = list[list[Child]]
NOTHING = "There is nothing to draw: none of these figures could be taken."
NO_FIGURES = "Figures need the package vl-convert-python; install it with: pip install 'superalign[report]'"


class Calibrated(NamedTuple):
    """One reliability curve: whose it is, the figure, and the calibration error in digits."""

    label: str
    spec: Spec
    error: str


@dataclass(frozen=True)
class Frame(Generic[R]):
    """Frames the panels of one result.

    Args:
        result: what they show.
        book: how each role and method is drawn.
        draws: whether figures can be drawn; without, the tables stand open in their place.
    """

    result: R
    book: Book
    draws: bool

    def name(self, role: Role, method: str) -> str:
        """Return what a role and method is called."""
        return self.book[role, method].label

    def missing(self) -> Markup | None:
        """Return what to install where figures cannot be drawn."""
        return None if self.draws else tag("p", NO_FIGURES, class_="flag", role="note")

    def panel(
        self,
        name: str,
        title: str,
        what: str,
        spec: Spec,
        counts: str,
        data: Markup,
        keys: list[Key] | None = None,
        after: Markup | None = None,
        pgr: bool = False,
        wide: bool = False,
    ) -> Markup:
        """Return a framed figure.

        Args:
            name: id of the panel, and a word no other figure has.
            title: its heading.
            what: how to read it.
            spec: the figure.
            counts: what it counts, for the line that says what it leaves out.
            data: its numbers.
            keys: roles and methods to explain, where the figure does not name them itself.
            after: what stands below.
            pgr: whether the figure is about the PGR.
            wide: whether it takes the width of the page.
        """
        caption = tag("figcaption", tag("h3", title), tag("p", what, class_="what"))
        key = legend([self.book[k] for k in dict.fromkeys(keys)]) if keys and self.draws else None
        empty = None if spec["layer"] else tag("p", NOTHING, class_="what")
        figure = tag("figure", caption, key, self.draw(name, title, spec), empty)
        left_out = beside(self.result, counts, pgr)
        return tag(
            "section", figure, left_out, self.numbers(data), after, class_="panel wide" if wide else "panel", id=name
        )

    def calibration(self, curves: Sequence[Calibrated], what: str, data: Markup) -> Markup:
        """Return the reliability curves of several, side by side.

        Args:
            curves: how each is drawn, and its calibration error in digits.
            what: how to read them.
            data: their numbers.
        """
        small = []
        for place, (label, spec, error) in enumerate(curves):
            drawing = self.draw(f"reliability-{place}", f"Reliability of {label}", spec)
            said = tag("p", "ECE ", tag("b", error), class_="ece")
            small.append(tag("figure", tag("figcaption", tag("h4", label), said), drawing))
        parts = [tag("h3", "Calibration"), tag("p", what, class_="what"), tag("div", *small, class_="multiples")]
        counts = beside(self.result, "15 equal-width bins, all seeds together.")
        return tag("section", *parts, counts, self.numbers(data), class_="panel wide", id="calibration")

    def draw(self, name: str, title: str, spec: Spec) -> Markup | None:
        """Return the drawing, or None when there is nothing to draw or figures cannot be drawn."""
        label = f"{title}. The table below holds its numbers."
        if not (self.draws and spec["layer"]):
            return None
        try:
            return svg.draw(spec, name, label)
        except ValueError as error:  # a figure that fails must not cost the reader the rest
            return tag("p", f"This figure could not be drawn: {cut(str(error), 200)}", class_="flag", role="note")

    def numbers(self, data: Markup) -> Markup:
        """Return the table behind a figure, closed unless it stands in for the figure."""
        return tag("details", tag("summary", "Numbers"), data, open=not self.draws)


def tabled(name: str, title: str, what: str, *body: Markup | None, wide: bool = True) -> Markup:
    """Return a panel without a figure: `name` is its id, `what` how to read it."""
    kind = "panel wide" if wide else "panel"
    return tag("section", tag("h3", title), tag("p", what, class_="what"), *body, class_=kind, id=name)


def difference(test: PairedTest) -> str:
    """Return what is compared."""
    return f"{cut(test.a, 60)} − {cut(test.b, 60)}"


def differences(tests: Sequence[T], title: str, *heads: tuple[Column, Callable[[T], str]]) -> Markup:
    """Return the table of paired tests; `heads` are its first columns, by default what is compared."""
    heads = heads or ((Column("Difference"), difference),)
    rows: Rows = [
        [
            *(cell(t) for _, cell in heads),
            words.points(t.difference),
            words.p_value(t.p),
            words.p_value(t.p_holm),
            words.count(t.n),
            words.count(t.groups),
        ]
        for t in tests
    ]
    columns = [*(head for head, _ in heads), *numbers("Points", "p", "p (Holm)", "n", "Groups")]
    return table(columns, rows, title)


def numbers(*names: str) -> list[Column]:
    """Return columns of numbers."""
    return [Column(name, number=True) for name in names]


def share(figure: Interval) -> tuple[str, str]:
    """Return the two cells of a share: its value and its interval."""
    return words.percent(figure.value), words.percents(figure)
