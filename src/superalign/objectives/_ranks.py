"""Ranking the items of a batch by a score, weighted: thresholds between them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


def ranked(scores: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    """Return the scores in rising order, and the share of the weight up to and with each of them, both [..., n].

    Args:
        scores: [..., n].
        weight: [..., n]; an item of weight 0 is absent: it is ranked last, as infinite.
    """
    import torch

    share = (weight / weight.sum(-1, keepdim=True)).expand_as(scores)
    inorder, order = scores.masked_fill(share == 0, torch.inf).sort(dim=-1, stable=True)
    return inorder, share.gather(-1, order).cumsum(-1)


def between(inorder: Tensor, position: Tensor) -> Tensor:
    """Return the threshold that lies under `position` of the ranked scores, halfway to its neighbour, [...].

    Args:
        inorder: [..., n], rising; infinite where items are absent.
        position: int64 [...], 0 to n.
    """
    import torch

    n = inorder.shape[-1]
    below = inorder.gather(-1, (position - 1).clamp(min=0).unsqueeze(-1)).squeeze(-1)
    above = inorder.gather(-1, position.clamp(max=n - 1).unsqueeze(-1)).squeeze(-1)
    below = torch.where(position == 0, above - 1, below)
    above = torch.where((position == n) | above.isinf(), below + 1, above)
    return (below + above) / 2
