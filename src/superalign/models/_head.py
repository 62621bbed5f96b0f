"""The head of a language model, and log-probabilities of chosen tokens that never hold the whole vocabulary's."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from superalign.errors import ModelError

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

CHUNK = 256  # tokens whose logits over the vocabulary are held at once
WEIGHTS = ("lm_head.weight", "embed_out.weight", "output.weight", "score.weight")


class LanguageHead:
    """Logits of a vocabulary: scale * (h W' + b), softly capped where the architecture does so.

    Args:
        weight: [v, d]; the embedding itself where the two are tied.
        bias: [v] or None.
        scale: factor of the logits.
        cap: c of c tanh(logits / c), or None.
    """

    def __init__(self, weight: nn.Parameter, bias: Tensor | None, scale: float, cap: float | None) -> None:
        self.weight, self.bias, self.scale, self.cap = weight, bias, scale, cap

    def logprobs(self, hidden: Tensor, targets: Tensor, dtype: torch.dtype) -> Tensor:
        """Return log p(target) of each position, float32 [m].

        Args:
            hidden: [m, d], the body's output where the target is the next token.
            targets: int64 [m].
            dtype: of the matrix products; softmax and sums are float32.
        """
        found: Tensor = _function().apply(hidden, self.weight, self, targets, dtype)
        return found

    def logits(self, hidden: Tensor, dtype: torch.dtype) -> Tensor:
        """Return float32 [m, v]."""
        import torch

        bias = None if self.bias is None else self.bias.to(dtype)
        raw = torch.nn.functional.linear(hidden.to(dtype), self.weight.to(dtype), bias).float() * self.scale
        return raw if self.cap is None else self.cap * torch.tanh(raw / self.cap)

    def pull_back(self, gradient: Tensor, logits: Tensor) -> Tensor:
        """Turn a gradient in the logits into one in h W' + b."""
        if self.cap is not None:
            gradient = gradient * (1 - (logits / self.cap).square())
        return gradient * self.scale


def load_head(folder: Path, config: Any, body: Any) -> LanguageHead:
    """Return the head that belongs to a body.

    Raises:
        ModelError: the folder holds no such head.
    """
    from torch import nn

    embedding = body.get_input_embeddings().weight
    if getattr(config, "tie_word_embeddings", False):
        weight, bias = embedding, None
    else:
        weight, bias = _read(folder)
        weight = nn.Parameter(weight.to(embedding), requires_grad=bool(embedding.requires_grad))
        bias = None if bias is None else bias.to(embedding)
    scale = float(getattr(config, "logit_scale", None) or 1.0)
    if divided := getattr(config, "logits_scaling", None):
        scale /= float(divided)
    return LanguageHead(weight, bias, scale, getattr(config, "final_logit_softcapping", None))


def _read(folder: Path) -> tuple[Tensor, Tensor | None]:
    from safetensors import safe_open

    for file in sorted(folder.glob("*.safetensors")):
        with safe_open(file, "pt") as held:
            names = set(held.keys())
            for name in WEIGHTS:
                if name in names:
                    bias = name.replace("weight", "bias")
                    return held.get_tensor(name), held.get_tensor(bias) if bias in names else None
    raise ModelError(
        f"the model in '{folder}' has no language head",
        why=f"its embedding is not tied and no tensor is called {' or '.join(WEIGHTS)}",
        fix="take a causal language model, or learn with a head of its own: read=head",
    )


@cache
def _function() -> Any:
    """Return the autograd function; it is made on first use, because torch is imported late."""
    import torch

    class ChosenLogprob(torch.autograd.Function):
        """log p(target), a chunk of positions at a time.

        The gradient in the hidden states, (onehot - p) W, does not depend on the loss but for one factor a position.
        So it is computed on the way forward, when the logits are there, and no logits are kept. The gradient in W
        needs that factor: where W moves, its logits are computed again on the way back.
        """

        @staticmethod
        def forward(ctx: Any, hidden: Tensor, weight: Tensor, head: Any, targets: Tensor, dtype: Any) -> Tensor:
            out = torch.empty(len(hidden), dtype=torch.float32, device=hidden.device)
            slope = torch.empty_like(hidden, dtype=torch.float32) if ctx.needs_input_grad[0] else None
            for start in range(0, len(hidden), CHUNK):
                part = slice(start, start + CHUNK)
                logits = head.logits(hidden[part], dtype)
                out[part] = logits.gather(1, targets[part, None]).squeeze(1) - logits.logsumexp(1)
                if slope is not None:
                    slope[part] = (_difference(head, logits, targets[part]).to(dtype) @ weight.to(dtype)).float()
            ctx.save_for_backward(slope, hidden if ctx.needs_input_grad[1] else None, targets)
            ctx.head, ctx.dtype, ctx.hidden_dtype = head, dtype, hidden.dtype
            return out

        @staticmethod
        def backward(ctx: Any, *gradients: Tensor) -> Any:
            (factor,) = gradients
            slope, hidden, targets = ctx.saved_tensors
            of_hidden = (factor[:, None] * slope).to(ctx.hidden_dtype) if slope is not None else None
            of_weight = None
            if hidden is not None:
                of_weight = torch.zeros_like(ctx.head.weight)
                for start in range(0, len(hidden), CHUNK):
                    part = slice(start, start + CHUNK)
                    logits = ctx.head.logits(hidden[part], ctx.dtype)
                    moved = _difference(ctx.head, logits, targets[part]) * factor[part, None]
                    of_weight += (moved.to(ctx.dtype).T @ hidden[part].to(ctx.dtype)).to(of_weight.dtype)
            return of_hidden, of_weight, None, None, None

    return ChosenLogprob


def _difference(head: LanguageHead, logits: Tensor, targets: Tensor) -> Tensor:
    """Return the gradient of log p(target) in the head's linear output: onehot - p, [m, v]."""
    import torch

    gradient = -torch.softmax(logits, 1)
    gradient[torch.arange(len(targets), device=targets.device), targets] += 1
    return head.pull_back(gradient, logits)


def attention_windows(config: Any) -> dict[str, int | None]:
    """Return how far back each kind of attention layer looks, None for to the beginning.

    Architectures of several kinds take a mask a kind; the key "" means that all layers take the same one.
    """
    window = getattr(config, "sliding_window", None)
    kinds = set(getattr(config, "layer_types", None) or ())
    if kinds:
        return {kind: window if kind == "sliding_attention" else None for kind in sorted(kinds)}
    return {"": window}
