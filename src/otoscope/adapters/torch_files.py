"""What `torch.save` wrote, read without running code: tensors and plain values only."""

from __future__ import annotations

import re
import warnings
import zipfile
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch

from otoscope.errors import CaptureError

__all__ = ["damaged", "read_torch"]

PICKLE, ZIP = b"\x80", b"PK"
"""How files of pickles and zip archives begin."""


def read_torch(path: Path) -> Any:
    """The content of a file of `torch.save`, in the present or the older format, on the processor.

    Read with `weights_only=True`: unpickling a file runs whatever code is in it, and this refuses all but tensors and
    plain values. Raises CaptureError for a file that needs more, is no file of torch, or is damaged.
    """
    with path.open("rb") as file:
        start = file.read(2)
    zipped = start == ZIP
    if zipped:
        _check_archive(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about pickles of a late protocol, which are refused or read
            return torch.load(path, map_location="cpu", weights_only=True, mmap=zipped)
    except UnpicklingError as error:
        if zipped or start[:1] == PICKLE:
            raise CaptureError(_refusal(path, _wanted(str(error)))) from None
        raise damaged(path, "a file of torch.save", error) from error
    except Exception as error:  # of any type: the reader goes where the bytes lead it
        if "legacy .tar format" in str(error):
            raise CaptureError(_refusal(path, "the whole file, which has the format of before torch 0.2")) from None
        raise damaged(path, "a file of torch.save", error) from error


def _check_archive(path: Path) -> None:
    """Raises CaptureError for a zip archive that torch.save did not write."""
    if not zipfile.is_zipfile(path):
        raise damaged(path, "a file of torch.save", "the directory at its end is missing")
    with zipfile.ZipFile(path) as archive:
        names = {name.partition("/")[2] for name in archive.namelist()}
    if "constants.pkl" in names:
        raise CaptureError(
            f"{path} is a TorchScript archive, a program with its weights: it is a model of its own, not weights for "
            "another. Open it with otoscope.adapters.torchscript.load_torchscript, or save its state_dict() alone"
        )
    if "data.pkl" not in names:
        raise CaptureError(
            f"{path} is a zip archive that torch.save did not write: it has no data.pkl. Unpack it and give the file "
            "with the weights"
        )


def damaged(path: Path, kind: str, why: object) -> CaptureError:
    """The error for a file that was cut off, or is something else."""
    return CaptureError(_damage(path, kind, why))


def _damage(path: Path, kind: str, why: object) -> str:
    told = " ".join(str(why).split()).partition(". ")[0][:200] or "it ends too early"
    return f"{path} cannot be read as {kind} ({told}): it was cut off, or is something else. Copy or download it again"


def _wanted(message: str) -> str:
    """The class or function that a file asked for, from torch's message."""
    found = re.search(r"GLOBAL (\S+)", message)
    return found[1] if found else "what torch does not count as weights"


def _refusal(path: Path, wanted: str) -> str:
    converted = str(path.with_suffix(".safetensors"))
    return (
        f"{path} asks to unpickle {wanted}, and unpickling can run any code: it was not read. If you trust the file, "
        "convert it where nothing else is at stake, and give what comes out:\n"
        "  import torch, safetensors.torch as st\n"
        f'  weights = torch.load({str(path)!r}, map_location="cpu", weights_only=False)["state_dict"]  '
        "# or where it has them; .state_dict() of a whole module\n"
        "  st.save_file({k: v.clone(memory_format=torch.contiguous_format) for k, v in weights.items()}, "
        f"{converted!r})"
    )
