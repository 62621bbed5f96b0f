"""Pair losses against the losses of TRL's own trainers, value and gradient, on the same log-probabilities."""

from __future__ import annotations

from collections import defaultdict
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from losses import orders

from superalign.objective import objectives

pytest.importorskip("trl", reason="trl is not installed (a peer to compare with, in the extra 'dev')")
N, TOKENS, BETA = 7, 5, 0.3


def trainer(kind: str, **settings: Any) -> Any:
    """A TRL trainer of which nothing but its loss is used, so nothing else is set up."""
    import trl
    from accelerate import Accelerator

    made = getattr(trl, kind).__new__(getattr(trl, kind))
    common = {
        "model": torch.nn.Identity(),
        "accelerator": Accelerator(cpu=True),
        "_metrics": {"train": defaultdict(list), "eval": defaultdict(list)},
        "_total_train_tokens": 0,
        "_tp_size": 1,
        "aux_loss_enabled": False,
    }
    vars(made).update(common | settings)
    return made


class Texts:
    """Log-probabilities of the tokens of N chosen and N rejected responses of several lengths."""

    def __init__(self, seed: int) -> None:
        generator = torch.Generator().manual_seed(seed)
        lengths = torch.randint(1, TOKENS, (2 * N,), generator=generator)
        self.mask = (torch.arange(TOKENS) >= TOKENS - lengths[:, None]).long()  # the first token is the prompt's
        each = torch.randn(2 * N, TOKENS - 1, generator=generator, dtype=torch.float64)
        self.log_probs = (each * self.mask[:, 1:]).requires_grad_()
        self.reference = torch.randn(2 * N, generator=generator, dtype=torch.float64)

    def theirs(self, kind: str, smoothing: float = 0.0) -> torch.Tensor:
        settings = {
            "ld_alpha": None,
            "precompute_ref_logps": True,
            "f_divergence_type": "reverse_kl",
            "loss_types": [kind],
            "loss_weights": [1.0],
            "beta": BETA,
            "label_smoothing": smoothing,
            "use_weighting": False,
        }
        made = trainer("DPOTrainer", **settings)
        zeros = torch.zeros_like(self.log_probs)
        said = SimpleNamespace(log_probs=self.log_probs, entropy=zeros, mean_logits=zeros, is_top1=zeros.bool())
        chosen, rejected = self.reference.chunk(2)
        inputs = {
            "input_ids": torch.zeros_like(self.mask),
            "attention_mask": torch.ones_like(self.mask),
            "completion_mask": self.mask,
            "ref_chosen_logps": chosen,
            "ref_rejected_logps": rejected,
        }
        loss: torch.Tensor = made._compute_loss(lambda **_: said, inputs, return_outputs=False)
        return loss

    def ours(self, spec: str, *, by_length: bool = False) -> torch.Tensor:
        """Our mean loss on the implicit rewards of (rejected, chosen), the second preferred."""
        ratio = self.log_probs.sum(1) - self.reference
        if by_length:
            ratio = ratio / self.mask.sum(1)
        chosen, rejected = (BETA * ratio).chunk(2)
        logits = torch.stack([rejected, chosen], -1)
        labels = orders(torch.ones(N, dtype=torch.float64))
        return objectives.build(spec)(logits, labels, progress=0.5, context=None).mean()


def same(texts: Texts, ours: torch.Tensor, theirs: torch.Tensor) -> None:
    torch.testing.assert_close(ours, theirs)
    torch.testing.assert_close(*(torch.autograd.grad(loss, texts.log_probs)[0] for loss in (ours, theirs)))


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(
    ("spec", "kind", "smoothing"),
    [
        ("dpo", "sigmoid", 0.0),
        ("hinge", "hinge", 0.0),
        ("rdpo,rate=0.1", "robust", 0.1),
        ("rdpo,rate=0.35", "robust", 0.35),
    ],
)
def test_dpo_losses_are_those_of_trl(spec, kind, smoothing, seed):
    texts = Texts(seed)
    same(texts, texts.ours(spec), texts.theirs(kind, smoothing))


@pytest.mark.parametrize("seed", range(3))
def test_ipo_is_that_of_trl_on_scores_by_length_and_in_units_of_beta(seed):
    """TRL divides log-ratios by the length and regresses them on 1/(2 beta); our scores hold the factor beta."""
    texts = Texts(seed)
    same(texts, texts.ours("ipo", by_length=True) / BETA**2, texts.theirs("ipo"))


@pytest.mark.parametrize("margin", [None, 0.7])
@pytest.mark.parametrize("center", [None, 0.01])
def test_margin_is_the_loss_of_trl_s_reward_trainer(margin, center):
    rewards = torch.randn(2 * N, 1, generator=torch.Generator().manual_seed(0), dtype=torch.float64).requires_grad_()
    made = trainer("RewardTrainer", args=SimpleNamespace(center_rewards_coefficient=center))
    inputs = {"attention_mask": torch.ones(2 * N, TOKENS)}
    if margin is not None:
        inputs["margin"] = torch.full((N,), margin, dtype=torch.float64)
    theirs = made.compute_loss(lambda **_: SimpleNamespace(logits=rewards), inputs)
    chosen, rejected = rewards.squeeze(-1).chunk(2)
    objective = objectives.build({"name": "margin", "margin": margin or 0.0, "center": center or 0.0})
    logits, labels = torch.stack([rejected, chosen], -1), orders(torch.ones(N, dtype=torch.float64))
    ours = objective(logits, labels, progress=0.5, context=None).mean()
    torch.testing.assert_close(ours, theirs)
    torch.testing.assert_close(*(torch.autograd.grad(loss, rewards)[0] for loss in (ours, theirs)))
