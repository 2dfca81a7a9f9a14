"""Distance correlation against its definitions, an independent package's formulas, and known answers."""

import numpy as np
import pytest

from otoscope.errors import MeasureError
from otoscope.measures import cka, distance_correlation

from . import reference_samples as reference
from .data import autoregressive, index_of, normal, related


@pytest.mark.parametrize("estimator", ["biased", "debiased", "cross-utterance"])
@pytest.mark.parametrize("lengths", [[30, 25, 10, 35], [50, 25, 25], [50, 50]])
def test_agrees_with_whole_matrices(estimator, lengths):
    x, y = related(100, 6, 9)
    found = distance_correlation(x, y, utterances=lengths, estimator=estimator)
    K, L = (reference.gram(z, "distance") for z in (x, y))
    assert found.value == pytest.approx(reference.similarity_of(K, L, estimator, index_of(lengths)), rel=1e-6)


def test_agrees_with_published_values():
    """dcor 0.7: distance_correlation(x, y) ** 2 and u_distance_correlation_sqr(x, y) of the frames below."""
    n = np.arange(30.0)
    x = np.stack([np.sin(n), np.cos(2 * n), n % 7], 1)
    y = np.stack([np.sin(n + 0.5) ** 2, n % 5], 1)
    assert distance_correlation(x, y, estimator="biased").value == pytest.approx(0.06582658240792125, rel=1e-8)
    assert distance_correlation(x, y).value == pytest.approx(-0.062110489955171794, rel=1e-8)


def test_three_frames_by_hand():
    """2007, biased: of x = (0, 1, 3) and y = (0, 2, 3), doubly centred by hand."""
    x, y = np.array([[0.0], [1.0], [3.0]]), np.array([[0.0], [2.0], [3.0]])
    a = np.array([[0, 1, 3], [1, 0, 2], [3, 2, 0.0]])
    b = np.array([[0, 2, 3], [2, 0, 1], [3, 1, 0.0]])
    A, B = (d - d.mean(0) - d.mean(1)[:, None] + d.mean() for d in (a, b))
    expected = (A * B).mean() / np.sqrt((A * A).mean() * (B * B).mean())
    assert distance_correlation(x, y, estimator="biased").value == pytest.approx(expected, rel=1e-12)


def test_dependence_that_is_not_linear_is_seen():
    x = normal(800, 2)
    assert abs(cka(x, x.abs()).value) < 0.02
    assert distance_correlation(x, x.abs()).value > 0.1


def test_slow_independent_frames_read_zero_across_utterances():
    lengths, across, debiased = [40] * 20, [], []
    for seed in range(12):
        x, y = (autoregressive(20, 40, 16, 0.95, seed=2 * seed + k) for k in (0, 1))
        across.append(distance_correlation(x, y, utterances=lengths).value)
        debiased.append(distance_correlation(x, y, utterances=lengths, estimator="debiased").value)
    error = np.std(across, ddof=1) / np.sqrt(len(across))
    assert abs(np.mean(across)) < 3 * error
    assert error < 0.02
    assert np.mean(debiased) > 0.15


def test_slow_frames_that_share_half():
    lengths, values = [40] * 40, []
    for seed in range(6):
        a, b, c = (autoregressive(40, 40, 16, 0.9, seed=3 * seed + k).double().numpy() for k in range(3))
        values.append(
            distance_correlation(np.hstack([a, b]), np.hstack([a, c]), utterances=lengths, max_frames=None).value
        )
    assert np.mean(values) == pytest.approx(0.49, abs=0.04)  # CKA's is 0.5; independent frames read 0.48 to 0.5


def test_unbiased_values_are_not_clamped_and_average_zero():
    values = [distance_correlation(normal(60, 4, seed=2 * s), normal(60, 4, seed=2 * s + 1)).value for s in range(40)]
    assert min(values) < -0.005
    assert abs(np.mean(values)) < 4 * np.std(values) / 40**0.5


def test_the_null_of_the_biased_estimator_is_the_mean_over_permutations():
    x, y = related(40, 5, 4)
    random = np.random.default_rng(0)
    values = [distance_correlation(x, y[random.permutation(40)], estimator="biased").value for _ in range(300)]
    found = distance_correlation(x, y, estimator="biased")
    assert found.null == pytest.approx(np.mean(values), abs=4 * np.std(values) / 300**0.5)
    assert distance_correlation(x, y).null == 0


def test_more_frames_than_are_taken():
    x, y = related(2000, 4, 4)
    found = distance_correlation(x, y, utterances=[50] * 40, max_frames=500)
    assert (found.frames, found.utterances) == (500, 10)
    assert found == distance_correlation(x, y, utterances=[50] * 40, max_frames=500)


def test_refusals():
    x, y = related(60, 5, 4)
    with pytest.raises(MeasureError, match="cross-utterance distance-correlation compares frames"):
        distance_correlation(x, y, utterances=[60])
    with pytest.raises(MeasureError, match="debiased distance-correlation needs at least 4 frames, got 3"):
        distance_correlation(x[:3], y[:3])
    with pytest.raises(MeasureError, match="layer 'y' is constant"):
        distance_correlation(x, np.ones((60, 2)))
    with pytest.raises(MeasureError, match="no estimator 'unbiased'"):
        distance_correlation(x, y, estimator="unbiased")
