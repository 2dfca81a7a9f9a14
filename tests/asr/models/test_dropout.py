"""Dropout by 16 random bits does what torch's does."""

import pytest
import torch

from otoscope.asr.models.dropout import Dropout


@pytest.mark.parametrize("p", [0.05, 0.15, 0.5])
def test_share_scale_and_mean(p):
    torch.manual_seed(0)
    x = torch.full((1001, 999), 2.0, requires_grad=True)
    y = Dropout(p)(x)
    kept = y != 0
    assert float((~kept).double().mean()) == pytest.approx(p, abs=0.002)
    assert torch.unique(y[kept]).tolist() == pytest.approx([2 / (1 - p)], rel=1e-4)
    y.sum().backward()
    torch.testing.assert_close(x.grad, y.detach() / 2)


def test_neighbouring_values_and_calls_are_independent():
    torch.manual_seed(0)
    layer, x = Dropout(0.5), torch.ones(4000, 100)
    first, second = (layer(x).flatten() != 0 for _ in range(2))
    assert float((first == second).double().mean()) == pytest.approx(0.5, abs=0.005)
    for shift in (1, 2, 3, 4, 100):
        same = (first[shift:] == first[:-shift]).double().mean()
        assert float(same) == pytest.approx(0.5, abs=0.005)


def test_the_seed_decides():
    x = torch.ones(7, 13)
    torch.manual_seed(3)
    first = Dropout(0.3)(x)
    torch.manual_seed(3)
    assert torch.equal(first, Dropout(0.3)(x))
    assert not torch.equal(first, Dropout(0.3)(x))


@pytest.mark.parametrize("layer", [Dropout(0.0), Dropout(0.4).eval()])
def test_nothing_is_dropped(layer):
    x = torch.randn(5, 6)
    assert torch.equal(layer(x), x)


def test_all_is_dropped_and_empty_and_half_precision_input():
    assert not Dropout(1.0)(torch.ones(3, 4)).any()
    assert Dropout(0.2)(torch.ones(0, 4)).shape == (0, 4)
    assert Dropout(0.2)(torch.ones(3, 4, dtype=torch.bfloat16)).dtype == torch.bfloat16
