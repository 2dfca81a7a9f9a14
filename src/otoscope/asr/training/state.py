"""What a killed run needs to go on to the same numbers: weights, the optimiser's moments, the moving average, the step.

There is no generator's state in it: every update seeds its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from otoscope.asr.training.averaging import MovingAverage
from otoscope.asr.training.clock import Clock
from otoscope.asr.training.distributed import Group
from otoscope.asr.training.log import CHECKPOINTS, checkpoint_name, cut_log, read_log
from otoscope.files import save_tensors

__all__ = ["Trained"]

STATE = "state.safetensors"


@dataclass(frozen=True)
class Trained:
    """What training changes: a network, its optimiser and, where asked for, a moving average of its weights."""

    module: nn.Module
    optimiser: torch.optim.Optimizer
    moving: MovingAverage | None

    def save(self, folder: Path, step: int, clock: Clock) -> None:
        """Writes the state after update `step`, reached at what the clock shows, whole or not at all."""
        tensors: dict[str, Tensor] = {}
        for name, parameter in self.module.named_parameters():
            tensors[f"weight/{name}"] = parameter.detach().cpu()
            for key, value in self.optimiser.state.get(parameter, {}).items():
                tensors[f"{key}/{name}"] = value.cpu()
            if self.moving is not None:
                tensors[f"moving/{name}"] = self.moving.weights[name].cpu()
        save_tensors(folder / STATE, tensors, {"step": str(step)} | {k: str(v) for k, v in clock.shows().items()})

    def resume(self, folder: Path, planned: Sequence[int], group: Group) -> tuple[int, Clock]:
        """Takes up the saved state, if any: its step (−1 for none) and a clock that goes on from there.

        Rows of the log beyond that step were written by work that the state does not have: they are dropped, and
        come again with the same numbers. A state that cannot be read, or whose log or checkpoints have been lost, is
        left aside: training begins anew, to the same numbers. `planned` are the steps of the checkpoints.
        """
        step = -1
        if group.first:
            folder.mkdir(parents=True, exist_ok=True)
            step = _usable(folder, planned)
            cut_log(folder, step)
        step = group.agree(step)
        return (step, self._load(folder)) if step >= 0 else (-1, Clock())

    @torch.no_grad()
    def _load(self, folder: Path) -> Clock:
        with safe_open(str(folder / STATE), framework="pt") as file:
            spent = {key: float(file.metadata().get(key, 0)) for key in Clock.SHOWS}
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 (no mapping)
        for name, parameter in self.module.named_parameters():
            parameter.copy_(tensors.pop(f"weight/{name}"))
            moving = tensors.pop(f"moving/{name}", None)
            if self.moving is not None and moving is not None:
                self.moving.weights[name].copy_(moving)
            moments = {k.partition("/")[0]: v for k, v in tensors.items() if k.partition("/")[2] == name}
            if moments:
                # The count of updates stays on the CPU, as the optimiser makes it.
                self.optimiser.state[parameter] = {
                    k: v if k == "step" else v.to(parameter.device) for k, v in moments.items()
                }
        return Clock(**spent)


def _usable(folder: Path, planned: Sequence[int]) -> int:
    """The step of the saved state; −1 where it is not readable, or log or checkpoints up to it are not all there."""
    try:
        with safe_open(str(folder / STATE), framework="pt") as file:
            step = int(file.metadata()["step"])
    except (OSError, SafetensorError):
        return -1
    rows = [row for row in read_log(folder) if row["step"] <= step]
    steps = [row["step"] for row in rows if row["kind"] == "step"]
    kept = [row for row in rows if row["kind"] == "checkpoint"]
    names = [checkpoint_name(row["step"]) for row in kept] + [row["final"] for row in kept if "final" in row]
    complete = steps == list(range(1, step + 1)) and [r["step"] for r in kept] == [s for s in planned if s <= step]
    return step if complete and all((folder / CHECKPOINTS / name).is_file() for name in names) else -1
