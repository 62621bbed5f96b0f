"""Frozen bodies are loaded once a process: learners with adapters take turns on them."""

from __future__ import annotations

import weakref
from dataclasses import dataclass, replace
from typing import Any

from superalign.config import digest
from superalign.model import Backbone, Model


@dataclass
class Loan:
    """A body, and who has it now."""

    key: str
    backbone: Backbone
    attention: str | None
    """The implementation it was loaded with; a trainee sets its own."""
    borrower: weakref.ref[Backbone]


_loan: Loan | None = None  # one: a learner needs one, and a body may fill a device


def borrow(model: Model) -> Backbone:
    """Return the model's body, frozen and without adapters, from memory where the one who had it is gone.

    Either way nothing is drawn from torch's generator, so that adapters start from the same numbers.
    """
    import torch

    global _loan
    key = digest([model.spec(), model.fingerprint(), model.precision()])
    if _loan is None or _loan.key != key or _loan.borrower() is not None:
        release()
        with torch.random.fork_rng(devices=[]):
            kept = model.backbone(model.precision())
        attention = getattr(getattr(kept.module, "config", None), "_attn_implementation", None)
    else:
        kept, attention = _loan.backbone, _loan.attention
        _strip(kept.module)
        if attention is not None:
            module: Any = kept.module
            module.set_attn_implementation(attention)  # so that it computes just as one that was loaded anew
    kept.module.requires_grad_(False)
    lent = replace(kept)
    _loan = Loan(key, kept, attention, weakref.ref(lent))
    return lent


def release() -> None:
    """Let go of the body that is kept, for one who needs the memory."""
    global _loan
    _loan = None


def _strip(body: Any) -> None:
    """Take adapters off, so that the linear layers are those of the model again."""
    from peft.tuners.lora import LoraLayer

    adapted = [(name, layer) for name, layer in body.named_modules() if isinstance(layer, LoraLayer)]
    for name, layer in adapted:
        owner, _, last = name.rpartition(".")
        setattr(body.get_submodule(owner), last, layer.get_base_layer())
    if adapted:
        del body.peft_config
