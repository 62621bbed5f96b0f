"""Directions that adapters spare: what general text puts into a layer most of all."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING, Any

from superalign.errors import ConfigError
from superalign.model import Backbone
from superalign.prose import spared
from superalign.task import Text

if TYPE_CHECKING:
    from torch import Tensor, nn


class Spared:
    """Keeps the adapters of some layers blind to the principal directions of what general text puts into them.

    An adapter adds s B A x. With A U = 0 it adds nothing to what lies in the span of U, [d, k], so that most of general
    text goes on as it did. After Saha et al. 2021 (gradient projection memory, arXiv 2103.09762) and Fang et al. 2024
    (AlphaEdit, arXiv 2410.02355); our reading: A is projected after every step, and text stands for what is to stay.

    Args:
        backbone: with the adapters.
        layers: of peft, that have one or more.
        count: k, directions of each layer.
    """

    def __init__(self, backbone: Backbone, layers: Sequence[Any], count: int) -> None:
        narrow = min(part.in_features for layer in layers for part in layer.lora_A.values())
        if count >= narrow:
            why = f"an adapted layer has {narrow} inputs"
            raise ConfigError(f"spare={count} leaves nothing to learn", why=why, fix="spare=8")
        texts = [Text(f"{one.opening} {one.rest}") for one in spared()]
        self.layers, self.bases = layers, _principal(backbone, layers, backbone.tokenize(texts)[0], count)
        self.settle()

    def settle(self) -> None:
        """Put every A back to where it sees nothing of its layer's directions."""
        import torch

        with torch.no_grad():
            for layer, basis in zip(self.layers, self.bases, strict=True):
                for part in layer.lora_A.values():
                    part.weight -= part.weight @ basis @ basis.T


def _principal(
    backbone: Backbone, layers: Sequence[nn.Module], rows: Sequence[Sequence[int]], count: int
) -> list[Tensor]:
    """Return the principal directions of each layer's inputs, float32 [d, k], orthonormal."""
    import torch

    moments: dict[int, Tensor] = {}
    same = list(range(len(layers)))  # queries, keys and values read one tensor
    last: tuple[Tensor | None, int] = None, 0

    def note(place: int, _: Any, inputs: tuple[Tensor, ...]) -> None:
        nonlocal last
        if inputs[0] is last[0]:
            same[place] = same[last[1]]
            return
        last = inputs[0], place
        x = inputs[0].flatten(0, -2)[1:].double()  # nothing is said before the first token, which is like no other
        moments[place] = moments.get(place, 0) + x.T @ x

    device = next(backbone.module.parameters()).device
    with torch.no_grad(), ExitStack() as hooks:
        for place, layer in enumerate(layers):
            hooks.callback(layer.register_forward_pre_hook(partial(note, place)).remove)
        for row in rows:
            backbone.module(input_ids=torch.tensor([row], device=device))
    bases = {place: torch.linalg.eigh(moment)[1][:, -count:].float() for place, moment in moments.items()}
    return [bases[place] for place in same]
