"""Minibatch CKA: exact in one batch, unbiased in many, its error shown, and the faults of other tools."""

import numpy as np
import pytest
import torch

from otoscope.errors import MeasureError
from otoscope.measures import RBF, Laplace, Linear, Polynomial, Samples, cka, get, kernel_cka, minibatch_cka

from . import reference_samples as reference
from .data import autoregressive, index_of, normal, related, rotation

KERNELS = [Linear(), RBF(), RBF(0.3), Laplace(), Polynomial()]


@pytest.mark.parametrize("kernel", KERNELS, ids=str)
@pytest.mark.parametrize("utterances", [None, [60, 90, 50, 100]])
def test_one_batch_is_exact(kernel, utterances):
    x, y = related(300, 8, 6)
    found = minibatch_cka(x, y, kernel=kernel, utterances=utterances, batch=151)
    assert found.value == pytest.approx(kernel_cka(x, y, kernel=kernel, utterances=utterances).value, rel=1e-9)
    assert (found.standard_error, found.low, found.null) == (None, None, 0)


@pytest.mark.parametrize("utterances", [None, [150, 350, 250, 250]])
def test_each_batch_counts_once_and_none_is_left_out(utterances):
    """The value written again: the same batches, whole Gram matrices, sums of the batches' products."""
    x, y = related(1000, 5, 4)
    order = torch.randperm(1000, generator=torch.Generator().manual_seed(3))
    batches = [order[:300], order[300:600], order[600:]]
    index, sums = None if utterances is None else index_of(utterances), np.zeros(3)
    for rows in batches:
        own = None if index is None else index[rows.numpy()]
        K, L = (
            reference._projected((z[rows] @ z[rows].T).numpy(), "debiased" if own is None else "cross-utterance", own)
            for z in (x, y)
        )
        sums += [(K * L).sum(), (K * K).sum(), (L * L).sum()]
    found = minibatch_cka(x, y, utterances=utterances, batch=300, seed=3)
    assert found.value == pytest.approx(sums[0] / np.sqrt(sums[1] * sums[2]), rel=1e-9)
    assert found.frames == 1000


@pytest.mark.parametrize("kernel", [Linear(), RBF()], ids=str)
def test_unbiased_whatever_the_batch_and_the_error_is_at_most_that_shown(kernel):
    """Where the mean of biased values of small batches reads far too high."""
    x, y = related(1200, 20, 16)
    exact = kernel_cka(x, y, kernel=kernel).value
    for batch in (16, 64):
        found = [minibatch_cka(x, y, kernel=kernel, batch=batch, seed=s) for s in range(24)]
        values, shown = np.array([f.value for f in found]), np.mean([f.standard_error for f in found])
        spread = values.std(ddof=1)
        assert abs(values.mean() - exact) < 4 * spread / 24**0.5 + 2e-3  # a ratio's bias is of second order
        # What single frames add is the same for every partition of all of them, so partitions spread less than batches.
        assert 0.3 * shown < spread < 1.1 * shown
        assert found[0].low == pytest.approx(found[0].value - 1.96 * found[0].standard_error)
        assert (found[0].level, found[0].interval) == (0.95, "batches")


def test_the_error_falls_with_batch_and_passes():
    x, y = related(2000, 20, 16)
    exact = kernel_cka(x, y, kernel=Linear(), max_frames=None).value

    def error(**options):
        return np.mean([(minibatch_cka(x, y, seed=s, **options).value - exact) ** 2 for s in range(16)]) ** 0.5

    base = error(batch=20)
    assert error(batch=80) == pytest.approx(base / 2, rel=0.5)
    assert error(batch=20, passes=4) == pytest.approx(base / 2, rel=0.5)
    assert error(batch=320) < base / 2.5


def test_slow_independent_frames_read_zero_across_utterances():
    lengths, across, without = [100] * 20, [], []
    for seed in range(10):
        x, y = (autoregressive(20, 100, 16, 0.95, seed=2 * seed + k) for k in (0, 1))
        across.append(minibatch_cka(x, y, utterances=lengths).value)
        without.append(minibatch_cka(x, y).value)
    error = np.std(across, ddof=1) / np.sqrt(len(across))
    assert abs(np.mean(across)) < 3 * error
    assert error < 0.02
    assert np.mean(without) > 0.05


def test_batches_are_drawn_over_all_utterances():
    """What differs between utterances is seen: batches of one utterance each would read 0 of it."""
    speakers = normal(40, 8).repeat_interleave(50, 0)
    x, y = (speakers + 0.5 * normal(2000, 8, seed=s) for s in (1, 2))
    found = minibatch_cka(x, y, utterances=[50] * 40, batch=50)
    assert found.value == pytest.approx(cka(x, y, utterances=[50] * 40).value, abs=0.02)
    assert found.value > 0.5


def test_the_same_on_every_call_and_another_with_another_seed():
    x, y = related(2000, 8, 6)
    first = minibatch_cka(x, y)
    assert minibatch_cka(x.clone(), y.clone()) == first
    assert minibatch_cka(x, y, seed=1).value != first.value


def test_unbiased_values_are_not_clamped():
    found = [minibatch_cka(normal(600, 8, seed=2 * s), normal(600, 8, seed=2 * s + 1), batch=32) for s in range(30)]
    values = np.array([f.value for f in found])
    assert values.min() < -0.001
    assert abs(values.mean()) < 4 * values.std() / 30**0.5


@pytest.mark.parametrize("kernel", [Linear(), RBF(), Polynomial()], ids=str)
def test_all_pairs_are_what_each_pair_is(kernel):
    x, y = related(1200, 5, 4)
    views = {"a": x.float(), "dead": torch.full((1200, 3), 0.1), "b": y.float(), "wide": normal(1200, 30).float()}
    samples, compute = Samples.of(views), get("cka-minibatch").compute
    for one, other in (("a", "b"), ("wide", "a"), ("b", "b")):
        pair = minibatch_cka(views[one], views[other], kernel=kernel)
        assert compute(samples, one, other, kernel=kernel).value == pytest.approx(pair.value, rel=1e-6)
    assert compute(samples, "b", "b", kernel=kernel).value == pytest.approx(1, rel=1e-12)
    with pytest.raises(MeasureError, match="layer 'dead' is constant"):
        compute(samples, "a", "dead", kernel=kernel)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_types_up_to_float32(dtype):
    x, y = related(1200, 8, 6)
    found = minibatch_cka((20 * x).to(dtype), y.to(dtype))
    expected = minibatch_cka((20 * x).to(dtype).double(), y.to(dtype).double())
    assert found.value == pytest.approx(expected.value, abs=2e-6)


@pytest.mark.parametrize("kernel", [Linear(), RBF(), RBF(bandwidth=2.0), Polynomial(scale=3.0)], ids=str)
@pytest.mark.parametrize("scale", [1e-30, 1e-6, 1e18])
def test_scale_is_no_matter_to_float32(kernel, scale):
    x, y = (z.float() for z in related(1200, 8, 6))
    scaled = kernel
    if isinstance(kernel, RBF) and kernel.bandwidth:
        scaled = RBF(bandwidth=kernel.bandwidth * scale)
    if isinstance(kernel, Polynomial):
        kernel = scaled = Polynomial()
    found = minibatch_cka(x * scale, y * scale, kernel=scaled)
    assert found.value == pytest.approx(minibatch_cka(x, y, kernel=kernel).value, abs=2e-6)


def test_rotation_and_a_mean_of_300_in_float32():
    x, y = (z.float() for z in related(1200, 8, 6))
    base = minibatch_cka(x, y).value
    assert minibatch_cka(x @ rotation(8).float(), y).value == pytest.approx(base, abs=2e-6)
    assert minibatch_cka(x + 300, y + 300).value == pytest.approx(base, abs=2e-5)


def test_refusals():
    x, y = related(60, 5, 4)
    with pytest.raises(MeasureError, match="no minibatch estimator 'biased'; there are cross-utterance, debiased"):
        minibatch_cka(x, y, estimator="biased")
    with pytest.raises(
        MeasureError, match="minibatches of 3 frames in 1 passes; expected at least 4 frames and 1 pass"
    ):
        minibatch_cka(x, y, batch=3)
    with pytest.raises(MeasureError, match="in 0 passes"):
        minibatch_cka(x, y, passes=0)
    with pytest.raises(MeasureError, match="cka-minibatch needs at least 4 frames, got 3"):
        minibatch_cka(x[:3], y[:3])
    with pytest.raises(
        MeasureError, match=r"cross-utterance cka-minibatch compares frames of different utterances .* got 1"
    ):
        minibatch_cka(x, y, utterances=[60])
    with pytest.raises(MeasureError, match="got no utterances"):
        minibatch_cka(x, y, estimator="cross-utterance")
    with pytest.raises(MeasureError, match="layer 'y' is constant over all frames"):
        minibatch_cka(x, torch.full((60, 3), 0.1))
    with pytest.raises(MeasureError, match="layer 'x' has no similarity with itself left by the debiased estimator"):
        minibatch_cka(torch.eye(60), y.float())
