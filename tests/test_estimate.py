"""A dry run says what is planned and about what it takes, and runs nothing."""

from __future__ import annotations

import json
from typing import Any

import pytest

from superalign.cli import main
from superalign.errors import DataError, ModelError
from superalign.estimate import Rates, dry_run
from superalign.fits.lora import Lora
from superalign.job import compute, in_order
from superalign.model import models
from superalign.models._size import Size
from superalign.runs import build_study
from superalign.store import Store

SMALL = {
    "goals": 8,
    "examined": 6,
    "only_asked": 4,
    "gated": 4,
    "gated_asked": 4,
    "texts": 2,
    "exploits": 2,
    "seeds": 1,
    "rounds": 2,
    "unseen": [],
}
ATTACKS = {
    "attacks": ["pressure,tactics=assertion+consensus"],
    "held_out": ["pressure,tactics=emotion"],
    "fresh": "best-of-n",
}
ENDPOINT = "openai:big,url=http://localhost:9/v1"


def loop(learner: str, critic: Any, **settings: Any) -> Any:
    task = "facts,questions=true,relations=capital"
    given = {**SMALL, **ATTACKS, "learner": learner, "critics": [critic], "task": task, **settings}
    return build_study({"study": "loop", **given})


@pytest.mark.parametrize("architecture", ["llama", "qwen2", "gpt_neox", "gpt2", "gemma3"])
@pytest.mark.parametrize("target", ["all-linear", "attention", "some"])
def test_sizes_from_headers_are_those_of_the_loaded_model(tiny, architecture, target):
    import transformers

    size = Size(tiny(architecture))
    whole = transformers.AutoModelForCausalLM.from_pretrained(tiny(architecture))
    assert size.parameters == sum(one.numel() for one in whole.parameters())
    ends = {"gpt_neox": "query_key_value+dense", "gpt2": "c_attn"}.get(architecture, "q_proj+down_proj")
    fit = Lora(rank=4, target=ends if target == "some" else target)
    body = fit.body(models.build(f"hf:{tiny(architecture)},dtype=fp32")).backbone.module
    moved = sum(one.numel() for one in body.parameters() if one.requires_grad)
    assert size.adapter(fit.rank, fit.target) == moved > 0


def test_the_plan_is_the_runs_own_and_what_is_stored_is_not_counted(tiny, tmp_path):
    model = f"hf:{tiny('llama')},dtype=fp32"
    study = loop(model, f"self,model=hf:{tiny('llama')},differs=true")
    store = Store(tmp_path / "store")
    jobs = in_order(study.plan().jobs())
    first = dry_run(study, store)
    assert (first.jobs, first.stored) == (len(jobs), 0)
    assert sum(step.jobs for step in first.steps) == len(jobs)
    assert not list(store)  # nothing was computed
    exposed = next(job for job in jobs if job.step.name.endswith(":expose"))
    compute(exposed, store, lambda event, **_: None)
    second = dry_run(study, store)
    assert second.stored == len(list(store)) == 2  # the items and the attacks on them
    before, after = (
        {part.component: part for part in plan.work if part.component == "attacks"} for plan in (first, second)
    )
    assert (before["attacks"].jobs, after["attacks"].jobs) == (2, 1)
    assert after["attacks"].read < before["attacks"].read


def test_arithmetic(tiny, tmp_path):
    critic = {"name": "rubric", "reason": True, "model": f"{ENDPOINT},price_in=2,price_out=6"}
    study = loop(f"hf:{tiny('llama')},dtype=fp32", critic)
    plan = dry_run(study, Store(tmp_path / "store"), Rates(price_per_hour=3.0, tokens_per_second=100.0))
    n = Size(tiny("llama")).parameters
    parts = {part.component: part for part in plan.work}
    for name, part in parts.items():
        if name != "critics":
            assert part.flops == n * (2 * (part.read + part.written) + 4 * part.trained)
    learning = parts["learning"]
    assert (learning.read, learning.jobs, parts["critics"].flops) == (0, 2, None)
    here = sum(part.read + part.written + 2 * part.trained for name, part in parts.items() if name != "critics")
    assert plan.hours == pytest.approx(here / 100 / 3600)
    asked = (2 * parts["critics"].read + 6 * parts["critics"].written) / 1e6
    assert plan.cost == pytest.approx(3 * here / 100 / 3600 + asked)
    assert parts["critics"].written == 2 * 8 * 2 * (8 + 160)  # rounds, goals, orders; a verdict after its critique
    assert plan.memory
    adapter = Size(tiny("llama")).adapter(8, "attention")
    assert (plan.memory.weights, plan.memory.adapter, plan.memory.optimizer) == (4 * n, 4 * adapter, 12 * adapter)
    assert plan.memory.activations == 1024 * (3 * (8 * 32 + 4 * 64) * 4 + 8 * 324)
    twice = dry_run(loop(f"hf:{tiny('llama')},dtype=fp32", critic, goals=16), Store(tmp_path / "store"))
    written = next(part.written for part in twice.work if part.component == "critics")
    assert written == 2 * parts["critics"].written


def test_what_is_unknown_is_said(tmp_path):
    study = loop("hf:nobody/such-a-model,dtype=bf16", {"name": "rubric", "model": ENDPOINT})
    plan = dry_run(study, Store(tmp_path / "store"), Rates(3.0, 100.0))
    assert plan.jobs
    assert plan.hours
    assert (plan.cost, plan.memory) == (None, None)
    told = "\n".join(plan.unknown)
    assert "parameters of hf:nobody/such-a-model,dtype=bf16: it is not on this machine" in told
    assert "cost of openai:big" in told


def test_a_study_whose_jobs_hang_on_an_absent_model_has_no_count(tiny, tmp_path):
    rows = tmp_path / "rows.csv"
    rows.write_text("text,label\n" + "".join(f"film {n},{'good' if n % 2 else 'bad'}\n" for n in range(80)))
    here, absent = f"hf:{tiny('llama')}", "hf:nobody/such-a-model"
    for strong, known in ((here, True), (absent, False)):
        study = build_study({"study": "weak-to-strong", "weak": here, "strong": strong, "task": f"file:{rows}"})
        plan = dry_run(study, Store(tmp_path / "store"))
        assert (plan.jobs is not None) is known
        assert bool(plan.unknown) is not known
    missing = build_study({"study": "weak-to-strong", "weak": here, "strong": here, "task": "file:no.csv"})
    with pytest.raises(DataError):
        dry_run(missing, Store(tmp_path / "store"))
    too_high = build_study({"study": "weak-to-strong", "weak": here, "strong": f"{here},layer=9", "task": "facts"})
    with pytest.raises(ModelError, match="layers 0 to 3"):
        dry_run(too_high, Store(tmp_path / "store"))


def test_the_command_line(tiny, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OPENAI_BASE_URL", "http://localhost:9/v1")
    learner = ["--learner", f"hf:{tiny('llama')}", "--critics", "rubric,model=openai:big", "--fresh", "best-of-n"]
    run = ["run", "loop", *learner, "--quick"]
    assert main([*run, "--dry-run", "--tokens-per-second", "500", "--price-per-hour", "2"]) == 0
    out = capsys.readouterr().out
    for word in ("nothing was run", "learning", "memory of the learner", "hours of this machine", "cost of openai:big"):
        assert word in out
    assert main([*run, "--dry-run", "--json"]) == 0
    plan = json.loads(capsys.readouterr().out)
    assert plan["jobs"] == sum(step["jobs"] for step in plan["steps"])
    assert main([*run, "--price-per-hour", "2"]) == 2
    assert "--dry-run" in capsys.readouterr().err
    assert main([*run, "--dry-run", "--tokens-per-second", "0"]) == 2
    assert "a positive number" in capsys.readouterr().err
    assert not (tmp_path / "runs").exists()
