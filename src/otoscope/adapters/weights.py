"""Weights from files, safely: nothing is unpickled beyond tensors and plain values."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from otoscope.adapters.torch_files import damaged, read_torch
from otoscope.errors import CaptureError

__all__ = ["SUFFIXES", "WHOLE", "read_weights", "weights_in"]

WHOLE = ("model.safetensors", "model.safetensors.index.json", "pytorch_model.bin", "pytorch_model.bin.index.json")
"""The files of a folder that hold all weights of a model, the best first."""

INSIDE = ("state_dict", "model_state_dict", "model", "module", "net", "network", "weights", "params")
"""Under which of these a checkpoint that holds more than weights holds its weights, the likeliest first."""


def read_weights(path: Path) -> dict[str, Tensor]:
    """Weights by name, on the processor, from any of the files in which they are passed around.

    Arguments:
        path: a safetensors file; a file of `torch.save` (`.pt`, `.pth`, `.bin`, `.ckpt`) with a state dict, or with one
            in it, such as Lightning's; the index (`.index.json`) of weights in several files; `.npz`; a folder with one
            of transformers' names for these.

    Returns:
        The weights under the names that the file has.

    Raises:
        CaptureError: no such file; one that is cut off, empty or something else; one that needs unpickling more than
            tensors and plain values, with the way to convert it; a file without weights.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     torch.save({"state_dict": {"output.bias": torch.zeros(3)}, "global_step": 9}, f"{folder}/step=9.ckpt")
    ...     read_weights(Path(folder, "step=9.ckpt"))
    {'output.bias': tensor([0., 0., 0.])}
    """
    if path.is_dir():
        path = _in_folder(path)
    if not path.is_file():
        raise CaptureError(f"{path}: there is no such file of weights. Check the path")
    if not path.stat().st_size:
        raise CaptureError(f"{path} is empty: its writing was cut off. Copy or download it again")
    if path.name.endswith(".index.json"):
        return _sharded(path)
    reader = READERS.get(path.suffix.lower())
    if reader is None:
        raise CaptureError(f"{path} is not known to hold weights: expected a file that ends in {', '.join(SUFFIXES)}")
    return reader(path)


def weights_in(content: Any, path: Path) -> dict[str, Tensor]:
    """The weights in what a file of torch held: all of it, or one of its entries. `path` is for the error."""
    if _is_state(content):
        return dict(content)
    entries = {k: v for k, v in content.items() if _is_state(v)} if isinstance(content, Mapping) else {}
    for name in INSIDE:
        if name in entries:
            return dict(entries[name])
    if len(entries) == 1:
        return dict(*entries.values())
    held = ", ".join(map(str, list(content)[:8])) if isinstance(content, Mapping) else type(content).__name__
    raise CaptureError(
        f"{path} holds {'several sets of' if entries else 'no'} weights ({', '.join(entries) or held}): expected "
        f"tensors by name, or one entry of them, such as {INSIDE[0]}. Save the model's state_dict() alone"
    )


def _is_state(content: Any) -> bool:
    return (
        isinstance(content, Mapping)
        and bool(content)
        and all(isinstance(k, str) and isinstance(v, Tensor) for k, v in content.items())
    )


def _in_folder(folder: Path) -> Path:
    for name in WHOLE:
        if (folder / name).is_file():
            return folder / name
    raise CaptureError(f"{folder} has no weights: none of {', '.join(WHOLE)} is in it")


def _safetensors(path: Path) -> dict[str, Tensor]:
    try:
        weights: dict[str, Tensor] = load_file(path)
    except (OSError, SafetensorError) as error:
        raise damaged(path, "safetensors", error) from error
    return weights


def _torch(path: Path) -> dict[str, Tensor]:
    return weights_in(read_torch(path), path)


def _npz(path: Path) -> dict[str, Tensor]:
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            return {name: torch.from_numpy(arrays[name]) for name in arrays.files}
    except (OSError, ValueError, TypeError, AttributeError, zipfile.BadZipFile) as error:
        raise damaged(path, ".npz of plain arrays", error) from error


def _sharded(index: Path) -> dict[str, Tensor]:
    """The weights of all files that an index names."""
    try:
        files: dict[str, str] = json.loads(index.read_text(encoding="utf-8"))["weight_map"]
        names = dict.fromkeys(files.values())
        strange = [name for name in names if Path(name).name != name]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise damaged(index, "the index of weights in several files", error) from error
    if strange:  # an index could otherwise point at any file of this machine
        raise CaptureError(f"{index} names {strange[0]!r}: the files of an index lie beside it")
    weights: dict[str, Tensor] = {}
    for name in names:
        weights |= read_weights(index.parent / name)
    if missing := [name for name in files if name not in weights]:
        raise CaptureError(
            f"{index} promises {len(files)} weights, and its files lack {len(missing)} of them, such as {missing[0]}: "
            "copy or download them again"
        )
    return weights


READERS: dict[str, Callable[[Path], dict[str, Tensor]]] = {
    ".safetensors": _safetensors,
    **dict.fromkeys((".pt", ".pth", ".bin", ".ckpt"), _torch),
    ".npz": _npz,
}

SUFFIXES = tuple(READERS)
"""How the names of files of weights end."""
