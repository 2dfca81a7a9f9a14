"""Similarities of the layers of one or two trained recognisers on any speech, without a study."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import xarray as xr

from otoscope.asr.batching import batches_by_length
from otoscope.capture import Gathered, Seconds, TokenGrid, gather
from otoscope.corpora import Corpus
from otoscope.errors import MeasureError
from otoscope.labelled import similarity
from otoscope.measures import Measure, Moments, Samples
from otoscope.measures.path import moments_for
from otoscope.measures.samples import lengths_to_index
from otoscope.study.asked import Asked, Transcripts
from otoscope.study.looking import Model, prepared, source_of
from otoscope.study.manifest import versions
from otoscope.study.measuring import BATCH_FRAMES
from otoscope.study.needs import LEVEL, SAMPLES, Intervals, intervals_of, sources_of, without_roles
from otoscope.study.way import BLOCKS, sums_bytes

__all__ = ["MeasurePlan", "measure", "plan_measure"]

FLOAT32_BYTES = 4


def measure(
    model: Model,
    other: Model | None = None,
    *,
    corpus: Corpus,
    measures: Sequence[str] = ("cka",),
    layers: Sequence[str] | None = None,
    decoder: bool = False,
    transcripts: Transcripts = "reference",
    utterances: int = 300,
    samples: int = SAMPLES,
    intervals: bool = False,
    progress: Callable[[int], None] | None = None,
) -> xr.Dataset:
    """Layer × layer similarities of a recogniser with itself, or of two recognisers (`other` on the second axis).

    Two recognisers are compared on the coarsest of their strides. Layers of decoders are compared token by token where
    both have the same tokens, else word by word.

    Arguments:
        model: a recogniser, or its name or path, see `load_recogniser`.
        other: a second one.
        corpus: the speech they are compared on.
        measures: names of registered measures. Those that follow from moments see all speech, in one pass.
        layers: names or globs (default: one layer a block).
        decoder: whether the default are blocks of the decoder in place of the encoder's.
        transcripts: what decoders are fed, the reference or what the recogniser itself writes ("own").
        utterances: at most so many, spread over the corpus.
        samples: measures that need frames see whole utterances of at most so many frames, spread over these.
        intervals: whether to add 95 % intervals, by a jackknife over 20 blocks of speakers (of utterances where fewer
            than 3 speakers are known). They cost eleven to thirty evaluations of each measure, and 20 times the memory.
        progress: called with the number of utterances done.

    Returns:
        A Dataset with a variable for each of `measures`, dimensions `layer_x` and `layer_y`, null levels in the
        coordinate `<measure>_null`, ends of the intervals in `<measure>_low` and `<measure>_high`. A variable's
        attributes have the `frames` and `utterances` that it was measured on, `undefined` where it was refused and
        why, `no_interval` where the interval was; the Dataset's have the
        `grid` in seconds a frame ("token" or "word" for decoders), the frames (tokens, words) and utterances of all
        speech, `models` and `corpus` with its `splits`, `versions` in JSON, `left_out` (utterances that could not be
        looked at, and why), for decoders `transcripts` (what they were fed), and `clusters`, what was left out in turn
        for the intervals.

    Raises:
        StudyError: an empty corpus; `utterances` below 1; `samples` or clusters too few.
        CaptureError: a model that cannot be loaded; layers that are not there.
        MeasureError: an unknown measure; speech that is too little for any measure of any pair.
    """
    asked = Asked.of(
        model,
        other,
        corpus=corpus,
        measures=measures,
        layers=layers,
        decoder=decoder,
        utterances=utterances,
        samples=samples,
        intervals=intervals,
    )
    if transcripts == "own":
        asked = asked.with_own_transcripts()
    gathered = _gather(asked, progress)
    ends = intervals_of(gathered, asked.measures, asked.pairs)
    arrays: dict[str, xr.DataArray] = {}
    for source, data in sources_of(gathered).items():
        own = [m for m in asked.measures if m.source == source]
        found = _similarity(data, own, asked)
        arrays |= {m.name: _finished(found[m.name], asked, ends) for m in own}
    if all(found.isnull().all() for found in arrays.values()):
        raise MeasureError(_reason(arrays[asked.measures[0].name]))
    about = {
        "grid": asked.grid,
        "frames": gathered.frames,
        "utterances": gathered.utterances,
        "models": [source_of(recogniser) for recogniser in asked.recognisers.values()],
        "corpus": corpus.name,
        "splits": sorted({u.split for u in asked.speech if u.split}),
        "versions": json.dumps(versions()),
        "left_out": asked.left_out,
        **({"transcripts": asked.fed} if asked.fed else {}),
    }
    if asked.clusters is not None:
        about |= {"clusters": asked.clusters.kind, "cluster_count": len(asked.clusters.blocks)}
    return xr.Dataset({m.name: arrays[m.name] for m in asked.measures}).assign_attrs(about)


@dataclass(frozen=True)
class MeasurePlan:
    """A comparison before it runs.

    `layers` maps each recogniser's layers to their units, `pairs` counts pairs of layers, `path` is "covariance" or
    "gram" with the `reason`, None where no measure follows from moments; bytes are of the moments and of the frames
    that are kept.
    """

    corpus: str
    utterances: int
    frames: int
    grid: Seconds | TokenGrid
    left_out: tuple[str, ...]
    layers: tuple[dict[str, int], ...]
    pairs: int
    path: str | None
    reason: str
    multiply_adds: float
    moments_bytes: int
    sampled_utterances: int
    sampled_frames: int
    samples_bytes: int
    blocks: int
    clusters: str | None
    cluster_count: int


def plan_measure(
    model: Model,
    other: Model | None = None,
    *,
    corpus: Corpus,
    measures: Sequence[str] = ("cka",),
    layers: Sequence[str] | None = None,
    decoder: bool = False,
    transcripts: Transcripts = "reference",
    utterances: int = 300,
    samples: int = SAMPLES,
    intervals: bool = False,
) -> MeasurePlan:
    """What `measure` would do, from durations alone: no audio is read. Arguments and errors as there."""
    asked = Asked.of(
        model,
        other,
        corpus=corpus,
        measures=measures,
        layers=layers,
        decoder=decoder,
        utterances=utterances,
        samples=samples,
        intervals=intervals,
    )
    way, needs, kept = asked.way, asked.needs, _kept(asked)
    frames, sampled = sum(asked.steps.values()), sum(asked.steps[u] for u in kept)
    by_gram = way is not None and way.name == "gram"
    held = 0 if way is None else way.bytes if by_gram else sums_bytes(asked.widths, needs["pairs"], intervals=intervals)
    return MeasurePlan(
        corpus=corpus.name,
        utterances=len(asked.speech),
        frames=frames,
        grid=asked.grid,
        left_out=tuple(asked.left_out),
        layers=tuple({layer.name: layer.units for layer in own} for own in asked.layers.values()),
        pairs=len(asked.pairs),
        path=None if way is None else way.name,
        reason="" if way is None else way.reason,
        multiply_adds=0.0 if way is None else way.multiply_adds,
        moments_bytes=held,
        sampled_utterances=len(kept),
        sampled_frames=sampled,
        samples_bytes=FLOAT32_BYTES * sampled * sum(asked.widths.values()),
        blocks=BLOCKS if intervals else 0,
        clusters=asked.clusters.kind if asked.clusters else None,
        cluster_count=len(asked.clusters.blocks) if asked.clusters else 0,
    )


def _kept(asked: Asked) -> list[str]:
    """The utterances whose frames are kept: all where Gram matrices of them are cheaper than covariances."""
    return list(asked.costs) if asked.way is not None and asked.way.name == "gram" else asked.needs["sampled"]


def _gather(asked: Asked, progress: Callable[[int], None] | None) -> Gathered:
    batches = batches_by_length(asked.costs, frames=BATCH_FRAMES)
    by_gram = asked.way is not None and asked.way.name == "gram"
    needs = asked.needs
    gathered = gather(
        asked.recognisers,
        (prepared(asked.recognisers, asked.read(batch), inputs=needs["inputs"]) for batch in batches),
        batches,
        moments=needs["moments"] and not by_gram,
        sampled=_kept(asked),
        pairs=needs["pairs"],
        inputs=needs["inputs"],
        layers=asked.layers,
        grid=asked.grid,
        clusters=asked.clusters,
        progress=progress,
    )
    if not by_gram:
        return gathered
    held = gathered.samples
    assert isinstance(held, Samples)
    names = [m.name for m in asked.measures]
    moments = moments_for(names, held.views, utterances=lengths_to_index(held.lengths or ()), pairs=needs["pairs"])
    return Gathered(gathered.frames, gathered.utterances, moments, None)


def _similarity(data: Moments | Samples, measures: Sequence[Measure], asked: Asked) -> xr.Dataset:
    """Every pair by these measures; NaN where one refuses."""
    found = similarity(
        data.views if isinstance(data, Samples) else data,
        utterances=lengths_to_index(data.lengths or ()) if isinstance(data, Samples) else None,
        measure=[m.name for m in measures],
        layers_x=asked.rows,
        layers_y=asked.columns,
        undefined="nan",
    )
    assert isinstance(found, xr.Dataset)
    return found


def _finished(found: xr.DataArray, asked: Asked, ends: Intervals) -> xr.DataArray:
    """One measure's values with the layers' own names and the intervals."""
    name = str(found.name)
    refused = [without_roles(r, *asked.rows, *asked.columns) for r in found.attrs.pop("undefined", [])]
    if refused:
        found.attrs["undefined"] = refused
    if ends:
        none = (math.nan, math.nan)
        of = {pair: ends.get((name, *pair), none) for pair in asked.pairs}
        table = [[none if isinstance(of[x, y], str) else of[x, y][:2] for y in asked.columns] for x in asked.rows]
        low, high = np.moveaxis(np.array(table), 2, 0)
        axes = ("layer_x", "layer_y")
        found = found.assign_coords({f"{name}_low": (axes, low), f"{name}_high": (axes, high)})
        found.attrs |= {"level": LEVEL, "interval": "jackknife"}
        measured = found.notnull()
        without = [
            f"{_layer(x)} | {_layer(y)}: {end}"
            for (x, y), end in of.items()
            if isinstance(end, str) and measured.sel(layer_x=x, layer_y=y)
        ]
        if without:
            found.attrs["no_interval"] = without
    return found.assign_coords(layer_x=list(map(_layer, asked.rows)), layer_y=list(map(_layer, asked.columns)))


def _reason(found: xr.DataArray) -> str:
    """Why the first pair was refused."""
    return str(found.attrs["undefined"][0]).partition(": ")[2]


def _layer(view: str) -> str:
    return view.partition(":")[2]
