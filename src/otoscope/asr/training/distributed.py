"""Several processes or GPUs that train one recogniser, started by `torchrun`.

Each process takes its share of every batch; gradients are added up over all of them, so that an update is that of the
whole batch, however many there are. A script that calls `Training.run` needs no change:

    torchrun --nproc-per-node 2 train.py

Process 0 alone writes. What comes before training (reading a corpus, computing features) belongs under
`with one_first():`, which lets process 0 do it while the others wait to find it done.
"""

from __future__ import annotations

import atexit
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn

from otoscope.errors import TrainingError

__all__ = ["Group", "join", "one_first"]

TIMEOUT = timedelta(hours=6)
"""How long processes wait for one another: as long as process 0 may score dev, or compute features."""

LEAVE = timedelta(seconds=10)
"""How long a process that has ended waits for the others to end."""

T = TypeVar("T")


@dataclass(frozen=True)
class Group:
    """The processes that train together: this one's `rank`, from 0, their `count`, and this one's `device`."""

    rank: int = 0
    count: int = 1
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))

    @property
    def first(self) -> bool:
        """Whether this is process 0, which writes."""
        return self.rank == 0

    @torch.no_grad()
    def add_gradients(self, module: nn.Module, loss: Tensor) -> None:
        """Replaces gradients and loss by their sums over all processes, in one message."""
        if self.count == 1:
            return
        parameters = [p for p in module.parameters() if p.requires_grad]
        # A process without an utterance, or whose utterances did not reach a layer, adds nothing.
        own = [torch.zeros_like(p) if p.grad is None else p.grad for p in parameters]
        flat = torch.cat([t.flatten() for t in (*own, loss)])
        dist.all_reduce(flat)
        *sums, total = torch.split(flat, [t.numel() for t in (*own, loss)])
        for parameter, gradient in zip(parameters, sums, strict=True):
            parameter.grad = gradient.view_as(parameter)
        loss.copy_(total.view_as(loss))

    def gather(self, values: list[T]) -> list[T]:
        """The values of all processes, by rank."""
        if self.count == 1:
            return values
        all_values: list[Any] = [None] * self.count
        dist.all_gather_object(all_values, values)
        return [value for own in all_values for value in own]

    def agree(self, value: T) -> T:
        """Process 0's value, in every process."""
        values = [value]
        if self.count > 1:
            dist.broadcast_object_list(values)
        return values[0]


def join(device: str = "auto") -> Group:
    """The group that `torchrun` has started this process in, or a group of one.

    The first call joins it, with nccl between GPUs and gloo otherwise; later calls find it joined.

    Args:
        device: "cpu", "cuda", or "auto", which is CUDA where there is a GPU. Each process takes the GPU of its local
            rank.

    Raises:
        TrainingError: there is no GPU for this process.

    Example:
        >>> join("cpu")
        Group(rank=0, count=1, device=device(type='cpu'))
    """
    count = int(os.environ.get("WORLD_SIZE", "1"))
    place = _device(device)
    if count == 1 and not dist.is_initialized():
        return Group(device=place)
    if not dist.is_initialized():
        dist.init_process_group("nccl" if place.type == "cuda" else "gloo", timeout=TIMEOUT)
        atexit.register(_leave)
    return Group(dist.get_rank(), dist.get_world_size(), place)


@contextmanager
def one_first(device: str = "auto") -> Iterator[Group]:
    """Runs the block in process 0 first, then in the others: the first computes, the others find it computed."""
    group = join(device)
    if not group.first:
        group.agree(None)  # waits for process 0
    yield group
    if group.first:
        group.agree(None)


def _device(name: str) -> torch.device:
    gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if name == "cpu" or (name == "auto" and not gpus):
        return torch.device("cpu")
    rank = int(os.environ.get("LOCAL_RANK", "0"))
    if rank >= gpus:
        raise TrainingError(
            f"process {rank} of this machine has no GPU to train on: torch {torch.__version__} finds {gpus}. Start at "
            'most one process a GPU, or set device = "cpu"'
        )
    torch.cuda.set_device(rank)
    return torch.device("cuda", rank)


def _leave() -> None:
    """Ends the connections once nobody reads from them any more; for a process that failed nobody waits for long."""
    if dist.is_initialized():
        if dist.get_backend() == "gloo":
            with suppress(RuntimeError):
                dist.monitored_barrier(timeout=LEAVE)
        dist.destroy_process_group()
