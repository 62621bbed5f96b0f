"""What a merge will do: its models opened and compared, every tensor's part in it, and in which file it will be."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from superalign.config import digest
from superalign.errors import ConfigError, ModelError
from superalign.merging.config import FIELDS, GB, UNUSED, Listed, MergeConfig, depth_of, resolve
from superalign.merging.dtypes import NAMES, SIZES
from superalign.merging.method import Method
from superalign.merging.source import OUTPUTS, Adapter, Checkpoint, Entry, Tensors, is_float
from superalign.merging.tensors import LowRank, Rows, Stack, remembered
from superalign.merging.tokens import Tokens, agree
from superalign.models._adapter import CONFIG as ADAPTER
from superalign.models._folder import find_folder

MEANING = (
    *("model_type", "num_hidden_layers", "hidden_size", "num_attention_heads", "num_key_value_heads", "head_dim"),
    *("hidden_act", "hidden_activation", "rope_theta", "rope_scaling", "rope_parameters", "rms_norm_eps"),
    *("layer_norm_eps", "tie_word_embeddings"),
)
"""Keys of a model's configuration that decide what its weights mean."""


@dataclass(frozen=True)
class Expert:
    """One opened model of a merge.

    Args:
        listed: as the config names it.
        tensors: its checkpoint, or its adapter.
        statistics: what was measured of it.
    """

    listed: Listed
    tensors: Checkpoint | Adapter
    statistics: Tensors | None


@dataclass(frozen=True)
class Plan:
    """A merge that can begin.

    Args:
        config: its settings.
        reference: the checkpoint whose tensors are merged: the base, or the first expert.
        base: what deltas are taken from; None when whole tensors are merged.
        experts: in the order of the config.
        tokens: the tokenizer.
        weights: of the experts, in place of the config's; for a sweep.
    """

    config: MergeConfig
    reference: Checkpoint
    base: Checkpoint | None
    experts: tuple[Expert, ...]
    tokens: Tokens
    weights: tuple[float, ...] | None = None
    _built: dict[str, Method] = field(default_factory=dict, compare=False)

    @property
    def entries(self) -> Mapping[str, Entry]:
        """Every tensor of the merged model."""
        return self.reference.entries

    @property
    def layers(self) -> int:
        """Number of layers, for gradients."""
        return int(self.reference.config.get("num_hidden_layers") or self.reference.config.get("n_layer") or 0)

    def dtype(self, name: str) -> str:
        """Return the dtype, as safetensors names it, in which a tensor is written."""
        entry = self.entries[name]
        if not is_float(entry):
            return entry.dtype
        return NAMES[self.config.out] if self.config.out else {"F64": "F32"}.get(entry.dtype, entry.dtype)

    def is_copied(self, name: str) -> bool:
        """Tell whether a tensor is the reference's: of whole numbers, or one that no adapter changes."""
        if not is_float(self.entries[name]):
            return True
        adapters = [one.tensors for one in self.experts if isinstance(one.tensors, Adapter)]
        return len(adapters) == len(self.experts) and not any(name in adapter.targets for adapter in adapters)

    def method(self, name: str | None = None, expert: int | None = None) -> Method:
        """Return the method with its settings for a tensor, and for one expert; without a name those of no layer."""
        cls = self.config.method
        settings = dict(self.config.parameters)
        if expert is not None:
            settings |= self.experts[expert].listed.parameters
        depth = depth_of(name or "", self.layers)
        found = {FIELDS.get(key, key): resolve(value, name or "", depth) for key, value in settings.items()}
        given = {
            key: value for key, value in found.items() if value is not None and key != "weight" and key not in UNUSED
        }
        key = digest(given)
        if key not in self._built:
            self._built[key] = cls.parse(given, "the config's parameters")
        return self._built[key]

    def weight(self, name: str, expert: int) -> float:
        """Return an expert's weight for a tensor; 1 where nothing is said."""
        if self.weights is not None:
            return self.weights[expert]
        own = self.experts[expert].listed.parameters.get("weight", self.config.parameters.get("weight", 1.0))
        value = resolve(own, name, depth_of(name, self.layers))
        try:
            found = 1.0 if value is None else float(value)
        except (TypeError, ValueError):
            raise ConfigError(f"a weight must be a number, not {value!r}") from None
        if not math.isfinite(found):
            raise ConfigError(f"a weight must be a finite number, not {value!r}")
        return found

    def stack(self, name: str) -> Stack:
        """Return what a tensor is in all models."""
        shape = self.entries[name].shape
        parts: list[Rows | LowRank] = []
        for one in self.experts:
            held = one.tensors
            parts.append(held.factors(name, shape) if isinstance(held, Adapter) else held.rows(name))
        return Stack(
            name=name,
            shape=shape,
            base=None if self.base is None else remembered(self.base.rows(name)),
            experts=tuple(parts),
            own=tuple(self.method(name, i) for i in range(len(self.experts))),
            weights=tuple(self.weight(name, i) for i in range(len(self.experts))),
            statistics=tuple(_statistic(one, name) for one in self.experts),
            seed=self.config.seed,
        )

    def sources(self) -> list[Tensors]:
        """Return all that is read from: checkpoints, adapters, statistics."""
        found: dict[int, Tensors] = {} if self.base is None else {id(self.base): self.base}
        for one in self.experts:
            found |= {id(held): held for held in (one.tensors, one.statistics) if held is not None}
        return list(found.values())

    def files(self) -> Iterator[Path]:
        """Yield every file of weights that is read."""
        for source in self.sources():
            yield from source.files

    def digests(self, name: str) -> dict[str, str]:
        """Return the XXH3-128 of a tensor in every file that it is read from by this name."""
        held = [source for source in self.sources() if name in source.entries]
        return {str(source.entries[name].file): source.digest(name) for source in held}

    def digest(self) -> str:
        """Return what names the merge: its settings, and the size and time of every file that is read."""
        files = [(str(file), (state := file.stat()).st_size, state.st_mtime_ns) for file in self.files()]
        tokens = {**self.tokens.digests(), "template": self.tokens.template}
        return digest([self.config.model_dump(mode="json"), files, tokens, self.weights])


def prepare(config: MergeConfig) -> Plan:
    """Open the models of a merge and compare them.

    Raises:
        ConfigError: the settings ask for what the method cannot do.
        ModelError: a model is damaged, or does not fit the others (tensor and file named).
    """
    cls = config.method
    names = [listed.model for listed in config.models]
    bases = {part for name in names if (part := _split(name)[0])} | ({config.base_model} - {None})
    folders = {find_folder(str(one)) for one in bases}
    if len(folders) > 1:
        raise ConfigError(
            "adapters of one merge need one base model", why=f"given: {', '.join(map(str, sorted(folders)))}"
        )
    base = Checkpoint(folders.pop()) if folders else None
    listed = _experts(config, base)
    experts = tuple(_opened(one, base, cls) for one in listed)
    _check_counts(config, len(experts), base)
    has_adapters = any(isinstance(one.tensors, Adapter) for one in experts)
    first = next((one.tensors for one in experts if isinstance(one.tensors, Checkpoint)), None)
    used = base if cls.needs_base or has_adapters else None
    reference = used or first
    if reference is None:
        raise ConfigError("there is no model to merge")
    layers = reference.config.get("num_hidden_layers")
    if config.layers is not None and config.layers != layers:
        raise ConfigError(f"'slices' take {config.layers} layers, the models have {layers}")
    for one in experts:
        if isinstance(one.tensors, Checkpoint):
            _check_fits(one.tensors, reference)
        _check_statistics(one, reference)
    if config.output == "adapter" and not all(isinstance(one.tensors, Adapter) for one in experts):
        raise ConfigError("'output: adapter' needs adapters", why="a model that is whole has no factors")
    voters = {one.listed.model: one.tensors.folder for one in experts}
    tokens = agree(used.folder if used else None, voters, config.tokenizer_source, config.chat_template)
    plan = Plan(config, reference, used, experts, tokens)
    for name in ("", *plan.entries):
        for number in (None, *range(len(experts))):
            plan.method(name, number)
        if not cls.needs_base and not sum(plan.weight(name, i) for i in range(len(experts))):
            raise ConfigError(f"the weights of '{name or 'the experts'}' sum to zero")
    return plan


def _split(model: str) -> tuple[str | None, str]:
    """Return the base and the adapter of `BASE+ADAPTER`; a folder of that very name is a model."""
    left, plus, right = model.partition("+")
    return (left, right) if plus and right and not Path(model).expanduser().is_dir() else (None, model)


def _experts(config: MergeConfig, base: Checkpoint | None) -> list[Listed]:
    """Return the models that are merged: the base is none where deltas from it are merged, and the first of an arc."""
    cls = config.method
    if base is None or config.base_model is None:
        return list(config.models)
    rest = [one for one in config.models if not _is_same(one.model, config.base_model)]
    own = [one for one in config.models if one not in rest]
    if cls.needs_base:
        return rest
    if cls.counts == (2, 2):
        return [*(own or [Listed(model=config.base_model)]), *rest]
    return list(config.models)


def _is_same(one: str, other: str) -> bool:
    return one == other or Path(one).expanduser().resolve() == Path(other).expanduser().resolve()


def _opened(listed: Listed, base: Checkpoint | None, cls: type[Method]) -> Expert:
    name, _, revision = _split(listed.model)[1].partition("@")
    whole = Path(listed.model).expanduser()
    folder = whole if whole.is_dir() else find_folder(name, revision or None)
    statistics = Tensors([_file(listed.statistics)]) if listed.statistics else None
    if cls.statistic and statistics is None:
        raise ConfigError(
            f"{cls.name} needs what was measured of '{listed.model}' on data",
            fix=f"write it with superalign.merging.measure('{cls.statistic}', ...), and name it: statistics: FILE",
        )
    if (folder / ADAPTER).is_file():
        if base is None:
            raise ConfigError(f"the adapter '{listed.model}' needs base_model")
        return Expert(listed, Adapter(folder, base), statistics)
    if base is not None and folder.resolve() == base.folder.resolve():
        return Expert(listed, base, statistics)
    return Expert(listed, Checkpoint(folder), statistics)


def _file(path: str) -> Path:
    file = Path(path).expanduser()
    if not file.is_file():
        raise ConfigError(f"there is no file of statistics '{path}'")
    return file


def _check_counts(config: MergeConfig, count: int, base: Checkpoint | None) -> None:
    cls = config.method
    if cls.needs_base and base is None:
        raise ConfigError(f"{cls.name} needs base_model", why="it merges what experts changed in it")
    least, most = cls.counts
    if count < least or (most is not None and count > most):
        wanted = str(least) if least == most else f"at least {least}"
        raise ConfigError(
            f"{cls.name} merges {wanted} models beside the base"
            if cls.needs_base
            else f"{cls.name} merges {wanted} models",
            why=f"{count} given",
        )


def _check_fits(expert: Checkpoint, reference: Checkpoint) -> None:
    """Refuse a model whose tensors, or what they mean, are not the reference's."""
    if expert is reference:
        return
    where = f"{expert.folder} and {reference.folder}"
    for key in MEANING:
        one, other = expert.config.get(key), reference.config.get(key)
        if one != other and None not in (one, other):
            raise ModelError(f"the models differ in '{key}': {one!r} and {other!r}", where=where)
    for name in sorted(reference.entries.keys() - expert.entries.keys()):
        why = f"{reference.entries[name].file} has it"
        raise ModelError(f"tensor '{name}' is missing", where=str(expert.folder), why=why)
    for name in sorted(expert.entries.keys() - reference.entries.keys()):
        why = f"{reference.folder} has no such tensor"
        raise ModelError(f"tensor '{name}' is one too many", where=str(expert.entries[name].file), why=why)
    for name, entry in expert.entries.items():
        other_entry = reference.entries[name]
        files = f"{entry.file} and {other_entry.file}"
        if entry.shape != other_entry.shape:
            why = f"{list(entry.shape)} and {list(other_entry.shape)}"
            raise ModelError(f"tensor '{name}' has two shapes", where=files, why=why)
        if is_float(entry) != is_float(other_entry) or entry.dtype not in SIZES:
            why = f"{entry.dtype} and {other_entry.dtype}"
            raise ModelError(f"tensor '{name}' cannot be merged", where=files, why=why)
        size = entry.end - entry.begin
        if not is_float(entry) and bytes(expert.raw(name, 0, size)) != bytes(reference.raw(name, 0, size)):
            raise ModelError(f"tensor '{name}' holds whole numbers that differ", where=files)


def _check_statistics(expert: Expert, reference: Checkpoint) -> None:
    if expert.statistics is None:
        return
    for name, entry in expert.statistics.entries.items():
        shape = reference.entries[name].shape if name in reference.entries else None
        if shape is None and name in OUTPUTS:  # of an output matrix that is tied to the embeddings
            continue
        if shape is None or entry.shape not in (shape, (shape[-1], shape[-1])):
            why = f"its shape is {list(entry.shape)}, the model's tensor is {shape}"
            raise ModelError(f"the statistic of tensor '{name}' does not fit", where=str(entry.file), why=why)


def _statistic(expert: Expert, name: str) -> Rows | None:
    held = expert.statistics
    return held.rows(name) if held is not None and name in held.entries else None


def shards(plan: Plan) -> list[list[str]]:
    """Return the names of the tensors of each file that will be written, in order."""
    found: list[list[str]] = [[]]
    held = 0
    for name in sorted(plan.entries):
        size = math.prod(plan.entries[name].shape) * SIZES[plan.dtype(name)]
        if found[-1] and held + size > plan.config.shard_size * GB:
            found.append([])
            held = 0
        found[-1].append(name)
        held += size
    return found


def lines(plan: Plan) -> Iterator[str]:
    """Yield lines that say what a merge will do."""
    files = shards(plan)
    written = sum(math.prod(entry.shape) * SIZES[plan.dtype(name)] for name, entry in plan.entries.items())
    read = sum(file.stat().st_size for file in plan.files())
    copied = sum(plan.is_copied(name) for name in plan.entries)
    yield f"{plan.method()}: {len(plan.experts)} experts, {len(plan.entries)} tensors, {copied} of them copied"
    yield f"  base    {plan.base.folder if plan.base else 'none'}"
    for number, one in enumerate(plan.experts):
        kind = "adapter" if isinstance(one.tensors, Adapter) else "model"
        own = {key: one.listed.parameters.get(key) for key in one.listed.parameters}
        yield f"  expert  {one.listed.model} ({kind}){f' {own}' if own else ''}, draws as number {number}"
    yield f"  tokens  {plan.tokens.folder or 'none'}"
    yield f"  reads {read / GB:.2f} GB, writes {written / GB:.2f} GB in {len(files)} file{'s' * (len(files) > 1)}"
    largest = max((footprint(plan, name) for name in plan.entries), default=0)
    yield f"  holds at most {max(largest, int(plan.config.memory * GB)) / GB:.2f} GB of tensors at a time"


def footprint(plan: Plan, name: str) -> int:
    """Return about how many bytes are held while a tensor is merged."""
    shape: tuple[Any, ...] = plan.entries[name].shape
    rows, columns = (shape[0], math.prod(shape[1:])) if len(shape) > 1 else (1, math.prod(shape))
    return plan.method(name).footprint(rows, columns, len(plan.experts)) if not plan.is_copied(name) else 1 << 20
