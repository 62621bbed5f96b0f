"""From GGUF to bf16 safetensors, once: run as a process of its own, so that its memory and its chatter end with it."""

from __future__ import annotations

import errno
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from superalign.errors import ModelError, require
from superalign.models._install import NO_SPACE, TAIL

_BAR = re.compile(r"(\d+)/(\d+) \[")


def check_converter() -> None:
    """Raise MissingExtraError unless what a conversion needs is installed."""
    for module in ("torch", "transformers", "gguf"):
        require(module, "local")


def convert(gguf: Path, out: Path, progress: Callable[[int, int], None]) -> None:
    """Write the model and tokenizer of a GGUF file to `out` in transformers' format, in a child process.

    Args:
        gguf: the file.
        out: a new folder.
        progress: called with (tensors done, tensors).

    Raises:
        ModelError: the conversion failed; its last lines are shown.
        OSError: the disk is full.
    """
    code, words = _run([sys.executable, "-P", "-m", __name__, str(gguf), str(out)], progress)
    if code:
        if NO_SPACE in words:
            raise OSError(errno.ENOSPC, NO_SPACE)
        cause = f"killed by signal {-code}" if code < 0 else "it failed"
        last = "\n    ".join(words.strip().splitlines()[-TAIL:])
        raise ModelError(f"{gguf.name} could not be converted", why=f"{cause}; the last lines:\n    {last}")


def _run(command: list[str], progress: Callable[[int, int], None]) -> tuple[int, str]:
    """Return the exit code and the last words of a process, whose progress bars become `progress`."""
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}
    said, says = os.pipe()
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=says, env=environment)
    os.close(says)
    words = b""
    try:
        while chunk := os.read(said, 4096):
            words = (words + chunk)[-4096:]
            for done, total in _BAR.findall(chunk.decode("utf-8", "replace")):
                progress(int(done), int(total))
        return process.wait(), words.decode("utf-8", "replace")
    finally:
        os.close(said)
        if process.stdin:
            process.stdin.close()
        if process.poll() is None:
            process.kill()
            process.wait()


def _main(gguf: Path, out: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from superalign.models._torch import use_threads
    from superalign.processes import live_while_fed

    live_while_fed()
    use_threads()
    model = AutoModelForCausalLM.from_pretrained(gguf.parent, gguf_file=gguf.name, dtype=torch.bfloat16)
    model.hf_quantizer = None  # a model read from GGUF refuses to be saved while it remembers that
    if hasattr(model.config, "quantization_config"):
        del model.config.quantization_config
    model.to(torch.bfloat16).save_pretrained(out)
    AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name).save_pretrained(out)


if __name__ == "__main__":
    _main(Path(sys.argv[1]), Path(sys.argv[2]))
