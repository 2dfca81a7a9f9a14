"""The watch itself: called at each checkpoint, it compares layers and logs what it finds and what that took."""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import xarray as xr
from torch import Tensor

from otoscope.capture import Layer, TorchRecogniser, common_grid
from otoscope.errors import MeasureError, StudyError
from otoscope.labelled import similarity
from otoscope.measures import registry
from otoscope.watching.board import Board
from otoscope.watching.budget import Budget, Level, products
from otoscope.watching.kept import KeptFrames
from otoscope.watching.log import WatchLog
from otoscope.watching.probing import ProbeBatch, probe_layers, synchronise

__all__ = ["SimilarityWatch"]

NOW = "now"
"""The name of the present layer among those of earlier checkpoints."""


class SimilarityWatch:
    """Compares the layers of a recogniser at each checkpoint of its training, on a fixed probe set.

    At each checkpoint: layer × layer (`within`), each layer with itself at every earlier checkpoint that is kept
    (`to_final`: the present is the final so far) and at the previous one (`to_previous`). A row of `watch.jsonl` has
    them all, TensorBoard curves and heatmaps. Training goes on as if nobody had looked: modes, buffers, gradients and
    generators are left as they were.

    Use it as a watcher of `otoscope.asr.Training`, or in a loop of one's own; `otoscope.adapters` has callbacks for
    Lightning and transformers. A run that was stopped goes on with the same log: rows of steps that come again are
    dropped first.

    Watching keeps to a share of the training time. Where the next comparisons would exceed it, they are left out in
    this order, and the row's `left_out` says so: `to_final` but for the previous checkpoint; all measures but the
    first; `within`; the checkpoint as a whole (a row of kind `skipped`).

    Arguments:
        folder: gets `watch.jsonl` and `probe/`, the probe set's frames at the checkpoints that are kept.
        batches: the probe set: what the recogniser's `forward` takes, (batch, frames, bins) for the reference
            recognisers, and true lengths in input frames. 16 to 32 utterances of several speakers are a good size.
        layers: which to compare (default: the recogniser's own choice).
        measures: names of registered measures; where the budget is short, the first stays longest.
        budget: the most that watching may take of the training time; `None`: any, and nothing is left out.
        most_kept: at how many checkpoints the frames are kept, 4 bytes × frames × units each. Beyond it, the one whose
            neighbours lie closest goes, and the row's `no_longer_kept` says so.
        tensorboard: a folder for TensorBoard's events, `None` for none. Needs the extra `tensorboard`.

    Raises:
        MeasureError: an unknown measure, or one that takes a third layer.
        StudyError: fewer than 2 utterances; a folder with the log of another watch.

    >>> import tempfile
    >>> from otoscope.asr import CharacterTokens, ReferenceRecogniser, pad
    >>> from otoscope.asr.models.cnn import CnnConfig
    >>> from otoscope.watching import read_watch
    >>> recogniser = ReferenceRecogniser(CnnConfig(blocks=1, units=8, kernel=3), CharacterTokens.of(["AB"]))
    >>> probe = pad([torch.randn(n, 80, generator=torch.Generator().manual_seed(n)) for n in (90, 120, 160)])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     watch = SimilarityWatch(Path(folder), [probe])
    ...     watch.at_checkpoint(recogniser, 0, 100)
    ...     [row["kind"] for row in read_watch(Path(folder))]
    ['watch', 'checkpoint']
    """

    def __init__(
        self,
        folder: Path,
        batches: Sequence[ProbeBatch],
        *,
        layers: Sequence[Layer] | None = None,
        measures: Sequence[str] = ("cka",),
        budget: float | None = 0.05,
        most_kept: int = 16,
        tensorboard: Path | None = None,
    ) -> None:
        utterances = sum(len(lengths) for _, lengths in batches)
        if utterances < 2:
            raise StudyError(
                f"the probe set has {utterances} utterances; comparing takes 2, and 16 or more say much more"
            )
        chosen = [registry.get(name) for name in dict.fromkeys(measures)]
        third = [measure.name for measure in chosen if measure.given is not None]
        if third or not chosen:
            raise MeasureError(f"watching takes measures of two layers, got {third or 'none'}; leave those out")
        if (budget is not None and not budget > 0) or most_kept < 2:
            raise StudyError(
                f"budget is {budget} and most_kept {most_kept}; expected a share above 0, such as 0.05, or None, and "
                "at least 2 checkpoints"
            )
        self.folder, self.batches, self.tensorboard = folder, list(batches), tensorboard
        self.measures = [measure.name for measure in chosen]
        self._layers = list(layers) if layers is not None else None
        self._budget = Budget(budget)
        self._kept = KeptFrames(folder / "probe", most_kept)
        self._log = WatchLog(folder)
        self._board: Board | None = None
        self._last: int | None = None

    def at_checkpoint(
        self, recogniser: TorchRecogniser, step: int, total: int | None = None, row: Mapping[str, Any] | None = None
    ) -> None:
        """Looks at the recogniser after `step` updates and logs a row.

        Arguments:
            recogniser: the same in every call, but for its weights. Left as it is.
            step: updates done so far; a step that is not after the last one begins the log anew from there.
            total: updates of the whole training, where that is known: the budget looks ahead to it.
            row: what the training says of this checkpoint, such as `dev_wer`: kept beside the similarities.

        Raises:
            CaptureError: a layer is not there, did not fire or does not fit its description.
            StudyError: the folder holds another watch, or cannot be read.
        """
        synchronise(recogniser.module)
        with self._budget.spending() as began:
            layers = self._layers = self._layers or list(recogniser.layers())
            if self._last is None or step <= self._last:
                self._begin(layers, step)
            self._last = step
            earlier = self._kept.steps
            size = {"layers": len(layers), "earlier": len(earlier)}
            level = self._budget.choose(measures=len(self.measures), step=step, total=total, **size)
            if level is None:
                found: dict[str, Any] = {"kind": "skipped", "measures": {}, "left_out": ["this checkpoint"]}
            else:
                found = {"kind": "checkpoint", **self._look(recogniser, layers, step, earlier, level)}
            written = {
                **found,
                "step": step,
                "total": total,
                "training": {key: value for key, value in (row or {}).items() if _is_plain(value)},
                "overhead": self._budget.as_row(began),
            }
            self._log.append(written)
            if self._board is not None:
                self._board.add(written, [layer.name for layer in layers])

    def close(self) -> None:
        """Ends TensorBoard's writer, where there is one."""
        if self._board is not None:
            self._board.close()
            self._board = None

    def _begin(self, layers: Sequence[Layer], step: int) -> None:
        about = {
            "format": 1,
            "layers": [{"name": layer.name, "units": layer.units, "stride": layer.stride} for layer in layers],
            "measures": self.measures,
            "grid": common_grid(layers),
            "utterances": sum(len(lengths) for _, lengths in self.batches),
            "probe": _digest(self.batches),
        }
        rows = self._log.begin(about, step)
        self._kept.forget([row["step"] for row in rows if row["kind"] == "checkpoint"])
        if rows and self._last is None:
            self._budget.take_up(rows[-1]["overhead"])
        self.close()
        if self.tensorboard is not None:
            self._board = Board(self.tensorboard, step=step)

    def _look(
        self, recogniser: TorchRecogniser, layers: Sequence[Layer], step: int, earlier: Sequence[int], level: Level
    ) -> dict[str, Any]:
        """The comparisons of one checkpoint, and its frames kept for later ones."""
        started = time.perf_counter()
        views, lengths = probe_layers(recogniser, self.batches, layers, grid=common_grid(layers))
        seen = time.perf_counter()
        measures = self.measures if level.all_measures else self.measures[:1]
        against = list(earlier) if level.earlier else list(earlier[-1:])
        found: dict[str, dict[str, Any]] = {name: {} for name in measures}
        refused: list[str] = []
        if level.within:
            for name, table in _measured(views, measures, lengths, list(views), list(views), refused).items():
                found[name]["within"] = table
        if against:
            by_layer = [
                self._against(views[layer.name], layer.name, against, measures, lengths, refused) for layer in layers
            ]
            for name in measures:
                tables = {part: [one[name][part] for one in by_layer] for part in ("value", "null")}
                if level.earlier:
                    found[name]["to_final"] = tables
                found[name]["to_previous"] = {part: [cells[-1] for cells in tables[part]] for part in tables}
        compared = time.perf_counter()
        gone = self._kept.add(step, views)  # last: to make room, one may go that was just compared with
        self._budget.probe = seen - started + time.perf_counter() - compared
        made = products(level, len(layers), len(against))
        if made:
            self._budget.product[len(measures)] = (compared - seen) / made
        return {
            "frames": sum(lengths),
            "earlier": against,
            "measures": found,
            "refused": refused,
            "left_out": list(level.left_out),
            "no_longer_kept": gone,
        }

    def _against(
        self,
        now: Tensor,
        layer: str,
        earlier: Sequence[int],
        measures: Sequence[str],
        lengths: Sequence[int],
        refused: list[str],
    ) -> dict[str, dict[str, list[float | None]]]:
        """One layer at earlier checkpoints (first in each pair) with itself now; by measure, a value for each."""
        before = {f"{layer} at step {step}": self._kept.get(step, layer) for step in earlier}
        tables = _measured({**before, NOW: now}, measures, lengths, list(before), [NOW], refused)
        return {
            name: {part: [row[0] for row in cells] for part, cells in table.items()} for name, table in tables.items()
        }


def _measured(
    views: Mapping[str, Tensor],
    measures: Sequence[str],
    lengths: Sequence[int],
    rows: list[str],
    columns: list[str],
    refused: list[str],
) -> dict[str, dict[str, list[list[float | None]]]]:
    """By measure, rows × columns of values and null levels, None where the measure refuses; why goes to `refused`."""
    nothing: list[list[float | None]] = [[None for _ in columns] for _ in rows]
    try:
        found = similarity(
            views, measure=list(measures), utterances=list(lengths), layers_x=rows, layers_y=columns, undefined="nan"
        )
    except MeasureError as error:  # such as NaN in a layer: the training may be lost, which is not for a watch to say
        refused.append(str(error))
        return {name: {"value": nothing, "null": nothing} for name in measures}
    for name in measures:
        refused += [f"{name}: {reason}" for reason in found[name].attrs.get("undefined", ())]
    return {name: {"value": _cells(found[name]), "null": _cells(found[name][f"{name}_null"])} for name in measures}


def _cells(table: xr.DataArray) -> list[list[float | None]]:
    return [[value if math.isfinite(value) else None for value in row] for row in table.values.tolist()]


def _is_plain(value: object) -> bool:
    return isinstance(value, str | int | bool) or (isinstance(value, float) and math.isfinite(value))


def _digest(batches: Sequence[ProbeBatch]) -> str:
    """The SHA-256 of the probe set, in hexadecimal."""
    digest = hashlib.sha256()

    def add(part: Any) -> None:
        if isinstance(part, Tensor):
            digest.update(f"{part.dtype}{tuple(part.shape)}".encode())
            digest.update(np.ascontiguousarray(part.detach().cpu().view(torch.uint8).numpy()).tobytes())
        elif isinstance(part, Mapping):
            for key in sorted(part):
                digest.update(str(key).encode())
                add(part[key])
        elif isinstance(part, list | tuple):
            for one in part:
                add(one)
        else:
            digest.update(repr(part).encode())

    add(list(batches))
    return digest.hexdigest()
