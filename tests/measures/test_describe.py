"""Single layers described."""

import numpy as np
import pytest
import torch

from otoscope.errors import MeasureError
from otoscope.measures import Moments, describe

from . import reference
from .data import autoregressive, index_of, normal, rotation

LENGTHS = [40, 60, 30, 70]


def fields(found):
    return found.effective_dimension, found.top_share, found.mean_share, found.anisotropy


@pytest.mark.parametrize("utterances", [None, LENGTHS])
@pytest.mark.parametrize("offset", [0, 2])
def test_against_the_definition(utterances, offset):
    x = normal(200, 12) * torch.logspace(0, -1, 12, dtype=torch.float64) @ rotation(12) + offset
    index = None if utterances is None else index_of(utterances)
    found = describe(x, utterances=utterances)
    assert fields(found) == pytest.approx(reference.describe(x, index), rel=1e-9)
    assert (found.layer, found.frames, found.units, found.rank, found.zero_frames) == ("x", 200, 12, 12, 0)


def test_known_spectrum():
    """Variances 4, 2, 1, 1 on exactly orthonormal columns."""
    z = normal(100, 4)
    z = torch.linalg.qr(z - z.mean(0)).Q * torch.tensor([4.0, 2.0, 1.0, 1.0], dtype=torch.float64).sqrt()
    found = describe(z @ rotation(4), variance=0.74)
    assert found.effective_dimension == pytest.approx(64 / 22, rel=1e-12)
    assert found.top_share == pytest.approx(0.5, rel=1e-12)
    assert (found.components, found.variance, describe(z).components) == (2, 0.74, 4)
    assert found.mean_share == pytest.approx(0, abs=1e-12)


def test_frames_that_lean_one_way():
    """All frames with one norm: the mean's share and the anisotropy agree (but for s = t). Loud frames: they do not."""
    x = torch.nn.functional.normalize(normal(2000, 8) + 1, dim=1)
    found = describe(x)
    assert found.anisotropy == pytest.approx((found.mean_share * 2000 - 1) / 1999, abs=1e-12)
    loud = x.clone()
    loud[:20] *= 1000
    assert describe(loud).anisotropy == pytest.approx(found.anisotropy, abs=1e-12)
    assert abs(describe(loud).mean_share - found.mean_share) > 0.1


def test_neighbours_do_not_make_a_layer_anisotropic():
    """Slow frames of few utterances point the way of their neighbours; frames of other utterances do not."""
    x = autoregressive(10, 50, 16, 0.98, seed=0)
    assert describe(x).anisotropy > 0.05
    values = [describe(autoregressive(10, 50, 16, 0.98, seed=k), utterances=[50] * 10).anisotropy for k in range(20)]
    assert abs(np.mean(values)) < 0.01


@pytest.mark.parametrize(("frames", "units"), [(50, 50), (100, 200), (1000, 50)])
def test_bias_of_the_effective_dimension(frames, units):
    """1/D reads too large by about 1/(n − 1) on independent Gaussian frames, as the docstring says."""
    found = np.mean([1 / describe(normal(frames, units, seed=k)).effective_dimension for k in range(5)])
    assert found == pytest.approx(1 / units + 1 / (frames - 1), rel=0.05)


def test_moments_say_all_but_the_anisotropy():
    x = normal(200, 6).float() + 3
    whole = describe(x, "encoder.0")
    parts = Moments.of({"encoder.0": x[:50]}) + Moments.of({"encoder.0": x[50:]})
    found = describe(parts, "encoder.0")
    assert (found.anisotropy, found.zero_frames) == (None, None)
    assert fields(found)[:3] == pytest.approx(fields(whole)[:3], rel=1e-10)
    assert (found.layer, found.rank, found.components) == ("encoder.0", 6, whole.components)


@pytest.mark.parametrize("scale", [1e-6, 1e-30, 1e6])
def test_scale_changes_nothing(scale):
    x = normal(100, 6) + 1
    assert fields(describe(x * scale)) == pytest.approx(fields(describe(x)), rel=1e-9)


def test_frames_of_zeros_are_left_out_and_counted():
    x = normal(100, 6) + 1
    with_zeros = torch.cat([x, torch.zeros(7, 6)])
    found = describe(with_zeros)
    assert found.zero_frames == 7
    assert found.anisotropy == pytest.approx(describe(x).anisotropy, rel=1e-12)


def test_numpy_and_frames_in_any_order():
    x = normal(200, 6) + 1
    order = np.random.default_rng(0).permutation(200)
    shuffled = describe(x.numpy()[order][:, ::-1], utterances=index_of(LENGTHS)[order])
    assert fields(shuffled) == pytest.approx(fields(describe(x, utterances=LENGTHS)), rel=1e-9)


def test_refusals():
    x = normal(100, 6)
    with pytest.raises(MeasureError, match="variance is 99; expected a share"):
        describe(x, variance=99)
    with pytest.raises(MeasureError, match="layer 'dead' is constant"):
        describe(torch.ones(100, 6), "dead")
    with pytest.raises(MeasureError, match="moments hold no frames to tell by utterance"):
        describe(Moments.of({"x": x}), "x", utterances=[100])
    with pytest.raises(MeasureError, match="no layer 'z' in the moments"):
        describe(Moments.of({"x": x}), "z")
    single = torch.zeros(5, 3)
    single[2, 1] = 1
    with pytest.raises(MeasureError, match=r"layer 'x' needs two frames that are not zero; 4 of 5 are"):
        describe(single)
    with pytest.raises(MeasureError, match="needs two frames of different utterances"):
        describe(x, utterances=[100])
