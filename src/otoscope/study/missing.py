"""What a study was asked for and does not have: runs that failed, comparisons that could not be made."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["Missing"]


@dataclass(frozen=True, slots=True)
class Missing:
    """A run that is not in the results, or a part of one, and why.

    `stage` is what failed: training, scoring on test, comparing layers, or reading their content. `part` names the
    comparison, or the checkpoint; it is empty where all of the run is missing. A comparison of two runs is given once,
    under the first.

    >>> Missing("cnn/seed0", "training", "TrainingError: the loss at step 12 is nan").part
    ''
    """

    run: str
    stage: Literal["training", "scoring", "comparing", "content"]
    reason: str
    part: str = ""
