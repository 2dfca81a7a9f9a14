"""Choosing the place where an effect is largest without flattering it."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = ["at_choice_of_others"]

Floats = npt.NDArray[np.float64]


def at_choice_of_others(scores: Floats) -> Floats:
    """(runs, places) → (runs,): each run's score at the place that is best, on average, in the other runs.

    The largest of several scores is large by chance too; at a place that other seeds chose it is not. A single run has
    no others and chooses for itself, which flatters it.

    >>> at_choice_of_others(np.array([[0.9, 0.2, 0.1], [0.1, 0.8, 0.3], [0.2, 0.7, 0.6]])).tolist()
    [0.2, 0.1, 0.2]
    """
    runs = len(scores)
    others = (scores.sum(0) - scores) if runs > 1 else scores
    found: Floats = scores[np.arange(runs), others.argmax(1)]
    return found
