"""What is measured of a model on texts, against sums made by hand, and merges that read it."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
import references as formula
import torch
from safetensors.numpy import load_file, save_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from superalign.errors import ConfigError, ModelError
from superalign.merging import measure, merge

TEXTS = ["The city of Paris is in France.", "Is the river long? Yes, the river is very long.", "x"]
LAYER = "model.layers.1.mlp.up_proj.weight"


@pytest.fixture
def pair(tiny, tmp_path):
    """Two models that differ."""
    folders = []
    for number in (1, 2):
        folder = tmp_path / f"expert{number}"
        shutil.copytree(tiny("llama"), folder)
        held = load_file(folder / "model.safetensors")
        draw = np.random.default_rng(number)
        changed = {
            name: value + 0.01 * draw.standard_normal(value.shape).astype(value.dtype) for name, value in held.items()
        }
        save_file(changed, folder / "model.safetensors")
        folders.append(folder)
    return folders


def test_fisher_is_the_mean_of_squared_slopes(pair, tmp_path):
    found = load_file(measure("fisher", pair[0], TEXTS, tmp_path / "fisher.safetensors"))
    model, tokenizer = AutoModelForCausalLM.from_pretrained(pair[0]), AutoTokenizer.from_pretrained(pair[0])
    weight = dict(model.named_parameters())[LAYER]
    wanted = torch.zeros_like(weight)
    for text in TEXTS[:2]:  # the last one has one token, of which nothing is predicted
        ids = torch.tensor([tokenizer(text)["input_ids"]])
        logprobs = model(ids).logits[0, :-1].log_softmax(-1)
        (slope,) = torch.autograd.grad(logprobs.gather(1, ids[0, 1:, None]).sum(), weight)
        wanted += slope**2 / 2
    np.testing.assert_allclose(found[LAYER], wanted.detach().numpy(), rtol=1e-3, atol=1e-8)


def test_gram_is_of_the_inputs_of_each_linear_layer(pair, tmp_path):
    found = load_file(measure("gram", pair[0], TEXTS, tmp_path / "gram.safetensors"))
    model, tokenizer = AutoModelForCausalLM.from_pretrained(pair[0]), AutoTokenizer.from_pretrained(pair[0])
    wanted = 0
    for text in TEXTS[:2]:
        ids = torch.tensor([tokenizer(text)["input_ids"]])
        states = model.model(ids, output_hidden_states=True).last_hidden_state[0]
        wanted = wanted + states.T @ states
    np.testing.assert_allclose(found["lm_head.weight"], wanted.detach().numpy(), rtol=1e-3, atol=1e-4)
    assert found[LAYER].shape == (32, 32)


@pytest.mark.parametrize(("method", "statistic"), [("fisher", "fisher"), ("regmean", "gram")])
def test_merges_read_it(pair, tmp_path, method, statistic):
    files = [measure(statistic, one, TEXTS, tmp_path / f"{one.name}.safetensors") for one in pair]
    models = [{"model": str(one), "statistics": str(file)} for one, file in zip(pair, files, strict=True)]
    out = merge({"merge_method": method, "models": models}, tmp_path / "out")
    found = load_file(out / "model.safetensors")[LAYER]
    tensors = [load_file(one / "model.safetensors")[LAYER] for one in pair]
    known = [load_file(file)[LAYER] for file in files]
    if method == "fisher":
        wanted = formula.fisher(tensors, [1, 1], [np.maximum(one, 1e-6) for one in known])
        np.testing.assert_allclose(found, wanted, rtol=1e-3, atol=1e-5)
    else:  # the inputs do not fill the space, so that the ridge matters: the residual is that of the better of both

        def residual(weight):
            return sum(np.trace((weight - w) @ g @ (weight - w).T) for w, g in zip(tensors, known, strict=True))

        assert residual(found) < residual(np.mean(tensors, axis=0))


def test_statistics_that_do_not_fit_are_named(pair, tmp_path):
    file = tmp_path / "fisher.safetensors"
    save_file({LAYER: np.ones((3, 4), np.float32)}, file)
    models = [{"model": str(one), "statistics": str(file)} for one in pair]
    with pytest.raises(ModelError, match=r"statistic of tensor 'model.layers.1.mlp.up_proj.weight'") as caught:
        merge({"merge_method": "fisher", "models": models}, tmp_path / "out")
    assert str(file) in str(caught.value)


def test_nothing_to_measure_on(pair, tmp_path):
    for texts in ([], ["x"]):
        with pytest.raises(ConfigError):
            measure("gram", pair[0], texts, tmp_path / "gram.safetensors")


def test_tied_embeddings_stay_tied(pair, tmp_path):
    out = merge({"merge_method": "linear", "models": [str(one) for one in pair]}, tmp_path / "out")
    assert json.loads((out / "config.json").read_text())["tie_word_embeddings"]
    model = AutoModelForCausalLM.from_pretrained(out)
    assert model.lm_head.weight is model.model.embed_tokens.weight
    halves = [AutoModelForCausalLM.from_pretrained(one).model.norm.weight for one in pair]
    torch.testing.assert_close(model.model.norm.weight, (halves[0] + halves[1]) / 2)
