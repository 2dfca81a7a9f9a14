"""Dead, duplicated and dependent units; constant layers; wide layers."""

import pytest
import torch

from otoscope.errors import MeasureError
from otoscope.measures import cca, cka, pwcca, svcca

from . import reference
from .data import normal, related, rotation

both_precisions = pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
every_offset = pytest.mark.parametrize("offset", [0, 1000])


@both_precisions
@every_offset
def test_dead_and_duplicated_units_add_no_rank(dtype, offset):
    x, y = related(400, 10, 7)
    padded = torch.cat([x, x[:, :4], 0.3 * torch.ones(400, 3)], 1).to(dtype) + offset
    found, plain = cca(padded, y.to(dtype)), cca(x, y)
    assert found.ranks == (10, 7)
    assert found.units == (17, 7)
    assert found.value == pytest.approx(plain.value, abs=1e-4)
    for measure in (pwcca, svcca, cka):
        assert 0 < measure(padded, y.to(dtype)).value < 1


@both_precisions
@every_offset
def test_rotated_copy_of_rank_20_in_40_units(dtype, offset):
    x = normal(600, 20) @ normal(20, 40, seed=1)
    x, y = x.to(dtype) + offset, (x @ rotation(40)).to(dtype) + offset
    for measure in (cca, pwcca):
        found = measure(x, y)
        assert found.ranks == (20, 20)
        assert found.value == pytest.approx(1, abs=1e-4)


def test_low_rank_computed_in_float32():
    """Units computed from fewer in float32 arithmetic: the rounding in the product is not a direction."""
    x = normal(3000, 64).float() @ normal(64, 256, seed=1).float() * 0.1
    assert cca(x, x).ranks == (64, 64)


def test_small_true_directions_count():
    spread = torch.logspace(0, -4, 12, dtype=torch.float64)  # variances down to 1e-8 of the largest
    x = (normal(500, 12) * spread) @ rotation(12)
    assert cca(x.float(), x.float()).ranks == (12, 12)
    assert cca(x, x).ranks == (12, 12)


@both_precisions
def test_units_of_very_different_scale_count_alike_in_cca(dtype):
    x, y = (z.to(dtype) for z in related(400, 8, 6))
    found = cca(x * torch.logspace(-2.5, 2.5, 8), y)
    assert found.ranks == (8, 6)
    assert found.value == pytest.approx(cca(x, y).value, abs=1e-5)


@pytest.mark.parametrize("measure", [cka, cca, svcca, pwcca])
@pytest.mark.parametrize("value", [0.0, 1000.1, -3e-7])
def test_constant_layer_is_named(measure, value):
    x, constant = normal(100, 5).float(), torch.full((100, 4), value)
    with pytest.raises(MeasureError, match="layer 'y' is constant over all frames"):
        measure(x, constant)
    with pytest.raises(MeasureError, match="layer 'x' is constant over all frames"):
        measure(constant.double(), x)


def test_layer_that_differs_in_the_last_bit_only_is_constant():
    last_bit = torch.where(normal(100, 4) > 0, 1000.0, 1000.0 + 2**-14).float()
    with pytest.raises(MeasureError, match="layer 'y' is constant"):
        cca(normal(100, 5), last_bit)


def test_wide_first_layer_weighs():
    x, y = related(400, 30, 6)
    found = pwcca(x, y)
    assert found.value == pytest.approx(reference.pwcca(x, y), abs=1e-10)
    assert (found.weighted_by, len(found.correlations)) == ("x", 6)
    assert pwcca(y, x).value != pytest.approx(found.value, abs=1e-4)


def test_equal_correlations_leave_pwcca_determined():
    """y holds four directions of x exactly: whichever variates the decomposition finds, the value is one."""
    x = normal(300, 8) * torch.arange(1, 9) @ rotation(8)
    y = torch.cat([x[:, :4], normal(300, 3, seed=2)], 1)
    values = [pwcca(x, y[:, torch.randperm(7, generator=torch.Generator().manual_seed(k))]).value for k in range(5)]
    assert values == pytest.approx([values[0]] * 5, abs=1e-7)
