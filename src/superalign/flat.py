"""Texts one after the other, without padding: attention alone, which must not mix them, sees them as rows."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from torch import Tensor

FLAT = "superalign-flat"


class Flat(NamedTuple):
    """Where n tokens stand when they are laid out as rows of equal length.

    Args:
        rows: how many, b.
        places: tokens of a row, t, padding included.
        token: int64 [b * t], the token of each place; any one where there is padding.
        place: int64 [n], the place of each token; of the tokens that rows share, the place in the first row.
        shared: how many tokens at its beginning each row shares with the first one.
    """

    rows: int
    places: int
    token: Tensor
    place: Tensor
    shared: int = 0

    def spread(self, x: Tensor) -> Tensor:
        """Return [..., n, d] as rows, [..., b, t, d]; padding holds what must not matter."""
        if len(self.place) < len(self.token):
            x = _functions()[0].apply(x, self.token, self.place, (self.rows, self.places, self.shared))
        return x.view(*x.shape[:-2], self.rows, self.places, x.shape[-1])

    def gather(self, x: Tensor) -> Tensor:
        """Return rows [..., b, t, d] as tokens, [..., n, d]."""
        x = x.flatten(-3, -2)
        if len(self.place) < len(self.token):
            x = _functions()[1].apply(x, self.place)
        return x


def set_flat(module: Any) -> None:
    """Let a body of transformers attend by `attend`; without `flat` it does as before."""
    from transformers import AttentionInterface
    from transformers.masking_utils import ALL_MASK_ATTENTION_FUNCTIONS, AttentionMaskInterface

    AttentionInterface.register(FLAT, attend)
    AttentionMaskInterface.register(FLAT, ALL_MASK_ATTENTION_FUNCTIONS["sdpa"])
    module.set_attn_implementation(FLAT)


def attend(
    module: Any,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float | None = None,
    flat: Flat | None = None,
    **more: Any,
) -> tuple[Tensor, None]:
    """Return softmax(q k' scaling + mask) v as transformers' attention functions do, [1, n, h, d].

    Args:
        module: the attention layer.
        query: [1, h, n, d].
        key: [1, g, n, d], h a multiple of g.
        value: as the key.
        attention_mask: [b or 1, 1, t, t], added to the scores.
        scaling: of the scores; 1 / sqrt(d) when None.
        flat: where the tokens stand.
        more: what only other architectures' attention needs; a trial at load tells whether it matters.
    """
    import torch
    from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

    if flat is None or attention_mask is None:
        plain = ALL_ATTENTION_FUNCTIONS["sdpa"]
        done: tuple[Tensor, None] = plain(module, query, key, value, attention_mask, scaling=scaling, **more)
        return done
    q, k, v = (flat.spread(x[0]) for x in (query, key, value))  # [h, b, t, d]
    if len(q) > len(k):
        k, v = (x.repeat_interleave(len(q) // len(k), 0) for x in (k, v))
    scale = q.shape[-1] ** -0.5 if scaling is None else scaling
    if q.device.type == "cpu":  # a step takes 15 % less time than with the fused kernel
        scores = (q * scale) @ k.transpose(-1, -2)
        scores += attention_mask.transpose(0, 1)
        out = scores.softmax(-1, dtype=torch.float32).to(v.dtype) @ v
    else:
        q, k, v = (x.transpose(0, 1) for x in (q, k, v))
        mask = attention_mask.to(q.dtype)
        out = torch.nn.functional.scaled_dot_product_attention(q, k, v, mask, scale=scale).transpose(0, 1)
    return flat.gather(out).transpose(0, 1).unsqueeze(0), None


@cache
def _functions() -> tuple[Any, Any]:
    """Return spreading and gathering as autograd functions, each the other's way back; made late, as torch is."""
    import torch

    class Spread(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Tensor, token: Tensor, place: Tensor, shape: tuple[int, int, int]) -> Tensor:
            ctx.save_for_backward(place)
            ctx.shape = shape
            return x.index_select(-2, token)

        @staticmethod
        def backward(ctx: Any, *gradients: Tensor) -> Any:
            (place,) = ctx.saved_tensors  # what comes back through padding is 0: masked, or never read
            out = gradients[0].index_select(-2, place)
            rows, places, shared = ctx.shape
            if shared:
                apart = gradients[0].reshape(*gradients[0].shape[:-2], rows, places, gradients[0].shape[-1])
                others = apart[..., 1:, :shared, :]
                out[..., :shared, :] += others.sum(-3)
            return out, None, None, None

    class Gather(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Tensor, place: Tensor) -> Tensor:
            ctx.save_for_backward(place)
            ctx.shape = x.shape
            return x.index_select(-2, place)

        @staticmethod
        def backward(ctx: Any, *gradients: Tensor) -> Any:
            (place,) = ctx.saved_tensors
            return gradients[0].new_zeros(ctx.shape).index_copy_(-2, place, gradients[0]), None

    return Spread, Gather
