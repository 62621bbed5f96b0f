"""The feature bank: hidden states are computed once a model, layer and text, ever."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from superalign.config import digest
from superalign.fit import Report
from superalign.model import Model, Progress
from superalign.store import Artifact, Store
from superalign.task import Task, Text

FloatArray = npt.NDArray[np.float32]
SHARD = 512  # texts written at once: what a kill can cost


@dataclass(frozen=True)
class Looked:
    """Features of the texts asked for.

    Args:
        layers: for each layer, float32 [n, d].
        truncated: how many of the distinct texts were cut at the model's length limit.
        tokens: real tokens of the distinct texts.
        computed: how many distinct texts were not in the bank before.
    """

    layers: dict[int, FloatArray]
    truncated: int
    tokens: int
    computed: int


class FeatureBank:
    """Hidden states of one model, in shards of the store.

    The texts of a request are cut into the same shards whatever the bank already holds, so that a request that was
    killed and made again computes the same batches, hence the same numbers.
    """

    def __init__(self, store: Store, model: Model) -> None:
        self.model = model
        self.store = Store(store.root / "features" / model.fingerprint()[:32])
        self.store.sweep()
        self.notices = self.store.notices
        self.held: dict[str, dict[int, tuple[str, int]]] = {}  # text name -> layer -> (shard, row)
        self.facts: dict[str, tuple[bool, int]] = {}  # text name -> (truncated, tokens)
        for key in list(self.store):
            self._index(key)

    def features(self, texts: Sequence[Text], layers: Sequence[int], progress: Progress | None = None) -> Looked:
        """Return the features of `texts`, computing and keeping those that are missing."""
        names = [_name(text) for text in texts]
        distinct = dict(zip(names, texts, strict=True))
        ordered = sorted(distinct, key=lambda name: (_length(distinct[name]), name))
        computed = tokens = done = 0
        for start in range(0, len(ordered), SHARD):
            shard = ordered[start : start + SHARD]
            missing = [name for name in shard if not set(layers) <= set(self.held.get(name, {}))]
            if missing:
                tokens += self._compute([(name, distinct[name]) for name in missing], layers)
                computed += len(missing)
            done += len(shard)
            if progress:
                progress(done, len(ordered), tokens)
        try:
            values = {layer: self._gather(names, layer) for layer in layers}
        except _DamagedShardError:
            return self.features(texts, layers, progress)
        facts = [self.facts[name] for name in distinct]
        return Looked(values, sum(cut for cut, _ in facts), sum(n for _, n in facts), computed)

    def _compute(self, named: list[tuple[str, Text]], layers: Sequence[int]) -> int:
        result = self.model.features([text for _, text in named], layers)
        names = [name for name, _ in named]
        key = digest([sorted(layers), names])
        meta = {
            "names": names,
            "layers": sorted(layers),
            "truncated": [bool(cut) for cut in result.truncated],
            "tokens": [int(n) for n in result.tokens],
        }
        self.store.save(
            key,
            Artifact({str(layer): result.layers[layer] for layer in layers}, meta),
            {"model": str(self.model)},
        )
        self._index(key)
        return int(sum(result.tokens))

    def _index(self, key: str) -> None:
        record = self.store.record(key)
        if record is None:
            return
        meta = record["meta"]
        for row, (name, cut, tokens) in enumerate(zip(meta["names"], meta["truncated"], meta["tokens"], strict=True)):
            self.facts[name] = (cut, tokens)
            places = self.held.setdefault(name, {})
            for layer in meta["layers"]:
                places.setdefault(layer, (key, row))

    def _gather(self, names: list[str], layer: int) -> FloatArray:
        wanted: dict[str, list[tuple[int, int]]] = {}
        for position, name in enumerate(names):
            shard, row = self.held[name][layer]
            wanted.setdefault(shard, []).append((position, row))
        out: FloatArray | None = None
        for shard, rows in wanted.items():
            artifact = self.store.load(shard, only={str(layer)})
            if artifact is None:
                self._forget(shard)
                raise _DamagedShardError
            values = artifact.tensors[str(layer)]
            if out is None:
                out = np.empty((len(names), values.shape[1]), dtype=np.float32)
            positions, places = np.array(rows).T
            out[positions] = values[places]
        return out if out is not None else np.empty((0, 0), dtype=np.float32)

    def _forget(self, shard: str) -> None:
        for places in self.held.values():
            for layer in [layer for layer, (key, _) in places.items() if key == shard]:
                del places[layer]


def look(model: Model, texts: Sequence[Text], layers: Sequence[int], store: Store, report: Report) -> Looked:
    """Return the features of texts from the model's bank, and tell `report` of progress and notices."""
    bank = FeatureBank(store, model)
    looked = bank.features(texts, layers, lambda done, total, tokens: report(done=done, total=total, tokens=tokens))
    for notice in bank.notices:
        report(note=notice)
    return looked


def item_features(model: Model, task: Task, store: Store, report: Report) -> FloatArray:
    """Return one row an item at the model's chosen layer, float32 [n, d]; see Task.by_item."""
    layer = model.chosen_layer()
    return task.by_item(look(model, task.texts(), [layer], store, report).layers[layer])


class _DamagedShardError(Exception):
    pass


def _length(text: Text) -> int:
    return len(text.prompt) + len(text.response or "")


def _name(text: Text) -> str:
    encoded = repr((text.prompt, text.response)).encode("utf-8", "surrogatepass")
    return hashlib.sha256(encoded).hexdigest()[:32]
