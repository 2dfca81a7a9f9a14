"""What is timed: a measure of all pairs of some layers, as one library computes it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["Layer", "Method"]

Layer = npt.NDArray[np.float32]
"""frames × units"""


def _as_it_is(x: Layer) -> Layer:
    return x


@dataclass(frozen=True)
class Method:
    """A measure of layers, either pair by pair (`pair`) or of all at once (`matrix`).

    Arguments:
        name: whose it is.
        measure: which of our measures it should agree with.
        computes: what it does, for the table.
        precision: the floating type in which it computes.
        wrong: what is wrong with it, or nothing where it is right. The timing of a wrong method is shown but is not
            compared with.
        needs: what is installed with it; `None` for a plain formula.
        prepare: what is done once for each layer.
        pair: from two prepared layers to the value.
        matrix: from the layers (of one model, or of two) to all values, layers × layers.
        most_frames: where a method would take minutes, so many frames are timed, and the time is scaled with a power
            of the frames.
        order: that power.
        careful: whether it is a formula written for many layers, each layer's part done once: no library does that,
            and it stands beside the peers, not among them.
    """

    name: str
    measure: str
    computes: str
    precision: str
    wrong: str = ""
    needs: str | None = None
    prepare: Callable[[Layer], Any] = _as_it_is
    pair: Callable[[Any, Any], float] | None = None
    matrix: Callable[[list[Layer], list[Layer] | None], npt.NDArray[np.float64]] | None = None
    most_frames: int | None = None
    order: float = 1.0
    careful: bool = False

    @property
    def key(self) -> str:
        """The name by which `--method` chooses it."""
        return f"{self.name}:{self.measure}".replace(" ", "-")
