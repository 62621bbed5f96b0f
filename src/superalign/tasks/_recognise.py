"""Recognising what the columns of a table mean, by the conventions of TRL, inspect and common data sets."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

from superalign.errors import DataError
from superalign.tasks._conventions import (
    ANSWERS,
    CHOICES,
    GROUPS,
    IDS,
    JOINED,
    LABELS,
    LAST_LABELS,
    OTHER_LABELS,
    PAIRS,
    PREFERENCES,
    PROMPTS,
    REPLIES,
    RESPONSES,
    TAGS,
    TEXTS,
)
from superalign.tasks._layout import Columns, Layout, columns_of, no_column
from superalign.tasks._tabular import Tabular


def recognise(sample: Sequence[Mapping[str, Any]], settings: Tabular, where: str) -> Layout:
    """Return the layout of a table from its first rows and the columns the user named.

    Raises:
        DataError: a named column does not exist (with the nearest), or what is what cannot be told.
    """
    return _Recogniser(sample, settings, where).layout()


class _Recogniser:
    def __init__(self, sample: Sequence[Mapping[str, Any]], settings: Tabular, where: str) -> None:
        self.sample, self.settings, self.where = sample, settings, where
        self.columns = columns_of(sample)
        self.by_name: dict[str, str] = {}
        for column in self.columns:
            self.by_name.setdefault(column.strip().lower().replace(" ", "_").replace("-", "_"), column)

    def layout(self) -> Layout:
        self._check_named()
        kind, prompt, bodies, label = self._pair() or self._preference() or self._choice() or self._classes()
        if self.settings.rewards and kind not in ("pair", "preference"):
            why = "'rewards' are of two responses"
            raise DataError("these rows hold no two responses to compare", where=self.where, why=why)
        taken = {*prompt, *bodies, label, *(self.settings.rewards or ())}
        free = [name for name in (*GROUPS, *IDS, *TAGS) if self.by_name.get(name) not in taken]
        named = self.settings.difficulty or ()
        automatic = self._known(name for name in TAGS if name in free)
        return Layout(
            kind=kind,
            prompt=prompt,
            bodies=bodies,
            label=label,
            group=self.settings.group or self._first(name for name in GROUPS if name in free),
            id=self.settings.id or self._first(name for name in IDS if name in free),
            part=self.settings.part or self._first(("part",)),
            tags=tuple(dict.fromkeys((*named, *automatic))),
            named_tags=named,
            rewards=self.settings.rewards or (),
            first_is_zero=kind != "preference" or not self._counts_from_one(label),
        )

    def _check_named(self) -> None:
        s = self.settings
        single = (s.response, s.label, s.chosen, s.rejected, s.choices, s.group, s.id, s.part)
        several = [name for names in (s.text, s.prompt, s.responses, s.rewards, s.difficulty) for name in names or ()]
        for name in (*single, *several):
            if name is not None and name not in self.columns:
                raise no_column(name, self.columns, self.where)

    def _pair(self) -> tuple[Literal["pair"], Columns, Columns, str] | None:
        s = self.settings
        if s.chosen or s.rejected:
            chosen, rejected = s.chosen or self._first(("chosen",)), s.rejected or self._first(("rejected",))
            if not chosen or not rejected:
                raise self._unknown("response that is " + ("preferred" if rejected else "rejected"), "chosen")
            return "pair", self._prompt(), (chosen, rejected), ""
        if s.text or s.response or s.label or s.responses or s.choices:
            return None
        pair = self._both(PAIRS)
        return ("pair", self._prompt(), pair, "") if pair else None

    def _preference(self) -> tuple[Literal["preference"], Columns, Columns, str] | None:
        s = self.settings
        if s.text or s.response or s.choices:
            return None
        bodies = s.responses or self._both(RESPONSES)
        label = s.label or self._first(PREFERENCES)
        if s.responses and not label:
            raise self._unknown("preference", "label")
        return ("preference", self._prompt(), bodies, label) if bodies and label else None

    def _choice(self) -> tuple[Literal["choice"], Columns, Columns, str] | None:
        s = self.settings
        if s.response:
            return None
        choices = s.choices or next((name for name in self._known(CHOICES) if self._holds_lists(name)), None)
        label = s.label or self._first(ANSWERS)
        if s.choices and not label:
            raise self._unknown("right choice", "label")
        prompt = s.text or self._prompt(required=True) if choices and label else ()
        return ("choice", prompt, (choices,), label) if choices and label and prompt else None

    def _classes(self) -> tuple[Literal["classes"], Columns, Columns, str]:
        s = self.settings
        label = s.label or self._label()
        if s.text:
            return "classes", s.text, (), label
        if s.prompt or s.response:
            prompt = s.prompt or self._prompt(required=True)
            return "classes", prompt, (s.response,) if s.response else (), label
        usable = {name: column for name, column in self.by_name.items() if column != label}
        for name in ("text", "messages"):  # a conversation holds the prompt and the response that may stand beside it
            if name in usable:
                return "classes", (usable[name],), (), label
        for pair in JOINED:
            if set(pair) <= usable.keys():
                return "classes", tuple(usable[name] for name in pair), (), label
        for prompt_name, bodies in REPLIES:
            body = next((name for name in bodies if name in usable and prompt_name in usable), None)
            if body:
                return "classes", (usable[prompt_name],), (usable[body],), label
        return "classes", (self._only([usable[name] for name in TEXTS if name in usable], "text"),), (), label

    def _label(self) -> str:
        if certain := self._first(LABELS):
            return certain
        found = [name for name in self._known(OTHER_LABELS) if self._is_class(name)]
        return self._only(found or [name for name in self._known(LAST_LABELS) if self._is_class(name)], "label")

    def _prompt(self, required: bool = False) -> Columns:
        if self.settings.prompt:
            return self.settings.prompt
        if {"instruction", "input"} <= self.by_name.keys():
            return self.by_name["instruction"], self.by_name["input"]
        joined = next((pair for pair in JOINED[:2] if set(pair) <= self.by_name.keys()), ())
        if joined:
            return tuple(self.by_name[name] for name in joined)
        found = self._known((*PROMPTS, "instruction"))
        if required and not found:
            raise self._unknown("prompt", "prompt")
        return found[:1]

    def _only(self, found: Sequence[str], role: str) -> str:
        if len(found) > 1:
            raise DataError(
                f"several columns could be the {role}: {', '.join(found)}",
                where=self.where,
                why=self._found(),
                fix=f"name it: {role}={found[0]}" + (f" or text={'+'.join(found[:2])}" if role == "text" else ""),
            )
        if not found:
            raise self._unknown(role, role)
        return found[0]

    def _unknown(self, role: str, setting: str) -> DataError:
        return DataError(
            f"no column is recognised as the {role}",
            where=self.where,
            why=self._found(),
            fix=f"name it: {setting}=COLUMN",
        )

    def _found(self) -> str:
        return f"columns found: {', '.join(self.columns)}"

    def _known(self, names: Iterable[str]) -> Columns:
        return tuple(self.by_name[name] for name in names if name in self.by_name)

    def _first(self, names: Iterable[str]) -> str | None:
        return next(iter(self._known(names)), None)

    def _both(self, pairs: Iterable[tuple[str, str]]) -> Columns | None:
        return next((self._known(pair) for pair in pairs if set(pair) <= self.by_name.keys()), None)

    def _column(self, name: str) -> list[Any]:
        return [value for row in self.sample if (value := row.get(name)) is not None]

    def _holds_lists(self, name: str) -> bool:
        values = self._column(name)
        return bool(values) and all(isinstance(value, list | dict) for value in values)

    def _is_class(self, name: str) -> bool:
        values = self._column(name)
        if not values or not all(isinstance(value, str | int | float) for value in values):
            return False
        return len(set(values)) <= max(2, len(values) / 4)

    def _counts_from_one(self, label: str) -> bool:
        values = self._column(label)
        marks = [mark for value in values for mark in (value if isinstance(value, list) else [value])]
        return any(str(mark).strip() in {"2", "2.0"} for mark in marks)
