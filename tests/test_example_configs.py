"""Every example config is valid, and a dry run prints its plan, with tiny models in the place of large ones."""

from __future__ import annotations

from pathlib import Path

import pytest

from superalign.cli import main
from superalign.estimated import DryRun
from superalign.runs import build_study, describe
from superalign.yaml_file import read_config

ROOT = Path(__file__).parents[1]
CONFIGS = sorted((ROOT / "examples").glob("*.yaml"))
LARGE = {"loop_7b.yaml": ["--learner"], "own_data.yaml": ["--weak", "--strong"]}


@pytest.mark.parametrize("config", CONFIGS, ids=lambda path: path.stem)
def test_it_validates_and_is_written_resolved(config):
    study = build_study(read_config(config), str(config))
    assert build_study(describe(study)) == study


@pytest.mark.parametrize("config", CONFIGS, ids=lambda path: path.stem)
def test_a_dry_run_prints_its_plan(config, tiny, capsys, monkeypatch, isolated_home):
    monkeypatch.chdir(ROOT)
    models = [word for flag in LARGE[config.name] for word in (flag, f"hf:{tiny('llama')}")]
    assert main(["run", str(config), *models, "--dry-run"]) == 0
    out = capsys.readouterr().out
    assert " jobs, 0 of them in the store; nothing was run" in out
    assert f"hf:{tiny('llama')}" in out
    assert not (isolated_home / "store").exists()


def test_the_7b_config_is_planned_where_the_model_is_not(capsys, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert main(["run", str(ROOT / "examples/loop_7b.yaml"), "--dry-run", "--json"]) == 0
    plan = DryRun.model_validate_json(capsys.readouterr().out)
    assert plan.jobs
    learner = "hf:Qwen/Qwen2.5-7B-Instruct,dtype=bf16"
    assert {one.model: one.parameters for one in plan.models}[learner] is None
    assert f"parameters of {learner}: it is not on this machine" in plan.unknown
    assert plan.memory is None
    critics = next(part for part in plan.work if part.component == "critics")
    assert critics.model.startswith("openai:Qwen/Qwen2.5-14B-Instruct")
    assert critics.written > 0  # its critiques
    assert {part.flops for part in plan.work} == {None}
