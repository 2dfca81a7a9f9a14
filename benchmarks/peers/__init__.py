"""Other libraries' measures, and the plain published formulas, each as a `Method`."""

from __future__ import annotations

import sys
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from benchmarks.peers import correlations, formulas, kernels, minibatches
from benchmarks.peers.method import Layer, Method

__all__ = ["METHODS", "Layer", "Method", "installed", "peers_python"]

METHODS: list[Method] = [*formulas.METHODS, *kernels.METHODS, *minibatches.METHODS, *correlations.METHODS]


def installed(needs: str | None) -> bool:
    """Whether this is there in the environment that runs now."""
    if needs is None:
        return True
    try:
        distribution(needs)
    except PackageNotFoundError:
        return False
    return True


def peers_python() -> str:
    """The interpreter of the peers' environment; this one where that was not made."""
    python = Path(__file__).parents[2] / ".venv-peers" / "bin" / "python"
    return str(python) if python.exists() else sys.executable
