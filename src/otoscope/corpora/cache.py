"""Where Otoscope keeps what it generated or fetched."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["cache_dir", "made_whole"]

_ABANDONED = 24 * 3600.0  # seconds after which what a killed process left is removed


def cache_dir() -> Path:
    """The cache folder: `OTOSCOPE_CACHE` where set, else the platform's place for caches of this user.

    Example:
        >>> isinstance(cache_dir(), Path)
        True
    """
    if set_by_user := os.environ.get("OTOSCOPE_CACHE"):
        return Path(set_by_user).expanduser().absolute()
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    else:
        base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return base / "otoscope"


@contextmanager
def made_whole(folder: Path) -> Iterator[Path]:
    """A folder to fill, which takes the place of `folder` when all went well: no one ever sees half of it.

    Where another process was faster, its folder stays and this one is dropped.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    prefix = f".{folder.name}-"
    for left in folder.parent.glob(f"{prefix}*"):
        if time.time() - left.stat().st_mtime > _ABANDONED:
            shutil.rmtree(left, ignore_errors=True)
    making = Path(tempfile.mkdtemp(prefix=prefix, dir=folder.parent))
    try:
        yield making
        try:
            making.rename(folder)
        except OSError:
            if not folder.is_dir():
                raise
    finally:
        shutil.rmtree(making, ignore_errors=True)
