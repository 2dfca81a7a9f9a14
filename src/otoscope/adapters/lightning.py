"""Similarity while Lightning trains: `SimilarityCallback`. Needs the extra `lightning`."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from otoscope.adapters.module import Inputs, LengthsOf
from otoscope.adapters.watched import WatchedModule
from otoscope.capture import Layer

try:
    from lightning.pytorch import LightningModule, Trainer
    from lightning.pytorch.callbacks import Callback
except ImportError as error:
    raise ImportError(
        "otoscope.adapters.lightning needs the package lightning, which is not installed. Install it: "
        "pip install 'otoscope[lightning]'"
    ) from error

__all__ = ["SimilarityCallback"]


class SimilarityCallback(Callback):
    """Compares the layers of a LightningModule at each checkpoint: see `otoscope.watching.SimilarityWatch`.

    It looks when training starts, whenever a checkpoint is saved (or every so many steps) and when training ends, in
    the first process only. Weights after training are the same, bit by bit, as without it.

    Arguments:
        folder: gets `watch.jsonl` and the probe set's frames.
        inputs: the probe set as a padded batch that the LightningModule's `forward` takes: one tensor, a mapping of
            arguments by name, or a sequence of them. It is moved to the module's device.
        layers: names or globs of layers in the LightningModule, such as `"encoder.blocks.*"`, or `Layer`s with strides
            in input steps.
        lengths: true lengths in input steps, (utterances,). Where not given, an `attention_mask` among the
            inputs tells them.
        lengths_of: from these to the layers' frames, where that is not ⌈length / stride⌉ for a whole stride.
        every: look every so many optimiser steps instead of whenever a checkpoint is saved.
        batch_size: utterances of the probe set in one forward pass.
        measures, budget, most_kept, tensorboard: as for `SimilarityWatch`.

    Raises (when training starts):
        CaptureError: a layer that is not there or whose frames cannot be told; no lengths; FSDP.
        MeasureError, StudyError: as `SimilarityWatch`.

    >>> import torch
    >>> probe = torch.randn(4, 100, 80)
    >>> callback = SimilarityCallback("watch", probe, ["encoder.*"], lengths=torch.tensor([100, 90, 81, 70]))
    """

    def __init__(
        self,
        folder: str | Path,
        inputs: Inputs,
        layers: Sequence[str | Layer],
        *,
        lengths: Tensor | None = None,
        lengths_of: LengthsOf | None = None,
        every: int | None = None,
        batch_size: int = 8,
        measures: Sequence[str] = ("cka",),
        budget: float | None = 0.05,
        most_kept: int = 16,
        tensorboard: str | Path | None = None,
    ) -> None:
        super().__init__()
        self.every = every
        self._training = False
        self._watched = WatchedModule(
            folder,
            inputs,
            layers,
            lengths=lengths,
            lengths_of=lengths_of,
            batch_size=batch_size,
            measures=measures,
            budget=budget,
            most_kept=most_kept,
            tensorboard=tensorboard,
        )

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """The weights that training starts from."""
        self._training = True
        self._look(trainer, pl_module)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Every so many steps, where that was asked for."""
        if self.every is not None and trainer.global_step % self.every == 0:
            self._look(trainer, pl_module)

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """The weights that are being saved."""
        if self.every is None and self._training:
            self._look(trainer, pl_module)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """The final weights."""
        self._look(trainer, pl_module)
        self._training = False
        self._watched.close()

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Ends TensorBoard's writer; the log is whole."""
        self._training = False
        self._watched.close()

    def _look(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if not trainer.is_global_zero:
            return
        steps = trainer.estimated_stepping_batches
        total = int(steps) if math.isfinite(steps) and steps > 0 else None
        self._watched.look(pl_module, trainer.global_step, total, _floats(trainer.callback_metrics))


def _floats(metrics: Mapping[str, Tensor]) -> dict[str, float]:
    return {name: float(value) for name, value in metrics.items() if value.numel() == 1}
