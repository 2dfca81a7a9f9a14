"""Held-out CCA of a layer with a label."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from otoscope.measures import Folds, Moments
from otoscope.measures.held_out_cca import compute
from otoscope.measures.spectrum import spectrum
from otoscope.study.content.intervals import CORRELATION, block_interval
from otoscope.study.content.label import Floats
from otoscope.study.content.score import Score
from otoscope.study.content.target import Target

__all__ = ["correlation", "left_out"]

ROWS_PER_UNIT = 5
"""With fewer rows for its units a layer is brought to its leading principal components."""

RIDGE = 1e-9
"""Of variances that are about 1: keeps a direction that hardly varies without some rows from stopping the work."""

VARIES = 1e-9


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
    tested = [test for _, test in target.parts()]
    folds = Folds.between([Moments.of({name: v[test] for name, v in views.items()}) for test in tested])
    value = compute(folds, *views).value
    left = left_out(_whitened(reduced), _whitened(target.numbers()), target.folds, target.blocks)
    return Score(value, *block_interval(value, left, np.bincount(target.blocks).tolist(), CORRELATION), note=note)


def _leading(x: Tensor, most: int) -> tuple[Tensor, str]:
    """The layer, or its leading principal components."""
    if x.shape[1] <= most:
        return x, ""
    centred = x.double() - x.double().mean(0)
    _, vectors = np.linalg.eigh((centred.T @ centred).numpy())
    kept = torch.from_numpy(vectors[:, ::-1][:, :most].copy())
    return centred @ kept, f"CCA of its {most} leading principal components, since there are {len(x)} rows"


def _whitened(x: Tensor) -> Tensor:
    """The layer's directions that vary, uncorrelated and of one size over all rows: CCA does not change by it."""
    found = spectrum(Moments.of({"x": x}), "x")
    turned = (x.double() - x.double().mean(0)) @ (found.vectors / torch.outer(found.scale, found.values.sqrt()))
    return turned * math.sqrt(len(x))


def left_out(x: Tensor, y: Tensor, folds: Tensor, blocks: Tensor) -> Floats:
    """The held-out correlation of all rows but each block's, directions found anew.

    With the directions as they are an interval would be too narrow: two folds that happen to agree vouch for each
    other, each found on the other's rows.

    Arguments:
        x, y: (n, directions), whitened over all rows.
        folds, blocks: (n,) each row's.
    """
    count = int(blocks.max()) + 1
    by_fold = [_Sums.of(x, y, folds == f) for f in range(int(folds.max()) + 1)]
    everything = sum(by_fold[1:], by_fold[0])
    found = np.empty(count)
    for block in range(count):
        inside = [_Sums.of(x, y, (folds == f) & (blocks == block)) for f in range(len(by_fold))]
        every = everything - sum(inside[1:], inside[0])
        held = [fold - own for fold, own in zip(by_fold, inside, strict=True)]
        scores = [part.rows * _held_out(every - part, part) for part in held if 0 < part.rows < every.rows]
        found[block] = sum(scores) / every.rows
    return found


@dataclass(frozen=True)
class _Sums:
    """Sums and products of some rows of two layers side by side, of which the first has `width` directions."""

    rows: int
    sums: Tensor
    products: Tensor
    width: int

    @classmethod
    def of(cls, x: Tensor, y: Tensor, rows: Tensor) -> _Sums:
        both = torch.cat([x[rows], y[rows]], 1)
        return cls(len(both), both.sum(0), both.T @ both, x.shape[1])

    def __add__(self, other: _Sums) -> _Sums:
        return _Sums(self.rows + other.rows, self.sums + other.sums, self.products + other.products, self.width)

    def __sub__(self, other: _Sums) -> _Sums:
        return _Sums(self.rows - other.rows, self.sums - other.sums, self.products - other.products, self.width)

    def covariances(self) -> tuple[Tensor, Tensor, Tensor]:
        """Of the first, of the second, and of both."""
        whole = (self.products - torch.outer(self.sums, self.sums) / self.rows) / self.rows
        k = self.width
        return whole[:k, :k], whole[k:, k:], whole[:k, k:]


def _held_out(train: _Sums, held: _Sums) -> float:
    """The mean correlation in `held` of the canonical variates of `train`."""
    xx, yy, xy = train.covariances()
    small = RIDGE * torch.eye(len(xx), dtype=xx.dtype)
    left = torch.linalg.cholesky(xx + small)
    # A class may be missing from what is trained on: its direction does not vary there.
    values, vectors = torch.linalg.eigh(yy)
    right = vectors[:, values > VARIES] / values[values > VARIES].sqrt()
    whitened = torch.linalg.solve_triangular(left, xy @ right, upper=False)
    U, _, Vh = torch.linalg.svd(whitened, full_matrices=False)
    a, b = torch.linalg.solve_triangular(left.T, U, upper=True), right @ Vh.T
    xx, yy, xy = held.covariances()
    scale = ((a * (xx @ a)).sum(0).clamp_min(0) * (b * (yy @ b)).sum(0).clamp_min(0)).sqrt()
    product = (a * (xy @ b)).sum(0)
    return float(torch.where(scale > VARIES, product / scale.clamp_min(VARIES), 0.0).mean())
