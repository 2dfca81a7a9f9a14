"""Similarities of the layers of one or two trained recognisers on any speech, without a study."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import xarray as xr
from torch import Tensor

from otoscope.asr import FRAME_SHIFT_SECONDS, ReferenceRecogniser, log_mel, pad
from otoscope.asr.batching import batches_by_length
from otoscope.capture import Layer, common_grid, reduce, select, view_name
from otoscope.corpora import Corpus, read_audio
from otoscope.errors import StudyError
from otoscope.labelled import similarity
from otoscope.study.measuring import BATCH_FRAMES

__all__ = ["measure"]


def measure(
    checkpoint: Path,
    other: Path | None = None,
    *,
    corpus: Corpus,
    measures: Sequence[str] = ("cka",),
    layers: Sequence[str] | None = None,
    utterances: int = 300,
    progress: Callable[[int], None] | None = None,
) -> xr.Dataset:
    """Layer × layer similarities of a checkpoint with itself, or of two checkpoints (`other` on the second axis).

    `corpus` is the speech they are compared on, at most `utterances` of it, spread over the corpus; `layers` are
    names or globs (default: one layer a block). Returns a Dataset with a variable for each of `measures`, dimensions
    `layer_x` and `layer_y`, the grid in seconds and the frames in its attributes. Raises StudyError for an empty
    corpus or `utterances` below 1, CaptureError for layers that are not there, MeasureError where the speech is too
    little for a measure.
    """
    if utterances < 1:
        raise StudyError(f"layers are compared on at least 1 utterance, got utterances={utterances}")
    if not corpus.utterances:
        raise StudyError(f"the corpus {corpus.name!r} has no utterance to compare layers on: check --split")
    paths = {"x": checkpoint, **({"y": other} if other is not None else {})}
    recognisers = {role: ReferenceRecogniser.load(path) for role, path in paths.items()}
    chosen = {role: _layers(r, layers) for role, r in recognisers.items()}
    grid = common_grid([layer for own in chosen.values() for layer in own])
    names = {role: [view_name(role, layer.name) for layer in own] for role, own in chosen.items()}
    columns = names.get("y", names["x"])
    pairs = [(x, y) for x in names["x"] for y in columns]
    moments = reduce(
        recognisers,
        _batches(corpus, utterances),
        pairs=pairs if other is not None else None,
        layers=chosen,
        grid=grid,
        progress=progress,
    )
    found = similarity(moments, measure=list(measures), layers_x=names["x"], layers_y=columns)
    assert isinstance(found, xr.Dataset)
    plain = {
        axis: [str(view).partition(":")[2] for view in found[axis].values.tolist()] for axis in ("layer_x", "layer_y")
    }
    about = {"grid": grid, "frames": moments.frames, "utterances": moments.utterances or 0, "corpus": corpus.name}
    return found.assign_coords(plain).assign_attrs(about)


def _layers(recogniser: ReferenceRecogniser, patterns: Sequence[str] | None) -> list[Layer]:
    own = recogniser.layers()
    if patterns is None:
        return own
    wanted = set(select(recogniser.module, patterns))
    known = {layer.name for layer in own}
    if unknown := sorted(wanted - known):
        raise StudyError(
            f"the layers {', '.join(unknown)} have no known stride; those of this recogniser are: "
            f"{', '.join(layer.name for layer in own)}"
        )
    return [layer for layer in own if layer.name in wanted]


def _batches(corpus: Corpus, count: int) -> Iterator[tuple[Tensor, Tensor]]:
    every = max(1, len(corpus) / count)
    chosen = [corpus.utterances[int(i * every)] for i in range(min(count, len(corpus)))]
    by_id = {u.id: u for u in chosen}
    lengths = {u.id: round(u.duration / FRAME_SHIFT_SECONDS) for u in chosen}
    for batch in batches_by_length(lengths, frames=BATCH_FRAMES):
        yield pad([log_mel(read_audio(by_id[u])) for u in batch])
