"""Mean squared canonical correlation."""

import numpy as np
import pytest

from otoscope.errors import MeasureError
from otoscope.measures import cca, r2_cca

from . import reference
from .data import normal, related


@pytest.mark.parametrize("shape", [(12, 9), (5, 20), (1, 8), (20, 20)])
def test_against_the_definition(shape):
    x, y = related(200, *shape)
    assert r2_cca(x, y).value == pytest.approx(reference.r2_cca(x, y), rel=1e-9)


def test_it_is_the_mean_square_of_the_correlations_of_cca():
    x, y = related(200, 12, 9)
    assert r2_cca(x, y).value == pytest.approx(np.mean(cca(x, y).correlations ** 2), rel=1e-12)


def test_a_layer_within_another_reads_one():
    x = normal(200, 12)
    assert r2_cca(x, x[:, :4]).value == pytest.approx(1, abs=1e-12)
    assert r2_cca(x[:, :4], x).value == pytest.approx(1, abs=1e-12)


def test_null_is_its_mean_over_permutations_of_any_data():
    """Exact, also for skewed units that depend on each other: max(r_x, r_y) / (n − 1)."""
    x, y = normal(60, 10).exp() @ normal(10, 10, seed=1), normal(60, 4, seed=2).exp()
    order = np.random.default_rng(0)
    values = [r2_cca(x, y[order.permutation(60)]).value for _ in range(400)]
    assert r2_cca(x, y).null == 10 / 59
    assert np.mean(values) == pytest.approx(10 / 59, abs=4 * np.std(values) / 20)


def test_too_few_frames():
    with pytest.raises(MeasureError, match=r"cca-r2 of 60 and 50 units cannot be measured on 110 frames"):
        r2_cca(normal(110, 60), normal(110, 50, seed=1))
    with pytest.raises(MeasureError, match=r"cca-r2 of 60 and 50 units cannot be measured on 60 frames: 1\.00 frames"):
        r2_cca(normal(60, 60), normal(60, 50, seed=1))
