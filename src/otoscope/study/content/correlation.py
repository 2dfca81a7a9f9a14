"""Held-out CCA of a layer with a label."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from otoscope.measures import Folds, Moments
from otoscope.measures.held_out_cca import compute
from otoscope.measures.spectrum import spectrum, whitened_cross
from otoscope.measures.svd import left_svd
from otoscope.study.content.intervals import CORRELATION, block_interval
from otoscope.study.content.label import Floats
from otoscope.study.content.score import Score, block_sums, without_each
from otoscope.study.content.target import Target

__all__ = ["correlation"]

ROWS_PER_UNIT = 5
"""With fewer rows for its units a layer is brought to its leading principal components."""


def correlation(x: Tensor, target: Target) -> Score:
    """`otoscope.held_out_cca` of a layer with a label: classes as one direction each, numbers as they are.

    Formula: Σ_f n_f/n · mean_i corr(X_f a_i, Y_f b_i), a_i and b_i the canonical directions of all folds but f.

    Where rows are fewer than 5 for each unit, as with utterances, the layer stands for its n/5 leading principal
    components, which are the same whatever the labels are: directions could not be found otherwise.

    Arguments:
        x: (n, units), the layer's rows that have a label.
        target: their values, folds and blocks.

    Returns:
        The mean held-out correlation, 0 for a layer that says nothing, also where frames resemble their neighbours.

    Raises:
        MeasureError: a layer that does not vary.

    Source: Pasad et al. 2021 (CCA with phones, words and filterbanks); Bilenko & Gallant 2016 (held out).
    """
    reduced, note = _leading(x, max(1, len(x) // ROWS_PER_UNIT))
    views = {"layer": reduced, target.label.name: target.numbers()}
    masks = [test for _, test in target.parts()]
    folds = Folds.between([Moments.of({name: v[test] for name, v in views.items()}) for test in masks])
    value = compute(folds, *views).value
    left = _left_out(folds, views, masks, target.blocks)
    return Score(value, *block_interval(value, left, np.bincount(target.blocks).tolist(), CORRELATION), note=note)


def _leading(x: Tensor, most: int) -> tuple[Tensor, str]:
    """The layer, or its leading principal components."""
    if x.shape[1] <= most:
        return x, ""
    centred = x.double() - x.double().mean(0)
    _, vectors = np.linalg.eigh((centred.T @ centred).numpy())
    kept = torch.from_numpy(vectors[:, ::-1][:, :most].copy())
    return centred @ kept, f"CCA of its {most} leading principal components, since there are {len(x)} rows"


def _left_out(folds: Folds, views: dict[str, Tensor], masks: list[Tensor], blocks: Tensor) -> Floats:
    """The value without each block of the speech that is tested, by the directions as they are."""
    x, y = views
    count = int(blocks.max()) + 1
    total, rows = np.zeros(count), np.zeros(count)
    for trained, test in zip(folds.trained, masks, strict=True):
        X, Y = spectrum(trained, x), spectrum(trained, y)
        whitened = whitened_cross(trained, x, y, X, Y, X.rank, Y.rank).double()
        U, _ = left_svd(whitened)
        a, b = (
            _variates(views[x], test, X.vectors, X.scale, X.values, U),
            _variates(views[y], test, Y.vectors, Y.scale, Y.values, whitened.T @ U),
        )
        k = a.shape[1]
        here = torch.cat([torch.ones(len(a), 1, dtype=torch.float64), a, b, a * a, b * b, a * b], 1)
        every = np.zeros((count, here.shape[1]))
        own = block_sums(here, blocks[test])
        every[: len(own)] = own
        sums = without_each(every)
        n, (sa, sb, saa, sbb, sab) = sums[:, :1], np.split(sums[:, 1:], 5, axis=1)
        there = n[:, 0] > 0
        n = n.clip(min=1)
        variance = (saa - sa * sa / n) * (sbb - sb * sb / n)
        found = np.divide(sab - sa * sb / n, np.sqrt(variance.clip(min=0)), out=np.zeros_like(sab), where=variance > 0)
        total += np.where(there, n[:, 0] * found.sum(1) / k, 0)
        rows += np.where(there, n[:, 0], 0)
    left: Floats = total / rows
    return left


def _variates(x: Tensor, test: Tensor, vectors: Tensor, scale: Tensor, values: Tensor, turned: Tensor) -> Tensor:
    """The canonical variates of the rows that are tested, brought to unit variance there: only correlations count."""
    centred = x[test].double() - x[~test].double().mean(0)
    found = centred @ ((vectors / torch.outer(scale, values.sqrt())) @ turned)
    deviation = found.std(0, correction=0)
    return found / torch.where(deviation > 0, deviation, 1)
