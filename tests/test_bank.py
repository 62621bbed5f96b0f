"""The bank computes a text once, ends with the same numbers after a kill, and mends what was damaged."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import Field

from superalign import bank as bank_module
from superalign.bank import FeatureBank, Looked
from superalign.model import Features, Progress
from superalign.models.hf import HuggingFace
from superalign.store import TENSORS, Store
from superalign.task import Text

Tiny = Callable[[str], Path]
TEXTS = [Text(f"The city of number {n} is in " + "Peru " * (n % 7)) for n in range(25)]
SHARD = 8


class Watched(HuggingFace):
    """A real model that remembers what it was asked and can be stopped."""

    asked: list[list[Text]] = Field(default_factory=list)
    stop_after: int = 10**6

    def features(self, texts: Sequence[Text], layers: Sequence[int], progress: Progress | None = None) -> Features:
        if len(self.asked) == self.stop_after:
            raise KeyboardInterrupt
        self.asked.append(list(texts))
        return super().features(texts, layers, progress)


@pytest.fixture(autouse=True)
def _small_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bank_module, "SHARD", SHARD)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


def watched(tiny: Tiny, **settings: Any) -> Watched:
    return Watched(path=str(tiny("llama")), dtype="bf16", **settings)


def numbers(looked: Looked) -> dict[int, list[Any]]:
    return {layer: values.tolist() for layer, values in looked.layers.items()}


def test_rows_are_the_models_in_the_order_asked(tiny: Tiny, store: Store) -> None:
    model = watched(tiny, pooling="mean")
    looked = FeatureBank(store, model).features(TEXTS, [1, 2])
    alone = [model.features([text], [1, 2]) for text in TEXTS]
    for layer in (1, 2):
        expected = np.concatenate([one.layers[layer] for one in alone])
        np.testing.assert_allclose(looked.layers[layer], expected, rtol=0.02, atol=0.02)
    assert looked.tokens == sum(one.tokens[0] for one in alone)
    assert (looked.computed, looked.truncated) == (len(TEXTS), 0)


def test_equal_texts_are_computed_once(tiny: Tiny, store: Store) -> None:
    model = watched(tiny)
    looked = FeatureBank(store, model).features([TEXTS[0], TEXTS[1], TEXTS[0]], [2])
    assert sum(map(len, model.asked)) == 2 == looked.computed
    assert looked.layers[2].shape[0] == 3
    assert looked.layers[2][0].tolist() == looked.layers[2][2].tolist()


def test_prompt_with_response_is_not_the_joined_text(tiny: Tiny, store: Store) -> None:
    texts = [Text("ab", "c"), Text("a", "bc"), Text("abc"), Text("abc", "")]
    assert FeatureBank(store, watched(tiny)).features(texts, [1]).computed == 4


def test_only_missing_texts_and_layers_are_computed(tiny: Tiny, store: Store) -> None:
    first = FeatureBank(store, watched(tiny)).features(TEXTS[:10], [2])
    model = watched(tiny)
    again = FeatureBank(store, model).features(TEXTS[:10], [2])
    assert model.asked == []
    assert (again.computed, again.tokens) == (0, first.tokens)
    assert numbers(again) == numbers(first)
    more = FeatureBank(store, model).features(TEXTS, [2])
    assert sorted(text for asked in model.asked for text in asked) == sorted(TEXTS[10:])
    assert more.layers[2][:10].tolist() == first.layers[2].tolist()
    model.asked.clear()
    FeatureBank(store, model).features(TEXTS[:10], [1, 2])
    assert sum(map(len, model.asked)) == 10


def test_other_settings_do_not_share_features(tiny: Tiny, store: Store) -> None:
    FeatureBank(store, watched(tiny)).features(TEXTS[:3], [2])
    other = watched(tiny, pooling="mean")
    assert FeatureBank(store, other).features(TEXTS[:3], [2]).computed == 3
    same = watched(tiny, layer=2, batch_tokens=9)
    assert FeatureBank(store, same).features(TEXTS[:3], [2]).computed == 0


def test_killed_in_the_middle_and_asked_again_gives_the_same_numbers(tiny: Tiny, tmp_path: Path) -> None:
    whole = FeatureBank(Store(tmp_path / "whole"), watched(tiny)).features(TEXTS, [2])
    store = Store(tmp_path / "killed")
    stopped = watched(tiny, stop_after=2)
    with pytest.raises(KeyboardInterrupt):
        FeatureBank(store, stopped).features(TEXTS, [2])
    model = watched(tiny)
    resumed = FeatureBank(store, model).features(TEXTS, [2])
    assert sum(map(len, model.asked)) == len(TEXTS) - 2 * SHARD == resumed.computed
    assert numbers(resumed) == numbers(whole)
    assert (resumed.tokens, resumed.truncated) == (whole.tokens, whole.truncated)


def test_flipped_bit_is_seen_and_computed_again(tiny: Tiny, store: Store) -> None:
    first = FeatureBank(store, watched(tiny)).features(TEXTS, [2])
    damaged = sorted(store.root.rglob(TENSORS))[0]
    data = bytearray(damaged.read_bytes())
    data[-3] ^= 1
    damaged.write_bytes(data)
    bank = FeatureBank(store, watched(tiny))
    mended = bank.features(TEXTS, [2])
    assert 1 <= mended.computed <= SHARD
    assert ["is damaged" in notice for notice in bank.notices] == [True]
    assert numbers(mended) == numbers(first)
    assert FeatureBank(store, watched(tiny)).features(TEXTS, [2]).computed == 0


def test_lost_shard_is_computed_again(tiny: Tiny, store: Store) -> None:
    import shutil

    first = FeatureBank(store, watched(tiny)).features(TEXTS, [1, 2])
    bank = FeatureBank(store, watched(tiny))
    shutil.rmtree(sorted(store.root.rglob(TENSORS))[0].parent)  # after the bank was indexed
    again = bank.features(TEXTS, [1, 2])
    assert 1 <= again.computed <= SHARD
    assert numbers(again) == numbers(first)


def test_cut_texts_are_counted_once_each(tiny: Tiny, store: Store) -> None:
    model = watched(tiny, max_tokens=8)
    long = Text("one two three four five six seven eight nine ten")
    assert FeatureBank(store, model).features([long, long, Text("x")], [1]).truncated == 1
    assert FeatureBank(store, model).features([long, Text("y")], [1]).truncated == 1


def test_progress_reaches_the_end(tiny: Tiny, store: Store) -> None:
    told: list[tuple[int, int, int]] = []
    looked = FeatureBank(store, watched(tiny)).features(TEXTS, [1], lambda *facts: told.append(facts))
    assert told[-1] == (len(TEXTS), len(TEXTS), looked.tokens)
    assert [done for done, _, _ in told] == [8, 16, 24, 25]


def test_no_texts(tiny: Tiny, store: Store) -> None:
    looked = FeatureBank(store, watched(tiny)).features([], [1])
    assert (looked.computed, looked.tokens, len(looked.layers[1])) == (0, 0, 0)
