"""Normalised Bures similarity."""

from __future__ import annotations

from otoscope.measures.checks import Array
from otoscope.measures.moments import Moments
from otoscope.measures.procrustes import aligned_cosine, cosine_gradient, from_cosine
from otoscope.measures.registry import Measure, register
from otoscope.measures.result import Similarity

__all__ = ["bures", "compute"]


def bures(x: Array, y: Array) -> Similarity:
    """The fidelity of two layers' Gram matrices.

    Formula: tr (K^½ L K^½)^½ / √(tr K tr L) = ‖X̃ᵀỸ‖_* / (‖X̃‖ ‖Ỹ‖), K = X̃X̃ᵀ and L = ỸỸᵀ centred, ‖·‖_* the sum
    of the singular values.

    Use it as a similarity that counts directions by their standard deviation, between `cca` (alike) and `cka` (by
    variance). It is the cosine of `shape_distance` and 1 − d²/2 of `procrustes`: one number seen three ways, so
    report one of them. Not with few frames for the units: it is biased upwards like biased CKA.

    Arguments:
        x: frames × units, numpy or torch, any floating type.
        y: the same frames × its units.

    Returns:
        The similarity in [0, 1] but for rounding. `null` is NaN: no closed form is known; compare with a
        permutation of the utterances.

    Raises:
        MeasureError: a layer is constant, not finite or not frames × units.

    Source: Bures 1969; Tang et al. 2020; that it is the Procrustes cosine: Harvey et al. 2024.

    >>> import torch
    >>> from otoscope.measures import procrustes
    >>> g = torch.Generator().manual_seed(0)
    >>> x, y = (torch.randn(300, 4, generator=g) for _ in range(2))
    >>> bool(abs(bures(x, x + y).value - (1 - procrustes(x, x + y).value ** 2 / 2)) < 1e-12)
    True
    """
    return compute(Moments.of({"x": x, "y": y}), "x", "y")


def compute(moments: Moments, x: str, y: str) -> Similarity:
    """`bures` of two layers of the moments; errors as there."""
    return from_cosine("bures", aligned_cosine(moments, x, y), moments, x, y)


register(Measure("bures", compute, needs="2 frames", rough=True, gradient=cosine_gradient))
