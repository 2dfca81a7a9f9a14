"""Distance correlation, by three estimators."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, get_args

import torch

from otoscope.errors import MeasureError
from otoscope.measures.checks import Array, Utterances
from otoscope.measures.cka import Estimator
from otoscope.measures.frame_pairs import kernel_similarity
from otoscope.measures.kernels import squared_distances
from otoscope.measures.registry import Measure, register
from otoscope.measures.result import Similarity
from otoscope.measures.samples import Samples

__all__ = ["MAX_FRAMES", "compute", "distance_correlation"]

MAX_FRAMES = 5000


def distance_correlation(
    x: Array,
    y: Array,
    *,
    utterances: Utterances | None = None,
    estimator: Estimator | None = None,
    max_frames: int | None = MAX_FRAMES,
) -> Similarity:
    """Squared distance correlation of two layers.

    Formula: dCor² = S(x, y) / √(S(x, x) S(y, y)), S as in `kernel_cka` of the matrices of Euclidean distances
    ‖x_s − x_t‖ and ‖y_s − y_t‖. All estimators are on this squared scale: √ of the biased one is the distance
    correlation R of 2007, the debiased one is R* of 2014 (which may be negative and so has no root).

    Use it to test for dependence of any kind: with all the data in the world it is 0 only where the layers are
    independent. As a similarity it reads close to CKA, which it is with the kernel −‖x − y‖: no bandwidth to choose,
    far frames count more than in RBF CKA. It costs n².

    Arguments:
        x: frames × units, numpy or torch, any floating type.
        y: the same frames × its units.
        utterances: each frame's utterance index, or the list of lengths in frames.
        estimator: `"cross-utterance"` (the default where utterances are given; distances between frames of different
            utterances only), `"debiased"` (the default where not) or `"biased"`.
        max_frames: where there are more frames, whole utterances spread evenly (single frames, where utterances are
            not given) are taken up to so many; `None` takes all.

    Returns:
        The similarity, never clamped; its `frames` and `utterances` are those that were taken. Its null level is 0
        for the two unbiased estimators; for the biased one the mean over permutations of the frames.

    Raises:
        MeasureError: a layer is constant, not finite or not frames × units; fewer than 4 frames (debiased); fewer
            than 2 utterances, or no utterances (cross-utterance).

    Source: Székely, Rizzo & Bakirov 2007 (biased); Székely & Rizzo 2014 (debiased); the cross-utterance estimator is
    ours, derived in docs/measures.md.

    >>> import torch
    >>> x = torch.randn(400, 3, generator=torch.Generator().manual_seed(0))
    >>> result = distance_correlation(x, x.abs())  # uncorrelated, but not independent
    >>> result.estimator, round(result.value, 1)
    ('debiased', 0.2)
    """
    if estimator is not None and estimator not in get_args(Estimator):
        raise MeasureError(f"no estimator '{estimator}'; there are {', '.join(get_args(Estimator))}")
    samples = Samples.of({"x": x, "y": y}, utterances=utterances)
    return compute(samples, "x", "y", estimator=estimator, max_frames=max_frames)


def compute(
    samples: Samples, x: str, y: str, *, estimator: Estimator | None = None, max_frames: int | None = MAX_FRAMES
) -> Similarity:
    """`distance_correlation` of two layers of the samples; as there. The first call does all pairs."""
    return kernel_similarity(
        samples, x, y, _Distance(), measure="distance-correlation", estimator=estimator, max_frames=max_frames
    )


@dataclass(frozen=True, slots=True)
class _Distance:
    """−‖x − y‖, which centring makes a kernel."""

    name: ClassVar[str] = "distance"

    def fitted(self, x: torch.Tensor, unit: float = 1.0) -> _Distance:
        return self

    def entries(self, products: torch.Tensor, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        return squared_distances(products, a, b).sqrt_().neg_()


register(
    Measure(
        "distance-correlation",
        compute,
        needs="4 frames; 2 utterances where utterances are given; costs n²",
        source="samples",
    )
)
