"""`lora` and `full` on tiny checkpoints of every architecture, and what early stopping may see."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from transformers.pytorch_utils import Conv1D

from checkpoints import ARCHITECTURES, LAYERS
from small_tasks import comparisons, examples, lesson, model, swapped
from superalign.errors import ConfigError, DataError, ModelError, SealedGoldError
from superalign.fit import Learned, Lesson, fits
from superalign.fits._stopping import OracleEarlyStop, hold_out
from superalign.fits.full import Full
from superalign.fits.lora import Lora
from superalign.label import Labels
from superalign.models.vader import Vader
from superalign.network import Network, Reading
from superalign.store import Store
from superalign.task import Example, Gold, Task, recorded_unsealings

FAST: dict[str, Any] = {"lr": 3e-3, "epochs": 10, "batch": 8, "schedule": "constant"}
FITS = {"lora": Lora(**FAST), "full": Full(**FAST)}


def learn(fit, folder, task: Task, one: Lesson, asked=None, report=lambda **_: None, **settings: Any) -> Learned:
    asked = np.arange(len(task.items)) if asked is None else asked
    (learned,) = fit.learn(model(folder, **settings), task, [one], [asked], store=Store(), report=report)
    return learned


def accuracy(learned: Learned, truth: np.ndarray) -> float:
    return float((learned.probs.argmax(1) == truth).mean())


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("fit", FITS.values(), ids=FITS.keys())
def test_every_architecture_learns_its_lesson(tiny, architecture, fit):
    task, truth = examples(24)
    learned = learn(fit, tiny(architecture), task, lesson(truth))
    assert learned.probs.shape == (24, 2)
    assert learned.probs.dtype == np.float32
    np.testing.assert_allclose(learned.probs.sum(1), 1, atol=1e-5)
    assert accuracy(learned, truth) >= 0.9
    assert learned.facts["steps"] == 30
    assert learned.facts["last_loss"] < learned.facts["first_loss"]


@pytest.mark.parametrize("fit", FITS.values(), ids=FITS.keys())
def test_more_than_two_classes_and_unseen_items(tiny, fit):
    task, truth = examples(96, kinds=4)
    learned = learn(fit, tiny("llama"), task, lesson(truth[:64], k=4), np.arange(64, 96))
    assert learned.probs.shape == (32, 4)
    assert accuracy(learned, truth[64:]) > 0.6


@pytest.mark.parametrize("architecture", ["llama", "bert"])
@pytest.mark.parametrize("fit", FITS.values(), ids=FITS.keys())
def test_swapping_responses_and_labels_mirrors_the_predictions(tiny, fit, architecture):
    task, truth = comparisons(16)
    one = learn(fit, tiny(architecture), task, lesson(truth))
    other = learn(fit, tiny(architecture), swapped(task), lesson(1 - truth))
    np.testing.assert_allclose(one.probs, other.probs[:, ::-1], atol=1e-4)
    assert accuracy(one, truth) >= 0.9


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_neither_neighbours_nor_their_padding_nor_their_order_change_a_prediction(tiny, architecture):
    task, _ = examples(24)
    network = Lora().network(model(tiny(architecture)), 2)
    torch.nn.init.normal_(network.head.weight, std=0.1, generator=torch.Generator().manual_seed(0))
    reading = Reading.of(task, np.arange(24), network.backbone)
    alone = network.probs(reading, np.arange(24), budget=1)
    together = network.probs(reading, np.arange(24), budget=10**6)
    backwards = network.probs(reading, np.arange(24)[::-1], budget=100)
    assert np.ptp(alone[:, 0]) > 0.01
    np.testing.assert_allclose(together, alone, atol=2e-5)
    np.testing.assert_allclose(backwards[::-1], alone, atol=2e-5)


@pytest.mark.parametrize("fit", FITS.values(), ids=FITS.keys())
def test_the_seed_decides_everything_and_random_numbers_outside_go_on_as_before(tiny, fit):
    task, truth = examples(16)
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    one, again, other = (learn(fit, tiny("gpt2"), task, lesson(truth, seed=seed)) for seed in (0, 0, 1))
    assert torch.equal(torch.rand(3), expected)
    np.testing.assert_array_equal(one.probs, again.probs)
    assert np.abs(one.probs - other.probs).max() > 1e-4


def test_several_lessons_are_learnt_each_from_the_models_own_weights(tiny):
    task, truth = examples(16)
    lessons = [lesson(truth), lesson(1 - truth), lesson(truth)]
    asked = [np.arange(16), np.arange(4), np.arange(0)]
    fit = FITS["full"]
    learned = fit.learn(model(tiny("llama")), task, lessons, asked, store=Store(), report=lambda **_: None)
    alone = learn(fit, tiny("llama"), task, lessons[1], asked[1])
    np.testing.assert_array_equal(learned[1].probs, alone.probs)
    assert [one.probs.shape for one in learned] == [(16, 2), (4, 2), (0, 2)]


def test_lora_moves_adapters_and_head_alone_in_float32_on_a_bf16_body(tiny):
    network = Lora(rank=4).network(model(tiny("llama"), dtype="bf16"), 2)
    named = dict(network.backbone.module.named_parameters())
    moving = {name for name, parameter in named.items() if parameter.requires_grad}
    assert {name for name in named if "lora_" in name} == moving
    assert {named[name].dtype for name in moving} == {torch.float32}
    assert {named[name].dtype for name in set(named) - moving} == {torch.bfloat16}
    assert network.head.weight.dtype == torch.float32
    assert len(moving) == 3 * 7 * 2  # layers, linear layers in each, A and B
    rank_of_a = {parameter.shape[0] for name, parameter in named.items() if "lora_A" in name}
    assert rank_of_a == {4}


@pytest.mark.parametrize("fit", FITS.values(), ids=FITS.keys())
def test_bf16_learns_what_float32_learns(tiny, fit):
    task, truth = examples(24)
    learned = learn(fit, tiny("llama"), task, lesson(truth), dtype="bf16")
    assert accuracy(learned, truth) >= 0.9


def test_full_keeps_float32_weights_and_computes_in_the_models_precision(tiny):
    network = Full().network(model(tiny("llama"), dtype="bf16"), 2)
    assert {parameter.dtype for parameter in network.trainable} == {torch.float32}
    assert network.precision == "bf16"
    task, _ = examples()
    reading = Reading.of(task, np.arange(12), network.backbone)
    torch.nn.init.normal_(network.head.weight)
    low = network.logits(reading, np.arange(12))
    network.precision = "fp32"
    difference = (low - network.logits(reading, np.arange(12))).abs().max().item()
    assert 1e-4 < difference < 0.5  # of bf16, hence computed in it


def test_fine_tuning_takes_the_whole_model_unless_a_layer_was_set(tiny):
    def blocks(**settings: Any) -> int:
        return len(Full().network(model(tiny("llama"), **settings), 2).backbone.module.layers)

    assert [blocks(), blocks(layer=2), blocks(layer=-3)] == [3, 2, 1]


def test_target_names_the_layers_that_get_adapters(tiny):
    def adapted(target: str, architecture: str = "llama") -> set[str]:
        network = Lora(target=target).network(model(tiny(architecture)), 2)
        named = network.backbone.module.named_parameters()
        return {name.partition(".lora_")[0].rpartition(".")[2] for name, p in named if p.requires_grad}

    assert adapted("q_proj+v_proj") == {"q_proj", "v_proj"}
    assert adapted("self_attn.o_proj") == {"o_proj"}
    assert adapted("all-linear", "gpt2") == {"c_attn", "c_proj", "c_fc"}
    with pytest.raises(ConfigError, match="no linear layer 'q_prj'") as caught:
        adapted("q_prj")
    assert caught.value.fix == "did you mean 'q_proj'?"


def test_dropout_acts_while_learning_only(tiny):
    task, truth = examples(16)
    network = Lora(dropout=0.5).network(model(tiny("gpt2")), 2)
    reading = Reading.of(task, np.arange(16), network.backbone)
    torch.nn.init.normal_(network.head.weight)
    for name, parameter in network.backbone.module.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter)
    first, second = network.logits(reading, np.arange(16)), network.logits(reading, np.arange(16))
    assert (first - second).abs().max() > 1e-3
    probs = [network.probs(reading, np.arange(16), 1000) for _ in range(2)]
    np.testing.assert_array_equal(*probs)
    assert accuracy(learn(Lora(**FAST, dropout=0.1), tiny("gpt2"), task, lesson(truth)), truth) >= 0.9


def test_the_models_own_dropout_never_acts(tiny):
    network = Full().network(model(tiny("gpt2")), 2)  # GPT-2's configuration says dropout 0.1
    task, _ = examples()
    reading = Reading.of(task, np.arange(12), network.backbone)
    torch.nn.init.normal_(network.head.weight)
    assert torch.equal(network.logits(reading, np.arange(12)), network.logits(reading, np.arange(12)))


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_checkpointing_computes_layers_twice_and_changes_no_result(tiny, architecture):
    task, truth = examples(16)
    probs, runs = {}, {}
    for on in (False, True):
        fit = Full(lr=1e-3, checkpointing=on)
        probs[on] = learn(fit, tiny(architecture), task, lesson(truth)).probs
        network = fit.network(model(tiny(architecture)), 2)
        ran: list[str] = []
        for name, part in network.backbone.module.named_modules():
            if isinstance(part, torch.nn.Linear | Conv1D):
                part.register_forward_hook(lambda *_, ran=ran, name=name: ran.append(name))
        reading = Reading.of(task, np.arange(16), network.backbone)
        network.logits(reading, np.arange(16)).sum().backward()
        runs[on] = ran
    assert len(runs[True]) >= 2 * len(runs[False]) - LAYERS  # the end of a layer need not be computed again
    np.testing.assert_allclose(probs[True], probs[False], atol=1e-5)


def test_early_stopping_keeps_the_best_step_and_reads_no_truth(tiny):
    task, truth = examples(80)
    rng = np.random.default_rng(0)
    weak = np.where(rng.random(80) < 0.3, 1 - truth, truth)  # a teacher that is wrong in 30 %
    scores: list[tuple[int, tuple[float, float]]] = []
    fit = Full(**FAST, stop="early", validation=0.3)

    from superalign.fits._stopping import EarlyStop

    def observed(self, network, _original=EarlyStop._score):
        scores.append((0, _original(self, network)))
        return scores[-1][1]

    with pytest.MonkeyPatch.context() as patch, recorded_unsealings() as log:
        patch.setattr(EarlyStop, "_score", observed)
        learned = learn(fit, tiny("llama"), task, lesson(weak))
    assert log == []
    best = max(score for _, score in scores)
    held = hold_out(np.array(task.groups()), 0.3, seed=0)
    assert learned.facts["agreement"] == pytest.approx(best[0])
    assert float((learned.probs[held].argmax(1) == weak[held]).mean()) == pytest.approx(best[0])
    assert learned.facts["held_out"] == len(held) == 24
    assert scores[-1][1] < best  # it went past the best, so that going back was needed
    assert 0 < learned.facts["best_step"] < learned.facts["steps"]


def test_held_out_items_are_never_trained_on(tiny):
    task, truth = examples(40)
    held = hold_out(np.array(task.groups()), 0.1, seed=0)
    lies = truth.copy()
    lies[held] = 1 - lies[held]
    fit = Full(lr=1e-3, epochs=1, stop="early", batch=64)  # one step, so that it is the best one whatever is held out
    honest, lied = (learn(fit, tiny("llama"), task, lesson(labels)) for labels in (truth, lies))
    np.testing.assert_array_equal(honest.probs, lied.probs)
    assert honest.facts["agreement"] == pytest.approx(1 - lied.facts["agreement"])


def test_the_oracle_stop_is_on_the_record(tiny):
    task, truth = examples(40)
    weak = np.where(np.random.default_rng(0).random(40) < 0.3, 1 - truth, truth)
    fit = Full(**FAST, stop="oracle-early-stop", validation=0.3)
    assert fit.wants_gold
    assert not Full(stop="early").wants_gold
    with recorded_unsealings() as log:
        learned = learn(fit, tiny("llama"), task, lesson(weak, oracle=Gold(truth, "transfer")))
    assert [(one.part, one.reader) for one in log] == [("transfer", "OracleEarlyStop")]
    assert learned.facts["stop"] == "oracle-early-stop"
    held = hold_out(np.array(task.groups()), 0.3, seed=0)
    assert learned.facts["agreement"] == pytest.approx((learned.probs[held].argmax(1) == truth[held]).mean())


def test_gold_in_a_lesson_stays_sealed_without_an_oracle_stop(tiny):
    task, truth = examples(16)
    with recorded_unsealings() as log:
        for stop in ("never", "early"):
            learn(Full(lr=1e-3, stop=stop), tiny("llama"), task, lesson(truth, oracle=Gold(truth, "transfer")))
    assert log == []


def test_the_oracle_may_not_see_the_test_part_and_cannot_do_without_truth(tiny):
    with pytest.raises(SealedGoldError):
        OracleEarlyStop().labels(Gold(np.zeros(3, dtype=np.int64), "test"), 2)
    task, truth = examples()
    with pytest.raises(ConfigError, match="needs the truth"):
        learn(Full(stop="oracle-early-stop"), tiny("llama"), task, lesson(truth))


@pytest.mark.parametrize("share", [0.01, 0.3, 0.99])
def test_groups_are_held_out_whole_one_at_least_and_never_all(share):
    groups = np.array([f"g{n // 3}" for n in range(30)])
    held = hold_out(groups, share, seed=0)
    out = set(groups[held])
    assert set(groups[np.setdiff1d(np.arange(30), held)]) == set(groups) - out
    assert len(out) == {0.01: 1, 0.3: 3, 0.99: 9}[share]
    with pytest.raises(DataError, match="nothing to hold out"):
        hold_out(np.array(["g", "g"]), share, seed=0)


@pytest.mark.parametrize("fit", FITS.values(), ids=FITS.keys())
def test_one_item_alike_labels_and_short_texts_are_learnt(tiny, fit):
    task, _ = examples(8)
    one = Labels.hard(np.array([1]), 2, "test")
    alone = learn(fit, tiny("llama"), task, replace(lesson(np.array([1])), items=np.array([3]), labels=one))
    assert alone.facts["steps"] == 10
    assert alone.probs[3].argmax() == 1
    alike = learn(fit, tiny("llama"), task, lesson(np.ones(8, dtype=np.int64)))
    assert (alike.probs.argmax(1) == 1).all()
    short = Task("short", "1", tuple(Example(str(n), "!?"[n % 2]) for n in range(8)), ("no", "yes"))
    learned = learn(fit, tiny("gpt2"), short, lesson(np.arange(8) % 2), max_tokens=4)
    assert accuracy(learned, np.arange(8) % 2) == 1


def test_texts_longer_than_the_limit_are_cut_counted_and_learnt(tiny):
    task, truth = examples(16)
    learned = learn(FITS["full"], tiny("llama"), task, lesson(truth), max_tokens=8, layer=1)
    lengths = [len(ids) for ids in model(tiny("llama")).backbone().tokenize(task.texts())[0]]
    assert learned.facts["truncated"] == 2 * sum(length > 8 for length in lengths) > 0  # taught and asked alike


def test_a_model_without_layers_cannot_be_fine_tuned(tmp_path):
    task, truth = examples()
    for fit in FITS.values():
        with pytest.raises(ModelError, match="cannot be fine-tuned"):
            fit.learn(
                Vader(folder=tmp_path), task, [lesson(truth)], [np.arange(12)], store=Store(), report=lambda **_: None
            )


def test_settings_in_text_form_and_their_mistakes():
    fit = fits.build("lora,rank=4,stop=early,lr=1e-3")
    assert isinstance(fit, Lora)
    assert (fit.rank, fit.stop, fit.lr) == (4, "early", 1e-3)
    assert fits.build(fit.spec()) == fit
    assert (Lora().lr, Full().lr) == (3e-4, 3e-5)
    with pytest.raises(ConfigError, match="unknown setting 'rnak'") as caught:
        fits.build("lora,rnak=4")
    assert caught.value.fix == "did you mean 'rank'?"
    with pytest.raises(ConfigError):
        fits.build("full,stop=oracle")


def test_network_restores_the_state_it_gave(tiny):
    network: Network = Full().network(model(tiny("llama")), 2)
    before = network.state()
    with torch.no_grad():
        for parameter in network.trainable:
            parameter += 1
    network.restore(before)
    assert all(torch.equal(a, b) for a, b in zip(network.state(), before, strict=True))


@pytest.mark.parametrize("read", ["head", "policy"])
@pytest.mark.parametrize("fit", FITS.values(), ids=FITS.keys())
def test_a_learner_goes_on_from_what_it_knew(tiny, fit, read):
    task, truth = comparisons(24)
    one = lesson(truth)
    first = learn(fit.model_copy(update={"keep": True, "read": read}), tiny("llama"), task, one)
    still = fit.model_copy(update={"keep": True, "read": read, "lr": 1e-12, "epochs": 1})
    again = learn(still, tiny("llama"), task, replace(one, start=first.kept))
    np.testing.assert_allclose(again.scores, first.scores, atol=1e-4)
    assert {name: array.shape for name, array in again.kept.items()} == {
        name: array.shape for name, array in first.kept.items()
    }
    from_nothing = learn(still, tiny("llama"), task, one)
    assert not np.allclose(from_nothing.scores, first.scores, atol=1e-3)


def test_what_was_learnt_by_other_settings_is_refused(tiny):
    task, truth = comparisons(8)
    kept = learn(Lora(**FAST, keep=True, rank=4), tiny("llama"), task, lesson(truth)).kept
    with pytest.raises(ModelError, match="does not fit"):
        learn(Lora(**FAST, rank=8), tiny("llama"), task, replace(lesson(truth), start=kept))
