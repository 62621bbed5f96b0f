"""Checkpoints: a training that was killed goes on from its last one, with the numbers of one that was not."""

from __future__ import annotations

import shutil
import time
import uuid
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from superalign.distributed import Processes
from superalign.errors import StoreError
from superalign.fit import Report
from superalign.store import Array, Artifact, Store, writer

if TYPE_CHECKING:
    from torch import Tensor
    from torch.optim import Optimizer

    from superalign.learner import Memory, Observer, Trace
    from superalign.network import Trainee

EVERY = 60.0  # seconds of training between two checkpoints
SHARE = 0.02  # of the training's time that writing them may take
KEPT = 2  # the newest; the older one is for when the newest is damaged
PART = 1 << 28  # bytes written at once: the memory a checkpoint takes beside the training's own
FORGOTTEN = 30 * 24 * 3600.0  # seconds after which the checkpoints of a training that nobody finished are removed


class State:
    """All that changes from step to step of a training.

    Args:
        network: whose parameters move.
        adam: the optimizer.
        trace: losses so far.
        observers: what early stopping saw.
        processes: that train together, each with random numbers of its own.
        memory: the last items an objective saw that looks back.
    """

    def __init__(
        self,
        network: Trainee[Any],
        adam: Optimizer,
        trace: Trace,
        observers: Sequence[Observer],
        processes: Processes,
        memory: Memory,
    ) -> None:
        self.network, self.adam, self.trace = network, adam, trace
        self.observers, self.processes, self.memory = observers, processes, memory

    def tensors(self) -> Iterator[tuple[str, Tensor]]:
        """Yield names and values, in this memory where the training's own are. All processes take part."""
        import torch

        self.trace.read()
        yield "losses", torch.tensor(self.trace.losses, dtype=torch.float64)
        yield "tokens", torch.tensor(self.trace.tokens)
        yield from ((f"memory.{number}", value) for number, value in enumerate(self.memory.tensors))
        for rank, states in enumerate(self.processes.gathered(self._generators())):
            yield from ((f"generator.{rank}.{kind}", state) for kind, state in states.items())
        for number, parameter in enumerate(self.network.trainable):
            yield f"parameter.{number}", gathered(parameter)
            for name, value in self.adam.state[parameter].items():
                yield f"adam.{number}.{name}", gathered(value)
        for number, observer in enumerate(self.observers):
            yield f"observer.{number}.best", torch.tensor([*observer.best, observer.best_step], dtype=torch.float64)
            for place, value in enumerate(observer.state):
                yield f"observer.{number}.{place}", gathered(value)

    def put(self, name: str, value: Array) -> None:
        """Set what `tensors` named so; in the order in which it did."""
        import torch

        kind, *rest = name.split(".")
        if kind == "losses":
            self.trace.losses = value.tolist()
        elif kind == "tokens":
            self.trace.tokens = int(value)
        elif kind == "memory":
            self.memory.tensors[int(rest[0]) :] = [torch.tensor(value, device=self.network.device)]
        elif kind == "generator":
            rank, device = rest
            if int(rank) == self.processes.rank:
                self._set_generator(device, torch.tensor(value))
        elif kind == "observer" and rest[1] == "best":
            observer = self.observers[int(rest[0])]
            *best, step = value.tolist()
            observer.best, observer.best_step, observer.state = (best[0], best[1]), int(step), []
        elif kind == "observer":
            parameter = self.network.trainable[int(rest[1])]
            self.observers[int(rest[0])].state.append(_placed_like(parameter, value))
        else:
            parameter = self.network.trainable[int(rest[0])]
            if kind == "adam":
                self.adam.state[parameter][rest[1]] = _placed_like(parameter, value)
            else:
                with torch.no_grad():
                    parameter.copy_(_placed_like(parameter, value))

    def _generators(self) -> dict[str, Tensor]:
        """Return the states of the random numbers that dropout draws from, by kind of device."""
        import torch

        states = {"cpu": torch.get_rng_state()}
        if self.network.device.type == "cuda":
            states["cuda"] = torch.cuda.get_rng_state(self.network.device)
        return states

    def _set_generator(self, kind: str, state: Tensor) -> None:
        import torch

        if kind == "cpu":
            torch.set_rng_state(state)
        elif self.network.device.type == kind:
            torch.cuda.set_rng_state(state, self.network.device)


class Found(NamedTuple):
    """A whole checkpoint: the steps that were done, and the keys of its parts."""

    step: int = 0
    parts: Sequence[str] = ()


class Checkpoints:
    """Those of one training, in a folder of the store; they change when numbers are computed, never the numbers.

    A checkpoint is written part by part, and last a record that names the parts: without it they do not count. Only
    the first process writes.

    Args:
        store: whose folder holds them.
        key: digest of all that decides the training.
        processes: that train together.
        report: told of what was found.
    """

    def __init__(self, store: Store, key: str, processes: Processes, report: Report) -> None:
        self.root, self.processes, self.report = store.root, processes, report
        self.store = Store(store.root / "checkpoints" / key[:32])
        self.last, self.wait = time.perf_counter(), EVERY

    def restore(self, state: State, steps: int) -> int:
        """Put a training of `steps` where its newest whole checkpoint stood; return the steps done by then, or 0."""
        found: Found = self.processes.told(self._newest() if self.processes.first else Found())
        for key in found.parts:
            for name, value in self.processes.told(self._part(key) if self.processes.first else {}).items():
                state.put(name, value)
        if found.step:
            self.report(note=f"training goes on from its checkpoint of step {found.step} of {steps}")
        self.last, self.wait = time.perf_counter(), EVERY
        return found.step

    def keep(self, step: int, state: State) -> None:
        """Write a checkpoint after `step` if it is time. A disk that is full stops no training."""
        if not self.processes.told(time.perf_counter() - self.last >= self.wait):
            return
        start = time.perf_counter()
        tensors = state.tensors()
        if self.processes.first:
            try:
                self._write(step, tensors)
            except StoreError as error:
                self.report(note=f"no checkpoint of step {step}: {error}".replace("\n", "; "))
        deque(tensors, maxlen=0)  # what is gathered from all processes, all have to take part in
        self.last = time.perf_counter()
        self.wait = max(EVERY, (self.last - start) / SHARE)

    def clear(self) -> None:
        """Remove all checkpoints: the training has ended."""
        if self.processes.first and self.store.root.is_dir():
            rubbish = self.root / "tmp" / f"{writer()}-{uuid.uuid4().hex}"
            with suppress(OSError):  # another process ended the same training
                rubbish.parent.mkdir(parents=True, exist_ok=True)
                self.store.root.rename(rubbish)  # in one step, so that no half of them is ever found
            shutil.rmtree(rubbish, ignore_errors=True)

    def _write(self, step: int, tensors: Iterator[tuple[str, Tensor]]) -> None:
        name = f"{step:08d}-{uuid.uuid4().hex[:8]}"  # parts of two processes never mix
        keys, part, size = list[str](), dict[str, Array](), 0
        for label, tensor in tensors:
            part[label] = tensor.detach().cpu().numpy()  # no copy where it is in this memory already
            size += part[label].nbytes
            if size >= PART:
                keys.append(self._save(f"{name}-{len(keys):04d}", part))
                part, size = {}, 0
        keys.append(self._save(f"{name}-{len(keys):04d}", part))
        self.store.save(name, Artifact(meta={"step": step, "parts": keys}))
        for old in self._names()[KEPT:]:
            self._remove_before(old)

    def _save(self, key: str, part: dict[str, Array]) -> str:
        self.store.save(key, Artifact(part))
        return key

    def _part(self, key: str) -> dict[str, Array]:
        part = self.store.load(key)
        if part is None:
            raise StoreError("a checkpoint vanished while it was read", fix="run the same command again")
        return dict(part.tensors)

    def _newest(self) -> Found:
        """Return the newest checkpoint of which every part is as it was written, with a notice of those that are not.

        All is read before any of it is used, because the network's own beginning is not kept.
        """
        self._forget()
        self.store.sweep()
        found = Found()
        for name in self._names():
            record = self.store.load(name)
            if record and all(self.store.load(key) for key in record.meta["parts"]):
                found = Found(record.meta["step"], record.meta["parts"])
                break
            shutil.rmtree(self.store.path(name), ignore_errors=True)
        for notice in self.store.notices:
            self.report(note=f"checkpoint: {notice}")
        self.store.notices.clear()
        return found

    def _names(self) -> list[str]:
        """Return the names of the whole checkpoints, newest first."""
        return sorted((key for key in self.store if key.count("-") == 1), reverse=True)

    def _remove_before(self, name: str) -> None:
        """Remove a checkpoint, and whatever parts of earlier steps a kill left behind."""
        shutil.rmtree(self.store.path(name), ignore_errors=True)
        for key in list(self.store):
            if key.startswith(name) or key[:8] < name[:8]:
                shutil.rmtree(self.store.path(key), ignore_errors=True)

    def _forget(self) -> None:
        """Remove the checkpoints of trainings that nobody went on with."""
        for written in self.store.root.parent.glob("*/tmp"):
            with suppress(OSError):
                if time.time() - written.stat().st_mtime < FORGOTTEN:
                    continue
                shutil.rmtree(written.parent, ignore_errors=True)


def gathered(tensor: Tensor) -> Tensor:
    """Return a tensor gathered from the processes that share it, or the tensor itself."""
    gather = getattr(tensor.detach(), "full_tensor", None)
    return tensor.detach() if gather is None else gather()


def _placed_like(parameter: Tensor, value: Array) -> Tensor:
    """Return a copy of a value where the parameter is, in shards where that is."""
    import torch

    copy = torch.tensor(value, device=parameter.device)
    if not (hasattr(parameter, "placements") and copy.ndim):
        return copy
    from torch.distributed.tensor import DTensor, distribute_tensor

    sharded = cast(DTensor, parameter)
    return distribute_tensor(copy, sharded.device_mesh, sharded.placements)
