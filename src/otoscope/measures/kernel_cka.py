"""Centred kernel alignment with any kernel, exact for so many frames as n² allows."""

from __future__ import annotations

from functools import partial
from typing import get_args

from otoscope.errors import MeasureError
from otoscope.measures.checks import Array, Utterances
from otoscope.measures.cka import Estimator
from otoscope.measures.frame_pairs import kernel_similarity
from otoscope.measures.kernels import RBF, Kernel, Laplace, Polynomial
from otoscope.measures.registry import Measure, register
from otoscope.measures.result import Similarity
from otoscope.measures.samples import Samples

__all__ = ["MAX_FRAMES", "compute", "kernel_cka"]

MAX_FRAMES = 5000  # all pairs of 12 layers of 256 units then take about four seconds of one thread


def kernel_cka(
    x: Array,
    y: Array,
    *,
    kernel: Kernel | None = None,
    utterances: Utterances | None = None,
    estimator: Estimator | None = None,
    max_frames: int | None = MAX_FRAMES,
) -> Similarity:
    """CKA of two layers with any kernel.

    Formula: CKA = S(x, y) / √(S(x, x) S(y, y)). With the Gram matrices K_st = k(x_s, x_t) and L of the other layer,
    and centred ones K̃ = HKH, H = I − 1/n, by estimator

    - biased: S = ⟨K̃, L̃⟩;
    - debiased: S = Σ_{s≠t} K L − 2/(n−2) Σ_s k_s l_s + Σk Σl / ((n−1)(n−2)), k_s = Σ_{t≠s} K_st;
    - cross-utterance: S = ⟨PK, PL⟩ over s and t of different utterances, PK being the entries K_st − α_s − α_t that
      sum to 0 in each row and column. (Utterances of one frame each make it the debiased one.)

    Use it for relations that linear CKA cannot see: neighbourhoods, curved manifolds. With a bandwidth of the median
    distance it mostly agrees with linear CKA (Kornblith et al. 2019); a factor of 0.2 to 0.5 looks closer. It costs
    n²: for any amount of speech take `minibatch_cka` with this kernel, or `random_features`.

    Arguments:
        x: frames × units, numpy or torch, any floating type.
        y: the same frames × its units.
        kernel: `RBF()` where not given, or `Laplace()`, `Polynomial()`, `Linear()`, with their options.
        utterances: each frame's utterance index, or the list of lengths in frames.
        estimator: `"cross-utterance"` (the default where utterances are given), `"debiased"` (the default where
            not) or `"biased"`.
        max_frames: where there are more frames, whole utterances spread evenly (single frames, where utterances are
            not given) are taken up to so many; `None` takes all.

    Returns:
        The similarity, never clamped; its `frames` and `utterances` are those that were taken. Its null level is 0
        for the two unbiased estimators; for the biased one the mean over permutations of the frames.

    Raises:
        MeasureError: a layer is constant, not finite or not frames × units; fewer than 4 frames (debiased); fewer
            than 2 utterances, or no utterances (cross-utterance).

    Source: Kornblith et al. 2019 (biased); Song et al. 2012 (debiased); the cross-utterance estimator is ours, derived
    in docs/measures.md.

    >>> import torch
    >>> from otoscope.measures import RBF, cka
    >>> x = torch.randn(400, 2, generator=torch.Generator().manual_seed(0))
    >>> ring = x / x.norm(dim=1, keepdim=True)
    >>> doubled = torch.stack([ring[:, 0] ** 2 - ring[:, 1] ** 2, 2 * ring[:, 0] * ring[:, 1]], 1)  # twice the angle
    >>> round(kernel_cka(ring, doubled, kernel=RBF(0.2)).value, 1), abs(round(cka(ring, doubled).value, 1))
    (0.6, 0.0)
    """
    if estimator is not None and estimator not in get_args(Estimator):
        raise MeasureError(f"no estimator '{estimator}'; there are {', '.join(get_args(Estimator))}")
    samples = Samples.of({"x": x, "y": y}, utterances=utterances)
    return compute(samples, "x", "y", kernel=kernel, estimator=estimator, max_frames=max_frames)


def compute(
    samples: Samples,
    x: str,
    y: str,
    *,
    kernel: Kernel | None = None,
    estimator: Estimator | None = None,
    max_frames: int | None = MAX_FRAMES,
) -> Similarity:
    """`kernel_cka` of two layers of the samples; arguments and errors as there. The first call does all pairs."""
    chosen = RBF() if kernel is None else kernel
    measure = f"cka-{chosen.name}"
    return kernel_similarity(samples, x, y, chosen, measure=measure, estimator=estimator, max_frames=max_frames)


NEEDS = "4 frames; 2 utterances where utterances are given; costs n²"

for _kernel in (RBF(), Laplace(), Polynomial()):
    register(Measure(f"cka-{_kernel.name}", partial(compute, kernel=_kernel), needs=NEEDS, source="samples"))
