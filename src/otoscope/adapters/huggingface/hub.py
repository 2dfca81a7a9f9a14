"""Whether the hub can be reached: asked once and shortly, for its library tries for half a minute, aloud."""

from __future__ import annotations

import socket
import urllib.request
from typing import Any
from urllib.parse import urlsplit

__all__ = ["from_hub"]

PATIENCE_SECONDS = 5.0


def from_hub(revision: str | None) -> dict[str, Any]:
    """How transformers is to ask for a model on the hub: of what was downloaded before, where it is out of reach."""
    from huggingface_hub import constants

    return {"revision": revision, "local_files_only": not _reachable(constants.ENDPOINT)}


def _reachable(endpoint: str) -> bool:
    if urllib.request.getproxies():
        return True  # who stands between knows better
    place = urlsplit(endpoint)
    try:
        with socket.create_connection(
            (place.hostname or "", place.port or (80 if place.scheme == "http" else 443)), timeout=PATIENCE_SECONDS
        ):
            return True
    except OSError:
        return False
