"""Files written whole or not at all: a kill, a full disk or a power cut leaves the old file or the new one."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor

from otoscope.errors import OtoscopeError

__all__ = ["file_hash", "save_tensors", "write_bytes", "write_text", "written_whole"]


@contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """Gives a temporary path beside `path` to write to; takes its place when the block ends, goes when it fails."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        yield temporary
        with temporary.open("rb") as file:
            os.fsync(file.fileno())  # the content must be on the disk before the name is
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def write_bytes(path: Path, content: bytes) -> Path:
    """Writes bytes, whole or not at all, and returns `path`."""
    with written_whole(path) as temporary:
        temporary.write_bytes(content)
    return path


def write_text(path: Path, text: str) -> Path:
    """Writes UTF-8 text, whole or not at all, and returns `path`."""
    return write_bytes(path, text.encode())


def save_tensors(path: Path, tensors: Mapping[str, Tensor], about: Mapping[str, str] | None = None) -> None:
    """Writes tensors and their metadata as safetensors, whole or not at all.

    Raises OtoscopeError where the disk does not take them.
    """
    with written_whole(path) as temporary:
        try:
            save_file(dict(tensors), str(temporary), dict(about or {}))
        except SafetensorError as error:
            raise OtoscopeError(f"{path} cannot be written ({error}): is the disk full?") from error


def file_hash(path: Path) -> str:
    """The SHA-256 of a file's bytes, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
