"""Every label read off every layer, by every method, with what it reads where there is nothing to read."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch

from otoscope.capture import INPUT, Batch, Layer, Recogniser
from otoscope.corpora import Utterance
from otoscope.errors import MeasureError
from otoscope.study.content.gathering import Rows, gather_rows
from otoscope.study.content.label import Label, Parted, Unit
from otoscope.study.content.methods import METHODS
from otoscope.study.content.score import Score
from otoscope.study.content.target import Target, target_of

__all__ = ["FRAMES", "Asking", "Key", "Read", "read_layers"]

FRAMES = 10_000
"""Rows at most where a row is a frame: more of the same utterances say little more, since neighbours are alike."""

Key = tuple[str, str, str]
"""A view, a label, a method."""

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Asking:
    """What is to be read and how: labels, methods, what folds keep together, frames, seed of the shuffling."""

    labels: tuple[Label, ...]
    methods: tuple[str, ...]
    by: Parted = "speaker"
    frames: int = FRAMES
    seed: int = 0


@dataclass(frozen=True)
class Read:
    """Scores by view, label and method, the same with the labels shuffled, and what each label was read on."""

    scores: Mapping[Key, Score]
    shuffled: Mapping[Key, Score]
    targets: Mapping[str, Target]


def read_layers(
    recognisers: Mapping[str, Recogniser],
    layers: Mapping[str, Sequence[Layer]],
    batches: Sequence[Sequence[Utterance]],
    prepare: Callable[[Sequence[Utterance]], Mapping[str, Batch]],
    asking: Asking,
    *,
    shuffled: Sequence[str] | None = None,
    leave: Sequence[str] = (),
    progress: Progress | None = None,
) -> Read:
    """One pass over the speech, then every method on every layer.

    Arguments:
        recognisers, layers, batches, prepare: as for `gather_rows`.
        asking: what is to be read.
        shuffled: the views whose labels are shuffled, too (default: all).
        leave: views that are not read.
        progress: called with what is being done, how much is done and how much there is.

    Raises:
        StudyError: speech that a label cannot be read on.
    """
    show = progress or (lambda _what, _done, _total: None)
    heard = sum(map(len, batches))
    rows = gather_rows(
        recognisers,
        layers,
        batches,
        prepare,
        asking.labels,
        frames=asking.frames,
        progress=lambda done: show("running recognisers", done, heard),
    )
    targets = {label.name: target_of(label, rows[label.unit], by=asking.by) for label in asking.labels}
    there = [INPUT, *(view for view in next(iter(rows.values())).views if view != INPUT)]
    views = [view for view in there if view not in leave]
    also = [view for view in views if shuffled is None or view in shuffled]
    total = (len(views) + len(also)) * len(targets) * len(asking.methods)
    done = 0

    def read(chosen: Sequence[str], found: Mapping[str, Target]) -> dict[Key, Score]:
        nonlocal done
        scores: dict[Key, Score] = {}
        for view in chosen:
            for name, target in found.items():
                for method in asking.methods:
                    scores[view, name, method] = _score(rows, view, target, method)
                    done += 1
                    show("reading layers", done, total)
        return scores

    show("reading layers", 0, total)
    return Read(
        read(views, targets),
        read(also, {name: target.shuffled(asking.seed) for name, target in targets.items()}),
        targets,
    )


def _score(rows: Mapping[Unit, Rows], view: str, target: Target, method: str) -> Score:
    x = rows[target.label.unit].views[view][target.rows]
    if not bool(torch.isfinite(x).all()):
        return Score(math.nan, chance=math.nan, note="not computed: the layer holds values that are NaN or infinite")
    try:
        return METHODS[method](x, target)
    except MeasureError as error:
        return Score(math.nan, chance=math.nan, note=f"not computed: {error}")
