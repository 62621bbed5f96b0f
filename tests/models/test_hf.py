"""Features of small local checkpoints against the whole model, one text at a time."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from checkpoints import ARCHITECTURES, LAYERS, WIDTH, save_checkpoint
from superalign.errors import ConfigError, ModelError
from superalign.model import models
from superalign.models._forward import pad
from superalign.models._trunk import load_trunk
from superalign.models.hf import HuggingFace
from superalign.task import Text

Tiny = Callable[[str], Path]
TEXTS = [
    Text("The city of Paris is in France!"),
    Text("!!! ! <pad> [PAD] !"),  # token 0 of every tokenizer here, and the pad token in words
    Text("x"),
    Text("Is the river long?", "Yes, it is very long."),
    Text(""),
    Text("The city of Lima is in Peru!"),
]
CAUSAL = tuple(name for name in ARCHITECTURES if name != "bert")


def hf(folder: Path, **settings: Any) -> HuggingFace:
    return HuggingFace(path=str(folder), **{"dtype": "fp32", "chat": "never", **settings})


def naive(folder: Path, texts: Sequence[Text], layer: int, pooling: str) -> Any:
    """One text at a time through the whole model, as transformers computes its hidden states."""
    import torch
    from transformers import AutoModel, AutoTokenizer

    whole, tokenizer = AutoModel.from_pretrained(folder).eval(), AutoTokenizer.from_pretrained(folder)
    rows = []
    for text in texts:
        ids = tokenizer("\n".join(part for part in text if part))["input_ids"] or [tokenizer.bos_token_id]
        with torch.no_grad():
            states = whole(input_ids=torch.tensor([ids]), output_hidden_states=True).hidden_states[layer][0]
        rows.append(states[-1] if pooling == "last" else states.mean(0))
    return torch.stack(rows).numpy()


@pytest.mark.parametrize("pooling", ["last", "mean"])
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_every_layer_is_the_whole_models_hidden_state(tiny: Tiny, architecture: str, pooling: str) -> None:
    model = hf(tiny(architecture), pooling=pooling, batch_tokens=40)
    together = model.features(TEXTS, range(LAYERS + 1))
    for layer in range(LAYERS + 1):
        expected = naive(tiny(architecture), TEXTS, layer, pooling)
        alone = model.features(TEXTS, [layer]).layers[layer]  # truncated at that layer
        np.testing.assert_allclose(alone, expected, atol=2e-5)
        np.testing.assert_allclose(together.layers[layer], expected, atol=2e-5)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("layer", [0, 1, LAYERS])
def test_trunk_holds_no_layer_above(tiny: Tiny, architecture: str, layer: int) -> None:
    trunk = load_trunk(tiny(architecture), layer, "fp32", "cpu")
    whole = load_trunk(tiny(architecture), LAYERS, "fp32", "cpu")

    def size(module: Any) -> int:
        return sum(parameter.numel() for parameter in module.parameters())

    assert trunk.depth == layer
    blocks = sum(size(block) for block in whole.blocks[:layer])
    closing = size(whole.module) - size(whole.blocks) - _embeddings(whole.module)
    assert size(trunk.module) == _embeddings(whole.module) + blocks + (closing if layer == LAYERS else 0)


def _embeddings(module: Any) -> int:
    from torch import nn

    inside = [child for child in module.modules() if isinstance(child, nn.Embedding)]
    norms = [child for name, child in module.named_modules() if name == "embeddings.LayerNorm"]
    return sum(parameter.numel() for child in [*inside, *norms] for parameter in child.parameters())


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_features_do_not_depend_on_company_or_order(tiny: Tiny, architecture: str) -> None:
    many = TEXTS * 3
    one_batch = hf(tiny(architecture), batch_tokens=10_000).features(many, [LAYERS]).layers[LAYERS]
    reversed_small = hf(tiny(architecture), batch_tokens=1).features(many[::-1], [LAYERS]).layers[LAYERS][::-1]
    np.testing.assert_allclose(one_batch, reversed_small, atol=2e-5)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("layer", [0, 2, LAYERS])
def test_backbone_gives_the_features(tiny: Tiny, architecture: str, layer: int) -> None:
    import torch

    model = hf(tiny(architecture), layer=layer)
    backbone = model.backbone()
    ids, cut = backbone.tokenize(TEXTS)
    x, mask = pad(ids, backbone.pad_id)
    with torch.no_grad():
        pooled = backbone.pool(backbone.module.eval()(input_ids=x, attention_mask=mask).last_hidden_state, mask)
    assert cut == 0
    assert backbone.width == WIDTH == pooled.shape[1]
    np.testing.assert_allclose(pooled.numpy(), model.features(TEXTS, [layer]).layers[layer], atol=2e-5)


def test_backbone_is_fresh_and_every_parameter_gets_a_gradient(tiny: Tiny) -> None:
    import torch

    model = hf(tiny("llama"), layer=2)
    first, second = model.backbone().module, model.backbone().module
    first(input_ids=torch.tensor([[5, 6, 7]])).last_hidden_state.pow(2).sum().backward()
    unused = [name for name, parameter in first.named_parameters() if parameter.grad is None]
    assert unused == []
    assert all(parameter.grad is None for parameter in second.parameters())


@pytest.mark.parametrize("architecture", CAUSAL)
def test_defaults_of_a_causal_model(tiny: Tiny, architecture: str) -> None:
    model = HuggingFace(path=str(tiny(architecture)), dtype="fp32")
    assert (model.depth(), model.chosen_layer()) == (LAYERS, 2)  # round(0.6 * 3)
    expected = naive(tiny(architecture), TEXTS[:2], 2, "last")
    np.testing.assert_allclose(model.features(TEXTS[:2], [2]).layers[2], expected, atol=2e-5)


def test_defaults_of_an_encoder(tiny: Tiny) -> None:
    model = HuggingFace(path=str(tiny("bert")), dtype="fp32")
    assert model.chosen_layer() == LAYERS
    expected = naive(tiny("bert"), TEXTS, LAYERS, "mean")
    np.testing.assert_allclose(model.features(TEXTS, [LAYERS]).layers[LAYERS], expected, atol=2e-5)


def test_negative_layers_count_from_the_top(tiny: Tiny) -> None:
    model = hf(tiny("gpt2"), layer=-1)
    assert model.chosen_layer() == LAYERS
    found = model.features(TEXTS, [-1, LAYERS]).layers
    np.testing.assert_array_equal(found[-1], found[LAYERS])
    with pytest.raises(ModelError, match="has layers 0 to 3, not 4"):
        model.features(TEXTS, [4])


def test_bf16_is_close_to_fp32(tiny: Tiny) -> None:
    for architecture in ARCHITECTURES:
        exact = hf(tiny(architecture)).features(TEXTS, [LAYERS]).layers[LAYERS]
        rounded = hf(tiny(architecture), dtype="bf16").features(TEXTS, [LAYERS]).layers[LAYERS]
        assert rounded.dtype == np.float32
        assert np.abs(exact - rounded).max() < 0.1 * np.abs(exact).max()


def test_long_texts_are_cut_and_counted(tiny: Tiny) -> None:
    model = hf(tiny("llama"), max_tokens=8)
    long = "one two three four five six seven eight nine ten " * 3
    found = model.features([Text(long), Text("x"), Text(long, "the end")], [1])
    assert list(found.truncated) == [True, False, True]
    assert list(found.tokens) == [8, 1, 8]
    other_start, other_end = "ten " + long, long + "the end"
    plain = model.features([Text(long), Text(other_end), Text(other_start)], [1]).layers[1]
    np.testing.assert_allclose(plain[0], plain[1], atol=1e-6)  # a plain text loses its end
    assert not np.allclose(plain[0], plain[2])
    answered = model.features([Text(long, "the end"), Text(other_start, "the end")], [1]).layers[1]
    np.testing.assert_allclose(answered[0], answered[1], atol=1e-6)  # an answered prompt loses its beginning


def test_limit_of_the_model_is_kept(tiny: Tiny) -> None:
    very_long = Text("one two three " * 200)
    found = hf(tiny("gpt2")).features([very_long], [1])
    assert (list(found.truncated), list(found.tokens)) == ([True], [128])
    with pytest.raises(ModelError, match="at most 128 tokens, not 129"):
        hf(tiny("gpt2"), max_tokens=129).features([very_long], [1])


def test_no_texts_no_rows(tiny: Tiny) -> None:
    found = hf(tiny("llama")).features([], [2])
    assert found.layers[2].shape == (0, WIDTH)


def test_progress_is_told(tiny: Tiny) -> None:
    told: list[tuple[int, int, int]] = []
    found = hf(tiny("llama"), batch_tokens=8).features(TEXTS, [1], lambda *facts: told.append(facts))
    assert [done for done, _, _ in told] == sorted(done for done, _, _ in told)
    assert told[-1] == (len(TEXTS), len(TEXTS), sum(found.tokens))


def test_fingerprint_changes_with_what_decides_the_features(tiny: Tiny, tmp_path: Path) -> None:
    folder = tiny("llama")
    base = hf(folder).fingerprint()
    for settings in ({"pooling": "mean"}, {"max_tokens": 16}, {"dtype": "bf16"}, {"chat": "auto"}):
        assert hf(folder, **settings).fingerprint() != base, settings
    for settings in ({"layer": 1}, {"batch_tokens": 7}, {"pooling": "last"}, {"max_tokens": 128}):
        assert hf(folder, **settings).fingerprint() == base, settings
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    assert hf(copy).fingerprint() == base
    (copy / "tokenizer_config.json").write_text((copy / "tokenizer_config.json").read_text() + "\n")
    assert hf(copy).fingerprint() != base
    save_checkpoint("llama", tmp_path / "other", seed=1)
    assert hf(tmp_path / "other").fingerprint() != base


def test_changed_weights_are_read_again(tmp_path: Path) -> None:
    save_checkpoint("llama", tmp_path / "model")
    before = hf(tmp_path / "model").features(TEXTS, [2]).layers[2]
    save_checkpoint("llama", tmp_path / "model", seed=1)
    after = hf(tmp_path / "model").features(TEXTS, [2]).layers[2]
    assert not np.allclose(before, after)


def test_written_and_read_back_as_text(tiny: Tiny) -> None:
    model = models.build(f"hf:{tiny('llama')},layer=-1,pooling=mean,dtype=fp32")
    assert models.build(str(model)) == model
    assert models.build(model.spec()) == model


def test_unknown_setting_is_named() -> None:
    with pytest.raises(ConfigError, match="unknown setting 'poling'") as caught:
        models.build("hf:folder,poling=mean")
    assert "pooling" in str(caught.value)
