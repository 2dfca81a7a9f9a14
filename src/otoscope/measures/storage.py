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

FORMAT = "otoscope-moments-1"


def to_dict(moments: Moments) -> dict[str, Any]:
    """`about`: what JSON can hold; `tensors`: the sums, by names without the layers' names in them."""
    names = list(moments.widths)
    tensors: dict[str, torch.Tensor] = {}
    for i, name in enumerate(names):
        if name in moments.origins:
            tensors[f"layer.{i}.origin"] = moments.origins[name]
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
    kept = about["utterances"] is not None
    try:
        layers = {name: LayerBlock(**_block(tensors, f"layer.{i}", LayerBlock, kept)) for i, name in enumerate(names)}
        blocks = {pair: PairBlock(**_block(tensors, f"pair.{k}", PairBlock, kept)) for k, pair in enumerate(pairs)}
        origins = {name: tensors[f"layer.{i}.origin"] for i, name in enumerate(names) if about["frames"]}
    except KeyError as missing:
        raise MeasureError(f"these moments are incomplete: {missing} is missing; make them again") from missing
    return Moments(
        widths=dict(about["layers"]),
        pairs=pairs,
        frames=about["frames"],
        utterances=about["utterances"],
        squares=about["squares"],
        origins=origins,
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


def _block(tensors: Mapping[str, torch.Tensor], prefix: str, kind: type[Sums], utterances: bool) -> dict[str, Any]:
    made: dict[str, Any] = {}
    for name in kind.__dataclass_fields__:
        optional = name in {"weighted", "between", "spread", "cross_t", "cross_s", "within"}
        made[name] = None if optional and not utterances else tensors[f"{prefix}.{name}"]
    return made
