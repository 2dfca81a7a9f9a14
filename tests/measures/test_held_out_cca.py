"""CCA scored on utterances that it was not fitted on, and the folds that it is cross-validated by."""

from itertools import pairwise

import numpy as np
import pytest
import torch

from otoscope.errors import MeasureError
from otoscope.measures import Folds, Moments, Samples, cca, get, held_out_cca
from otoscope.measures.held_out_cca import compute

from . import reference
from .data import autoregressive, index_of, normal, related

LENGTHS = [50, 40, 60, 45]


def frames_of(lengths):
    edges = np.cumsum([0, *lengths])
    return [np.arange(a, b) for a, b in pairwise(edges)]


@pytest.mark.parametrize("shape", [(12, 9), (5, 20), (1, 8), (15, 15)])
def test_against_the_definition(shape):
    x, y = related(sum(LENGTHS), *shape)
    expected = reference.held_out_cca(x.numpy(), y.numpy(), frames_of(LENGTHS))
    found = held_out_cca(x, y, utterances=LENGTHS, folds=4)
    assert found.value == pytest.approx(expected, rel=1e-9)
    assert (found.utterances, found.frames, found.null) == (4, 195, 0)


def test_several_utterances_to_a_fold():
    """Dealt longest first to the fold of fewest frames: 60 | 50 + 40 (for 45 had gone to the other)."""
    x, y = related(sum(LENGTHS), 6, 5)
    parts = frames_of(LENGTHS)
    folds = [np.concatenate([parts[1], parts[2]]), np.concatenate([parts[0], parts[3]])]
    expected = reference.held_out_cca(x.numpy(), y.numpy(), folds)
    assert held_out_cca(x, y, utterances=LENGTHS, folds=2).value == pytest.approx(expected, rel=1e-9)


def test_slow_independent_sequences_read_zero_only_across_utterances():
    """AR(1), φ = 0.95, no relation: folds of random frames have seen their frames' neighbours, utterances have not."""
    whole, by_utterance, by_frame = [], [], []
    for draw in range(12):
        x, y = (autoregressive(20, 100, 24, 0.95, seed=10 * draw + k) for k in (1, 2))
        whole.append(cca(x, y).value)
        by_utterance.append(held_out_cca(x, y, utterances=[100] * 20).value)
        random = np.random.default_rng(draw).integers(0, 5, len(x))  # "utterances" of frames from everywhere
        by_frame.append(held_out_cca(x, y, utterances=random).value)
    assert np.mean(whole) > 0.3
    assert np.mean(by_frame) > 0.15
    # A draw's deviation is 0.02.
    assert abs(np.mean(by_utterance)) < 0.02
    assert max(map(abs, by_utterance)) < 0.07


def test_half_shared_layers_read_a_half():
    a, b, c = (normal(1000, 20, seed=k) for k in range(3))
    x, y = torch.cat([a, b], 1), torch.cat([a, c], 1)
    found = held_out_cca(x, y, utterances=[50] * 20)
    assert found.value == pytest.approx(0.5, abs=0.01)
    assert np.allclose(found.correlations[:20], 1, atol=1e-9)
    assert np.abs(found.correlations[20:]).max() < 0.15
    assert cca(x, y).value > 0.55


def test_values_below_zero_are_kept():
    values = [
        held_out_cca(normal(200, 5, seed=2 * k), normal(200, 5, seed=2 * k + 1), utterances=[20] * 10).value
        for k in range(20)
    ]
    assert min(values) < 0 < max(values)


def test_frames_in_any_order_and_samples_and_moments_alike():
    x, y = related(sum(LENGTHS), 6, 5)
    expected = held_out_cca(x, y, utterances=LENGTHS, folds=4).value
    order = np.random.default_rng(0).permutation(len(x))
    assert held_out_cca(x[order], y[order], utterances=index_of(LENGTHS)[order], folds=4).value == pytest.approx(
        expected, abs=1e-10
    )
    samples = Samples.of({"x": x, "y": y}, utterances=LENGTHS)
    assert get("cca-held-out").compute(samples, "x", "y", folds=4).value == pytest.approx(expected, abs=1e-10)
    parts = [Moments.of({"x": x[f], "y": y[f]}, utterances=[len(f)]) for f in frames_of(LENGTHS)]
    streamed = compute(Folds.between(parts), "x", "y")
    assert streamed.value == pytest.approx(expected, abs=1e-10)
    assert streamed.utterances == 4


def test_utterances_of_one_frame():
    x, y = related(100, 4, 3)
    samples = Samples.of({"x": x, "y": y}, utterances=range(100))
    assert compute(samples, "x", "y").value == pytest.approx(held_out_cca(x, y, utterances=range(100)).value, abs=1e-12)


def test_a_unit_that_is_silent_in_a_fold_is_no_nan():
    x, y = related(200, 4, 3)
    x[:50, :] = torch.tensor([1.0, 2.0, 3.0, 4.0], dtype=torch.float64)
    found = held_out_cca(x, y, utterances=[50] * 4, folds=4)
    assert np.isfinite(found.value)
    rest = held_out_cca(x[50:], y[50:], utterances=[50] * 3, folds=3).value
    assert found.value < rest  # that fold counts 0


def test_float32_around_1000():
    x, y = (z.float() for z in related(sum(LENGTHS), 6, 5))
    assert held_out_cca(x + 1000, y + 1000, utterances=LENGTHS).value == pytest.approx(
        held_out_cca(x, y, utterances=LENGTHS).value, abs=1e-4
    )


def test_folds_are_even_and_disjoint():
    rng = np.random.default_rng(0)
    lengths = rng.integers(20, 500, 60).tolist()
    x = torch.arange(sum(lengths), dtype=torch.float64)[:, None]
    folds = Folds.of({"x": x}, utterances=lengths, folds=7)
    frames = [m.frames for m in folds.held]
    assert (sum(frames), len(frames), folds.utterances, folds.frames) == (len(x), 7, 60, len(x))
    assert max(frames) < 1.05 * min(frames)
    assert [m.frames for m in folds.trained] == [len(x) - n for n in frames]
    sums = sum(float(m.mean("x")) * m.frames for m in folds.held)
    assert sums == pytest.approx(float(x.sum()), rel=1e-12)
    assert len(Folds.of({"x": x}, utterances=lengths, folds=100).held) == 60


def test_refusals():
    x, y = related(200, 6, 5)
    with pytest.raises(MeasureError, match="whole utterances out and needs at least 2, got 1"):
        held_out_cca(x, y, utterances=[200])
    with pytest.raises(MeasureError, match="folds is 1; expected a whole number of at least 2"):
        held_out_cca(x, y, utterances=[100, 100], folds=1)
    with pytest.raises(MeasureError, match="cca-held-out of 60 and 50 units cannot be measured on 100 frames"):
        held_out_cca(normal(200, 60), normal(200, 50, seed=1), utterances=[100, 100])
    with pytest.raises(MeasureError, match="cca-held-out leaves whole utterances out and needs `utterances`"):
        compute(Samples.of({"x": x, "y": y}), "x", "y")
    with pytest.raises(MeasureError, match="at least 2 folds with frames, got 1 of 2"):
        Folds.between([Moments.of({"x": x}), Moments.zero({"x": 6}, utterances=False)])
    with pytest.raises(MeasureError, match="layer 'y' is constant"):
        held_out_cca(x, torch.ones(200, 3), utterances=[100, 100])
