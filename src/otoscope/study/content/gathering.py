"""One pass over speech: the rows of every layer that labels are read from, on one grid, and the labels beside them."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from otoscope.asr import FRAME_SHIFT_SECONDS, MEL_BINS
from otoscope.capture import INPUT, Batch, Layer, Recogniser, Seconds, common_grid, views_of
from otoscope.corpora import Utterance
from otoscope.study.content.label import Floats, Label, Spoken, Unit, interval_at

__all__ = ["Rows", "gather_rows", "with_clock"]


@dataclass
class Rows:
    """The rows of one unit, utterance after utterance.

    `views` maps layers to (rows, units); `utterances` (rows,) counts the utterances of `speech`; `values` has what each
    label says of each row; `left_out` counts rows that there could have been, by the reason.
    """

    views: dict[str, Tensor]
    utterances: Tensor
    speech: list[Utterance]
    values: dict[str, list[str] | Floats]
    left_out: Counter[str] = field(default_factory=Counter)


def with_clock(features: Batch) -> Batch:
    """Log-mel features with one more column, the seconds at each frame's centre.

    The column goes through the same means as the features, so that whatever frames the grid keeps of an utterance,
    it is known when they were spoken.
    """
    x = features.inputs
    seconds = torch.arange(x.shape[1], dtype=x.dtype) * FRAME_SHIFT_SECONDS
    return Batch(torch.cat([x, seconds[None, :, None].expand(len(x), -1, 1)], 2), features.lengths)


def gather_rows(
    recognisers: Mapping[str, Recogniser],
    layers: Mapping[str, Sequence[Layer]],
    batches: Sequence[Sequence[Utterance]],
    prepare: Callable[[Sequence[Utterance]], Mapping[str, Batch]],
    labels: Sequence[Label],
    *,
    frames: int,
    progress: Callable[[int], None] | None = None,
) -> dict[Unit, Rows]:
    """The rows of each unit that a label takes, and the labels' values.

    Arguments:
        recognisers, layers: by role, as for `views_of`. The view `input` is added to these.
        batches: the utterances that are sent through together.
        prepare: what each recogniser makes of a batch, by role, and under `input` its log-mel features.
        labels: what is to be read.
        frames: so many rows at most where a row is a frame: of each utterance every k-th then.
        progress: called with the number of utterances done.
    """
    grid = common_grid([layer for own in layers.values() for layer in own])
    origin = _first_centre(layers)
    every = max(1, math.ceil(sum(u.duration for batch in batches for u in batch) / grid / frames))
    parts = {unit: _Parts(unit, [label for label in labels if label.unit == unit], every) for unit in _units(labels)}
    given = ({**made, INPUT: with_clock(_as_heard(made, recognisers, layers))} for made in map(prepare, batches))
    done = 0
    for batch, (views, lengths) in zip(
        batches, views_of(recognisers, given, layers=layers, grid=grid, inputs=True), strict=True
    ):
        heard = views[INPUT].double()
        views[INPUT] = views[INPUT][:, :MEL_BINS]
        # At an utterance's ends a cell is the mean of what there is of it; its centre is where the grid has it.
        times = origin + torch.round((heard[:, MEL_BINS] - origin) / grid) * grid
        spoken = [
            Spoken(utterance, own.numpy(), features.numpy())
            for utterance, own, features in zip(
                batch, torch.split(times, lengths), torch.split(heard[:, :MEL_BINS], lengths), strict=True
            )
        ]
        for part in parts.values():
            part.add(views, spoken)
        done += len(batch)
        if progress is not None:
            progress(done)
    return {unit: part.take() for unit, part in parts.items()}


def _as_heard(
    made: Mapping[str, Batch], recognisers: Mapping[str, Recogniser], layers: Mapping[str, Sequence[Layer]]
) -> Batch:
    """The log-mel features without those behind the end of what layers have frames of: some drop a last piece."""
    features = made[INPUT]
    counts = features.lengths
    for role, own in layers.items():
        for layer in own:
            frames = torch.tensor(layer.frames(made[role].lengths.tolist(), recognisers[role].frame_shift))
            seconds = frames * layer.stride + layer.window
            counts = torch.minimum(counts, torch.ceil(seconds / FRAME_SHIFT_SECONDS).to(counts.dtype))
    return Batch(features.inputs[:, : int(counts.max())], counts)


def _first_centre(layers: Mapping[str, Sequence[Layer]]) -> Seconds:
    """The centre of the first cell of the grid, as `to_grid` has it."""
    every = [layer for own in layers.values() for layer in own]
    coarsest = common_grid(every)
    return max(layer.window / 2 for layer in every if np.isclose(layer.stride, coarsest))


def _units(labels: Iterable[Label]) -> list[Unit]:
    return list(dict.fromkeys(label.unit for label in labels))


class _Parts:
    """The rows of one unit, batch by batch."""

    def __init__(self, unit: Unit, labels: Sequence[Label], every: int) -> None:
        self.unit, self.labels, self.every = unit, labels, every
        self.views: list[dict[str, Tensor]] = []
        self.utterances: list[int] = []
        self.speech: list[Utterance] = []
        self.values: dict[str, list[Sequence[str] | Floats]] = {label.name: [] for label in labels}
        self.left_out: Counter[str] = Counter()

    def add(self, views: Mapping[str, Tensor], spoken: Sequence[Spoken]) -> None:
        """Adds the rows of a batch; `groups` are the frames' rows, −1 for those that are in none."""
        groups: list[Tensor] = []
        count = 0
        for one in spoken:
            own, kept = self._rows(one)
            groups.append(torch.where(own >= 0, own + count, -1))
            count += len(kept)
            self.utterances += [len(self.speech)] * len(kept)
            self.speech.append(one.utterance)
            for label in self.labels:
                values = label.of(one)
                chosen = values[kept] if isinstance(values, np.ndarray) else [values[i] for i in kept]
                self.values[label.name].append(chosen)
        row = torch.cat(groups)
        inside = row >= 0
        sizes = torch.bincount(row[inside], minlength=count)
        self.views.append(
            {
                name: x.new_zeros(count, x.shape[1]).index_add_(0, row[inside], x[inside]) / sizes[:, None].to(x.dtype)
                for name, x in views.items()
            }
        )

    def _rows(self, one: Spoken) -> tuple[Tensor, list[int]]:
        """Each frame's row within the utterance (−1: none), and which of the utterance's values these rows have."""
        n = len(one.times)
        if self.unit == "utterance":
            return torch.zeros(n, dtype=torch.long), [0]
        if self.unit == "word":
            word = interval_at(one.times, one.utterance.words)
            kept, rows = np.unique(word, return_inverse=True)
            silent = int(kept[0] < 0)
            self.left_out["words without a frame"] += len(one.utterance.words) - (len(kept) - silent)
            return torch.from_numpy(rows - silent), kept[silent:].tolist()
        # Starting elsewhere in each utterance, lest all begin with the same silence.
        kept_frames = range(len(self.speech) % self.every % n, n, self.every)
        found = torch.full((n,), -1)
        found[list(kept_frames)] = torch.arange(len(kept_frames))
        return found, list(kept_frames)

    def take(self) -> Rows:
        views = {name: torch.cat([part[name] for part in self.views]) for name in self.views[0]}
        values: dict[str, list[str] | Floats] = {}
        for label in self.labels:
            own = self.values[label.name]
            values[label.name] = (
                np.concatenate(own) if label.kind == "numbers" else [str(name) for part in own for name in part]
            )
        return Rows(views, torch.tensor(self.utterances), self.speech, values, self.left_out)
