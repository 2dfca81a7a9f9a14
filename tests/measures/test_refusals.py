"""What the measures refuse, and what they say."""

import numpy as np
import pytest
import torch

from otoscope.errors import MeasureError
from otoscope.measures import cca, cka, pwcca, svcca

from .data import normal

x, y = normal(100, 5), normal(100, 4, seed=1)
every = pytest.mark.parametrize("measure", [cka, cca, svcca, pwcca])


@every
def test_shapes_and_types(measure):
    with pytest.raises(MeasureError, match=r"'x' is 100 × 5, 'y' is 99 × 4.*common frame grid"):
        measure(x, y[:99])
    with pytest.raises(MeasureError, match=r"layer 'x' has shape 100; expected two axes.*x\[:, None\]"):
        measure(x[:, 0], y)
    with pytest.raises(MeasureError, match=r"layer 'y' has shape 10 × 10 × 4.*flatten"):
        measure(x, y.view(10, 10, 4))
    with pytest.raises(MeasureError, match=r"layer 'x' has dtype torch.int64; expected floating point"):
        measure(x.long(), y)
    with pytest.raises(MeasureError, match="layer 'y' has dtype complex128"):
        measure(x, y.numpy() * 1j)
    with pytest.raises(MeasureError, match="layer 'x' is empty: shape 0 × 5"):
        measure(x[:0], y[:0])
    with pytest.raises(MeasureError, match="layer 'x' is a list; expected a numpy array or torch tensor"):
        measure(x.tolist(), y)


@every
def test_values_that_are_not_finite(measure):
    broken = y.clone()
    broken[3, 1], broken[7, 2], broken[8, 0] = torch.nan, torch.nan, torch.inf
    with pytest.raises(MeasureError, match=r"layer 'y' holds 3 values of 400 that are NaN or infinite \(2 NaN\)"):
        measure(x, broken)
    with pytest.raises(MeasureError, match=r"layer 'x' holds magnitudes up to .*e\+200, too large"):
        measure(x * 1e200, y)


@pytest.mark.parametrize("measure", [cca, pwcca])
def test_fewer_frames_than_units(measure):
    with pytest.raises(MeasureError, match=r"5 and 200 units cannot be measured on 100 frames: 0\.50 frames/unit"):
        measure(x, normal(100, 200))
    with pytest.raises(MeasureError, match=r"for rank 60 \+ 50.*fewer than 111 frames.*svcca with a lower variance"):
        measure(normal(110, 60), normal(110, 50, seed=1))
    measure(normal(111, 60), normal(111, 50, seed=1))


def test_svcca_judges_by_the_components_kept():
    wide = normal(100, 300)
    with pytest.raises(MeasureError, match="svcca of 300 and 300 units cannot be measured on 100 frames"):
        svcca(wide, wide)
    assert svcca(wide, wide, variance=0.2).value == pytest.approx(1)


@pytest.mark.parametrize("variance", [0, -0.1, 1.01, float("nan")])
def test_variance_is_a_share(variance):
    with pytest.raises(MeasureError, match="above 0 and at most 1"):
        svcca(x, y, variance=variance)


def test_too_little_for_cka():
    with pytest.raises(MeasureError, match="debiased CKA needs at least 4 frames, got 3"):
        cka(x[:3], y[:3])
    cka(x[:4], y[:4])
    with pytest.raises(MeasureError, match="at least 2, got 1; give more utterances, or choose the debiased"):
        cka(x, y, utterances=[100])
    with pytest.raises(MeasureError, match="cross-utterance estimator needs utterances"):
        cka(x, y, estimator="cross-utterance")
    with pytest.raises(MeasureError, match="no estimator 'unbiased'; there are cross-utterance, debiased, biased"):
        cka(x, y, estimator="unbiased")
    with pytest.raises(MeasureError, match="layer 'x' has no similarity with itself left"):
        cka(x[:2], y[:2], utterances=[0, 1])


def test_estimator_given_with_utterances():
    assert cka(x, y, utterances=[50, 50], estimator="debiased").value == pytest.approx(cka(x, y).value, abs=1e-13)
    assert cka(x, y, utterances=[50, 50], estimator="biased").utterances == 2


def test_utterances_either_way():
    index = np.repeat([4, 0, 2], [30, 30, 40])
    expected = cka(x, y, utterances=[30, 30, 40]).value
    for given in (index, index.tolist(), torch.tensor(index), np.array([30, 30, 40]), torch.tensor([30, 30, 40])):
        assert cka(x, y, utterances=given).value == pytest.approx(expected, abs=1e-12)
    assert cka(x, y, utterances=range(100)).utterances == 100


def test_utterances_that_fit_neither_way():
    with pytest.raises(MeasureError, match="has 2 entries and sum to 99, the layers have 100 frames"):
        cka(x, y, utterances=[50, 49])
    with pytest.raises(MeasureError, match="has 99 entries"):
        cka(x, y, utterances=[0] * 99)
    with pytest.raises(MeasureError, match=r"at least 1 frame, got \[100, 0\]"):
        cka(x, y, utterances=[100, 0])
    with pytest.raises(MeasureError, match="expected one axis of whole numbers"):
        cka(x, y, utterances=[50.0, 50.0])
    with pytest.raises(MeasureError, match="expected one axis of whole numbers"):
        cka(x, y, utterances=np.zeros((100, 1), int))
    with pytest.raises(MeasureError, match=r"100 ones for 100 frames: either one utterance or 100 of one frame"):
        cka(x, y, utterances=[1] * 100)
    with pytest.raises(MeasureError, match="has 3 entries, the layers have 100"):
        cka(x, y, utterances=["a", "b", "c"])
