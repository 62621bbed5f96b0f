"""A language model that is looked into: losses of strings in conversations, and their slope in each token."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from superalign.attacks._place import Place
from superalign.batching import PASS, within_budget
from superalign.errors import ModelError
from superalign.model import Model

if TYPE_CHECKING:
    from torch import Tensor

IntArray = npt.NDArray[np.int64]
Past = list[tuple["Tensor", "Tensor"]]
"""Keys and values of each layer, [1, heads, n, d]."""
PREFIXES = 64  # beginnings of conversations whose keys and values are held
GPU_PASS = 4096  # like PASS, where starting a pass takes far longer than computing a token


class Seen(NamedTuple):
    """A string whose slope was computed, and what the model kept of reading it (nothing where it keeps nothing)."""

    string: IntArray
    past: Past


class Glass:
    """One model's view of strings.

    Args:
        model: a causal language model whose weights are here.
        batch_tokens: tokens computed at once; None is the model's default.

    Raises:
        ModelError: there is nothing to look into.
    """

    def __init__(self, model: Model, batch_tokens: int | None = None) -> None:
        from superalign.models._torch import torch_dtype
        from superalign.models.hf import CPU_TOKENS, GPU_TOKENS

        precision = model.precision()
        try:
            backbone = model.backbone(precision)
        except ModelError as error:
            raise _opaque(model, error.what) from error
        if backbone.voice is None:
            raise _opaque(model, "it predicts no next token: it is an encoder, or cut off below its last layer")
        body: Any = backbone.module
        self.module, self.table = body.eval().requires_grad_(False), body.get_input_embeddings()
        self.voice, self.name, self.dtype = backbone.voice(), str(model), torch_dtype(precision)
        self.device = self.table.weight.device
        on_cpu = self.device.type == "cpu"
        self.budget = batch_tokens or (CPU_TOKENS[precision] if on_cpu else GPU_TOKENS)
        self.beginning = PASS if on_cpu else GPU_PASS
        self.caches = True
        """Whether it computes the same after keys and values it computed before; found out with the first string."""
        self._prefixes: dict[tuple[int, ...], Past] = {}

    def losses(self, place: Place, strings: IntArray, seen: Seen | None = None) -> Tensor:
        """Return the mean cross-entropy of the target after each string, float32 [b].

        Args:
            place: of the strings.
            strings: int64 [b, n].
            seen: a string near to them: what they begin with alike is not computed again.
        """
        import torch

        whole = place.whole(strings)
        past = seen.past if seen and seen.past else self._prefix(place)
        shared = np.full(len(strings), len(place.before) if past else 0)
        if past and seen and seen.past:
            differs = strings != seen.string
            shared += np.where(differs.any(1), differs.argmax(1), strings.shape[1] - 1)
        rows, target = torch.from_numpy(whole).to(self.device), self._ids(place.target)
        out = torch.empty(len(strings), dtype=torch.float32, device=self.device)
        widths = whole.shape[1] - shared
        for piece in within_budget(np.arange(len(strings)), widths, self.budget, self.beginning):
            known = int(shared[piece].min())
            here = torch.from_numpy(piece).to(self.device)
            out[here] = self._loss(rows[here, known:], target, _cut(past, known))
        return out

    def slope(self, place: Place, string: IntArray, allowed: Tensor) -> tuple[Tensor, Tensor, Seen]:
        """Return the loss, its gradient in the one-hot rows of a string, float32 [n, a], and what was kept.

        Args:
            place: of the string.
            string: int64 [n].
            allowed: ids whose columns of the gradient are returned, int64 [a].
        """
        import torch
        from transformers import DynamicCache

        prefix = self._prefix(place)
        known = len(place.before) if prefix else 0
        (ids,) = place.whole(string[None])
        embedded = self.table(self._ids(ids[known:])[None]).requires_grad_()
        cache = _filled(DynamicCache(), prefix, 1) if self.caches else None
        target = self._ids(place.target)
        with torch.enable_grad():
            hidden = self.module(
                inputs_embeds=embedded, past_key_values=cache, use_cache=cache is not None
            ).last_hidden_state[0, -len(target) :]
            loss = -self.voice.head.logprobs(hidden, target, self.dtype).mean()
            (gradient,) = torch.autograd.grad(loss, embedded)
        first = len(place.before) - known
        here = gradient[0, first : first + len(string)]
        each = here @ self.table(allowed).T  # an embedding may scale its rows: what it gives out is what counts
        kept = [(layer.keys.detach(), layer.values.detach()) for layer in cache.layers] if cache else []
        return loss.detach(), each.float(), Seen(string, kept)

    def says(self, place: Place, string: IntArray) -> bool:
        """Tell whether the likeliest answer begins with the target."""
        import torch

        with torch.no_grad():
            past = self._prefix(place)
            known = len(place.before) if past else 0
            rows = torch.from_numpy(place.whole(string[None])[:, known:]).to(self.device)
            logits = self.voice.head.logits(self._hidden(rows, past)[0, -len(place.target) :], self.dtype)
            return bool((logits.argmax(1) == self._ids(place.target)).all())

    def _loss(self, rows: Tensor, target: Tensor, past: Past) -> Tensor:
        import torch

        with torch.no_grad():
            hidden = self._hidden(rows, past)[:, -len(target) :]
            each = self.voice.head.logprobs(hidden.flatten(0, 1), target.repeat(len(rows)), self.dtype)
        return -each.view(len(rows), -1).mean(1)

    def _hidden(self, rows: Tensor, past: Past) -> Tensor:
        from transformers import DynamicCache

        cache = _filled(DynamicCache(), past, len(rows), _fixed_layer()) if past else None
        hidden: Tensor = self.module(
            input_ids=rows, past_key_values=cache, use_cache=cache is not None
        ).last_hidden_state
        return hidden

    def _prefix(self, place: Place) -> Past:
        """Return what the model kept of reading the place's beginning; nothing where it takes no such thing."""
        if not self.caches or not place.before:
            return []
        if place.before not in self._prefixes:
            self.caches, past = self._tried(place)
            if not self.caches:
                return []
            while len(self._prefixes) >= PREFIXES:
                del self._prefixes[next(iter(self._prefixes))]
            self._prefixes[place.before] = past
        return self._prefixes[place.before]

    def _tried(self, place: Place) -> tuple[bool, Past]:
        """Read a beginning; tell by a trial whether what follows is computed as without the cache."""
        import torch
        from transformers import DynamicCache

        target = self._ids(place.target)
        rows = torch.from_numpy(place.whole(np.array([place.start] * 2, dtype=np.int64))).to(self.device)
        alone = self._loss(rows, target, [])
        try:
            with torch.no_grad():
                cache = DynamicCache()  # without a configuration: no layer forgets what its window has left behind
                self.module(input_ids=rows[:1, : len(place.before)], past_key_values=cache, use_cache=True)
                past = [(layer.keys, layer.values) for layer in cache.layers]
            after = self._loss(rows[:, len(place.before) :], target, past)
        except (TypeError, ValueError, RuntimeError, KeyError, IndexError, AttributeError):
            return False, []
        close = torch.finfo(self.dtype).eps ** 0.5
        return bool(torch.allclose(after, alone, rtol=close, atol=close)), past

    def _ids(self, ids: Any) -> Tensor:
        import torch

        return torch.tensor(np.asarray(ids), dtype=torch.long, device=self.device)


def _cut(past: Past, n: int) -> Past:
    return [(keys[:, :, :n], values[:, :, :n]) for keys, values in past]


def _filled(cache: Any, past: Past, rows: int, layer: Any = None) -> Any:
    """Return a cache of as many rows that have all read the same; nothing is copied."""
    from transformers.cache_utils import DynamicLayer

    for keys, values in past:
        made = (layer or DynamicLayer)()
        made.dtype, made.device, made.is_initialized = keys.dtype, keys.device, True
        made.keys, made.values = keys.expand(rows, -1, -1, -1), values.expand(rows, -1, -1, -1)
        cache.layers.append(made)
    return cache


@cache
def _fixed_layer() -> Any:
    """Return a layer of a cache that does not grow, hence needs no cropping and holds no row's keys and values."""
    import torch
    from transformers.cache_utils import DynamicLayer

    def update(self: Any, key_states: Tensor, value_states: Tensor, *_: Any, **__: Any) -> tuple[Tensor, Tensor]:
        return torch.cat([self.keys, key_states], -2), torch.cat([self.values, value_states], -2)

    return type("FixedLayer", (DynamicLayer,), {"update": update})


def _opaque(model: Model, why: str) -> ModelError:
    fix = "take hf: or embedded: causal language models, or an attack that only asks"
    return ModelError(f"{model} cannot be looked into, as this attack must", why=why, fix=fix)
