"""What a measure returns: the value with everything needed to read it."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

__all__ = ["Similarity"]


@dataclass(frozen=True, slots=True)
class Similarity:
    """One similarity between two layers; `float(result)` is its value.

    Arguments:
        measure: the measure's name, e.g. `"cka"`.
        value: the similarity. Unbiased estimators may read slightly below 0; nothing is clamped.
        null: the value to expect where the layers are unrelated, for independent frames. Speech frames are not
            independent, so a study compares with shuffled utterances too.
        frames: the number of frames it was measured on.
        units: the widths of the two layers.
        ranks: the numerical ranks of the two layers, for SVCCA the principal components kept; `None` where the measure
            does not go by them.
        layers: the names of the two layers, `("x", "y")` for plain arrays.
        utterances: the number of utterances, `None` where they were not given.
        estimator: which estimator of CKA, `None` for the CCA family.
        weighted_by: the layer that weighs in PWCCA, `None` elsewhere.
        correlations: the canonical correlations, largest first; `None` for CKA.
        low: the lower end of the interval, `None` where none was asked for. Like the value, it is not clamped.
        high: the upper end.
        level: the interval's nominal coverage, e.g. 0.95.
        standard_error: the standard deviation that the value would have over other speech of this amount.
        p_value: how often layers that are unrelated give a value as extreme, from permutations.
        left_out: the value without each block of speech in turn, in the order of blocks, where the interval is a
            jackknife's: from these follows the uncertainty of anything that is computed from several similarities.
        interval: how `low` and `high` were found, e.g. `"jackknife"`; see docs/uncertainty.md.

    >>> import torch
    >>> from otoscope.measures import cka
    >>> x = torch.randn(200, 8, generator=torch.Generator().manual_seed(0))
    >>> result = cka(x, 2 * x + 1)
    >>> round(float(result), 6), result.frames, result.units
    (1.0, 200, (8, 8))
    """

    measure: str
    value: float
    null: float
    frames: int
    units: tuple[int, int]
    layers: tuple[str, str]
    ranks: tuple[int, int] | None = None
    utterances: int | None = None
    estimator: str | None = None
    weighted_by: str | None = None
    correlations: npt.NDArray[np.float64] | None = field(default=None, repr=False, compare=False)
    low: float | None = None
    high: float | None = None
    level: float | None = None
    standard_error: float | None = None
    p_value: float | None = None
    interval: str | None = None
    left_out: tuple[float, ...] | None = field(default=None, repr=False)

    def __float__(self) -> float:
        return self.value
