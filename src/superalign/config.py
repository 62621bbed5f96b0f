"""Frozen, typed settings: unknown keys are refused with the nearest valid name; the digest names the result."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from itertools import accumulate
from typing import Any, ClassVar, Self, get_origin

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from superalign.errors import ConfigError, did_you_mean


def canonical(value: Any) -> str:
    """JSON with sorted keys and no spaces: the text that is hashed. NaN is refused."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def digest(value: Any) -> str:
    """SHA-256 (hex) of the canonical JSON of `value`, in which texts may hold lone surrogates."""
    return hashlib.sha256(canonical(value).encode(errors="surrogatepass")).hexdigest()


class Config(BaseModel):
    """Base of all settings."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        use_attribute_docstrings=True,
        arbitrary_types_allowed=True,
        validate_default=True,
        protected_namespaces=(),
    )

    @classmethod
    def parse(cls, data: Mapping[str, Any], where: str | None = None) -> Self:
        """Build from plain data.

        Raises:
            ConfigError: on the first bad key or value, with the nearest valid name; `where` is what the data was
                read from; a mistake in a part of it is named with its key there.
        """
        try:
            return cls.model_validate(dict(data), context={"where": where})
        except ValidationError as error:
            raise _explain(cls, error, where) from None
        except ConfigError as error:  # of a validator
            error.where = error.where or where
            raise

    def digest(self) -> str:
        """SHA-256 (hex) of the resolved settings."""
        return digest(self.model_dump(mode="json"))


class Component(Config):
    """A part that is chosen by name and whose fields are its parameters.

    Written as text it is `name`, `name:argument` or `name,key=value,...` (`hf:./folder,layer=6`);
    in YAML also as a mapping with the key `name`. A component with parameters that is itself a parameter stands in
    parentheses: `pairs,objective=(simpo,gamma=0)`.
    """

    name: ClassVar[str]
    argument: ClassVar[str | None] = None
    """The field that takes what stands after the colon of `name:argument`."""

    @classmethod
    def known_arguments(cls, name: str) -> Iterable[str]:
        """Return valid arguments, for the hint to a user who wrote `name` alone: an argument without its component."""
        return ()

    @model_validator(mode="before")
    @classmethod
    def _split_lists(cls, data: Any) -> Any:
        """Let text forms write a list as `a+b`."""
        if not isinstance(data, dict):
            return data
        lists = {name for name, field in cls.model_fields.items() if get_origin(field.annotation) is tuple}
        return {k: _pieces(v, "[+]") if k in lists and isinstance(v, str) else v for k, v in data.items()}

    def spec(self) -> dict[str, Any]:
        """Return the resolved parameters, name included, as plain data."""
        return {"name": self.name, **self.model_dump(mode="json")}

    def __str__(self) -> str:
        head = f"{self.name}:{getattr(self, self.argument)}" if self.argument else self.name
        changed = self.model_dump(mode="json", exclude_defaults=True)
        changed.pop(self.argument or "", None)
        written = {key: _plain(getattr(self, key), value) for key, value in changed.items()}
        given = {key: _text(field.default) for key, field in type(self).model_fields.items()}
        return ",".join([head, *(f"{key}={text}" for key, text in written.items() if text != given[key])])


def parse_spec(text: str) -> tuple[str, str | None, dict[str, str]]:
    """Split `name:argument,key=value` into name, argument and parameters.

    A comma starts a parameter only when a `key=` follows, so file names may hold commas; what is in parentheses stays
    together, and those around the whole are left out.
    """
    text = text.strip()
    if text.startswith("(") and _depths(text)[:-1].count(0) == 0:
        text = text[1:-1].strip()
    head, *pairs = _pieces(text, r",(?=\s*[A-Za-z_]\w*\s*=)")
    name, colon, argument = head.partition(":")
    parameters = {}
    for pair in pairs:
        key, _, value = pair.partition("=")
        parameters[key.strip()] = value.strip()
    return name.strip(), argument.strip() if colon else None, parameters


def _depths(text: str) -> list[int]:
    """Return after each character how many parentheses are open; 0 everywhere if they do not match."""
    found = list(accumulate((letter == "(") - (letter == ")") for letter in text))
    return found if found and min(found) == found[-1] == 0 else [0] * len(text)


def _pieces(text: str, at: str) -> list[str]:
    """Split text where a pattern of one character is met outside parentheses."""
    depths = _depths(text)
    cuts = [found.start() for found in re.finditer(at, text) if depths[found.start()] == 0]
    return [text[start:end] for start, end in zip([0, *(cut + 1 for cut in cuts)], [*cuts, len(text)], strict=True)]


def _plain(value: Any, dumped: Any) -> str:
    """Write a value, given it and its plain data: a list as `a+b`, a component in its own text form."""
    if isinstance(dumped, list):
        return "+".join(map(_plain, value, dumped))
    return _together(str(value)) if isinstance(value, Component) else str(dumped)


def _text(default: Any) -> Any:
    """Return the text form of a default that is written as text: of a component, or of several."""
    if isinstance(default, tuple):
        return "+".join(_together(str(one)) for one in default)
    return _together(default) if isinstance(default, str) else default


def _together(text: str) -> str:
    return f"({text})" if "," in text else text


def _explain(cls: type[Config], error: ValidationError, where: str | None) -> ConfigError:
    first = error.errors()[0]
    path = [str(part) for part in first["loc"]]
    owner = getattr(cls, "name", cls.__name__)
    if first["type"] == "extra_forbidden":
        return ConfigError(
            f"unknown setting '{path[-1]}' for {owner}",
            where=where,
            fix=did_you_mean(path[-1], cls.model_fields),
        )
    if first["type"] == "missing" and len(path) == 1:
        needed = issubclass(cls, Component) and cls.argument == path[-1]
        fix = f"write {owner}:{path[-1].upper()}" if needed else None
        return ConfigError(f"{owner} needs the setting '{path[-1]}'", where=where, fix=fix)
    return ConfigError(
        f"setting '{'.'.join(path)}' of {owner}: {first['msg'].removeprefix('Value error, ')}",
        where=where,
        why=f"got {first['input']!r}" if path and not isinstance(first["input"], dict) else None,
    )
