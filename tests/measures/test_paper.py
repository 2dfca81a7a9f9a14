"""The flattened-to-one-column protocol, and what is wrong with it."""

import numpy as np
import pytest
import torch

from otoscope.errors import MeasureError
from otoscope.measures import cca, cka, paper_cca, paper_cka

from . import reference
from .data import normal, related, rotation


@pytest.mark.parametrize("offset", [0, 5])
def test_against_the_flattened_columns(offset):
    x, y = related(200, 8, 8)
    x = x + offset * normal(8, seed=7)
    r = reference.paper_r(x, y)
    assert paper_cca(x, y).value == pytest.approx(abs(r), rel=1e-10)
    assert paper_cka(x, y).value == pytest.approx(r**2, rel=1e-10)


def test_it_is_cca_and_cka_of_single_columns():
    """What the released code computes: the measures of (frames · units) × 1 matrices."""
    x, y = related(50, 8, 8)
    columns = x.reshape(-1, 1), y.reshape(-1, 1)
    assert paper_cca(x, y).value == pytest.approx(cca(*columns).value, rel=1e-10)
    assert paper_cka(x, y).value == pytest.approx(cka(*columns, estimator="biased").value, rel=1e-10)


def test_exchanging_units_makes_a_layer_a_stranger_to_itself():
    """The numbers in docs/measures.md."""
    x = normal(2000, 64) * torch.linspace(1, 3, 64) @ rotation(64)
    permuted = x[:, torch.randperm(64, generator=torch.Generator().manual_seed(0))]
    assert (paper_cca(x, x).value, paper_cka(x, x).value) == pytest.approx((1, 1), abs=1e-12)
    assert paper_cca(x, permuted).value < 0.06
    assert paper_cka(x, permuted).value < 0.004
    assert cca(x, permuted).value == pytest.approx(1, abs=1e-9)
    assert cka(x, permuted).value == pytest.approx(1, abs=1e-9)


def test_means_of_units_count_as_similarity():
    means = 5 * normal(64, seed=3)
    x, y = normal(500, 64) + means, normal(500, 64, seed=1) + means
    assert paper_cca(x, y).value > 0.9
    assert cca(x, y).value < 0.4


@pytest.mark.parametrize("shift", [0.0, 0.05])
def test_null_is_the_mean_over_permutations(shift):
    x, y = normal(80, 10) @ normal(10, 10, seed=3), normal(80, 10, seed=1) @ normal(10, 10, seed=4)
    x, y = x + shift * normal(10, seed=5), y + shift * normal(10, seed=5)
    order = np.random.default_rng(0)
    draws = [order.permutation(80) for _ in range(1500)]
    for measure in (paper_cca, paper_cka):
        values = [measure(x, y[d]).value for d in draws[: 1500 if measure is paper_cka else 800]]
        assert measure(x, y).null == pytest.approx(np.mean(values), abs=4 * np.std(values) / len(values) ** 0.5)


def test_no_unit_in_common():
    x, y = torch.zeros(50, 4), torch.zeros(50, 4)
    x[:, :2], y[:, 2:] = normal(50, 2).float(), normal(50, 2, seed=1).float()
    x, y = x - x.mean(0), y - y.mean(0)
    assert paper_cca(x, y).value == pytest.approx(0, abs=1e-9)
    assert paper_cca(x, y).null == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("measure", [paper_cca, paper_cka])
def test_refusals(measure):
    with pytest.raises(MeasureError, match=r"needs layers of one width; 'x' has 5 units, 'y' has 4. Use cca or cka"):
        measure(normal(50, 5), normal(50, 4))
    with pytest.raises(MeasureError, match="layer 'y' is constant"):
        measure(normal(50, 3), torch.ones(50, 3))
