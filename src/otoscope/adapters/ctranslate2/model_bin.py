"""CTranslate2's `model.bin`: the weights of a converted model by name, read without CTranslate2."""

from __future__ import annotations

import mmap
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from otoscope.errors import CaptureError

__all__ = ["ModelBin", "read_model_bin"]

VERSIONS = (4, 5, 6)
"""Versions of the format that are laid out alike; 6 has been written since 2022, and no Whisper before it."""

BFLOAT16 = 5

ELEMENTS: Mapping[int, str] = {0: "<f4", 1: "<i1", 2: "<i2", 3: "<i4", 4: "<f2", BFLOAT16: "<u2"}
"""The format's numbers of element types; bfloat16, which NumPy lacks, as its 16 bits."""


@dataclass(frozen=True, slots=True)
class ModelBin:
    """What one `model.bin` holds.

    `spec` says what kind of model it is (`WhisperSpec`); `stored` maps names such as `encoder/conv1/weight` to
    (element type, values as stored); `aliases` maps further names to those.
    """

    path: Path
    spec: str
    stored: Mapping[str, tuple[int, npt.NDArray[Any]]]
    aliases: Mapping[str, str]

    def __contains__(self, name: str) -> bool:
        return self.aliases.get(name, name) in self.stored

    def values(self, name: str) -> npt.NDArray[np.float32]:
        """The values of one variable as float32, whatever it is stored as: int8 and int16 are divided by their scale.

        int8 has one scale for each row, int16 one for all. Raises CaptureError where the file has no such variable,
        or stores it in another way.
        """
        name = self.aliases.get(name, name)
        if name not in self.stored:
            raise CaptureError(f"{self.path} has no weights named {name}: expected those of a whole Whisper")
        element, values = self.stored[name]
        if element == BFLOAT16:
            return (values.astype(np.uint32) << 16).view(np.float32)  # bfloat16 is the upper half of float32
        if values.dtype.kind == "f":
            return values.astype(np.float32)
        if f"{name}_scale" not in self.stored or f"{name}_zero" in self.stored or values.dtype.itemsize > 2:
            raise CaptureError(
                f"{self.path} stores {name} as {values.dtype.name} in a way that is not read; expected float32, "
                "float16, bfloat16, int16 or int8 with scales. Convert the model again with --quantization float16"
            )
        scale = self.values(f"{name}_scale")
        quantised = values.astype(np.float32)
        return quantised / scale.reshape(scale.shape + (1,) * (values.ndim - scale.ndim))

    def number(self, name: str, default: int) -> int:
        """A setting that is stored as a variable without axes, such as `encoder/num_heads`."""
        return int(self.stored[name][1]) if name in self.stored else default


class _Cursor:
    """Reads a buffer from front to back; struct.error and ValueError where it ends too early."""

    def __init__(self, content: mmap.mmap) -> None:
        self.content, self.at = content, 0

    def number(self, code: str) -> int:
        (value,) = struct.unpack_from(f"<{code}", self.content, self.at)
        self.at += struct.calcsize(code)
        return int(value)

    def text(self) -> str:
        length = self.number("H")  # with the zero that ends it
        (value,) = struct.unpack_from(f"{length}s", self.content, self.at)
        if bytes(value[-1:]) != b"\0":
            raise ValueError("a name without its end")
        self.at += length
        return bytes(value[:-1]).decode()

    def variable(self) -> tuple[int, npt.NDArray[Any]]:
        shape = [self.number("I") for _ in range(self.number("B"))]
        element, size = self.number("B"), self.number("I")
        if element not in ELEMENTS:
            raise ValueError(f"values of an unknown type, number {element}")
        kind, count = np.dtype(ELEMENTS[element]), int(np.prod(shape, dtype=np.int64))
        if count * kind.itemsize != size:
            raise ValueError(f"{size} bytes for {count} values of {kind.itemsize}")
        values = np.frombuffer(self.content, kind, count, self.at).reshape(shape)
        self.at += size
        return element, values


def read_model_bin(path: str | Path) -> ModelBin:
    """The variables of a `model.bin` that CTranslate2's converters wrote; nothing of it is run.

    The file stays mapped, and is read where it is used.

    Arguments:
        path: the file.

    Returns:
        Its variables by name.

    Raises:
        CaptureError: the file cannot be read, is none of CTranslate2's, or breaks off.
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            content = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    except (OSError, ValueError) as error:  # ValueError: an empty file
        raise CaptureError(f"{path} cannot be read ({error}): CTranslate2 keeps a model's weights in it") from error
    if int.from_bytes(content[:4], "little") not in VERSIONS:
        raise CaptureError(
            f"{path} is no model of CTranslate2: it begins with {content[:4]!r}, expected the version of the format, "
            f"{VERSIONS[0]} to {VERSIONS[-1]}"
        )
    cursor = _Cursor(content)
    try:
        _version = cursor.number("I")
        spec, _revision = cursor.text(), cursor.number("I")
        stored = {cursor.text(): cursor.variable() for _ in range(cursor.number("I"))}
        aliases = {cursor.text(): cursor.text() for _ in range(cursor.number("I"))}
    except (struct.error, ValueError) as error:
        raise CaptureError(
            f"{path} is damaged: it has {len(content)} bytes, and breaks off or goes wrong at byte {cursor.at} "
            f"({error}). Copy or convert it again"
        ) from error
    return ModelBin(path, spec, stored, aliases)
