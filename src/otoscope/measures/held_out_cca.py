"""Held-out CCA: directions found in some utterances, correlated in others."""

from __future__ import annotations

import torch

from otoscope.errors import MeasureError
from otoscope.measures.cca import check_enough_frames
from otoscope.measures.checks import Array, Utterances
from otoscope.measures.folds import Folds
from otoscope.measures.moments import Moments
from otoscope.measures.registry import Measure, register
from otoscope.measures.result import Similarity
from otoscope.measures.samples import Samples
from otoscope.measures.spectrum import Spectrum, spectrum, whitened_cross
from otoscope.measures.svd import left_svd

__all__ = ["compute", "held_out_cca"]

NOTHING = 1e-12  # a variate with less than this share of the variance it had in training does not vary


def held_out_cca(x: Array, y: Array, *, utterances: Utterances, folds: int = 5) -> Similarity:
    """Mean correlation, in utterances left out, of the canonical variates of all the others; cross-validated.

    Formula: Σ_f n_f/n · mean_i corr(X_f a_i, Y_f b_i), a_i and b_i the min(r_x, r_y) pairs of canonical directions of
    all folds but f, the correlation taken over the n_f frames of fold f about their own mean.

    Use it where `cca` reads high because frames are few for the units or resemble their neighbours: directions that
    fit by chance do not correlate in other utterances, so that unrelated layers read 0. It reads low rather than
    high: with few frames the directions are found poorly. Not where utterances are few or one recording is cut into
    several; leave whole speakers out by giving the speaker as each frame's utterance index.

    Arguments:
        x: frames × units, numpy or torch, any floating type.
        y: the same frames × its units.
        utterances: each frame's utterance index, or the list of lengths in frames; never parted by the folds.
        folds: how many folds, at least 2; one for each utterance where these are fewer. The folds are the same on
            every call: utterances are dealt by length.

    Returns:
        The similarity, at most 1 and never clamped: chance puts it below 0 as often as above on unrelated layers.
        `null` is 0. `correlations` are the held-out ones in the order of the training ones, averaged over folds;
        `ranks` the smallest that any training set had. A variate that does not vary in a fold counts 0 there.

    Raises:
        MeasureError: fewer than 2 utterances; so few frames outside a fold that their correlations are 1 by
            construction; a layer that is constant, not finite or not frames × units.

    Source: cross-validated canonical correlations as in Bilenko & Gallant 2016. The mean is the fold's own, as
    the correlation's definition has it: a shift between recordings is then neither similarity nor its lack.

    >>> import torch
    >>> from otoscope.measures import cca
    >>> g = torch.Generator().manual_seed(0)
    >>> a, b, c = (torch.randn(400, 20, generator=g) for _ in range(3))
    >>> x, y = torch.cat([a, b], 1), torch.cat([a, c], 1)
    >>> round(cca(x, y).value, 1), round(held_out_cca(x, y, utterances=[40] * 10).value, 1)
    (0.6, 0.5)
    """
    return compute(Folds.of({"x": x, "y": y}, utterances=utterances, folds=folds), "x", "y")


def compute(data: Samples | Folds, x: str, y: str, *, folds: int = 5) -> Similarity:
    """`held_out_cca` of two layers; arguments and errors as there.

    `data` are samples with utterances, or the folds themselves: made from moments that came in one pass over speech
    they need no frames.
    """
    split = data if isinstance(data, Folds) else _folds(data, folds)
    scores = [_score(train, held, x, y) for train, held in zip(split.trained, split.held, strict=True)]
    least = min(len(found) for found, _ in scores)
    share = [part.frames / split.frames for part in split.held]
    correlations = torch.stack([w * found[:least] for w, (found, _) in zip(share, scores, strict=True)]).sum(0)
    widths = split.held[0].widths
    return Similarity(
        measure="cca-held-out",
        value=sum(w * float(found.mean()) for w, (found, _) in zip(share, scores, strict=True)),
        null=0.0,
        frames=split.frames,
        units=(widths[x], widths[y]),
        ranks=(min(r[0] for _, r in scores), min(r[1] for _, r in scores)),
        layers=(x, y),
        utterances=split.utterances,
        correlations=correlations.cpu().numpy(),
    )


def _folds(samples: Samples, folds: int) -> Folds:
    if samples.lengths is None:
        raise MeasureError(
            "cca-held-out leaves whole utterances out and needs `utterances`: give each frame's utterance index or "
            "the list of lengths"
        )
    # An index for each frame, since lengths of one frame each could be taken for one.
    index = torch.repeat_interleave(torch.arange(len(samples.lengths)), torch.tensor(samples.lengths))
    return samples.cached(("folds", folds), lambda: Folds.of(samples.views, utterances=index, folds=folds))


def _score(train: Moments, held: Moments, x: str, y: str) -> tuple[torch.Tensor, tuple[int, int]]:
    """The held-out correlation of each pair of variates, in the order of their correlation in training."""
    units = (train.widths[x], train.widths[y])
    check_enough_frames("cca-held-out", train.frames, units)
    X, Y = spectrum(train, x), spectrum(train, y)
    ranks = (X.rank, Y.rank)
    check_enough_frames("cca-held-out", train.frames, units, ranks)
    whitened = whitened_cross(train, x, y, X, Y, *ranks).double()
    U, correlations = left_svd(whitened)
    # Wᵀu_i = ρ_i v_i: the other side's direction but for its length, which no correlation depends on.
    a, b = _directions(X, U), _directions(Y, whitened.T @ U)
    share = held.frames / train.frames
    var_x, var_y = (_variance(held, name, d) for name, d in ((x, a), (y, b)))
    varies = (var_x > _floor(held, x, a) + NOTHING * share) & (
        var_y > _floor(held, y, b) + NOTHING * share * correlations**2
    )
    product = (a * (held.pair(x, y).cross @ b)).sum(0)
    scale = torch.where(varies, var_x, 1).sqrt() * torch.where(varies, var_y, 1).sqrt()
    return torch.where(varies, product / scale, 0), ranks


def _directions(spectrum_: Spectrum, turned: torch.Tensor) -> torch.Tensor:
    """Directions in the whitened space (rank × k) as weights of the units (units × k)."""
    whitening: torch.Tensor = spectrum_.vectors / torch.outer(spectrum_.scale, spectrum_.values.sqrt())
    return whitening @ turned


def _variance(moments: Moments, name: str, directions: torch.Tensor) -> torch.Tensor:
    return (directions * (moments.pair(name, name).cross @ directions)).sum(0)


def _floor(moments: Moments, name: str, directions: torch.Tensor) -> torch.Tensor:
    """What of a variate's variance is the rounding of the numbers as they came."""
    return moments.layer(name).storage @ directions**2


register(
    Measure(
        "cca-held-out",
        compute,
        needs="2 utterances; outside each fold more frames than r_x + r_y",
        invariance=("invertible", "invertible"),
        source="samples",
    )
)
