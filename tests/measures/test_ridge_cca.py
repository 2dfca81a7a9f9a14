"""Regularised CCA."""

import numpy as np
import pytest
import torch

from otoscope.errors import MeasureError
from otoscope.measures import Moments, bures, cca, get, ridge_cca

from . import reference
from .data import normal, related


@pytest.mark.parametrize("kappa", [1e-3, 0.1, 3.0])
@pytest.mark.parametrize("shape", [(12, 9), (5, 20), (1, 8), (20, 20)])
def test_against_the_definition(shape, kappa):
    x, y = related(200, *shape)
    assert ridge_cca(x, y, kappa=kappa).value == pytest.approx(reference.ridge_cca(x, y, kappa), rel=1e-7)


def test_between_cca_and_bures():
    x, y = related(300, 9, 9)
    assert ridge_cca(x, y, kappa=1e-9).value == pytest.approx(cca(x, y).value, abs=1e-6)
    assert ridge_cca(x, y, kappa=1e9).value == pytest.approx(bures(x, y).value, abs=1e-6)


def test_correlations_are_those_of_the_ridge():
    """An isotropic layer with itself: λ / (λ + κ λ) in every direction; the value is 1 all the same."""
    z = torch.linalg.qr(normal(100, 6) - normal(100, 6).mean(0)).Q
    found = ridge_cca(z, z, kappa=0.25)
    assert np.allclose(found.correlations, 0.8, atol=1e-12)
    assert found.value == pytest.approx(1, abs=1e-12)


def test_small_directions_count_little():
    """Two layers that share loud units and not quiet ones: cca says a half, the ridge nearly one."""
    shared, a, b = (normal(2000, 5, seed=k) for k in range(3))
    x, y = torch.cat([shared, 0.01 * a], 1), torch.cat([shared, 0.01 * b], 1)
    assert cca(x, y).value == pytest.approx(0.52, abs=0.02)
    assert ridge_cca(x, y).value > 0.99


def test_dead_units_and_units_added_with_zeros_change_nothing():
    x, y = related(200, 8, 6)
    wider = torch.cat([x, torch.ones(200, 5)], 1)
    assert ridge_cca(wider, y).value == pytest.approx(ridge_cca(x, y).value, abs=1e-12)


def test_few_frames_are_measured_but_mean_little():
    """The page on measures says so: with fewer frames than units unrelated layers read near 1."""
    found = ridge_cca(normal(100, 400), normal(100, 400, seed=1))
    assert found.value > 0.9
    assert np.isnan(found.null)


@pytest.mark.parametrize("kappa", [0, -1, float("inf"), float("nan")])
def test_kappa_is_positive(kappa):
    with pytest.raises(
        MeasureError, match=r"expected a number above 0, such as 0\.1\. Without a ridge the measure is cca"
    ):
        ridge_cca(*related(100, 4, 4), kappa=kappa)


def test_constant_layer_is_named():
    with pytest.raises(MeasureError, match="layer 'y' is constant"):
        ridge_cca(normal(50, 3), torch.ones(50, 3))


def test_from_merged_moments():
    x, y = related(200, 8, 6)
    parts = [Moments.of({"x": x[s], "y": y[s]}) for s in (slice(0, 70), slice(70, 200))]
    assert get("cca-ridge").compute(parts[0] + parts[1], "x", "y").value == pytest.approx(
        ridge_cca(x, y).value, abs=1e-11
    )
