"""Values as TOML has them. Python reads TOML and has nothing that writes it."""

from __future__ import annotations

import json
from typing import Any

__all__ = ["toml_value"]


def toml_value(value: Any) -> str:
    """A string, number, boolean, list or table as TOML.

    >>> toml_value({"units": 384, "speeds": (0.9, 1.0)})
    '{ "units" = 384, "speeds" = [0.9, 1.0] }'
    """
    if isinstance(value, dict):
        return (
            "{ " + ", ".join(f"{toml_value(k)} = {toml_value(v)}" for k, v in value.items()) + " }" if value else "{}"
        )
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(toml_value, value)) + "]"
    # Strings, numbers and booleans are written alike in both, but for the one control character that JSON lets pass.
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
