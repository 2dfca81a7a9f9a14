"""A quick look: unbiased CKA from shuffled minibatches, all pairs of layers at once."""

from __future__ import annotations

import math
from typing import Literal, get_args

from otoscope.errors import MeasureError
from otoscope.measures.checks import Array, Utterances
from otoscope.measures.kernels import Kernel, Linear
from otoscope.measures.minibatches import batch_products
from otoscope.measures.registry import Measure, register
from otoscope.measures.result import Similarity
from otoscope.measures.samples import Samples

__all__ = ["BATCH", "BatchEstimator", "compute", "minibatch_cka"]

BATCH = 256  # frames: the Gram matrices of 12 layers then stay in the processor's cache
LEAST = 4  # frames in a batch: the debiased estimator divides by n − 3
ENOUGH_BATCHES = 10  # to tell the error from the spread between batches
NORMAL_95 = 1.96

BatchEstimator = Literal["cross-utterance", "debiased"]


def minibatch_cka(
    x: Array,
    y: Array,
    *,
    kernel: Kernel | None = None,
    utterances: Utterances | None = None,
    estimator: BatchEstimator | None = None,
    batch: int = BATCH,
    passes: int = 1,
    seed: int = 0,
) -> Similarity:
    """CKA of two layers from shuffled minibatches: approximate, unbiased, fast.

    Formula: CKA = Σ_b S_b(x, y) / √(Σ_b S_b(x, x) Σ_b S_b(y, y)) over batches b of a random partition of the frames,
    S_b being that of `kernel_cka` (debiased or cross-utterance) on the batch. Numerator and denominators are unbiased
    each, an incomplete U-statistic, and so are their sums; the mean of the batches' CKA would not be.

    Use it for a quick look at many layers, or for a kernel at any number of frames: it costs n × batch, in float32
    (float64 where the frames came so). Its error falls as 1 / √(frames × batch × passes). For linear CKA's exact value
    take `cka`.

    Arguments:
        x: frames × units, numpy or torch, any floating type.
        y: the same frames × its units.
        kernel: `Linear()` where not given; others fit their scale on 1000 evenly spaced frames.
        utterances: each frame's utterance index, or the list of lengths in frames. Pairs of frames of one utterance
            inside a batch are then left out.
        estimator: `"cross-utterance"` (the default where utterances are given) or `"debiased"`.
        batch: frames in a batch. Every frame is used once in each pass: what does not fill a batch goes with the last
            one, so up to 2 × batch − 1 frames are one batch, and the value is exact.
        passes: how often the frames are shuffled and gone through.
        seed: of the shuffles; the same seed gives the same value.

    Returns:
        The similarity, never clamped. `standard_error` is from the spread between batches, and `low` and `high` (from
        10 batches on) are 1.96 of it away. They cover the exact value on these frames, whose distance is about half as
        large, and on as many other frames where frames are independent; not on other utterances, see docs/measures.md.
        The null level is 0.

    Raises:
        MeasureError: a layer is constant, not finite or not frames × units; fewer than 4 frames, or 2 utterances.

    Source: Nguyen, Raghu & Kornblith 2021; each batch by Song et al. 2012, or as in docs/measures.md.

    >>> import torch
    >>> g = torch.Generator().manual_seed(0)
    >>> a, b, c = (torch.randn(4000, 16, generator=g) for _ in range(3))
    >>> result = minibatch_cka(torch.cat([a, b], 1), torch.cat([a, c], 1))
    >>> round(result.value, 2), result.standard_error < 0.01
    (0.5, True)
    """
    if estimator is not None and estimator not in get_args(BatchEstimator):
        raise MeasureError(
            f"no minibatch estimator '{estimator}'; there are {', '.join(get_args(BatchEstimator))}. (Biased values of "
            "small batches are large, and stay so however many are averaged)"
        )
    samples = Samples.of({"x": x, "y": y}, utterances=utterances)
    return compute(samples, "x", "y", kernel=kernel, estimator=estimator, batch=batch, passes=passes, seed=seed)


def compute(
    samples: Samples,
    x: str,
    y: str,
    *,
    kernel: Kernel | None = None,
    estimator: BatchEstimator | None = None,
    batch: int = BATCH,
    passes: int = 1,
    seed: int = 0,
) -> Similarity:
    """`minibatch_cka` of two layers of the samples; arguments and errors as there. The first call does all pairs."""
    chosen: BatchEstimator = estimator or ("debiased" if samples.lengths is None else "cross-utterance")
    for name in (x, y):
        samples.view(name)
    _check_amount(samples, chosen, batch, passes)
    kernel = kernel or Linear()
    found = samples.cached(
        ("minibatch", kernel, chosen, batch, passes, seed),
        lambda: batch_products(samples, kernel, chosen == "cross-utterance", batch, passes, seed),
    )
    i, j = (samples.names.index(name) for name in (x, y))
    for name, k in ((x, i), (y, j)):
        found.check(name, k, chosen, samples)
    xy, xx, yy = found.products[:, i, j], found.products[:, i, i], found.products[:, j, j]
    norm = math.sqrt(float(xx.sum())) * math.sqrt(float(yy.sum()))
    value, count = float(xy.sum()) / norm, len(xy)
    error = low = high = None
    if count > 1:
        # To first order, what each batch adds to the ratio; these sum to 0.
        parts = xy / norm - value / 2 * (xx / xx.sum() + yy / yy.sum())
        error = math.sqrt(count / (count - 1) * float((parts**2).sum()))
    if error is not None and count >= ENOUGH_BATCHES:
        low, high = value - NORMAL_95 * error, value + NORMAL_95 * error
    return Similarity(
        measure="cka-minibatch",
        value=value,
        null=0.0,
        frames=samples.frames,
        units=(samples.widths[x], samples.widths[y]),
        layers=(x, y),
        utterances=samples.utterances,
        estimator=chosen,
        low=low,
        high=high,
        level=None if low is None else 0.95,
        standard_error=error,
        interval=None if low is None else "batches",
    )


def _check_amount(samples: Samples, estimator: BatchEstimator, batch: int, passes: int) -> None:
    if batch < LEAST or passes < 1:
        raise MeasureError(
            f"minibatches of {batch} frames in {passes} passes; expected at least {LEAST} frames and 1 pass"
        )
    if samples.frames < LEAST:
        raise MeasureError(f"cka-minibatch needs at least {LEAST} frames, got {samples.frames}; give more")
    if estimator == "cross-utterance" and (samples.utterances or 0) < 2:
        raise MeasureError(
            "cross-utterance cka-minibatch compares frames of different utterances and needs at least 2, got "
            f"{samples.utterances or 'no utterances'}; give more utterances, or choose estimator='debiased'"
        )


register(Measure("cka-minibatch", compute, needs="4 frames; 2 utterances where utterances are given", source="samples"))
