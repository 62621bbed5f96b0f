"""Who is who in every figure: one label, colour and shape for each role and method."""

from __future__ import annotations

from dataclasses import dataclass

from superalign.report.markup import cut
from superalign.result import Role, WeakToStrongResult

Key = tuple[Role, str]
ROLES: tuple[Role, ...] = ("weak", "student", "ceiling", "control")
NAMES: dict[Role, str] = {
    "weak": "Weak supervisor",
    "student": "Student",
    "ceiling": "Strong ceiling",
    "control": "Random-label control",
}


@dataclass(frozen=True)
class Colour:
    """A colour: its CSS variable, and its value on a light and on a dark page. Figures are drawn with the light one."""

    name: str
    light: str
    dark: str


INK = Colour("ink", "#1b1f24", "#e7e9ec")
MUTED = Colour("muted", "#5a626b", "#a3abb5")
HAIR = Colour("hair", "#dfe2e6", "#343a42")
PAPER = Colour("paper", "#ffffff", "#15181c")
WEAK = Colour("weak", "#d1570b", "#ff9b5e")
CEILING = Colour("ceiling", "#3b4048", "#cfd4da")
CONTROL = Colour("control", "#83898f", "#8b929a")
STUDENTS = (
    Colour("student-1", "#0b6bb3", "#62b4f2"),
    Colour("student-2", "#00916c", "#3fcf9f"),
    Colour("student-3", "#7f3fd6", "#a06ff0"),
    Colour("student-4", "#7a4420", "#d0605a"),
)
FIXED: dict[Role, Colour] = {"weak": WEAK, "ceiling": CEILING, "control": CONTROL}
PALETTE = (INK, MUTED, HAIR, PAPER, *FIXED.values(), *STUDENTS)
SHAPES: dict[Role, str] = {"weak": "square", "ceiling": "diamond", "control": "cross"}
STUDENT_SHAPES = ("circle", "triangle-up", "triangle-down", "triangle-right")


@dataclass(frozen=True)
class Series:
    """How one role and method is drawn."""

    role: Role
    method: str
    label: str
    colour: Colour
    shape: str


Book = dict[Key, Series]


def series(result: WeakToStrongResult) -> Book:
    """Return every role and method that occurs in a result, in the order weak, students, ceiling, control."""
    keys = _keys(result)
    students = [key for key in keys if key[0] == "student"]
    found: Book = {}
    for role, method in keys:
        alone = sum(other == role for other, _ in keys) == 1
        wanted = NAMES[role] if role != "student" and alone else f"{NAMES[role]} · {cut(method, 24)}"
        label = unique(wanted, {known.label for known in found.values()})
        place = students.index((role, method)) if role == "student" else 0
        colour = FIXED.get(role, STUDENTS[place % len(STUDENTS)])
        turn = place // len(STUDENTS)  # the fifth method has the first one's colour, but not its shape
        shape = SHAPES.get(role, STUDENT_SHAPES[(place + turn) % len(STUDENT_SHAPES)])
        found[role, method] = Series(role, method, label, colour, shape)
    return found


def _keys(result: WeakToStrongResult) -> list[Key]:
    keys: list[Key] = [(s.role, s.method) for s in result.summary]
    keys += [(row.role, row.method) for row in result.rows]
    keys += [("student", pgr.method) for pgr in result.pgr]
    keys += [(point.role, point.method) for point in result.layers]
    keys += [(curve.role, curve.method) for curve in result.reliability]
    keys += [(b.role, b.method) for b in result.difficulty]
    return sorted(dict.fromkeys(keys), key=lambda key: ROLES.index(key[0]))  # stable: methods keep their order


def unique(label: str, taken: set[str]) -> str:
    """Return a label that is not taken: itself, or with a number."""
    number, found = 2, label
    while found in taken:
        found, number = f"{label} ({number})", number + 1
    return found
