"""Where Otoscope keeps what it generated or fetched."""

from __future__ import annotations

import os
import sys
from pathlib import Path

__all__ = ["cache_dir"]


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
