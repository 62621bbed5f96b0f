"""The settings of a merge: the common fields of a mergekit config, and a few of our own; others are refused by name."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationInfo, field_validator, model_validator

from superalign.config import Config
from superalign.errors import ConfigError, did_you_mean
from superalign.merging.dtypes import Dtype
from superalign.merging.method import Method, methods
from superalign.yaml_file import read_config

ELSEWHERE = {
    "modules": "models of several modules are not merged here",
    "tokenizer": "vocabularies are not put together here; tokenizer_source says whose tokenizer is taken",
}
FIELDS = {"lambda": "scale"}
"""Parameters whose names in a config are not those of a method's fields."""
UNUSED = frozenset({"int8_mask"})
"""Parameters of mergekit that change no result."""
GB = 10**9


class Listed(Config):
    """One model of a merge."""

    model: str
    """A folder or an id of the hub, or an adapter's folder; `BASE+ADAPTER` is an adapter with its base."""
    parameters: Mapping[str, Any] = Field(default_factory=dict)
    """Of this model: its weight, and what else the method takes for each expert."""
    statistics: str | None = None
    """A file of what was measured of this model on data (see `superalign.merging.measure`)."""


class Source(Config):
    """One model of a slice."""

    model: str
    """As in `models`."""
    layer_range: tuple[int, int]
    """First layer, and the one after the last: all of them."""
    parameters: Mapping[str, Any] = Field(default_factory=dict)
    """Of this model."""


class MergeConfig(Config):
    """A merge."""

    merge_method: str
    """One of `superalign ls merge-methods`; names of mergekit are understood (`dare_ties`)."""
    models: Annotated[tuple[Listed, ...], Field(min_length=1)]
    """The experts; the base model may be among them."""
    base_model: str | None = None
    """What the experts started from."""
    parameters: Mapping[str, Any] = Field(default_factory=dict)
    """Of all models: numbers, gradients over the layers (lists), or lists of a `filter` and a `value`."""
    dtype: Dtype | None = None
    """Of the merged model; everything is computed in fp32."""
    out_dtype: Dtype | None = None
    """The same, with precedence. Default: that of each tensor in the base, or in the first model."""
    tokenizer_source: str | None = None
    """Whose tokenizer is taken where models disagree: `base`, or a model."""
    chat_template: str | None = None
    """Whose chat template is taken where models disagree: `base`, a model, or a template in Jinja."""
    output: Literal["model", "adapter"] = "model"
    """What is written: a whole model, or, of adapters, an adapter."""
    seed: int = 0
    """Of what is drawn at random."""
    memory: Annotated[float, Field(gt=0)] = 1.0
    """GB of tensors that may be merged at a time; a tensor that takes more is merged alone."""
    shard_size: Annotated[float, Field(gt=0)] = 5.0
    """GB of a file of the merged model, about."""
    hashes: Literal["xxh3", "sha256"] = "xxh3"
    """What the manifest says of what was read: the XXH3-128 of every tensor, or the SHA-256 of every file as well."""
    layers: int | None = None
    """How many layers `slices` says that the models have; not set by hand."""

    @model_validator(mode="before")
    @classmethod
    def _known(cls, data: Any) -> Any:
        """Refuse what is not done here, and read whole slices as models."""
        if not isinstance(data, dict):
            return data
        for name, why in ELSEWHERE.items():
            if data.get(name) is not None:
                raise ConfigError(f"'{name}' is not supported", why=why)
        if data.get("slices") is None:
            return {key: value for key, value in data.items() if key not in ("slices", *ELSEWHERE)}
        if "models" in data:
            raise ConfigError("give 'models' or 'slices', not both")
        return _whole_slices(data)

    @field_validator("models", mode="before")
    @classmethod
    def _listed(cls, value: Any, info: ValidationInfo) -> Any:
        if not isinstance(value, list | tuple):
            raise ConfigError("'models' is a list of mappings with the key 'model'", fix="models: [{model: FOLDER}]")
        place = f"{(info.context or {}).get('where') or 'the config'}, key 'models'"
        rows = [{"model": row} if isinstance(row, str) else row for row in value]
        for number, row in enumerate(rows, 1):
            if not isinstance(row, Mapping | Listed):
                raise ConfigError(f"model {number} is no mapping with the key 'model'", where=place)
        return tuple(
            row if isinstance(row, Listed) else Listed.parse(_without_none(row), f"{place}, number {number}")
            for number, row in enumerate(rows, 1)
        )

    @field_validator("merge_method")
    @classmethod
    def _method(cls, value: str) -> str:
        return methods.get(value.replace("_", "-")).name

    @model_validator(mode="after")
    def _parameters(self) -> MergeConfig:
        """Refuse parameters that the method does not have."""
        known = {"weight", *self.method.model_fields}
        for name in self.parameters:
            _check(name, known, f"of {self.merge_method}")
        for listed in self.models:
            own = {"weight", *self.method.by_expert}
            for name in listed.parameters:
                _check(name, own, f"of one model in {self.merge_method}")
        return self

    @property
    def method(self) -> type[Method]:
        """The class of the method."""
        return methods.get(self.merge_method)

    @property
    def out(self) -> str | None:
        """The dtype of what is written; None for that of each tensor."""
        return self.out_dtype or self.dtype


def read(config: MergeConfig | Mapping[str, Any] | Path | str) -> MergeConfig:
    """Return the settings of a file, a mapping, or settings.

    Raises:
        ConfigError: they are wrong; the offending key is named.
    """
    if isinstance(config, MergeConfig):
        return config
    where = str(config) if isinstance(config, str | Path) else None
    data = read_config(Path(config), "merge_method: ties") if isinstance(config, str | Path) else config
    return MergeConfig.parse(_without_none(data), where)


def resolve(setting: Any, tensor: str, depth: float) -> Any:
    """Return what a setting is for a tensor: itself, a point of a gradient, or the first filter's value that fits.

    Args:
        setting: as in the config.
        tensor: its name.
        depth: where its layer is, from 0 (the first layer, and tensors of none) to 1.

    Returns:
        None when no filter fits.
    """
    if isinstance(setting, Mapping):
        setting = [setting]
    if not isinstance(setting, list | tuple):
        return setting
    if setting and all(isinstance(one, Mapping) for one in setting):
        for one in setting:
            if one.get("filter") in (None, "*") or str(one["filter"]) in tensor:
                return resolve(one.get("value"), tensor, depth)
        return None
    if not setting or not all(isinstance(one, int | float) for one in setting):
        raise ConfigError(f"a gradient is a list of numbers, not {setting!r}")
    place = depth * (len(setting) - 1)
    left = min(int(place), max(len(setting) - 2, 0))
    right = min(left + 1, len(setting) - 1)
    return setting[left] + (place - left) * (setting[right] - setting[left])


def depth_of(tensor: str, layers: int) -> float:
    """Return where a tensor's layer is, from 0 to 1."""
    found = re.search(r"(?:^|\.)(?:layers|layer|h|blocks)\.(\d+)\.", tensor)
    return int(found[1]) / (layers - 1) if found and layers > 1 else 0.0


def _without_none(data: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in data.items() if value is not None}


def _check(name: str, known: set[str], owner: str) -> None:
    if FIELDS.get(name, name) not in known and name not in UNUSED:
        names = {*known, *(written for written, field in FIELDS.items() if field in known)}
        raise ConfigError(f"unknown parameter '{name}' {owner}", fix=did_you_mean(name, names))


def _whole_slices(data: dict[str, Any]) -> dict[str, Any]:
    """Read one slice of all layers of every model as what it is: the models."""
    only = data["slices"]
    if not isinstance(only, list) or len(only) != 1 or not isinstance(only[0], Mapping):
        why = "layers are not taken from one model or another here"
        raise ConfigError(
            "'slices' must be one slice that holds all layers of every model", why=why, fix="give 'models'"
        )
    for name in only[0].keys() - {"sources", "parameters"}:
        raise ConfigError(f"'{name}' of a slice is not supported", fix=did_you_mean(name, ["sources", "parameters"]))
    sources = [Source.parse(source, "key 'slices'") for source in only[0].get("sources") or ()]
    ranges = {source.layer_range for source in sources}
    if len(ranges) != 1 or next(iter(ranges))[0] != 0:
        raise ConfigError("'slices' must hold the same layers of every model, from layer 0 on", fix="give 'models'")
    rest = {key: value for key, value in data.items() if key not in ("slices", *ELSEWHERE)}
    rest["parameters"] = {**(data.get("parameters") or {}), **(only[0].get("parameters") or {})}
    rest["models"] = [{"model": source.model, "parameters": source.parameters} for source in sources]
    return {**rest, "layers": ranges.pop()[1]}
