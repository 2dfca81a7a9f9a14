"""The rows of a watch in TensorBoard: a curve for each layer, heatmaps as images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from otoscope.errors import StudyError

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

__all__ = ["Board", "heatmap"]

COLOURS = np.array([[68, 1, 84], [59, 82, 139], [33, 145, 140], [94, 201, 98], [253, 231, 37]], dtype=np.float64)
"""Viridis at 0, 0.25, …, 1 (Smith and van der Walt 2015): even steps to the eye, and readable in grey."""

NOTHING = 128
CELL = 24  # pixels


class Board:
    """Writes rows to a TensorBoard folder. Raises StudyError where tensorboard is not installed."""

    def __init__(self, folder: Path, *, step: int) -> None:
        """From this step on: events of an earlier process at this step or later are hidden."""
        self._writer = _writer_class()(str(folder), purge_step=step)

    def add(self, row: Mapping[str, Any], layers: Sequence[str]) -> None:
        """One row of the log."""
        step = row["step"]
        for measure, found in row["measures"].items():
            if "to_previous" in found:
                self._curves(f"{measure}/to_previous", layers, found["to_previous"]["value"], step)
            if "to_final" in found:
                first = [values[0] for values in found["to_final"]["value"]]
                self._curves(f"{measure}/to_first", layers, first, step)
            for kind in ("within", "to_final"):
                if kind in found:
                    image = heatmap(found[kind]["value"])
                    self._writer.add_image(f"{measure}/{kind}", image, step, dataformats="HWC")
        if row["overhead"]["share"] is not None:
            self._writer.add_scalar("watching/share_of_training", row["overhead"]["share"], step)
        if row["left_out"]:
            self._writer.add_text("watching/left_out", "; ".join(row["left_out"]), step)
        self._writer.flush()

    def close(self) -> None:
        """Ends the writer's thread."""
        self._writer.close()

    def _curves(self, tag: str, layers: Sequence[str], values: Sequence[float | None], step: int) -> None:
        for layer, value in zip(layers, values, strict=True):
            if value is not None:
                self._writer.add_scalar(f"{tag}/{layer}", value, step)


def heatmap(values: Sequence[Sequence[float | None]]) -> npt.NDArray[np.uint8]:
    """Values of 0 to 1 as an image (height, width, 3), from dark blue to yellow; grey where there is none.

    >>> heatmap([[0.0, 1.0], [None, 0.5]])[::CELL, ::CELL].tolist()
    [[[68, 1, 84], [253, 231, 37]], [[128, 128, 128], [33, 145, 140]]]
    """
    x = np.array(values, dtype=np.float64)
    at = np.clip(np.nan_to_num(x), 0, 1)
    ends = np.linspace(0, 1, len(COLOURS))
    rgb = np.stack([np.interp(at, ends, channel) for channel in COLOURS.T], axis=-1).round()
    rgb[np.isnan(x)] = NOTHING
    cells: npt.NDArray[np.uint8] = rgb.astype(np.uint8).repeat(CELL, axis=0).repeat(CELL, axis=1)
    return cells


def _writer_class() -> type[SummaryWriter]:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise StudyError(
            "Writing to TensorBoard needs the package tensorboard, which is not installed. Install it: "
            "pip install 'otoscope[tensorboard]'"
        ) from error
    return SummaryWriter
