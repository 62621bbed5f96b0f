"""Several real processes (gloo, on the CPU) train what one trains: the same losses within float rounding."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from faults import _server, leftovers
from small_tasks import comparisons, examples, lesson, model
from superalign import checkpoint
from superalign.distributed import Processes, shard
from superalign.errors import ConfigError
from superalign.fits._finetune import AgreedStop, FineTune
from superalign.fits.full import Full
from superalign.fits.lora import Lora
from superalign.label import Labels
from superalign.learner import Learner, Targets, Training
from superalign.network import Network, Reading
from superalign.objective import objectives
from superalign.store import Store
from test_checkpoint import Cut, Ear

pytestmark = pytest.mark.slow
Tiny = Callable[[str], Path]
SETTINGS: dict[str, Any] = {"lr": 3e-3, "epochs": 2, "batch": 4}


@pytest.fixture(autouse=True)
def _constants(monkeypatch: pytest.MonkeyPatch) -> None:
    """Put back what `training` changes in this process: other modules' tests count on it."""
    for name in ("EVERY", "SHARE", "PART"):
        monkeypatch.setattr(checkpoint, name, getattr(checkpoint, name))


def world(count: int, work: Callable[..., Any], folder: Path, *arguments: Any) -> list[Any]:
    """Do `work(*arguments)` in that many processes of one group; return what each of them returned, by rank."""
    folder.mkdir()
    processes = [
        _server().Process(target=_member, args=(rank, count, work, folder, arguments)) for rank in range(count)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join(120)
        process.kill()
    files = [folder / f"{rank}.json" for rank in range(count)]
    assert all(file.is_file() for file in files), [process.exitcode for process in processes]
    return [_read(file) for file in files]


def _member(rank: int, count: int, work: Callable[..., Any], folder: Path, arguments: tuple[Any, ...]) -> None:
    import torch.distributed as dist

    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=count)
    found = work(*arguments)
    assert dist.get_world_size() == count
    _write(folder / f"{rank}.json", found)
    dist.destroy_process_group()


def _write(file: Path, found: Any) -> None:
    """Write numbers, texts, lists, dicts and tensors as JSON, beside the tensors in safetensors."""
    tensors: dict[str, torch.Tensor] = {}

    def plain(value: torch.Tensor) -> dict[str, str]:
        name = str(len(tensors))
        tensors[name] = value.detach().clone().contiguous()
        return {"tensor": name}

    text = json.dumps(found, default=plain)
    save_file(tensors, file.with_suffix(".safetensors"))
    file.write_text(text)


def _read(file: Path) -> Any:
    tensors = load_file(file.with_suffix(".safetensors"))
    return json.loads(file.read_text(), object_hook=lambda one: tensors[one["tensor"]] if [*one] == ["tensor"] else one)


@given(costs=st.lists(st.integers(1, 1000), min_size=1, max_size=20), count=st.integers(1, 5), sharded=st.booleans())
def test_every_piece_is_dealt_to_one_process_and_none_has_much_more_to_do(
    costs: list[int], count: int, sharded: bool
) -> None:
    hands = [Processes(rank, count, sharded).deal(costs) for rank in range(count)]
    counted = [[number for number, counts in hand if counts] for hand in hands]
    assert sorted(number for hand in counted for number in hand) == list(range(len(costs)))
    loads = [sum(costs[number] for number in hand) for hand in counted]
    assert max(loads) - min(loads) <= max(costs)
    if sharded:
        assert len({len(hand) for hand in hands}) == 1
    else:
        assert all(counts for hand in hands for _, counts in hand)


BUDGETS, OBJECTIVES = (1, 60, 150, 10**6), ("naive", "logconf,alpha=0.75,warmup=0")


def gradients(folder: Path, items: int) -> list[tuple[float, list[torch.Tensor]]]:
    """The loss and the gradient of all items as one batch, for every objective and size of micro-batches."""
    task, _ = examples(items)
    network = Full().network(model(folder), 2)
    torch.nn.init.normal_(network.head.weight, generator=torch.Generator().manual_seed(0))
    rng = np.random.default_rng(0)
    labels = Labels(
        rng.dirichlet([1, 1], items).astype(np.float32), rng.uniform(0.2, 2, items).astype(np.float32), "test"
    )
    reading, targets, found = Reading.of(task, np.arange(items), network.backbone), None, []
    for objective in OBJECTIVES:
        for budget in BUDGETS:
            training = Training(lr=1, microbatch_tokens=budget)
            learner = Learner(network, objectives.build(objective), training, lambda **_: None)
            targets = Targets.on(network.device, labels)
            loss = learner._gradient(reading, np.arange(items), targets, 1.0)
            found.append((loss.item(), [p.grad.clone() for p in network.trainable if p.grad is not None]))
            for parameter in network.trainable:
                parameter.grad = None
    return found


@pytest.mark.parametrize(("count", "items"), [(2, 12), (3, 2)])
def test_the_gradient_of_a_batch_is_that_of_one_process(tiny: Tiny, tmp_path: Path, count: int, items: int) -> None:
    alone = gradients(tiny("llama"), items)
    shared = world(count, gradients, tmp_path / "world", tiny("llama"), items)
    for number, (loss, gradient) in enumerate(alone):
        assert max(g.abs().max().item() for g in gradient) > 0.1
        for rank in range(count):
            other, theirs = shared[rank][number]
            assert other == pytest.approx(loss, abs=1e-5)
            for one, two in zip(gradient, theirs, strict=True):
                torch.testing.assert_close(two, one, atol=2e-5, rtol=1e-4)
            assert all(torch.equal(a, b) for a, b in zip(theirs, shared[0][number][1], strict=True))


def training(fit: FineTune, folder: Path, store: Path, pairs: bool = False, cut_at: int = 0) -> dict[str, Any]:
    """What a training said and found; a checkpoint is kept after every step."""
    checkpoint.EVERY, checkpoint.SHARE, checkpoint.PART = 0.0, math.inf, 20_000
    task, truth = comparisons(16) if pairs else examples(24)
    one = lesson(np.where(np.arange(len(truth)) % 5 == 0, 1 - truth, truth), objective="logconf")
    losses: list[float] = []
    ear = Ear(cut_at)

    def report(loss: float | None = None, **facts: Any) -> None:
        if loss is not None:
            losses.append(loss)
        ear(**facts)

    everything = np.arange(len(truth))
    try:
        (learned,) = fit.learn(model(folder), task, [one], [everything], store=Store(store), report=report)
    except Cut:
        return {"steps": ear.steps}
    known = Processes.here()
    kept = {name: torch.from_numpy(value) for name, value in learned.kept.items()}
    said = {"losses": losses, "facts": dict(learned.facts), "probs": learned.probs.tolist(), "kept": kept}
    return {**said, "steps": ear.steps, "notes": ear.notes, "count": known.count, "rank": known.rank}


FITS: dict[str, FineTune] = {
    "lora": Lora(**SETTINGS, microbatch_tokens=40),
    "policy": Lora(**SETTINGS, read="policy", microbatch_tokens=60, keep=True),
    "full stopped early": Full(**SETTINGS, stop="early", validation=0.3),
    "sharded": Full(**SETTINGS, sharded=True, microbatch_tokens=40, keep=True),
    "sharded, recomputing, stopped early": Full(**SETTINGS, sharded=True, checkpointing=True, stop="early"),
}


@pytest.mark.parametrize(("name", "pairs"), list(zip(FITS, [False, True, False, True, False], strict=True)))
def test_two_processes_learn_what_one_learns(tiny: Tiny, tmp_path: Path, name: str, pairs: bool) -> None:
    fit = FITS[name]
    alone = training(fit, tiny("llama"), tmp_path / "alone", pairs)
    shared = world(2, training, tmp_path / "world", fit, tiny("llama"), tmp_path / "store", pairs)
    assert [(one["rank"], one["count"]) for one in shared] == [(0, 2), (1, 2)]
    for one in shared:
        np.testing.assert_allclose(one["losses"], alone["losses"], atol=1e-4)
        np.testing.assert_allclose(one["probs"], alone["probs"], atol=2e-3)
        assert one["facts"].pop("processes") == 2
        assert one["facts"].get("best_step") == alone["facts"].get("best_step")
    assert shared[0]["facts"] == shared[1]["facts"]
    np.testing.assert_array_equal(shared[0]["probs"], shared[1]["probs"])
    assert alone["losses"][-1] < math.log(2)
    for one in shared:
        assert {key: value.shape for key, value in one["kept"].items()} == {
            key: value.shape for key, value in alone["kept"].items()
        }
    for key, value in alone["kept"].items():
        np.testing.assert_array_equal(shared[0]["kept"][key], shared[1]["kept"][key])
        assert np.abs(shared[0]["kept"][key] - value).mean() < 1e-3
    assert bool(alone["kept"]) == fit.keep


@pytest.mark.parametrize(
    "fit",
    [Lora(**SETTINGS, dropout=0.3, microbatch_tokens=40), Full(**SETTINGS, sharded=True, stop="early")],
    ids=["lora with dropout", "sharded"],
)
def test_two_processes_go_on_from_a_checkpoint_exactly(tiny: Tiny, tmp_path: Path, fit: FineTune) -> None:
    folder, store = tiny("llama"), tmp_path / "store"
    calm = world(2, training, tmp_path / "calm", fit, folder, tmp_path / "calm-store")
    first = world(2, training, tmp_path / "first", fit, folder, store, False, 6)
    assert [one["steps"] for one in first] == [[1, 2, 3, 4, 5, 6]] * 2
    second = world(2, training, tmp_path / "second", fit, folder, store)
    for one, other in zip(second, calm, strict=True):
        np.testing.assert_array_equal(one["probs"], other["probs"])
        assert one["facts"] == other["facts"]
        assert one["steps"][0] == 6
    assert not leftovers(store)
    assert not list((store / "checkpoints").iterdir())


def test_a_process_alone_does_not_go_on_from_what_two_began(tiny: Tiny, tmp_path: Path) -> None:
    fit, store = FITS["lora"], tmp_path / "store"
    world(2, training, tmp_path / "world", fit, tiny("llama"), store, False, 6)
    assert training(fit, tiny("llama"), store, cut_at=1)["steps"] == [1]


def stopping(folder: Path) -> tuple[int, list[torch.Tensor]]:
    """Early stopping whose held-out labels differ from process to process."""
    rank, task = Processes.here().rank, examples(24)[0]
    torch.manual_seed(0)
    network = Full().network(model(folder), 2)
    reading = Reading.of(task, np.arange(24), network.backbone)
    judging = Labels.hard((np.arange(8) + rank) % 2, 2, "test")
    stop = AgreedStop(reading, np.arange(8), judging, 1000)
    training = Training(lr=1e-2, batch=4, epochs=3)
    labels = Labels.hard(np.arange(24) % 2, 2, "test")
    Learner(network, objectives.build("naive"), training, lambda **_: None).train(reading, labels, 0, [stop])
    stop.restore(network)
    return stop.best_step, network.state()


def test_the_first_process_decides_when_to_stop(tiny: Tiny, tmp_path: Path) -> None:
    first, second = world(2, stopping, tmp_path / "world", tiny("llama"))
    assert first[0] == second[0] > 0
    assert all(torch.equal(a, b) for a, b in zip(first[1], second[1], strict=True))


def shares(folder: Path) -> tuple[int, int, int]:
    """Numbers of the whole network, those this process holds, and those of its optimizer's moments."""
    network: Network = Full().network(model(folder), 2)
    whole = sum(p.numel() for p in network.trainable)
    assert shard(network).sharded
    network.probs(Reading.of(examples(4)[0], np.arange(4), network.backbone), np.arange(4), 1000)
    shards: list[Any] = network.trainable
    adam = torch.optim.AdamW(shards, fused=True)
    for parameter in shards:
        parameter.grad = torch.zeros_like(parameter)
    adam.step()
    moments: Any = [adam.state[p]["exp_avg"] for p in shards]
    return whole, sum(p.to_local().numel() for p in shards), sum(m.to_local().numel() for m in moments)


def test_each_process_holds_a_share_of_weights_and_moments(tiny: Tiny, tmp_path: Path) -> None:
    found = world(2, shares, tmp_path / "world", tiny("llama"))
    assert sum(held for _, held, _ in found) == sum(moments for *_, moments in found) == found[0][0]
    assert max(held for _, held, _ in found) < 0.6 * found[0][0]


def test_a_process_alone_shards_nothing_and_a_policy_cannot_be_sharded(tiny: Tiny, tmp_path: Path) -> None:
    plain, sharded = (
        training(Full(**SETTINGS, sharded=sharded), tiny("llama"), tmp_path / str(sharded)) for sharded in (0, 1)
    )
    np.testing.assert_array_equal(plain["probs"], sharded["probs"])
    task, truth = comparisons(8)
    one = replace(lesson(truth), objective=objectives.build("naive"))
    fit = Full(sharded=True, read="policy")
    with pytest.raises(ConfigError, match="a policy cannot be sharded"):
        fit.learn(model(tiny("llama")), task, [one], [np.arange(8)], store=Store(tmp_path), report=lambda **_: None)
