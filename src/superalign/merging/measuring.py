"""What Fisher merging and RegMean must know of an expert: measured on texts, and written to a file."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from superalign.errors import ConfigError
from superalign.models._folder import check_folder, find_folder
from superalign.models._torch import quiet, use_threads
from superalign.store import write_tensors, writing

if TYPE_CHECKING:
    from torch import Tensor, nn


def measure(
    statistic: Literal["fisher", "gram"], model: Path | str, texts: Sequence[str], file: Path | str, length: int = 512
) -> Path:
    """Measure a language model on texts, and write what a merge method needs of it.

    `fisher` is the mean over texts of the squared slope of the text's log-probability, for every parameter: the
    empirical Fisher information, as the text is given and not drawn from the model. `gram` is X'X of the inputs of
    every linear layer, over all tokens, by the name of its weight, [in, in].

    Args:
        statistic: which.
        model: a folder or an id of the hub.
        texts: of what the expert is for.
        file: safetensors to write.
        length: tokens of a text that are read.

    Raises:
        ConfigError: there is no text.
        StoreError: the file cannot be written.
    """
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    if statistic not in ("fisher", "gram"):
        raise ConfigError(f"unknown statistic '{statistic}'", fix="one of: fisher, gram")
    if not texts:
        raise ConfigError("there is no text to measure the model on")
    use_threads()
    folder = find_folder(str(model))
    check_folder(folder)
    with quiet():
        tokenizer = AutoTokenizer.from_pretrained(folder)
        network = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, use_safetensors=True).eval()
    rows = (tokenizer(text, truncation=True, max_length=length, return_tensors="pt")["input_ids"] for text in texts)
    read = [ids for ids in rows if ids.shape[1] > 1]
    if not read:
        raise ConfigError("no text has two tokens")
    found = (_fisher if statistic == "fisher" else _gram)(network, read)
    with writing(Path(file)):
        write_tensors(Path(file), {name: value.numpy() for name, value in found.items()}, {"statistic": statistic})
    return Path(file)


def _fisher(network: Any, rows: Sequence[Tensor]) -> dict[str, Tensor]:
    import torch

    weights = dict(network.named_parameters())
    found = {name: torch.zeros_like(weight) for name, weight in weights.items()}
    for ids in rows:
        network.zero_grad(set_to_none=True)
        loss = network(input_ids=ids, labels=ids).loss * (ids.shape[1] - 1)
        loss.backward()
        for name, weight in weights.items():
            if weight.grad is not None:
                found[name] += weight.grad**2 / len(rows)
    return found


def _gram(network: Any, rows: Sequence[Tensor]) -> dict[str, Tensor]:
    import torch

    found: dict[str, Tensor] = {}
    with torch.no_grad(), _watched(network, found):
        for ids in rows:
            network(input_ids=ids)
    return found


@contextmanager
def _watched(network: nn.Module, found: dict[str, Tensor]) -> Iterator[None]:
    """Add up X'X of every linear layer's inputs in the block."""
    from torch import nn

    def note(name: str, given: tuple[Tensor, ...]) -> None:
        inputs = given[0].reshape(-1, given[0].shape[-1])
        gram = inputs.T @ inputs
        found[name] = found[name] + gram if name in found else gram

    hooks = [
        layer.register_forward_pre_hook(lambda _, given, name=f"{name}.weight": note(name, given))
        for name, layer in network.named_modules()
        if isinstance(layer, nn.Linear)
    ]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
