"""Moments to a dict and to a safetensors file, and back."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from otoscope.errors import MeasureError
from otoscope.measures.blocks import LayerBlock, PairBlock, Sums

if TYPE_CHECKING:
    from otoscope.measures.moments import Moments

__all__ = ["from_dict", "load", "save", "to_dict"]

FORMAT = "otoscope-moments-2"


def to_dict(moments: Moments) -> dict[str, Any]:
    """`about`: what JSON can hold; `tensors`: the sums, by names without the layers' names in them."""
    names = list(moments.widths)
    tensors: dict[str, torch.Tensor] = {}
    for i, name in enumerate(names):
        if name in moments.origins:
            tensors[f"layer.{i}.origin"] = moments.origins[name]
        axes = moments.axes.get(name)
        if axes is not None:
            tensors[f"layer.{i}.axes"] = axes
        tensors |= _named(f"layer.{i}", moments.layers[name])
    for k, pair in enumerate(moments.pairs):
        tensors |= _named(f"pair.{k}", moments.blocks[pair])
    about = {
        "format": FORMAT,
        "layers": [[name, moments.widths[name]] for name in names],
        "pairs": [[names.index(x), names.index(y)] for x, y in moments.pairs],
        "frames": moments.frames,
        "utterances": moments.utterances,
        "squares": moments.squares,
        "mergeable": moments.mergeable,
    }
    return {"about": about, "tensors": tensors}


def from_dict(content: Mapping[str, Any]) -> Moments:
    """The moments that `to_dict` took apart."""
    from otoscope.measures.moments import Moments

    about, tensors = content.get("about", {}), content.get("tensors", {})
    if about.get("format") != FORMAT:
        raise MeasureError(f"not moments of this version: format is {about.get('format')!r}, expected {FORMAT!r}")
    names = [name for name, _ in about["layers"]]
    pairs = tuple((names[i], names[j]) for i, j in about["pairs"])
    optional = set() if about["utterances"] is not None else {"weighted", "between", "cross_t", "cross_s", "within"}
    if about["utterances"] is None or not about["mergeable"]:
        optional.add("spread")
    try:
        layers = {
            name: LayerBlock(**_block(tensors, f"layer.{i}", LayerBlock, optional)) for i, name in enumerate(names)
        }
        blocks = {pair: PairBlock(**_block(tensors, f"pair.{k}", PairBlock, optional)) for k, pair in enumerate(pairs)}
        origins = {name: tensors[f"layer.{i}.origin"] for i, name in enumerate(names) if about["frames"]}
        axes = {name: tensors.get(f"layer.{i}.axes") for i, name in enumerate(names) if about["frames"]}
    except KeyError as missing:
        raise MeasureError(f"these moments are incomplete: {missing} is missing; make them again") from missing
    return Moments(
        widths=dict(about["layers"]),
        pairs=pairs,
        frames=about["frames"],
        utterances=about["utterances"],
        squares=about["squares"],
        mergeable=about["mergeable"],
        origins=origins,
        axes=axes,
        layers=layers,
        blocks=blocks,
    )


def save(moments: Moments, path: str | Path) -> None:
    """Write to a file beside `path` and move it there, so that no reader meets half of it."""
    content, path = to_dict(moments), Path(path)
    half = path.with_name(f".{path.name}.{os.getpid()}")
    tensors = {name: t.contiguous() for name, t in content["tensors"].items()}
    try:
        save_file(tensors, half, metadata={"about": json.dumps(content["about"])})
        os.replace(half, path)
    finally:
        half.unlink(missing_ok=True)


def load(path: str | Path) -> Moments:
    """Read what `save` wrote."""
    try:
        with safe_open(path, "pt") as file:
            about = json.loads((file.metadata() or {}).get("about", "{}"))
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
    except (OSError, SafetensorError) as error:
        raise MeasureError(f"cannot read moments from {path}: {error}; make them again") from error
    return from_dict({"about": about, "tensors": tensors})


def _named(prefix: str, block: Sums) -> dict[str, torch.Tensor]:
    return {f"{prefix}.{name}": t for name, t in block.tensors().items() if t is not None}


def _block(tensors: Mapping[str, torch.Tensor], prefix: str, kind: type[Sums], absent: set[str]) -> dict[str, Any]:
    names = kind.__dataclass_fields__
    return {name: None if name in absent else tensors[f"{prefix}.{name}"] for name in names}
