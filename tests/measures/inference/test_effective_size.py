"""Effective sample sizes against theory, and null levels at them against simulation."""

import numpy as np
import pytest

from otoscope.errors import MeasureError
from otoscope.measures import cca, r2_cca
from otoscope.measures.inference import effective_null, effective_size

from .. import reference
from ..data import autoregressive, index_of, normal


@pytest.mark.parametrize(("phi", "psi"), [(0.0, 0.9), (0.5, 0.5), (0.9, 0.9), (0.95, 0.8), (-0.5, 0.5)])
def test_pairs_of_autoregressive_layers(phi, psi):
    x, y = autoregressive(50, 300, 8, phi, seed=1), autoregressive(50, 300, 6, psi, seed=2)
    found = effective_size(x, y, utterances=[300] * 50)
    assert found.frames == 15_000
    assert float(found) == pytest.approx(15_000 * (1 - phi * psi) / (1 + phi * psi), rel=0.08)
    assert found.autocorrelation[:4] == pytest.approx((phi * psi) ** np.arange(4), abs=0.05)


@pytest.mark.parametrize("phi", [0.0, 0.6, 0.9])
def test_single_layers(phi):
    found = effective_size(autoregressive(50, 300, 8, phi, seed=1), utterances=[300] * 50)
    assert float(found) == pytest.approx(15_000 * (1 - phi) / (1 + phi), rel=0.12)


def test_it_is_how_much_means_spread():
    """n_eff by definition: the variance of a mean is that of a frame over n_eff."""
    means, sizes = [], []
    for seed in range(150):
        x = autoregressive(20, 80, 3, 0.8, seed=seed)
        means.append(x.mean(0).numpy())
        sizes.append(float(effective_size(x, utterances=[80] * 20)))
    assert np.mean(sizes) == pytest.approx(1 / np.var(means), rel=0.15)


def test_it_depends_on_no_map_and_no_order():
    x, y = autoregressive(20, 60, 5, 0.8, seed=1), autoregressive(20, 60, 4, 0.9, seed=2)
    base = float(effective_size(x, y, utterances=[60] * 20))
    mapped = x.double() @ normal(5, 5) + 7
    assert float(effective_size(mapped, 1e-6 * y, utterances=[60] * 20)) == pytest.approx(base, rel=1e-4)
    assert float(effective_size(y, x, utterances=index_of([60] * 20))) == pytest.approx(base, rel=1e-9)


def test_utterances_that_end_are_counted():
    """The autocorrelation does not reach from one utterance into the next."""
    x = autoregressive(400, 5, 4, 0.95, seed=0)
    whole = effective_size(x, x, utterances=[5] * 400)
    assert whole.lags <= 5
    lags = np.arange(1, 5)
    theory = 2000 / (1 + 2 * ((1 - lags / 5) * 0.95 ** (2 * lags)).sum())
    assert float(whole) == pytest.approx(theory, rel=0.05)


@pytest.mark.parametrize(
    ("p", "q", "phi", "psi"), [(10, 10, 0.9, 0.9), (20, 8, 0.95, 0.9), (5, 30, 0.9, 0.95), (6, 6, 0.9, 0.3)]
)
def test_the_null_level_is_what_unrelated_layers_read(p, q, phi, psi):
    values, squares, levels, square_levels = [], [], [], []
    utterances = [200] * 40
    for seed in range(12):
        x, y = (autoregressive(40, 200, k, f, seed=2 * seed + s) for k, f, s in ((p, phi, 0), (q, psi, 1)))
        values.append(reference.cca(x, y))
        squares.append(r2_cca(x, y).value)
        if seed < 3:
            levels.append(effective_null(x, y, utterances=utterances).null)
            square_levels.append(effective_null(x, y, utterances=utterances, measure="cca-r2").null)
    assert np.mean(levels) == pytest.approx(np.mean(values), abs=0.007)
    assert np.mean(square_levels) == pytest.approx(np.mean(squares), rel=0.1)
    assert cca(x, y).null < 0.75 * np.mean(values) or psi < 0.5


def test_svcca_goes_by_the_components_kept():
    """A fast direction of little variance does not count among those kept."""
    x = autoregressive(40, 100, 4, 0.95, seed=0)
    x[:, 3] = 1e-3 * normal(4000).float()
    y = autoregressive(40, 100, 4, 0.95, seed=1)
    slow = effective_null(x, y, utterances=[100] * 40, measure="svcca")
    assert slow.ranks == (3, 4)
    alone = effective_null(x[:, :3], y, utterances=[100] * 40, measure="svcca")
    assert slow.null == pytest.approx(alone.null, abs=1e-3)


def test_the_rest_of_the_result_is_the_measure_itself():
    x, y = autoregressive(10, 100, 4, 0.5, seed=0), autoregressive(10, 100, 3, 0.5, seed=1)
    found = effective_null(x, y, utterances=[100] * 10)
    assert found.value == pytest.approx(cca(x, y).value, abs=1e-9)
    assert found.null > cca(x, y).null


def test_no_more_effective_frames_than_units():
    """Five utterances that stand still are five frames, whatever their length."""
    x, y = normal(5, 4).repeat_interleave(10, 0), normal(5, 6, seed=1).repeat_interleave(10, 0)
    assert float(effective_size(x, y, utterances=[10] * 5)) == pytest.approx(5)
    found = effective_null(x, y, utterances=[10] * 5)
    assert (found.value, found.null) == (pytest.approx(1), pytest.approx(1))
    assert found.ranks == (4, 4)


def test_refusals():
    x = normal(100, 3)
    with pytest.raises(MeasureError, match="known for cca, cca-r2, svcca, pwcca, not for 'cka'; use permutation_test"):
        effective_null(x, x, utterances=[50, 50], measure="cka")
    with pytest.raises(MeasureError, match="layer 'x' is constant"):
        effective_size(0 * x, utterances=[50, 50])
