"""Hidden states of many texts: length-sorted batches under a token budget, pooled as they are computed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from superalign.models._torch import quiet
from superalign.models._trunk import Trunk

if TYPE_CHECKING:
    from torch import Tensor

FloatArray = npt.NDArray[np.float32]
Pooling = Literal["last", "mean"]
ENOUGH = 0.25  # of the token budget: a batch this full ends where the length changes, so that it needs no padding


def batches(lengths: Sequence[int], budget: int) -> Iterator[list[int]]:
    """Yield indices of texts of like length, longest first, at most `budget` tokens a batch with padding.

    A batch always holds one text at least; the longest come first so that memory peaks at once.
    """
    batch: list[int] = []
    for index in sorted(range(len(lengths)), key=lambda i: (-lengths[i], i)):
        if batch:
            longest = lengths[batch[0]]
            tokens = longest * len(batch)
            full = tokens + longest > budget
            shorter = lengths[index] < longest and tokens >= ENOUGH * budget
            if full or shorter:
                yield batch
                batch = []
        batch.append(index)
    if batch:
        yield batch


def hidden_states(
    trunk: Trunk,
    ids: Sequence[Sequence[int]],
    layers: Sequence[int],
    pooling: Pooling,
    *,
    budget: int,
    pad_id: int,
    progress: Callable[[int, int, int], None] | None = None,
) -> dict[int, FloatArray]:
    """Return for each layer the pooled hidden states, float32 [n, d]; only one batch is held at a time.

    Args:
        trunk: truncated at or above the highest of `layers`.
        ids: token ids of each text.
        layers: 0 is the embedding, `trunk.depth` the last.
        pooling: of the tokens of a text.
        budget: tokens of a batch.
        pad_id: fills short rows; never read back.
        progress: called with (texts done, texts, tokens done).
    """
    import torch

    out: dict[int, FloatArray] = {}
    done = tokens = 0
    lengths = [len(row) for row in ids]
    with torch.inference_mode(), quiet():
        for batch in batches(lengths, budget):
            pooled = _run(trunk, [ids[index] for index in batch], layers, pooling, pad_id)
            for layer, values in pooled.items():
                rows = out.setdefault(layer, np.empty((len(ids), values.shape[1]), dtype=np.float32))
                rows[batch] = values.cpu().numpy()
            done += len(batch)
            tokens += sum(lengths[index] for index in batch)
            if progress:
                progress(done, len(ids), tokens)
    return out


def pad(rows: Sequence[Sequence[int]], pad_id: int) -> tuple[Tensor, Tensor]:
    """Return token ids and attention mask, int64 [n, t], padded on the right."""
    import torch

    longest = max(map(len, rows))
    ids = torch.full((len(rows), longest), pad_id, dtype=torch.long)
    mask = torch.zeros((len(rows), longest), dtype=torch.long)
    for index, row in enumerate(rows):
        ids[index, : len(row)] = torch.tensor(row, dtype=torch.long)
        mask[index, : len(row)] = 1
    return ids, mask


def pool_last(hidden: Tensor, mask: Tensor) -> Tensor:
    """Return the hidden state of each text's last token, float32 [n, d], wherever the padding stands."""
    import torch

    positions = torch.arange(1, mask.shape[1] + 1, device=mask.device)
    last = ((mask != 0) * positions).argmax(1)
    return hidden[torch.arange(len(hidden), device=hidden.device), last].float()


def pool_mean(hidden: Tensor, mask: Tensor) -> Tensor:
    """Return the mean hidden state over each text's tokens, float32 [n, d], wherever the padding stands."""
    weight = (mask != 0).float()
    summed = (hidden.float() * weight.unsqueeze(-1)).sum(1)
    return summed / weight.sum(1, keepdim=True)


def _run(
    trunk: Trunk, rows: list[Sequence[int]], layers: Sequence[int], pooling: Pooling, pad_id: int
) -> dict[int, Tensor]:
    ids, mask = pad(rows, pad_id)
    ids, lengths = ids.to(trunk.device), mask.sum(1).tolist()
    padded = min(lengths) < max(lengths)
    pooled: dict[int, Tensor] = {}

    def keep(layer: int, hidden: Any) -> None:
        pooled[layer] = _pool(hidden[0] if isinstance(hidden, tuple) else hidden, lengths, pooling)

    handles = [_listen(trunk, layer, keep) for layer in layers if layer < trunk.depth]
    try:
        # With padding on the right a causal model never sees it, and without a mask attention takes its fast path.
        needs_mask = padded and not trunk.causal
        out = trunk.module(input_ids=ids, attention_mask=mask.to(ids.device) if needs_mask else None)
    finally:
        for handle in handles:
            handle.remove()
    if trunk.depth in layers:
        keep(trunk.depth, out.last_hidden_state)
    return pooled


def _listen(trunk: Trunk, layer: int, keep: Callable[[int, Any], None]) -> Any:
    if layer == 0:
        return trunk.blocks[0].register_forward_pre_hook(
            lambda _, args, kwargs: keep(0, args[0] if args else kwargs["hidden_states"]), with_kwargs=True
        )
    return trunk.blocks[layer - 1].register_forward_hook(lambda _, args, output: keep(layer, output))


def _pool(hidden: Tensor, lengths: list[int], pooling: Pooling) -> Tensor:
    import torch

    if pooling == "last":
        rows = torch.arange(len(lengths), device=hidden.device)
        return hidden[rows, torch.tensor(lengths, device=hidden.device) - 1].float()
    if min(lengths) == max(lengths):
        return hidden.mean(1, dtype=torch.float32)
    return torch.stack([row[:n].mean(0, dtype=torch.float32) for row, n in zip(hidden, lengths, strict=True)])
