"""`superalign merge`: a config that was written for mergekit, from a terminal."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import yaml
from safetensors.numpy import load_file

from checkpoints import save_checkpoint
from faults import Shell


def test_merge(shell: Shell, tiny: Callable[[str], Path]) -> None:
    save_checkpoint("llama", shell.folder / "expert", seed=1)
    base = tiny("llama")
    settings = {
        "merge_method": "task_arithmetic",
        "base_model": str(base),
        "models": [{"model": "expert", "parameters": {"weight": 0.5}}],
        "dtype": "float32",
    }
    (shell.folder / "merge.yaml").write_text(yaml.safe_dump(settings))
    plan = shell.fork("merge", "merge.yaml", "merged", "--dry-run").exits(0)
    assert "1 experts" in plan.out
    assert not (shell.folder / "merged").exists()
    assert shell.fork("merge", "merge.yaml", "merged", "--quiet").exits(0).out.strip() == "merged"
    start, end = (load_file(one / "model.safetensors") for one in (base, shell.folder / "expert"))
    for name, value in load_file(shell.folder / "merged" / "model.safetensors").items():
        np.testing.assert_allclose(value, (start[name] + end[name]) / 2, rtol=1e-5, atol=1e-6)
    assert json.loads((shell.folder / "merged" / "superalign.json").read_text())["schema"] == "superalign.merge/1"
    (shell.folder / "merge.yaml").write_text(yaml.safe_dump({**settings, "merge_method": "tsi"}))
    shell.fork("merge", "merge.yaml", "other").exits(2).says("unknown merge method 'tsi'")
