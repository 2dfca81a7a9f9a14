"""Many layers at once: similarities with the layers' names on their axes."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr

from otoscope.errors import MeasureError
from otoscope.measures import Measure, Moments, Samples, Similarity, registry
from otoscope.measures.checks import Array, Utterances, by_utterance, check_views
from otoscope.measures.inference import BlockMoments, BlockSamples, jackknife_all
from otoscope.measures.inference.grouping import BLOCKS
from otoscope.measures.path import moments_for

__all__ = ["similarity"]


def similarity(
    views: Mapping[str, Array] | Moments,
    *,
    measure: str | Sequence[str],
    utterances: Utterances | None = None,
    layers_x: Sequence[str] | None = None,
    layers_y: Sequence[str] | None = None,
    intervals: float | None = None,
    clusters: Utterances | None = None,
    undefined: str = "raise",
) -> xr.DataArray | xr.Dataset:
    """The similarity of every layer with every layer.

    Use it for layer × layer maps within a recogniser, or with `layers_x` and `layers_y` between two. All measures that
    follow from moments come from one pass over the frames.

    Arguments:
        views: layer name to frames × units, all with the same frames; or moments, where frames came in pieces.
        measure: a registered measure, such as `"cka"`, `"cca"`, `"svcca"` or `"pwcca"`, or a list of them.
        utterances: each frame's utterance index, or the list of lengths; `"cka"` then uses the cross-utterance
            estimator. Only with arrays: moments know theirs.
        layers_x: the layers on the first axis (all where not given). In `"pwcca"` these weigh, in `"regression"` they
            predict.
        layers_y: the layers on the second axis (all where not given).
        intervals: the share of studies, such as 0.95, whose interval is to cover the true value: adds the interval of
            a jackknife over 20 blocks of utterances. Only with arrays and their utterances.
        clusters: what is independent of each other, such as speakers, for the intervals: one label for each utterance.
        undefined: `"raise"` stops at the first pair that a measure refuses; `"nan"` leaves a NaN there and lists the
            reasons in the attribute `undefined`.

    Returns:
        For one measure a DataArray with dimensions `layer_x` and `layer_y`, for a list a Dataset with one such
        variable for each. The coordinate `<measure>_null` holds the null levels, `<measure>_low` and `<measure>_high`
        the intervals.

    Raises:
        MeasureError: an unknown measure, layers or pairs that are not there, or data that cannot carry a measure.

    >>> import torch
    >>> x = torch.randn(300, 6, generator=torch.Generator().manual_seed(0))
    >>> found = similarity({"a": x, "b": x.tanh(), "c": x**2}, measure=["cka", "cca"], utterances=[100, 200])
    >>> found.cka.sel(layer_x="a", layer_y="b").round(1).item(), float(found.cca_null[0, 1].round(2))
    (0.9, 0.12)
    """
    if undefined not in ("raise", "nan"):
        raise MeasureError(f"undefined is {undefined!r}; expected 'raise' or 'nan'")
    chosen = [registry.get(name) for name in ([measure] if isinstance(measure, str) else measure)]
    if not chosen or len({m.name for m in chosen}) < len(chosen):
        raise MeasureError(f"expected one or more different measures, got {measure!r}")
    if intervals is None and clusters is not None:
        raise MeasureError("clusters are for intervals: give intervals=0.95 too, or leave clusters out")
    there = views.widths if isinstance(views, Moments) else views
    if not isinstance(views, Moments):
        check_views(views)
    rows, columns = _axis(there, layers_x), _axis(there, layers_y)
    pairs = [(x, y) for x in rows for y in columns]
    found: dict[str, dict[tuple[str, str], Similarity | MeasureError]] = {}
    for source in dict.fromkeys(m.source for m in chosen):
        same = [m for m in chosen if m.source == source]
        if intervals is None:
            found |= _measure_all(_data(views, source, utterances, same, pairs), same, pairs)
        else:
            found |= _with_intervals(views, source, utterances, clusters, same, pairs, intervals)
    arrays = {m.name: _array(m, rows, columns, found[m.name], undefined) for m in chosen}
    if isinstance(measure, str):
        return arrays[measure]
    return xr.Dataset(arrays)


def _data(
    views: Mapping[str, Array] | Moments,
    source: str,
    utterances: Utterances | None,
    measures: Sequence[Measure],
    pairs: Sequence[tuple[str, str]],
) -> Moments | Samples:
    """What these measures are computed from, made from as few layers and pairs as they need."""
    if isinstance(views, Moments):
        if utterances is not None:
            raise MeasureError("moments know their utterances already; leave `utterances` out, or give arrays")
        if source == "samples":
            raise MeasureError(_no_samples([m.name for m in measures]))
        lacking = [pair for pair in pairs if not views.has_pair(*pair)]
        if lacking:
            raise MeasureError(
                f"{len(lacking)} of {len(pairs)} pairs were not kept in these moments, such as '{lacking[0][0]}', "
                f"'{lacking[0][1]}'; choose layers_x and layers_y, or keep these pairs"
            )
        return views
    kept, needed = _needed(views, measures, pairs)
    if source == "samples":
        return Samples.of(kept, utterances=utterances)
    return moments_for([m.name for m in measures], kept, utterances=utterances, pairs=needed)


def _needed(
    views: Mapping[str, Array], measures: Sequence[Measure], pairs: Sequence[tuple[str, str]]
) -> tuple[dict[str, Array], list[tuple[str, str]]]:
    """The layers and pairs that are asked for, and those with a third layer that a measure takes."""
    given = [m.given for m in measures if m.given is not None and m.given in views]
    names = dict.fromkeys(name for pair in pairs for name in pair)
    needed = {frozenset(pair): pair for pair in [*pairs, *((name, third) for third in given for name in names)]}
    return {name: x for name, x in views.items() if name in names or name in given}, list(needed.values())


def _with_intervals(
    views: Mapping[str, Array] | Moments,
    source: str,
    utterances: Utterances | None,
    clusters: Utterances | None,
    measures: Sequence[Measure],
    pairs: Sequence[tuple[str, str]],
    level: float,
) -> dict[str, dict[tuple[str, str], Similarity | MeasureError]]:
    if isinstance(views, Moments) or utterances is None:
        raise MeasureError(
            "intervals need arrays and their utterances: each block of utterances is left out in turn. Give both, or "
            "make BlockMoments and call jackknife_all"
        )
    found: dict[str, dict[tuple[str, str], Similarity | MeasureError]] = {m.name: {} for m in measures}
    for some in _groups(views, pairs) if source == "moments" else [pairs]:
        kept, needed = _needed(views, measures, some)
        blocks: BlockMoments | BlockSamples
        if source == "samples":
            blocks = BlockSamples.of(kept, utterances=utterances, clusters=clusters)
        else:
            # Few utterances take the exact sums of each part; of many, what these cost buys nothing.
            few = len(by_utterance(kept, utterances)[1] or ()) < 2 * BLOCKS
            blocks = BlockMoments.of(kept, utterances=utterances, clusters=clusters, pairs=needed, mergeable=few)
        for (name, x, y), result in jackknife_all(blocks, measures, some, level=level).items():
            found[name][x, y] = result
    return found


def _groups(views: Mapping[str, Array], pairs: Sequence[tuple[str, str]]) -> Iterator[list[tuple[str, str]]]:
    """The pairs in as few groups as have block moments within a quarter of the machine's memory; both ways together."""
    width = {name: x.shape[1] for name, x in views.items()}
    room = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 4 / (8 * (BLOCKS + 2))
    group, held = dict[tuple[str, str], None](), dict[frozenset[str], int]()
    asked, done = set(pairs), set[tuple[str, str]]()
    for x, y in pairs:
        if (x, y) in done:
            continue
        new = {frozenset(pair): width[pair[0]] * width[pair[1]] for pair in ((x, y), (x, x), (y, y))}
        if group and sum((held | new).values()) > room:
            yield list(group)
            group, held = {}, {}
        group[x, y] = None
        held |= new
        done.add((x, y))
        if (y, x) in asked:
            group[y, x] = None
            done.add((y, x))
    yield list(group)


def _axis(there: Mapping[str, object], names: Sequence[str] | None) -> list[str]:
    chosen = list(there if names is None else names)
    unknown = [name for name in chosen if name not in there]
    if unknown or not chosen:
        raise MeasureError(f"no layers {unknown or 'asked for'}; there are {', '.join(there)}")
    return chosen


def _measure_all(
    data: Moments | Samples, measures: Sequence[Measure], pairs: Sequence[tuple[str, str]]
) -> dict[str, dict[tuple[str, str], Similarity | MeasureError]]:
    """Every measure of every pair; pair by pair, both ways round, so that measures share what a pair costs."""
    found: dict[str, dict[tuple[str, str], Similarity | MeasureError]] = {m.name: {} for m in measures}
    depth = {name: i for i, name in enumerate(data.widths)}
    for x, y in sorted(dict.fromkeys(pairs), key=lambda pair: sorted(depth[name] for name in pair)):
        for measure in sorted(measures, key=lambda m: not m.directions):
            done = found[measure.name]
            turned = done.get((y, x)) if measure.symmetric else None
            done[x, y] = turned or _measure(data, measure, x, y)
    return found


def _measure(data: Moments | Samples, measure: Measure, x: str, y: str) -> Similarity | MeasureError:
    try:
        return measure.compute(data, x, y)
    except MeasureError as refusal:
        return refusal


def _array(
    measure: Measure,
    rows: list[str],
    columns: list[str],
    done: Mapping[tuple[str, str], Similarity | MeasureError],
    undefined: str,
) -> xr.DataArray:
    refused = {pair: r for pair, r in done.items() if isinstance(r, MeasureError)}
    if refused and undefined == "raise":
        raise next(iter(refused.values()))
    results = [r for r in done.values() if isinstance(r, Similarity)]
    attrs: dict[str, object] = {}
    coords: dict[str, object] = {"layer_x": rows, "layer_y": columns}
    axes = ("layer_x", "layer_y")

    def table(field: str) -> tuple[tuple[str, str], np.ndarray[Any, Any]]:
        cells = [[getattr(done[x, y], field, None) for y in columns] for x in rows]
        return axes, np.array(cells, dtype=np.float64)

    coords[f"{measure.name}_null"] = table("null")
    if results:
        first = results[0]
        known = {"frames": first.frames, "utterances": first.utterances, "estimator": first.estimator}
        attrs |= {name: value for name, value in known.items() if value is not None}
        if first.weighted_by is not None:
            attrs["weighted_by"] = "layer_x"
        if any(r.level is not None for r in results):
            attrs |= {"level": first.level, "interval": first.interval}
            coords |= {f"{measure.name}_{end}": table(end) for end in ("low", "high")}
    if refused:
        attrs["undefined"] = [f"{x} | {y}: {r}" for (x, y), r in refused.items()]
    return xr.DataArray(table("value")[1], dims=axes, coords=coords, name=measure.name, attrs=attrs)


def _no_samples(names: Sequence[str]) -> str:
    return (
        f"{', '.join(names)} cannot be worked out from moments: the frames themselves are needed. Give arrays of "
        "frames × units, or choose measures that follow from moments"
    )
