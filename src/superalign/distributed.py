"""Several processes that train one learner: each computes a part of every batch, and their gradients add up.

`python -m torch.distributed.run --nproc-per-node 2 -m superalign run ...` starts them. The first process does all that
a single one would: it alone writes the store, checkpoints, events and reports. The others wait, silent, and join it
in each training.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypeVar

from superalign.errors import JobError, SuperalignError

if TYPE_CHECKING:
    from torch import Tensor

    from superalign.network import Network

T = TypeVar("T")
BUCKET = 1 << 25  # bytes of gradients that are sent at once
GRACE = 10.0  # seconds in which the first process may tell what went wrong, before another one does
PATIENCE = timedelta(days=30)  # of the others, while the first process does what is done alone


@dataclass(frozen=True)
class Processes:
    """The processes that train together, seen from one of them.

    Args:
        rank: which one this is.
        count: how many there are.
        sharded: whether each holds a part of the weights only, so that all must compute equally often.
    """

    rank: int = 0
    count: int = 1
    sharded: bool = False

    @classmethod
    def here(cls) -> Processes:
        """Return those of torch's process group, or this one alone when there is none."""
        if "torch" not in sys.modules:
            return cls()
        import torch.distributed as dist

        if not (dist.is_available() and dist.is_initialized()):
            return cls()
        return cls(dist.get_rank(), dist.get_world_size())

    @property
    def first(self) -> bool:
        """Tell whether this is the one that writes and decides."""
        return self.rank == 0

    def deal(self, costs: Sequence[int]) -> list[tuple[int, bool]]:
        """Return which pieces of a batch this process computes, and whether each counts.

        The dearest are dealt first, each to the process that has least to do. Where the weights are sharded, a process
        with fewer pieces than another computes one again that does not count.

        Args:
            costs: of each piece.
        """
        loads, dealt = [0] * self.count, [list[int]() for _ in range(self.count)]
        for number in sorted(range(len(costs)), key=lambda number: -costs[number]):
            rank = loads.index(min(loads))
            loads[rank] += costs[number]
            dealt[rank].append(number)
        mine = [(number, True) for number in sorted(dealt[self.rank])]
        idle = max(map(len, dealt)) - len(mine) if self.sharded else 0
        cheapest = min(range(len(costs)), key=costs.__getitem__)
        return mine + [(cheapest, False)] * idle

    def gradients(self, parameters: Sequence[Tensor]) -> list[Tensor]:
        """Return the gradients that are still to be added up: none of a process alone, none of shards."""
        if self.count == 1 or self.sharded:
            return []
        import torch

        for parameter in parameters:
            if parameter.grad is None:  # no piece of this batch was dealt to this process
                parameter.grad = torch.zeros_like(parameter)
        return [parameter.grad for parameter in parameters if parameter.grad is not None]

    def add_up(self, tensors: Sequence[Tensor]) -> None:
        """Replace each tensor by its sum over the processes."""
        if self.count == 1:
            return
        import torch
        import torch.distributed as dist

        for bucket in _buckets(tensors):
            flat = torch.cat([tensor.reshape(-1) for tensor in bucket])
            dist.all_reduce(flat)
            start = 0
            for tensor in bucket:
                tensor.copy_(flat[start : start + tensor.numel()].view_as(tensor))
                start += tensor.numel()

    def told(self, value: T) -> T:
        """Return the value that the first process gives; those of the others do not matter."""
        if self.count == 1:
            return value
        import torch
        import torch.distributed as dist

        box = [value]
        dist.broadcast_object_list(box, src=0, device=torch.device("cpu"))
        return box[0]

    def gathered(self, value: T) -> list[T]:
        """Return the value of every process, in order."""
        if self.count == 1:
            return [value]
        import torch.distributed as dist

        values: list[Any] = [None] * self.count
        dist.all_gather_object(values, value)
        return values


def shard(network: Network) -> Processes:
    """Let each process hold a part of the weights, gradients and moments alone (FSDP2); layers are gathered as needed.

    Gradients are summed, not averaged. The list of what moves is renewed: its tensors are shards from now on.
    """
    from torch import nn
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard

    processes = Processes.here()
    if processes.count == 1:
        return processes
    mesh = init_device_mesh(network.device.type, (processes.count,))
    body, head = network.backbone.module, network.head
    stacks = [part for part in body.modules() if isinstance(part, nn.ModuleList)]
    blocks = max(stacks, key=lambda stack: sum(p.numel() for p in stack.parameters()))
    for part in (*blocks, body, head):
        whole: Any = fully_shard(part, mesh=mesh, reshard_after_forward=True)  # else a restored state goes unseen
        whole.set_gradient_divide_factor(1.0)
        whole.set_force_sum_reduction_for_comms(True)
    network.trainable[:] = [p for part in (body, head) for p in part.parameters() if p.requires_grad]
    return replace(processes, sharded=True)


def lead(main: Callable[[], int]) -> int:
    """Be one of the processes that torch.distributed.run started: the first does `main`, the others help it train."""
    _join()
    processes = Processes.here()
    if not processes.first:
        return _help(processes)
    global _helpers
    _helpers = processes
    code = main()
    if _helpers is not None and code == 0:
        processes.told(None)  # no more work
    return code


def together(work: Callable[[], object], alone: Callable[[], T]) -> T:
    """Do `alone` in the first process while its helpers, if there are any, do `work`, which must be picklable.

    Raises:
        JobError: an earlier piece of work failed in between, so that they no longer stand at the same point.
    """
    global _helpers
    if _helpers is None:
        if _lost:
            raise JobError("the processes lost each other", why="a training failed", fix="run the same command again")
        return alone()
    helpers, _helpers = _helpers, None
    _lost.append(True)
    helpers.told(work)
    done = alone()
    _lost.clear()
    _helpers = helpers
    return done


_helpers: Processes | None = None  # of the first process: those that wait for work, it among them
_lost: list[bool] = []  # whether they are in the middle of work, or were left there


def _join() -> None:
    """Join the process group that the environment describes, with a device and a share of the cores of its own."""
    import torch
    import torch.distributed as dist

    local, here = int(os.environ.get("LOCAL_RANK", "0")), int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    os.environ.setdefault("SUPERALIGN_THREADS", str(max(1, cores // here)))
    if torch.cuda.is_available():
        torch.cuda.set_device(local)
        dist.init_process_group("cpu:gloo,cuda:nccl", timeout=PATIENCE)
    else:
        dist.init_process_group("gloo", timeout=PATIENCE)


def _help(processes: Processes) -> int:
    """Do what the first process asks for, until it says that nothing is left.

    What goes wrong here goes wrong there, too, as a rule: that one tells the user, and its end is the end of all.
    """
    nothing: Callable[[], object] | None = None
    try:
        while (work := processes.told(nothing)) is not None:
            work()
    except KeyboardInterrupt:
        return 130
    except SuperalignError as error:
        time.sleep(GRACE)
        print(f"error: process {processes.rank}: {error}", file=sys.stderr)
        return error.exit_code
    except Exception:  # raised at once, the launcher would end the first process before it has told the user
        time.sleep(GRACE)
        raise
    return 0


def _buckets(tensors: Sequence[Tensor]) -> Iterator[list[Tensor]]:
    bucket, size = list["Tensor"](), 0
    for tensor in tensors:
        bucket.append(tensor)
        size += tensor.nbytes
        if size >= BUCKET:
            yield bucket
            bucket, size = [], 0
    if bucket:
        yield bucket
