"""Linear regression of one layer on another."""

import numpy as np
import pytest
import torch

from otoscope.errors import MeasureError
from otoscope.measures import regression

from . import reference
from .data import normal, related


@pytest.mark.parametrize("shape", [(12, 9), (5, 20), (1, 8), (20, 20)])
def test_against_least_squares(shape):
    x, y = related(200, *shape)
    assert regression(x, y).value == pytest.approx(reference.regression(x, y), rel=1e-9)
    assert regression(y, x).value == pytest.approx(reference.regression(y, x), rel=1e-9)


def test_the_first_layer_predicts():
    """Isotropic x, y its first three of twelve units: known from x, while y knows a quarter of x."""
    z = normal(100, 12)
    z = torch.linalg.qr(z - z.mean(0)).Q
    assert regression(z, z[:, :3]).value == pytest.approx(1, abs=1e-12)
    assert regression(z[:, :3], z).value == pytest.approx(0.25, abs=1e-12)
    assert regression(z[:, :3], z).layers == ("x", "y")


def test_variance_counts_as_it_stands_in_the_second_layer():
    z = normal(100, 2)
    z = torch.linalg.qr(z - z.mean(0)).Q
    y = z * torch.tensor([3.0, 1.0])
    assert regression(z[:, :1], y).value == pytest.approx(0.9, abs=1e-12)


def test_null_is_its_mean_over_permutations():
    x, y = normal(60, 10).exp(), normal(60, 4, seed=2).exp()
    order = np.random.default_rng(0)
    values = [regression(x, y[order.permutation(60)]).value for _ in range(400)]
    assert regression(x, y).null == 10 / 59
    assert np.mean(values) == pytest.approx(10 / 59, abs=4 * np.std(values) / 20)


def test_dependent_units_add_no_rank():
    x, y = related(200, 6, 5)
    wide = torch.cat([x, x @ normal(6, 300, seed=3), torch.ones(200, 2)], 1)  # 308 units of rank 6 on 200 frames
    found = regression(wide, y)
    assert found.ranks == (6, 5)
    assert found.value == pytest.approx(regression(x, y).value, abs=1e-8)


def test_too_few_frames():
    message = r"regression on layer 'x' of rank 99 \(200 units\) cannot be measured on 100 frames: with fewer than 101"
    with pytest.raises(MeasureError, match=message):
        regression(normal(100, 200), normal(100, 3, seed=1))
    assert regression(normal(100, 3), normal(100, 200, seed=1)).value < 0.1
    with pytest.raises(MeasureError, match="layer 'y' is constant"):
        regression(normal(50, 3), torch.ones(50, 3))
