"""Many layers at once: similarities with the layers' names on their axes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import xarray as xr

from otoscope.errors import MeasureError
from otoscope.measures import Measure, Moments, Similarity, registry
from otoscope.measures.checks import Array, Utterances

__all__ = ["similarity"]


def similarity(
    views: Mapping[str, Array] | Moments,
    *,
    measure: str | Sequence[str],
    utterances: Utterances | None = None,
    layers_x: Sequence[str] | None = None,
    layers_y: Sequence[str] | None = None,
    undefined: str = "raise",
) -> xr.DataArray | xr.Dataset:
    """The similarity of every layer with every layer.

    Use it for layer × layer maps within a recogniser, or with `layers_x` and `layers_y` between two. All measures
    come from one pass over the frames.

    Arguments:
        views: layer name to frames × units, all with the same frames; or moments, where frames came in pieces.
        measure: a registered measure, such as `"cka"`, `"cca"`, `"svcca"` or `"pwcca"`, or a list of them.
        utterances: each frame's utterance index, or the list of lengths; `"cka"` then uses the cross-utterance
            estimator. Only with arrays: moments know theirs.
        layers_x: the layers on the first axis (all where not given). In `"pwcca"` these weigh.
        layers_y: the layers on the second axis (all where not given).
        undefined: `"raise"` stops at the first pair that a measure refuses; `"nan"` leaves a NaN there and lists the
            reasons in the attribute `undefined`.

    Returns:
        For one measure a DataArray with dimensions `layer_x` and `layer_y`, for a list a Dataset with one such
        variable for each. The coordinate `<measure>_null` holds the null levels.

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
    moments = _moments(views, utterances, layers_x, layers_y)
    rows, columns = _axis(moments.widths, layers_x), _axis(moments.widths, layers_y)
    lacking = [(x, y) for x in rows for y in columns if not moments.has_pair(x, y)]
    if lacking:
        raise MeasureError(
            f"{len(lacking)} of {len(rows) * len(columns)} pairs were not kept in these moments, such as "
            f"'{lacking[0][0]}', '{lacking[0][1]}'; choose layers_x and layers_y, or keep these pairs"
        )
    found = _measure_all(moments, chosen, rows, columns, undefined)
    arrays = {m.name: _array(moments, m, rows, columns, found[m.name]) for m in chosen}
    if isinstance(measure, str):
        return arrays[measure]
    return xr.Dataset(arrays)


def _moments(
    views: Mapping[str, Array] | Moments,
    utterances: Utterances | None,
    layers_x: Sequence[str] | None,
    layers_y: Sequence[str] | None,
) -> Moments:
    if isinstance(views, Moments):
        if utterances is not None:
            raise MeasureError("moments know their utterances already; leave `utterances` out, or give arrays")
        return views
    pairs = None
    if isinstance(views, Mapping) and (layers_x is not None or layers_y is not None):
        rows, columns = (_axis(views, names) for names in (layers_x, layers_y))
        views = {name: x for name, x in views.items() if name in rows or name in columns}
        pairs = [(x, y) for x in rows for y in columns]
    return Moments.of(views, utterances=utterances, pairs=pairs, mergeable=False)


def _axis(there: Mapping[str, object], names: Sequence[str] | None) -> list[str]:
    chosen = list(there if names is None else names)
    unknown = [name for name in chosen if name not in there]
    if unknown or not chosen:
        raise MeasureError(f"no layers {unknown or 'asked for'}; there are {', '.join(there)}")
    return chosen


Results = dict[tuple[str, str], Similarity | MeasureError]


def _measure_all(
    moments: Moments, measures: Sequence[Measure], rows: list[str], columns: list[str], undefined: str
) -> dict[str, Results]:
    """Every measure of every pair; pair by pair, both ways round, so that measures share what a pair costs."""
    found: dict[str, Results] = {m.name: {} for m in measures}
    asked = dict.fromkeys((x, y) for x in rows for y in columns)
    for x, y in sorted(asked, key=lambda pair: [list(moments.widths).index(name) for name in sorted(pair)]):
        for measure in measures:
            done = found[measure.name]
            turned = done.get((y, x)) if measure.symmetric else None
            done[x, y] = turned or _measure(moments, measure, x, y, undefined)
    return found


def _array(moments: Moments, measure: Measure, rows: list[str], columns: list[str], done: Results) -> xr.DataArray:
    values, nulls = (np.full((len(rows), len(columns)), np.nan) for _ in range(2))
    for i, x in enumerate(rows):
        for j, y in enumerate(columns):
            result = done[x, y]
            if isinstance(result, Similarity):
                values[i, j], nulls[i, j] = result.value, result.null
    results = [r for r in done.values() if isinstance(r, Similarity)]
    attrs: dict[str, object] = {"frames": moments.frames}
    if moments.utterances is not None:
        attrs["utterances"] = moments.utterances
    if results and results[0].estimator is not None:
        attrs["estimator"] = results[0].estimator
    if not measure.symmetric:
        attrs["weighted_by"] = "layer_x"
    refused = [f"{x} | {y}: {r}" for (x, y), r in done.items() if isinstance(r, MeasureError)]
    if refused:
        attrs["undefined"] = refused
    axes = ("layer_x", "layer_y")
    coords = {"layer_x": rows, "layer_y": columns, f"{measure.name}_null": (axes, nulls)}
    return xr.DataArray(values, dims=axes, coords=coords, name=measure.name, attrs=attrs)


def _measure(moments: Moments, measure: Measure, x: str, y: str, undefined: str) -> Similarity | MeasureError:
    try:
        return measure.compute(moments, x, y)
    except MeasureError as refusal:
        if undefined == "raise":
            raise
        return refusal
