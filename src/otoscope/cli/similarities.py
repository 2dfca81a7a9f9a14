"""What `otoscope measure` prints."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from types import MappingProxyType
from typing import Any

import pandas as pd
import xarray as xr

from otoscope.measures import registry
from otoscope.study import Matching, MeasurePlan

__all__ = ["as_json", "as_text", "describe"]

BESIDE = ("null", "low", "high")
FEW_CLUSTERS = 10
"""The jackknife takes at least so many: with fewer, its correction for bias can be off by more than the interval."""
ABOUT = ("frames", "utterances", "level", "interval", "undefined", "no_interval")


def as_json(found: xr.Dataset, matched: Mapping[str, Matching] = MappingProxyType({})) -> dict[str, object]:
    """What `measure` found, as plain values: null for what is not a number."""
    return {
        **{name: list(value) if isinstance(value, list) else value for name, value in found.attrs.items()},
        "versions": json.loads(found.attrs["versions"]),
        **({"matches": {name: asdict(matching) for name, matching in matched.items()}} if matched else {}),
        "layer_x": found["layer_x"].values.tolist(),
        "layer_y": found["layer_y"].values.tolist(),
        "measures": {str(name): _plain_measure(found[name]) for name in found.data_vars},
    }


def _plain_measure(found: xr.DataArray) -> dict[str, object]:
    tables = {"value": found, **{kind: found[f"{found.name}_{kind}"] for kind in BESIDE if _has(found, kind)}}
    return {
        "distance": registry.get(str(found.name)).distance,
        **{
            kind: [[v if math.isfinite(v) else None for v in row] for row in t.values.tolist()]
            for kind, t in tables.items()
        },
        **{name: found.attrs[name] for name in ABOUT if name in found.attrs},
    }


def _has(found: xr.DataArray, kind: str) -> bool:
    return f"{found.name}_{kind}" in found.coords


def as_text(found: xr.Dataset, matched: Mapping[str, Matching] = MappingProxyType({})) -> str:
    """A table for each measure, under what it was measured on."""
    about = found.attrs
    grid = about["grid"]
    steps = f"{grid}s" if isinstance(grid, str) else f"frames, one every {1000 * grid:g} ms"
    head = "\n".join(
        f"{axis} {source}" for axis, source in zip(("layers of", "against"), about["models"], strict=False)
    )
    head += f"\n{about['utterances']} utterances, {about['frames']} {steps}"
    if about.get("transcripts"):
        head += f", decoders fed {about['transcripts']}"
    head += _first("\nleft out ", about["left_out"])[0] if len(about["left_out"]) else ""
    if "clusters" in about:
        head += (
            f"\n95 % intervals: jackknife over blocks of {about['cluster_count']} {about['clusters']}, "
            "of the value less its bias from few frames"
        )
        if about["cluster_count"] < FEW_CLUSTERS:
            head += (
                f"\nwarning: {about['cluster_count']} are too few for intervals to be relied on, take {FEW_CLUSTERS}"
            )
    tables = (_table(found[name], about) for name in found.data_vars)
    return "\n\n".join([head, *tables, *(_matching(name, matching) for name, matching in matched.items())])


def _matching(measure: str, matching: Matching) -> str:
    """Which layer goes with which, and how much of it keeps the order of both models."""
    lines = [
        f"best match by {measure}: mean {matching.best_mean:.3f}; in the order of both models {matching.path_mean:.3f}"
    ]
    for layer, best in matching.best.items():
        ordered = matching.path[layer]
        lines.append(f"{layer} -> {best}" + ("" if ordered == best else f" (in order: {ordered})"))
    return "\n".join(lines)


def _table(found: xr.DataArray, about: Mapping[str, Any]) -> str:
    """A heading with what is needed to read the values, the values, and what was refused."""
    null = found[f"{found.name}_null"]
    head = [f"null level at most {float(null.max()):.3f}" if null.notnull().any() else "no null level is known"]
    if registry.get(str(found.name)).distance:
        head.insert(0, "a distance: 0 is alike")
    if found.attrs.get("frames", about["frames"]) != about["frames"]:
        head.append(f"on {found.attrs['frames']} frames of {found.attrs.get('utterances', '?')} utterances")
    if found.attrs.get("interval") == "batches":
        head.append("[the error of the minibatches, not of the speech]")
    ends = [found[f"{found.name}_{end}"].values.tolist() for end in ("low", "high") if _has(found, end)]
    cells = [
        [_cell(value, *(end[i][j] for end in ends)) for j, value in enumerate(row)]
        for i, row in enumerate(found.values.tolist())
    ]
    table = pd.DataFrame(cells, index=found["layer_x"].values, columns=found["layer_y"].values)
    refused = _first("not computed: ", found.attrs.get("undefined", []))
    refused += _first("", found.attrs.get("no_interval", []))
    return "\n".join([f"{found.name} ({'; '.join(head)})", table.to_string(), *refused])


def _cell(value: float, *ends: float) -> str:
    if not math.isfinite(value):
        return "–"
    if not ends:
        return f"{value:.3f}"
    return f"{value:.3f} [{', '.join(f'{end:.3f}' if math.isfinite(end) else '–' for end in ends)}]"


def _first(what: str, reasons: Sequence[str]) -> list[str]:
    """The first reason, and how many pairs more there are: JSON has them all."""
    more = f" (and {len(reasons) - 1} more)" if len(reasons) > 1 else ""
    return [f"{what}{reasons[0]}{more}"] if len(reasons) else []


def describe(plan: MeasurePlan, measures: Sequence[str]) -> str:
    """What `measure` would do, a line for each thing."""
    lines = [
        f"corpus       {plan.corpus}: {plan.utterances} utterances, about {plan.frames} "
        + (f"{plan.grid}s" if isinstance(plan.grid, str) else f"frames, one every {1000 * plan.grid:g} ms")
    ]
    for name, own in zip(("layers", "and"), plan.layers, strict=False):
        lines.append(f"{name:12} {len(own)} layers × {_units(own)} units")
    lines.append(f"pairs        {plan.pairs}, each by {', '.join(measures)}")
    if plan.path is not None:
        lines.append(f"path         {plan.path}, {plan.multiply_adds:.1e} multiply-adds: {plan.reason}")
        lines.append(f"moments      {_size(plan.moments_bytes)}" + (f" in {plan.blocks} blocks" if plan.blocks else ""))
    if plan.sampled_frames:
        lines.append(
            f"frames kept  about {plan.sampled_frames} of {plan.sampled_utterances} utterances, "
            f"{_size(plan.samples_bytes)}"
        )
    if plan.blocks:
        lines.append(f"intervals    95 %, jackknife over {plan.blocks} blocks of {plan.cluster_count} {plan.clusters}")
    return "\n".join(lines)


def _units(layers: Mapping[str, int]) -> str:
    low, high = min(layers.values()), max(layers.values())
    return f"{low}" if low == high else f"{low} to {high}"


def _size(count: int) -> str:
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.1f} MB"
