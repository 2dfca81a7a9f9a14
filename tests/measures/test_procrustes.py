"""Procrustes distance, its angle and its similarity: one number seen three ways, found once for each pair."""

import math

import numpy as np
import pytest
import scipy.linalg
import scipy.spatial
import torch

from otoscope.errors import MeasureError
from otoscope.measures import Moments, bures, get, procrustes, shape_distance
from otoscope.measures import procrustes as function

from . import reference
from .data import normal, related, rotation

every = pytest.mark.parametrize("measure", [procrustes, shape_distance, bures])


@every
@pytest.mark.parametrize("shape", [(12, 9), (5, 20), (1, 8), (20, 20)])
def test_against_the_definition(measure, shape):
    x, y = related(150, *shape)
    assert measure(x, y).value == pytest.approx(getattr(reference, measure.__name__)(x.numpy(), y.numpy()), rel=1e-8)


def test_against_scipy():
    x, y = (z.numpy() for z in related(200, 7, 7))
    X, Y = ((z - z.mean(0)) / np.linalg.norm(z - z.mean(0)) for z in (x, y))
    R, scale = scipy.linalg.orthogonal_procrustes(Y, X)
    assert procrustes(x, y).value == pytest.approx(np.linalg.norm(X - Y @ R), rel=1e-10)
    assert bures(x, y).value == pytest.approx(scale, rel=1e-10)
    # scipy.spatial's disparity scales the second set as well: 1 − cos².
    disparity = scipy.spatial.procrustes(x, y)[2]
    assert 1 - bures(x, y).value ** 2 == pytest.approx(disparity, rel=1e-10)


def test_one_number_three_ways():
    x, y = related(150, 12, 9)
    cosine = bures(x, y).value
    assert procrustes(x, y).value == pytest.approx(math.sqrt(2 - 2 * cosine), rel=1e-12)
    assert shape_distance(x, y).value == pytest.approx(math.acos(cosine), rel=1e-12)


@pytest.mark.parametrize("measure", [procrustes, shape_distance])
def test_a_metric(measure):
    layers = [normal(100, p, seed=k) + (normal(100, p, seed=0) if p == 5 else 0) for k, p in enumerate([5, 5, 3, 8, 5])]
    d = np.array([[measure(a, b).value for b in layers] for a in layers])
    assert np.allclose(d, d.T)
    assert np.abs(np.diag(d)).max() < 1e-7
    assert (d[:, None, :] <= d[:, :, None] + d[None, :, :] + 1e-12).all()


def test_ends_of_the_scale():
    z = normal(100, 12)
    z = torch.linalg.qr(z - z.mean(0)).Q
    assert procrustes(z[:, :6], z[:, 6:]).value == pytest.approx(math.sqrt(2), abs=1e-9)
    assert shape_distance(z[:, :6], z[:, 6:]).value == pytest.approx(math.pi / 2, abs=1e-9)
    assert bures(z[:, :6], z[:, 6:]).value == pytest.approx(0, abs=1e-9)
    assert bures(z[:, :3], z).value == pytest.approx(0.5, abs=1e-12)  # isotropic p of q directions: √(p/q)
    assert shape_distance(z, 3 * z @ rotation(12) + 1).value == pytest.approx(0, abs=1e-7)


def test_cosine_by_hand():
    """x with deviations 3, 1 and y with 1, 3 along the same two axes: (3 + 3) / 10."""
    z = normal(100, 2)
    z = torch.linalg.qr(z - z.mean(0)).Q
    scale = torch.tensor([3.0, 1.0], dtype=torch.float64)
    assert bures(z * scale, z * scale.flip(0)).value == pytest.approx(0.6, abs=1e-12)


def test_the_nuclear_norm_is_found_once(monkeypatch):
    x, y = related(150, 12, 9)
    module = __import__("sys").modules[function.__module__]
    calls, found = [], module.singular_values
    monkeypatch.setattr(module, "singular_values", lambda A: calls.append(A.shape) or found(A))
    moments = Moments.of({"x": x, "y": y})
    values = [get(n).compute(moments, *p).value for n in ("procrustes", "bures") for p in (("x", "y"), ("y", "x"))]
    get("shape-distance").compute(moments, "y", "x")
    assert len(calls) == 1
    assert values[0] == values[1]
    assert values[2] == values[3]
    assert [get(n).compute(moments, "x", "x").value for n in ("procrustes", "shape-distance", "bures")] == [0, 0, 1]
    assert len(calls) == 1


@every
def test_what_comes_with_the_value(measure):
    x, y = related(150, 12, 9)
    found = measure(x, torch.cat([y, y[:, :2]], 1))
    assert math.isnan(found.null)
    assert (found.frames, found.units, found.ranks) == (150, (12, 11), None)
    assert get(found.measure).distance == (measure is not bures)


@every
def test_constant_layer_is_named(measure):
    with pytest.raises(MeasureError, match="layer 'y' is constant"):
        measure(normal(50, 3), torch.ones(50, 3))
