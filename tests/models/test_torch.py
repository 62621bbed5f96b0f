"""Threads, device and precision as asked for, or the measured default."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator

import pytest
import torch

from superalign.errors import ConfigError, ModelError
from superalign.models._torch import pick_device, pick_dtype, torch_dtype, usable_cores, use_threads


@pytest.fixture(autouse=True)
def _threads_restored() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def test_threads_follow_caller_then_environment_then_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SUPERALIGN_THREADS", raising=False)
    assert use_threads() == usable_cores() == torch.get_num_threads()
    monkeypatch.setenv("SUPERALIGN_THREADS", "3")
    assert use_threads() == 3 == torch.get_num_threads()
    assert use_threads(1) == 1 == torch.get_num_threads()


@pytest.mark.parametrize("value", ["0", "-1", "many", "1.5"])
def test_bad_number_of_threads_is_named(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SUPERALIGN_THREADS", value)
    with pytest.raises(ConfigError, match=f"not '{value}'") as caught:
        use_threads()
    assert caught.value.where == "SUPERALIGN_THREADS"


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system has no affinity of processes")
def test_usable_cores_respect_affinity() -> None:
    script = "import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})\n"
    script += "from superalign.models._torch import usable_cores; print(usable_cores())"
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert ran.stdout == "1\n"


def test_device_that_is_not_there_is_named() -> None:
    assert pick_device("cpu") == "cpu"
    for device in ("cuda:99", "no-such-device"):
        with pytest.raises(ModelError, match=device):
            pick_device(device)


def test_dtype_asked_for_is_kept_and_auto_is_a_real_one() -> None:
    assert torch_dtype(pick_dtype("bf16", "cpu")) is torch.bfloat16
    assert torch_dtype(pick_dtype("fp32", "cpu")) is torch.float32
    native = torch.cpu.get_capabilities().get("avx512_bf16") or torch.cpu.get_capabilities().get("amx_bf16")
    if native:
        assert pick_dtype("auto", "cpu") == "bf16"


def test_importing_the_settings_imports_no_torch() -> None:
    script = "import sys, superalign.models.embedded, superalign.models.hf, superalign.fetch\n"
    script += "print(sorted({'torch', 'transformers', 'huggingface_hub'} & set(sys.modules)))"
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert ran.stdout == "[]\n"
