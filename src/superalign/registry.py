"""One registry for every kind of plug-in: a variant is one file in the folder of its kind, or an entry point."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Callable, Mapping
from importlib.metadata import entry_points
from typing import Any, Generic, TypeVar

from pydantic import AfterValidator, BeforeValidator, Field, PlainSerializer, ValidationInfo

from superalign.config import Component, parse_spec
from superalign.errors import ConfigError, did_you_mean

T = TypeVar("T", bound=Component)
ENTRY_POINTS = "superalign"


class Registry(Generic[T]):
    """Finds, lists and builds the variants of one noun.

    Args:
        kind: the noun, for messages ("objective").
        folder: the package whose modules, or the module which, holds the built-in variants.
        base: the class every variant derives from.
    """

    def __init__(self, kind: str, folder: str, base: type[T]) -> None:
        self.kind, self.folder, self.base = kind, folder, base
        self._variants: dict[str, type[T]] = {}
        self._aliases: dict[str, str] = {}
        self._discovered = False
        self.failures: dict[str, str] = {}

    def register(self, name: str, *aliases: str) -> Callable[[type[T]], type[T]]:
        """Class decorator that makes a variant known under `name`; a name is given once."""

        def add(cls: type[T]) -> type[T]:
            if not issubclass(cls, self.base):
                raise TypeError(f"{cls.__name__} is not a {self.base.__name__}")
            for taken in {name, *aliases} & {*self._variants, *self._aliases}:
                other = self._variants[self._aliases.get(taken, taken)]
                if (other.__module__, other.__qualname__) != (cls.__module__, cls.__qualname__):
                    raise ValueError(f"{self.kind} '{taken}' is already {other.__module__}.{other.__qualname__}")
            cls.name = name
            self._variants[name] = cls
            self._aliases.update(dict.fromkeys(aliases, name))
            return cls

        return add

    def names(self) -> list[str]:
        """Return the known names, sorted; aliases are left out."""
        self._discover()
        return sorted(self._variants)

    def get(self, name: str) -> type[T]:
        """Return the class registered as `name`.

        Raises:
            ConfigError: unknown name, with the nearest one.
        """
        self._discover()
        cls = self._variants.get(self._aliases.get(name, name))
        if cls is None:
            raise ConfigError(f"unknown {self.kind} '{name}'", fix=self._hint(name))
        return cls

    def build(self, spec: Any) -> T:
        """Build a variant from its name, its text form, a mapping with the key `name`, or itself."""
        if isinstance(spec, self.base):
            return spec
        if isinstance(spec, str):
            name, argument, parameters = parse_spec(spec)
            cls = self.get(name)
            data: dict[str, Any] = dict(parameters)
            if argument is not None:
                if cls.argument is None:
                    raise ConfigError(f"{self.kind} '{name}' takes nothing after a colon", where=spec)
                data[cls.argument] = argument
            return cls.parse(data, where=spec)
        if isinstance(spec, Mapping) and "name" in spec:
            data = dict(spec)
            return self.build_from(str(data.pop("name")), data)
        example = f"for example: {{name: {self.names()[0]}}}" if isinstance(spec, Mapping) else None
        raise ConfigError(
            f"{self.kind} must be a name or a mapping with the key 'name'", why=f"got {spec!r}", fix=example
        )

    def build_from(self, name: str, parameters: Mapping[str, Any]) -> T:
        """Build the variant `name`; the name may itself be a text form, which `parameters` extend."""
        head, argument, inline = parse_spec(name)
        cls = self.get(head)
        data: dict[str, Any] = {**inline, **parameters}
        if argument is not None and cls.argument is not None:
            data[cls.argument] = argument
        return cls.parse(data, where=name if name != head else None)

    def origin(self, name: str) -> str:
        """Return `file:line` of the variant, for listings."""
        cls = self.get(name)
        return f"{inspect.getsourcefile(cls)}:{inspect.getsourcelines(cls)[1]}"

    def _hint(self, name: str) -> str:
        """Return the nearest name, or the `name:argument` of a variant that knows the name as its argument."""
        written = {
            argument: f"{known}:{argument}"
            for known, cls in self._variants.items()
            for argument in cls.known_arguments(name)
        }
        return did_you_mean(name, [*self._variants, *self._aliases], written)

    def _discover(self) -> None:
        if self._discovered:
            return
        self._discovered = True
        package = importlib.import_module(self.folder)
        for module in pkgutil.iter_modules(getattr(package, "__path__", [])):
            importlib.import_module(f"{self.folder}.{module.name}")
        for point in entry_points(group=ENTRY_POINTS):
            try:
                point.load()
            except Exception as error:  # a broken third-party plug-in must not break the rest
                self.failures[point.name] = f"{type(error).__name__}: {error}"


def chosen(registry: Registry[Any]) -> Any:
    """Field metadata: text or mapping becomes a component; a component is written as its spec.

    A mistake in it is placed where the settings were read from: `study.yaml, key 'task': facts,cities=many`.
    """

    def build(spec: Any, info: ValidationInfo) -> Any:
        try:
            return registry.build(spec)
        except ConfigError as error:
            if place := (info.context or {}).get("where"):
                error.where = f"{place}, key '{info.field_name}'" + (f": {error.where}" if error.where else "")
            raise

    return (BeforeValidator(build), PlainSerializer(lambda component: component.spec()))


def _distinct(chosen: tuple[T, ...]) -> tuple[T, ...]:
    names = [str(one) for one in chosen]
    for name in names:
        if names.count(name) > 1:
            raise ConfigError(f"'{name}' is given twice")
    return chosen


Distinct = AfterValidator(_distinct)
"""Field metadata: no component may be given twice."""


def default(spec: Any) -> Any:
    """Field default in text form: it is validated, hence built, like a user's."""
    return Field(default=spec, validate_default=True)
