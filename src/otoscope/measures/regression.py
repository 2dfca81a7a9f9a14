"""Linear regression of one layer on another."""

from __future__ import annotations

import torch

from otoscope.errors import MeasureError
from otoscope.measures.checks import Array
from otoscope.measures.moments import Moments
from otoscope.measures.registry import Measure, register
from otoscope.measures.result import Similarity
from otoscope.measures.spectrum import spectrum, whitener

__all__ = ["compute", "regression"]


def regression(x: Array, y: Array) -> Similarity:
    """The share of the second layer's variance that the first predicts linearly, R².

    Formula: R² = 1 − min_B ‖Ỹ − X̃B‖² / ‖Ỹ‖² = ‖Q_xᵀỸ‖² / ‖Ỹ‖², Q_x an orthonormal basis of the centred x.

    Use it to ask what of `y` can be read off `x`, variance counting as it stands in `y`. It is not symmetric:
    `regression(x, y)` and `regression(y, x)` answer two questions, and both are worth reporting (a layer that keeps
    less predicts less, and is predicted well). It is measured on the frames it is fitted on, so that with few frames
    for the rank of `x` it reads high on unrelated layers: compare with `null`.

    Arguments:
        x: frames × units, numpy or torch, any floating type; the layer that predicts.
        y: the same frames × its units; the layer that is predicted.

    Returns:
        The similarity in [0, 1] but for rounding. `null` is r_x / (n − 1), the exact mean over all permutations of
        one layer's frames.

    Raises:
        MeasureError: a layer is constant, not finite or not frames × units; no more frames than the rank of `x`
            and one, where R² is 1 whatever the layers hold.

    Source: as a similarity of layers Kornblith et al. 2019 (there with the layers in the other order).

    >>> import torch
    >>> x = torch.randn(401, 8, generator=torch.Generator().manual_seed(0))
    >>> round(regression(x, x[:, :2]).value, 4), round(regression(x[:, :2], x).value, 1), regression(x, x).null
    (1.0, 0.2, 0.02)
    """
    return compute(Moments.of({"x": x, "y": y}), "x", "y")


def compute(moments: Moments, x: str, y: str) -> Similarity:
    """`regression` of two layers of the moments, the first predicts; errors as there."""
    X, Y = spectrum(moments, x), spectrum(moments, y)
    if moments.frames < X.rank + 2:
        raise MeasureError(
            f"regression on layer '{x}' of rank {X.rank} ({moments.widths[x]} units) cannot be measured on "
            f"{moments.frames} frames: with fewer than {X.rank + 2} it predicts any layer exactly. Give more speech "
            "(ten times the units or more reads well), or use cka"
        )
    explained = float(torch.linalg.vector_norm(whitener(moments, x, X, X.rank).T @ moments.centred(x, y).cross)) ** 2
    return Similarity(
        measure="regression",
        value=explained / float(moments.layer(y).energy),
        null=X.rank / (moments.frames - 1),
        frames=moments.frames,
        units=(moments.widths[x], moments.widths[y]),
        ranks=(X.rank, Y.rank),
        layers=(x, y),
        utterances=moments.utterances,
    )


register(
    Measure(
        "regression",
        compute,
        symmetric=False,
        needs="more frames than the rank of the first layer and one",
        invariance=("invertible", "rotation"),
    )
)
