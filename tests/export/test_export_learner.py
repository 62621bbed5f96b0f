"""What is exported and loaded by plain peft and transformers says what the learner said."""

from __future__ import annotations

import json
import shutil
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
import yaml
from peft import PeftModel
from safetensors.torch import load_file

from superalign.errors import ConfigError, ModelError, ResumeError, StoreError
from superalign.export import export_learner
from superalign.export.choose import Chosen, choose
from superalign.models.hf import HuggingFace
from superalign.policy import Answers
from superalign.steps import part_of
from superalign.store import Store, home
from superalign.task import Task
from test_policy import plain_logprobs

pytestmark = pytest.mark.slow
FAST = "lr=3e-3,epochs=3,batch=8,schedule=constant,keep=true"
TOLERANCE = 2e-5


class Learnt:
    """A learner of a run: what it says of the test items, as the store has it."""

    def __init__(self, run: Path, **which: Any) -> None:
        store = Store()
        self.chosen: Chosen = choose(run, **which)
        items, said = store.load(self.chosen.items.key), store.load(self.chosen.job.key)
        assert items
        assert said
        self.task = Task.from_meta(items.meta)
        shares, seed = tuple(self.chosen.job.params["shares"]), self.chosen.seed
        self.rows = part_of(self.task, shares, seed, "test")
        self.probs = said.tensors["probs"][self.chosen.row][self.rows]
        assert np.ptp(self.probs[:, 0]) > 0.01  # else nothing would be seen
        assert isinstance(self.chosen.model, HuggingFace)
        self.folder = Path(self.chosen.model.path)
        self.texts = self.task.texts(self.rows)

    def inputs(self) -> list[dict[str, torch.Tensor]]:
        ids, _ = self.chosen.model.backbone().tokenize(self.texts)
        return [{"input_ids": torch.tensor([row]), "attention_mask": torch.ones(1, len(row), dtype=int)} for row in ids]

    def answers(self) -> Answers:
        voice = self.chosen.model.backbone().voice
        assert voice
        return Answers.of(self.task, self.rows, voice())

    def close_to(self, logits: torch.Tensor) -> None:
        """Compare with logits of every text."""
        if logits.shape[1] == 1:
            logits = logits.view(-1, 2)
        np.testing.assert_allclose(logits.softmax(-1).numpy(), self.probs, atol=TOLERANCE)


def base(kind: str, folder: Path, **settings: Any) -> Any:
    return getattr(transformers, kind).from_pretrained(folder, dtype=torch.float32, **settings).eval()


@pytest.mark.parametrize("architecture", ["llama", "gpt_neox", "gpt2", "gemma3"])
def test_an_adapter_of_a_policy_loads_with_peft(ran, tmp_path, architecture):
    run = ran(architecture, f"lora,read=policy,{FAST}", "pairs")
    export_learner(run, tmp_path / "out")
    learnt = Learnt(run)
    answers = learnt.answers()
    with torch.inference_mode():
        before = plain_logprobs(learnt.folder, answers)
        loaded = PeftModel.from_pretrained(base("AutoModelForCausalLM", learnt.folder), tmp_path / "out").eval()
        after = plain_logprobs(learnt.folder, answers, loaded)
    learnt.close_to(0.1 * (after - before))


@pytest.mark.parametrize("architecture", ["llama", "gpt_neox", "gpt2"])
@pytest.mark.parametrize("kind", ["pairs", "texts"])
def test_an_adapter_with_a_head_loads_as_a_classifier(ran, tmp_path, architecture, kind):
    run = ran(architecture, f"lora,{FAST}", kind)
    export_learner(run, tmp_path / "out")
    learnt = Learnt(run)
    outputs = 1 if kind == "pairs" else 4
    whole = base("AutoModelForSequenceClassification", learnt.folder, num_labels=outputs)
    loaded = PeftModel.from_pretrained(whole, tmp_path / "out").eval()
    with torch.inference_mode():
        learnt.close_to(torch.cat([loaded(**one).logits for one in learnt.inputs()]))


@pytest.mark.parametrize(("architecture", "strong"), [("bert", ""), ("llama", ",pooling=mean"), ("gpt2", ",layer=2")])
@pytest.mark.parametrize("fit", ["lora", "full"])
def test_what_transformers_has_no_classifier_for_has_its_head_beside_it(ran, tmp_path, architecture, strong, fit):
    run = ran(architecture, f"{fit},{FAST}", "texts", strong)
    export_learner(run, tmp_path / "out")
    learnt = Learnt(run)
    if fit == "lora":
        loaded = PeftModel.from_pretrained(base("AutoModel", learnt.folder), tmp_path / "out").eval()
    else:
        loaded = base("AutoModel", tmp_path / "out")
    reads = json.loads((tmp_path / "out" / "superalign.json").read_text())["reads"]
    head = load_file(tmp_path / "out" / "head.safetensors")["weight"]
    logits = []
    with torch.inference_mode():
        for one in learnt.inputs():
            hidden = loaded(**one, output_hidden_states=True).hidden_states[reads["layer"]].float()
            pooled = hidden[:, -1] if reads["pooling"] == "last" else hidden.mean(1)
            logits.append(pooled @ head.T)
    learnt.close_to(torch.cat(logits))
    card = (tmp_path / "out" / "README.md").read_text()
    assert f"hidden_states[{reads['layer']}]" in card
    assert "head.safetensors" in card
    compile(card.split("```")[1].removeprefix("python"), "card", "exec")


@pytest.mark.parametrize("architecture", ["llama", "gpt_neox", "gpt2"])
@pytest.mark.parametrize("read", ["policy", "head"])
def test_a_full_model_loads_with_transformers(ran, tmp_path, architecture, read):
    run = ran(architecture, f"full,read={read},{FAST.replace('3e-3', '1e-3')}", "pairs")
    export_learner(run, tmp_path / "out")
    learnt, out = Learnt(run), tmp_path / "out"
    with torch.inference_mode():
        if read == "head":
            loaded = base("AutoModelForSequenceClassification", out)
            learnt.close_to(torch.cat([loaded(**one).logits for one in learnt.inputs()]))
        else:
            answers = learnt.answers()
            before, after = (plain_logprobs(folder, answers) for folder in (learnt.folder, out))
            learnt.close_to(0.1 * (after - before))
    ours = HuggingFace(path=str(out), dtype="fp32").backbone().tokenize(learnt.texts)
    assert ours == learnt.chosen.model.backbone().tokenize(learnt.texts)  # its tokenizer came along


@pytest.mark.parametrize("kind", ["pairs", "texts"])
def test_the_head_of_a_probe_is_exported_whether_asked_to_keep_or_not(ran, tmp_path, kind):
    run = ran("llama", "probe", kind)
    export_learner(run, tmp_path / "out")
    learnt, head = Learnt(run), load_file(tmp_path / "out" / "head.safetensors")
    model = learnt.chosen.model
    layer = model.chosen_layer()
    values = model.features(learnt.texts, [layer]).layers[layer].astype(np.float64)
    if kind == "pairs":
        values = values[1::2] - values[::2]
    logits = torch.from_numpy(values) @ head["weight"].T + head["bias"]
    if kind == "pairs":
        logits = torch.cat([-logits / 2, logits / 2], 1)
    learnt.close_to(logits)


def test_the_manifest_and_the_card_say_what_it_is(ran, tmp_path):
    run = ran("llama", f"lora,read=policy,{FAST}", "pairs", methods=("naive", "dr-dpo"))
    out = export_learner(run, tmp_path / "out", method="dr-dpo")
    manifest = json.loads((out / "superalign.json").read_text())
    chosen = choose(run, method="dr-dpo")
    assert (manifest["what"], manifest["seed"], manifest["objective"]["name"]) == ("adapter", 0, "dr-dpo")
    assert manifest["base"]["fingerprint"] == chosen.model.fingerprint()
    assert manifest["labels"]["by"] == "WeakSupervisor"
    assert manifest["versions"]["superalign"]
    files = {file.name for file in out.iterdir()} - {"superalign.json"}
    assert manifest["files"] == {name: sha256((out / name).read_bytes()).hexdigest() for name in sorted(files)}
    _, front, body = (out / "README.md").read_text().split("---\n", 2)
    facts = yaml.safe_load(front)
    assert facts["base_model"] == chosen.model.path
    assert facts["library_name"] == "peft"
    assert facts["pipeline_tag"] == "text-generation"
    assert "superalign" in facts["tags"]
    result = json.loads((run / "results.json").read_text())
    row = next(row for row in result["rows"] if (row["role"], row["method"]) == ("student", "dr-dpo"))
    assert f"{row['accuracy']:.1%} ({row['correct']:,} of {row['n']:,})" in body
    assert "| **student dr-dpo** |" in body
    assert "student naive" not in body
    assert "Performance gap recovered: " in body
    config = yaml.safe_load(body.partition("Its whole configuration:\n")[2])
    assert config == result["config"]


def test_it_must_be_said_which_learner_and_it_must_have_been_kept(ran, tmp_path):
    run = ran("llama", f"lora,{FAST.replace(',keep=true', '')}", "pairs", methods=("naive", "dr-dpo"))
    with pytest.raises(ConfigError, match="2 of --method: say which") as caught:
        export_learner(run, tmp_path / "out")
    assert caught.value.fix == "--method 'naive', or --method 'dr-dpo'"
    for which, hint in (
        ({"method": "dr-dqo"}, "dr-dpo"),
        ({"role": "cieling"}, "ceiling"),
        ({"seed": 3, "method": "naive"}, "0"),
    ):
        with pytest.raises(ConfigError, match="no learner of this run") as caught:
            export_learner(run, tmp_path / "out", **which)
        assert hint in str(caught.value.fix)
    with pytest.raises(ConfigError, match="was not kept") as caught:
        export_learner(run, tmp_path / "out", method="naive")
    assert f"superalign run {run}/config.yaml --fit lora" in str(caught.value.fix)
    assert "keep=True" in str(caught.value.fix)
    assert not (tmp_path / "out").exists()
    shutil.rmtree(home() / "store")
    with pytest.raises(ResumeError, match="no longer holds"):
        export_learner(run, tmp_path / "out", method="naive")
    (run / "results.json").unlink()
    with pytest.raises(ResumeError, match="no results"):
        export_learner(run, tmp_path / "out", method="naive")


def test_only_an_export_of_the_same_learner_is_written_over(ran, tmp_path):
    run = ran("llama", "probe", "texts", methods=("naive", "logconf"))
    out = export_learner(run, tmp_path / "out", method="naive")
    first = {file.name: file.read_bytes() for file in out.iterdir()}
    (out / "superalign.json").touch()
    export_learner(run, out, method="naive")
    assert {file.name: file.read_bytes() for file in out.iterdir()} == first
    with pytest.raises(ConfigError, match="not empty"):
        export_learner(run, out, method="logconf")
    other = tmp_path / "mine"
    other.mkdir()
    export_learner(run, other, method="logconf")  # an empty folder is as good as none
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "note.txt").write_text("mine")
    with pytest.raises(ConfigError, match="not empty"):
        export_learner(run, tmp_path / "notes", method="naive")
    assert [file.name for file in (tmp_path / "notes").iterdir()] == ["note.txt"]
    for place in (tmp_path / "notes" / "note.txt", ""):
        with pytest.raises(ConfigError):
            export_learner(run, place, method="naive")
    assert not list(tmp_path.glob(".*"))


def test_a_failure_in_the_middle_leaves_nothing_and_keeps_the_older_export(ran, tmp_path, monkeypatch):
    run = ran("llama", "probe", "texts")
    out = export_learner(run, tmp_path / "out")
    before = {file.name: file.read_bytes() for file in out.iterdir()}

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("superalign.export.learner.write_card", full)
    for place in (out, tmp_path / "new"):
        with pytest.raises(StoreError, match="disk is full"):
            export_learner(run, place)
    assert {file.name: file.read_bytes() for file in out.iterdir()} == before
    assert not (tmp_path / "new").exists()
    assert not list(tmp_path.glob(".*"))


def test_what_was_kept_is_read_by_the_export_alone(ran):
    run = ran("llama", f"lora,{FAST}", "texts")
    key = choose(run).job.key
    found, record = Store().load(key), Store().record(key)
    assert found
    assert record
    assert set(found.tensors) == {"probs"}
    assert {name for name in record["tensors"] if name.startswith("0/")} == set(record["tensors"]) - {"probs"}


def test_keeping_changes_no_number(ran):
    kept, plain = (
        Learnt(ran("gpt2", fit, "texts")) for fit in (f"lora,{FAST}", f"lora,{FAST}".replace("true", "false"))
    )
    np.testing.assert_array_equal(kept.probs, plain.probs)


def test_an_adapter_on_an_adapter_is_not_exported_as_one_on_the_base(ran, tmp_path):
    first = export_learner(ran("llama", f"lora,read=policy,{FAST}", "pairs"), tmp_path / "first")
    run = ran("llama", f"lora,{FAST}", "texts", f",adapter={first}")
    with pytest.raises(ModelError, match="stands on another one"):
        export_learner(run, tmp_path / "second")
