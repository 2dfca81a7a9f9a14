"""CKA with the similarity that comes with the input regressed out."""

from __future__ import annotations

import math
from typing import cast

from otoscope.errors import MeasureError
from otoscope.measures.checks import Array, Utterances
from otoscope.measures.cka import Estimator, similarity_sum
from otoscope.measures.cka import compute as compute_cka
from otoscope.measures.moments import Moments
from otoscope.measures.registry import Measure, register
from otoscope.measures.result import Similarity
from otoscope.measures.spectrum import check_varies

__all__ = ["compute", "partial_cka"]

LEFT = 1e-10  # a layer whose similarity with itself falls below this share has none left but rounding
RESOLVED = 100  # the same, in units of the precision of the layers' numbers


def partial_cka(
    x: Array, y: Array, given: Array, *, utterances: Utterances | None = None, estimator: Estimator | None = None
) -> Similarity:
    """Linear CKA of two layers beyond what both have in common with a third, such as the input.

    Formula: R_xy / √(R_xx R_yy), R_xy = S_xy − S_xi S_iy / S_ii, S as in `cka` for the estimator, i the given layer.
    S is an inner product of the layers' (centred, or between-utterance) Gram matrices, so this is the CKA of what is
    left of each after its regression on the given layer's.

    Use it where layers look alike because their inputs are: untrained networks score high in `cka` and low here. Not
    to remove what is computed from the input in another way: only the input's own linear similarity is taken out,
    with one coefficient for all pairs of frames. A layer that keeps the input's geometry has nothing left.

    Arguments:
        x: frames × units, numpy or torch, any floating type.
        y: the same frames × its units.
        given: the same frames × its units; what to regress out, for instance the filterbank frames on the same grid.
        utterances: each frame's utterance index, or the list of lengths.
        estimator: as for `cka`, with the same default.

    Returns:
        The similarity in [−1, 1], never clamped. `null` is 0 for the two unbiased estimators and NaN for the biased
        one, for which no closed form is known.

    Raises:
        MeasureError: as for `cka`; a layer of whose similarity nothing is left.

    Source: Cui et al. 2022, who regress matrices that are not centred and may cut their negative eigenvalues off;
    here the matrices are the estimator's and nothing is cut.

    >>> import torch
    >>> from otoscope.measures import cka
    >>> g = torch.Generator().manual_seed(0)
    >>> speech, a, b = (torch.randn(600, 16, generator=g) for _ in range(3))
    >>> x, y = torch.cat([speech, a], 1), torch.cat([speech, b], 1)
    >>> round(cka(x, y).value, 1), abs(round(partial_cka(x, y, speech).value, 1))
    (0.5, 0.0)
    """
    moments = Moments.of({"x": x, "y": y, "given": given}, utterances=utterances)
    return compute(moments, "x", "y", given="given", estimator=estimator)


def compute(
    moments: Moments, x: str, y: str, *, given: str = "input", estimator: Estimator | None = None
) -> Similarity:
    """`partial_cka` of two layers of the moments, which hold the given layer too; arguments and errors as there."""
    if given not in moments.widths:
        raise MeasureError(
            f"cka-partial regresses out the layer '{given}', which is not among {', '.join(moments.widths)}; add its "
            "frames under that name, or name another with given="
        )
    check_varies(moments, given)
    plain = compute_cka(moments, x, y, estimator=estimator, measure="cka-partial")
    chosen = cast(Estimator, plain.estimator)
    own = similarity_sum(moments, given, given, chosen)
    along = {name: similarity_sum(moments, name, given, chosen) / math.sqrt(own) for name in {x, y}}
    left = {name: _left(moments, name, given, along[name], chosen) for name in (x, y)}
    both = similarity_sum(moments, x, y, chosen) - along[x] * along[y]
    return Similarity(
        measure=plain.measure,
        value=both / math.sqrt(left[x]) / math.sqrt(left[y]),
        null=math.nan if chosen == "biased" else 0.0,
        frames=plain.frames,
        units=plain.units,
        ranks=plain.ranks,
        layers=plain.layers,
        utterances=plain.utterances,
        estimator=chosen,
    )


def _left(moments: Moments, name: str, given: str, along: float, estimator: Estimator) -> float:
    """What is left of a layer's similarity with itself."""
    whole = similarity_sum(moments, name, name, estimator)
    left = whole - along**2
    precision = max(moments.precision(name), moments.precision(given))
    if not left > max(LEFT, RESOLVED * precision) * whole:
        raise MeasureError(
            f"layer '{name}' has the same geometry as '{given}', and once that is regressed out nothing is left to "
            "compare; leave the layer out, or measure cka"
        )
    return left


register(Measure("cka-partial", compute, needs="a layer named 'input'; else as cka", given="input", inner=True))
