"""A language model for inference: its body with a cache of keys and values, and its head."""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from superalign.batching import opening
from superalign.models._forward import pad
from superalign.models._head import LanguageHead, attention_windows
from superalign.models._trunk import Trunk

if TYPE_CHECKING:
    import torch
    from torch import Tensor

KINDS = {"", "full_attention", "sliding_attention"}


@dataclass
class Past:
    """What b rows have read so far.

    Args:
        cache: keys and values of each layer, [b, heads, n, d].
        positions: int64 [b, n], of each token in its own text.
        segments: int64 [b, n]: 0 is seen by all that follows, another by its own kind only, -1 (padding) by none.
    """

    cache: Any
    positions: Tensor
    segments: Tensor

    @property
    def length(self) -> int:
        """Places of a row, n."""
        return self.positions.shape[1]

    def keep(self, rows: Tensor) -> None:
        """Forget all rows but these, int64 [k]."""
        self.cache.batch_select_indices(rows)
        self.positions, self.segments = self.positions[rows], self.segments[rows]

    def repeated(self, rows: int) -> Past:
        """Return the past of many rows that have all read what this only row has; nothing is copied."""
        from transformers import DynamicCache

        cache = DynamicCache()
        for layer in self.cache.layers:
            wide = copy(layer)
            wide.keys, wide.values = (one.expand(rows, -1, -1, -1) for one in (layer.keys, layer.values))
            cache.layers.append(wide)
        return Past(cache, self.positions.expand(rows, -1), self.segments.expand(rows, -1))


class Speech:
    """What reads conversations and says how likely each next token is.

    Args:
        trunk: the whole body.
        head: of the same checkpoint.
        config: of transformers.
    """

    pad_id = 0
    """Fills short rows; never seen."""

    def __init__(self, trunk: Trunk, head: LanguageHead, config: Any) -> None:
        self.trunk, self.head = trunk, head
        self.dtype: torch.dtype = next(trunk.module.parameters()).dtype
        self.windows = attention_windows(config)
        self.remembers = set(self.windows) <= KINDS and _remembers(self)
        """Whether it takes a cache with masks of our own; if not, every text is computed alone and whole."""

    def empty(self) -> Past:
        """Return the past of rows that have read nothing."""
        import torch
        from transformers import DynamicCache

        nothing = torch.empty((1, 0), dtype=torch.long, device=self.trunk.device)
        return Past(DynamicCache(), nothing, nothing)

    def opening(self, conversations: Sequence[Sequence[int]]) -> tuple[int, Past]:
        """Read what all conversations begin with, once; return how many tokens, and their past (one row).

        At least one token of each conversation is left.
        """
        past, shared = self.empty(), 0
        if self.remembers and len(conversations) > 1:
            shared = min(opening(conversations), min(map(len, conversations)) - 1)
        if shared:
            self.go_on(past, [conversations[0][:shared]])
        return shared, past

    def go_on(self, past: Past, rows: Sequence[Sequence[int]]) -> Tensor:
        """Read more of each row after its past, which remembers it; return hidden states, [b, t, d]."""
        import torch

        ids, real = pad(rows, self.pad_id)
        first = (past.segments >= 0).sum(1, keepdim=True).cpu()
        return self.read(past, ids, first + torch.arange(ids.shape[1]), real - 1)

    def read(self, past: Past, ids: Tensor, positions: Tensor, segments: Tensor) -> Tensor:
        """Read rows after their past, which remembers them; return hidden states, [b, t, d]."""
        import torch

        ids, positions, segments = (one.to(self.trunk.device) for one in (ids, positions, segments))
        past.positions = torch.cat([past.positions, positions], 1)
        past.segments = torch.cat([past.segments, segments], 1)
        mask, cache = self._mask(past, ids.shape[1]), past.cache
        hidden: Tensor = self.trunk.module(
            input_ids=ids, position_ids=positions, attention_mask=mask, past_key_values=cache, use_cache=True
        ).last_hidden_state
        return hidden

    def read_alone(self, rows: Sequence[Sequence[int]]) -> Tensor:
        """Return hidden states of whole rows, [b, t, d], of any architecture: padding on the right is never seen."""
        ids, _ = pad(rows, self.pad_id)
        hidden: Tensor = self.trunk.module(input_ids=ids.to(self.trunk.device), use_cache=False).last_hidden_state
        return hidden

    def _mask(self, past: Past, t: int) -> Tensor | dict[str, Tensor]:
        """Return which places the last t tokens see: what is added to scores, [b, 1, t, n], a kind of layer."""
        import torch

        n = past.segments.shape[1]
        mine, other = past.segments[:, -t:, None], past.segments[:, None, :]
        seen = ((other == 0) | ((other == mine) & (other > 0))).tril(n - t)
        distance = past.positions[:, -t:, None] - past.positions[:, None, :]
        masks = {}
        for kind, window in self.windows.items():
            near = seen if window is None else seen & (distance < window)
            mask = torch.zeros(near.shape, dtype=self.dtype, device=near.device)
            masks[kind] = mask.masked_fill_(~near, torch.finfo(self.dtype).min).unsqueeze(1)
        return masks.get("", masks)


def _remembers(speech: Speech) -> bool:
    """Tell by a trial whether the architecture computes with a cache and masks what it computes without."""
    import torch

    given, answers = [1, 2, 3, 4, 5], ([4, 5], [6, 7, 4])
    with torch.inference_mode():
        alone = [speech.read_alone([[*given, *answer]])[0, -len(answer) :] for answer in answers]
        try:
            past = speech.empty()
            speech.go_on(past, [given[:2]])
            past = past.repeated(2)
            ids, positions = torch.tensor([[3, 4, 5, 4, 5, 6, 7, 4]]), torch.tensor([[2, 3, 4, 5, 6, 5, 6, 7]])
            segments = torch.tensor([[0, 0, 0, 1, 1, 2, 2, 2]])
            hidden = speech.read(past, ids.repeat(2, 1), positions.repeat(2, 1), segments.repeat(2, 1))[1]
        except (TypeError, ValueError, RuntimeError, KeyError, IndexError, AttributeError):
            return False
    apart = torch.cat(alone) - torch.cat([hidden[3:5], hidden[5:]])
    return bool(apart.norm() <= torch.finfo(speech.dtype).eps ** 0.5 * torch.cat(alone).norm())
