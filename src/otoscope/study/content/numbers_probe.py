"""A linear probe of numbers: ridge regression on other speakers."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from otoscope.study.content.classes_probe import standardised
from otoscope.study.content.intervals import ERROR, block_interval
from otoscope.study.content.score import Score, block_sums, without_each
from otoscope.study.content.target import Target

__all__ = ["numbers_probe"]

PENALTIES = (1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0, 100.0)
"""λ, of each row's squared error, on standardised units; chosen on a fold that is neither fitted to nor tested."""


def numbers_probe(x: Tensor, target: Target) -> Score:
    """The share of the variance of other speakers' (or utterances') numbers that ridge regression tells, R².

    Formula: R² = mean over columns of 1 − Σ_f Σ_{s ∈ f} (y_s − ŷ_s)² / Σ_f Σ_{s ∈ f} (y_s − ȳ_f)², ŷ by the ridge
    regression (mean squared error + λ ‖W‖²) on the standardised units of all folds but f, ȳ_f their mean. λ is the
    one that does best on the fold after f when fitted to the others.

    Arguments:
        x: (n, units), the layer's rows that have a label.
        target: their numbers, folds and blocks.

    Returns:
        R², at most 1, 0 for a layer that says no more than the mean, below 0 where it misleads.

    Source: Hoerl & Kennard 1970; Pasad et al. 2021 compare layers with filterbanks (by CCA).
    """
    y = target.values.double()
    missed = torch.zeros_like(y)
    about = torch.zeros_like(y)
    folds = target.fold_numbers
    for fold, after in zip(folds, [*folds[1:], folds[0]], strict=True):
        test, inner = target.folds == fold, target.folds == after
        found, answers = _fits(x, y, ~test & ~inner, inner), y[inner]
        # Columns count alike whatever their units.
        scale = answers.var(0, correction=0).clamp_min(torch.finfo(torch.float64).tiny)
        errors = [float(((guess - answers).square().mean(0) / scale).mean()) for guess in found]
        best = errors.index(min(errors))
        missed[test] = (y[test] - _fits(x, y, ~test, test)[best]).square()
        about[test] = (y[test] - y[~test].mean(0)).square()
    error, total = (block_sums(part, target.blocks) for part in (missed, about))
    value = float((1 - error.sum(0) / total.sum(0)).mean())
    left = (1 - without_each(error) / without_each(total)).mean(1)
    sizes = np.bincount(target.blocks.numpy()).tolist()
    return Score(value, *block_interval(value, left, sizes, ERROR))


def _fits(x: Tensor, y: Tensor, train: Tensor, test: Tensor) -> list[Tensor]:
    """What each penalty says of the rows to be tested, from one eigendecomposition."""
    seen, asked = (part.double() for part in standardised(x, train, test))
    mean = y[train].mean(0)
    values, vectors = np.linalg.eigh((seen.T @ seen / len(seen)).numpy())
    turned = torch.from_numpy(vectors)
    product = turned.T @ (seen.T @ (y[train] - mean)) / len(seen)
    along, spread = asked @ turned, torch.from_numpy(values).clamp_min(0)
    return [mean + along @ (product / (spread + penalty)[:, None]) for penalty in PENALTIES]
