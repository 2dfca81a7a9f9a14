"""Mean canonical correlation."""

from __future__ import annotations

import torch

from otoscope.errors import MeasureError
from otoscope.measures.canonical import canonical
from otoscope.measures.checks import Array
from otoscope.measures.gradient import Gradient, of_correlations
from otoscope.measures.moments import Moments
from otoscope.measures.nulls import mean_correlation
from otoscope.measures.registry import Measure, register
from otoscope.measures.result import Similarity
from otoscope.measures.spectrum import spectrum, whitener

__all__ = ["cca", "check_enough_frames", "compute"]


def cca(x: Array, y: Array) -> Similarity:
    """Mean canonical correlation of two layers.

    Formula: the mean of the min(r_x, r_y) singular values ρ of Σ_xx^(-1/2) Σ_xy Σ_yy^(-1/2), within the numerical
    ranks r of the layers.

    Use it for what two layers share up to any invertible linear map: every direction counts alike, however little
    variance it has. With few frames for the units it reads high on unrelated layers: compare with `null`, take
    more speech, or use `svcca` or `cka`.

    Arguments:
        x: frames × units, numpy or torch, any floating type.
        y: the same frames × its units.

    Returns:
        The similarity in [0, 1] but for rounding, with all canonical correlations. `null` is the value to expect
        on independent Gaussian layers with independent frames.

    Raises:
        MeasureError: a layer is constant, not finite or not frames × units; no more frames than units; or so few
            frames that some correlations are 1 by construction.

    Source: Hotelling 1936; as a similarity of layers Raghu et al. 2017. Null level: Wachter 1980.

    >>> import torch
    >>> g = torch.Generator().manual_seed(0)
    >>> x = torch.randn(500, 10, generator=g)
    >>> y = x @ torch.randn(10, 10, generator=g)
    >>> round(cca(x, y).value, 4), round(cca(x, torch.randn(500, 10, generator=g)).value, 1)
    (1.0, 0.1)
    """
    return compute(Moments.of({"x": x, "y": y}), "x", "y")


def compute(moments: Moments, x: str, y: str) -> Similarity:
    """`cca` of two layers of the moments; errors as there."""
    units = (moments.widths[x], moments.widths[y])
    check_enough_frames("cca", moments.frames, units)
    X, Y = spectrum(moments, x), spectrum(moments, y)
    ranks = (X.rank, Y.rank)
    check_enough_frames("cca", moments.frames, units, ranks)
    correlations = canonical(moments, x, y).correlations
    return Similarity(
        measure="cca",
        value=float(correlations.mean()),
        null=mean_correlation(*ranks, moments.frames),
        frames=moments.frames,
        units=units,
        ranks=ranks,
        layers=(x, y),
        utterances=moments.utterances,
        correlations=correlations.cpu().numpy(),
    )


def gradient(moments: Moments, x: str, y: str) -> Gradient:
    """How `cca` of two layers changes with their covariances."""
    found = canonical(moments, x, y)
    Wx, Wy = whitener(moments, x, found.x, found.x.rank), whitener(moments, y, found.y, found.y.rank)
    even = torch.full_like(found.correlations, 1 / len(found.correlations))
    U, V = found.matched()
    return of_correlations(Wx, Wy, U, found.correlations, V, even)


def check_enough_frames(
    measure: str, frames: int, units: tuple[int, int], ranks: tuple[int, int] | None = None
) -> None:
    """Refuse so few frames that some canonical correlations are 1 whatever the layers hold.

    Without `ranks` (not known yet) the frames must exceed the units; with them, r_x + r_y.
    """
    least = max(units) + 1 if ranks is None else sum(ranks) + 1
    if frames >= least:
        return
    what = f"{units[0]} and {units[1]} units"
    of = f"{max(units)} units" if ranks is None else f"rank {ranks[0]} + {ranks[1]}"
    raise MeasureError(
        f"{measure} of {what} cannot be measured on {frames} frames: {frames / (least - 1):.2f} frames/unit "
        f"(for {of}), and with fewer than {least} frames some correlations are 1 by construction. Give more speech "
        "(ten times the units or more reads well), a finer grid or fewer units; or use svcca with a lower variance, "
        "or cka"
    )


register(
    Measure(
        "cca",
        compute,
        needs="more frames than r_x + r_y, the ranks of the two layers",
        invariance=("invertible", "invertible"),
        rough=True,
        gradient=gradient,
    )
)
