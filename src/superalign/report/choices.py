"""Filters of a table that need no script: radio buttons, siblings of the table, and one rule of style a choice."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from superalign.report.markup import Markup, join, tag

CHOICES: dict[str, tuple[str, ...]] = {
    "who": ("student", "supervisor", "neither"),
    "method": tuple(map(str, range(6))),
    "seed": tuple(map(str, range(10))),
    "round": tuple(map(str, range(10))),
    "tactic": tuple(map(str, range(12))),
    "outcome": ("broken", "held", "undetermined", "error"),
}
"""Of every filter that a page may have its choices; a row has the class NAME-CHOICE."""


def choices(name: str, options: Mapping[str, str], label: str) -> Markup:
    """Return a filter: its options by choice, `all` the first; it stands in a section of class `filtered`."""
    parts: list[Markup] = []
    for choice, text in options.items():
        place, first = f"{name}-{choice}", choice == "all"
        parts.append(tag("input", type="radio", name=name, id=place, checked=first, aria_label=f"{label}: {text}"))
        parts.append(tag("label", text, for_=place))
    return join(*parts, tag("br"))


def numbered(name: str, values: Sequence[str]) -> tuple[dict[str, str], dict[str, str]]:
    """Return the choice of each value, and the options of their filter; values that are too many share the last."""
    last = len(CHOICES[name]) - 1
    places = {value: str(min(place, last)) for place, value in enumerate(values)}
    shared = {str(last)} if len(values) > last + 1 else set[str]()
    return places, {place: "others" if place in shared else value for value, place in places.items()}


def rules() -> str:
    """Return the style that hides the rows which are not chosen."""
    every = (f"{name}-{choice}" for name, options in CHOICES.items() for choice in options)
    return ",".join(f"#{one}:checked~.scroll tbody tr:not(.{one})" for one in every) + "{display:none}"
