"""A linear probe of classes: multinomial logistic regression on other speakers."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import torch
from torch import Tensor

from otoscope.study.content.intervals import SHARE, block_interval
from otoscope.study.content.score import Score, block_sums, without_each
from otoscope.study.content.target import Target

__all__ = ["PENALTY", "classes_probe", "standardised"]

PENALTY = 0.005
"""Of each row's loss: ½ PENALTY ‖w‖² beside the mean loss, on standardised units."""

ITERATIONS = 100
TOLERANCE = 1e-3


def classes_probe(x: Tensor, target: Target) -> Score:
    """The share of rows whose class a linear probe tells that was fitted to other speakers (or utterances).

    Formula: accuracy = 1/n Σ_f Σ_{s ∈ f} 1[argmax_c (W_f x_s + b_f)_c = y_s], W_f and b_f of the multinomial logistic
    regression (mean cross-entropy + ½ λ ‖W‖², λ = 0.005) on the standardised units of all folds but f.

    Arguments:
        x: (n, units), the layer's rows that have a label.
        target: their classes, folds and blocks.

    Returns:
        The accuracy; `chance` is the share of the most frequent class.

    Source: Alain & Bengio 2016 (linear probes); Belinkov & Glass 2019 (speech).
    """
    from sklearn.exceptions import ConvergenceWarning  # a second to import, for those who do not probe
    from sklearn.linear_model import LogisticRegression

    right = torch.zeros(len(x), 1, dtype=torch.float64)
    for train, test in target.parts():
        seen, asked = standardised(x, train, test)
        classes = target.values[train]
        if bool((classes == classes[0]).all()):
            right[test, 0] = (target.values[test] == classes[0]).double()
            continue
        probe: Any = LogisticRegression(C=1 / (PENALTY * len(seen)), max_iter=ITERATIONS, tol=TOLERANCE)
        with warnings.catch_warnings():
            # Whether the last digit has settled is of no account here.
            warnings.simplefilter("ignore", ConvergenceWarning)
            probe.fit(seen.numpy(), classes.numpy())
        right[test, 0] = torch.from_numpy(probe.predict(asked.numpy()) == target.values[test].numpy()).double()
    sums = block_sums(right, target.blocks)
    sizes = np.bincount(target.blocks.numpy())
    accuracy = float(right.mean())
    # In all rows: the class that is the most frequent where probes are fitted tends to be rarer where they are tested.
    chance = float(torch.bincount(target.values).max()) / len(x)
    left = without_each(sums)[:, 0] / (sizes.sum() - sizes)
    return Score(accuracy, *block_interval(accuracy, left, sizes.tolist(), SHARE), chance=chance)


def standardised(x: Tensor, train: Tensor, test: Tensor) -> tuple[Tensor, Tensor]:
    """The rows to fit to and those to test on, each unit less its mean and over its deviation in the first."""
    seen = x[train].float()
    mean, deviation = seen.mean(0), seen.std(0)
    deviation = torch.where(deviation > 0, deviation, 1.0)
    return (seen - mean) / deviation, (x[test].float() - mean) / deviation
