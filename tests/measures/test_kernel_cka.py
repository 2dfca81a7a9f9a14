"""Kernel CKA against Gram matrices written out, on known answers, and what it refuses."""

import numpy as np
import pytest
import torch

from otoscope.errors import MeasureError
from otoscope.measures import RBF, Laplace, Linear, Polynomial, Samples, cka, get, kernel_cka
from otoscope.measures.frame_pairs import TILE
from otoscope.measures.kernels import median_distance

from . import reference_samples as reference
from .data import autoregressive, index_of, normal, related

KERNELS = [
    (Linear(), "linear", None),
    (RBF(), "rbf", 1.0),
    (RBF(0.3), "rbf", 0.3),
    (RBF(100), "rbf", 100),
    (Laplace(), "laplace", 1.0),
    (Laplace(0.5), "laplace", 0.5),
    (Polynomial(), "polynomial", 2),
    (Polynomial(degree=3), "polynomial", 3),
]
every_kernel = pytest.mark.parametrize(("kernel", "name", "parameter"), KERNELS, ids=lambda v: str(v))


def slow(lengths, units, phi, seed):
    """Independent AR(1) utterances of these lengths."""
    x = autoregressive(len(lengths), max(lengths), units, phi, seed=seed)
    return torch.cat([x[u * max(lengths) :][:n] for u, n in enumerate(lengths)])


@every_kernel
@pytest.mark.parametrize("estimator", ["biased", "debiased", "cross-utterance"])
@pytest.mark.parametrize("lengths", [[30, 25, 10, 35], [50, 25, 25], [40, 60], [50, 50], [1, 2, 97]])
def test_agrees_with_whole_matrices(kernel, name, parameter, estimator, lengths):
    x, y = related(100, 6, 9)
    found = kernel_cka(x, y, kernel=kernel, utterances=lengths, estimator=estimator)
    K, L = (reference.gram(z, name, parameter) for z in (x, y))
    expected = reference.similarity_of(K, L, estimator, index_of(lengths))
    assert found.value == pytest.approx(expected, rel=1e-6)
    assert (found.measure, found.estimator, found.utterances) == (f"cka-{name}", estimator, len(lengths))


@pytest.mark.parametrize("estimator", ["biased", "debiased", "cross-utterance"])
def test_more_frames_than_a_tile(estimator):
    lengths = [TILE - 10, 30, TILE // 2, 7]
    x, y = related(sum(lengths), 3, 4)
    found = kernel_cka(x, y, utterances=lengths, estimator=estimator)
    K, L = (reference.gram(z, "rbf", 1.0) for z in (x, y))
    expected = reference.similarity_of(K, L, estimator, index_of(lengths))
    assert found.value == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("estimator", ["biased", "debiased"])
def test_the_linear_kernel_gives_linear_cka(estimator):
    x, y = related(300, 8, 6)
    found, expected = (
        f(x, y, estimator=estimator) for f in (lambda *a, **k: kernel_cka(*a, kernel=Linear(), **k), cka)
    )
    assert found.value == pytest.approx(expected.value, rel=1e-12)
    assert found.null == pytest.approx(expected.null, abs=1e-12)


def test_the_linear_kernel_gives_linear_cka_across_utterances_to_second_order():
    x, y = related(300, 8, 6)
    lengths = [30] * 10
    found, expected = kernel_cka(x, y, kernel=Linear(), utterances=lengths), cka(x, y, utterances=lengths)
    assert found.value == pytest.approx(expected.value, abs=1e-3)


def test_a_wide_rbf_kernel_approaches_the_linear_one():
    x, y = related(200, 8, 6)
    wide, linear = kernel_cka(x, y, kernel=RBF(1e3)).value, cka(x, y).value
    assert wide == pytest.approx(linear, abs=1e-5)
    assert kernel_cka(x, y).value != pytest.approx(linear, abs=1e-3)


@pytest.mark.parametrize("kernel", [RBF(), RBF(0.3), Laplace(), Polynomial()], ids=str)
@pytest.mark.parametrize("lengths", [[40] * 20, [10, 20, 150] * 5], ids=["equal", "unequal"])
def test_slow_independent_frames_read_zero_across_utterances(kernel, lengths):
    """Where the debiased estimator reads far above 0. Two independent layers of AR(1), φ = 0.95."""
    across, debiased = [], []
    for seed in range(12):
        x, y = (slow(lengths, 16, 0.95, 2 * seed + k) for k in (0, 1))
        samples = Samples.of({"x": x, "y": y}, utterances=lengths)
        measure = get(f"cka-{kernel.name}").compute.func
        across.append(measure(samples, "x", "y", kernel=kernel).value)
        debiased.append(measure(samples, "x", "y", kernel=kernel, estimator="debiased").value)
    error = np.std(across, ddof=1) / np.sqrt(len(across))
    assert abs(np.mean(across)) < 3 * error
    assert error < 0.02
    assert np.mean(debiased) > 0.15


def test_the_null_of_the_biased_estimator_is_the_mean_over_permutations():
    x, y = related(40, 5, 4)
    random = np.random.default_rng(0)
    values = [kernel_cka(x, y[random.permutation(40)], estimator="biased").value for _ in range(300)]
    assert kernel_cka(x, y, estimator="biased").null == pytest.approx(
        np.mean(values), abs=4 * np.std(values) / 300**0.5
    )


def test_unbiased_values_are_not_clamped():
    values = [kernel_cka(normal(60, 4, seed=2 * s), normal(60, 4, seed=2 * s + 1)).value for s in range(40)]
    assert min(values) < -0.005
    assert abs(np.mean(values)) < 4 * np.std(values) / 40**0.5


def test_the_median_distance():
    x = normal(80, 5)
    assert median_distance(x) == pytest.approx(reference.median_distance(x))
    assert median_distance(x * 1e-6) == pytest.approx(1e-6 * median_distance(x), rel=1e-9)
    many = normal(5000, 5)
    assert median_distance(many) == median_distance(many)
    assert median_distance(many) == pytest.approx(reference.median_distance(many[:2000]), rel=0.05)


def test_the_median_distance_where_most_frames_are_the_same():
    x = torch.zeros(100, 3, dtype=torch.float64)
    x[:10] = normal(10, 3)
    positive = reference.distances(x)[np.triu_indices(100, 1)]
    assert median_distance(x) == pytest.approx(np.sort(positive[positive > 0])[(len(positive[positive > 0]) - 1) // 2])
    assert kernel_cka(x, 2 * x).value == pytest.approx(1)


def test_a_bandwidth_of_ones_own():
    x, y = related(100, 5, 4)
    fitted = RBF().fitted(x - x.mean(0))
    same = get("cka-rbf").compute.func(Samples.of({"x": x, "y": x}), "x", "y", kernel=fitted)
    assert same.value == pytest.approx(1)
    narrow = kernel_cka(x, y, kernel=RBF(bandwidth=0.5 * fitted.bandwidth))
    assert narrow.value != pytest.approx(kernel_cka(x, y).value, abs=1e-3)
    assert Laplace(bandwidth=2.0).fitted(x).bandwidth == 2.0


def test_more_frames_than_are_taken():
    lengths = [50] * 40
    x, y = related(2000, 4, 4)
    found = kernel_cka(x, y, utterances=lengths, max_frames=500)
    assert (found.frames, found.utterances) == (500, 10)
    part = Samples.of({"x": x, "y": y}, utterances=lengths).subset(500)
    assert found == kernel_cka(part.views["x"], part.views["y"], utterances=part.lengths)
    assert found == kernel_cka(x, y, utterances=lengths, max_frames=500)  # the same on every call
    assert kernel_cka(x, y, utterances=lengths, max_frames=None).frames == 2000


def test_all_pairs_are_what_each_pair_is():
    x, y = related(200, 5, 4)
    samples = Samples.of({"a": x, "dead": torch.ones(200, 3), "b": y, "c": x**2}, utterances=[100, 100])
    compute = get("cka-rbf").compute
    for one, other in (("a", "b"), ("c", "a"), ("b", "b")):
        pair = kernel_cka(samples.views[one], samples.views[other], utterances=[100, 100])
        assert compute(samples, one, other).value == pytest.approx(pair.value, rel=1e-12)
    with pytest.raises(MeasureError, match="layer 'dead' is constant"):
        compute(samples, "a", "dead")


def test_float32_with_a_mean_of_300():
    x, y = (z.float() for z in related(200, 5, 4))
    assert kernel_cka(x + 300, y + 300).value == pytest.approx(kernel_cka(x, y).value, abs=1e-4)


def test_refusals():
    x, y = related(60, 5, 4)
    with pytest.raises(MeasureError, match="kernel factor is -1; expected a number above 0"):
        RBF(-1)
    with pytest.raises(MeasureError, match="kernel bandwidth is 0; expected"):
        Laplace(bandwidth=0)
    with pytest.raises(MeasureError, match="polynomial kernel of degree 0 and offset 1"):
        Polynomial(degree=0)
    with pytest.raises(MeasureError, match="this kernel's scale is not known yet"):
        RBF().entries(x @ x.T, (x**2).sum(1), (x**2).sum(1))
    with pytest.raises(MeasureError, match="no estimator 'unbiased'; there are cross-utterance"):
        kernel_cka(x, y, estimator="unbiased")
    with pytest.raises(MeasureError, match="cross-utterance cka-rbf compares frames of different utterances"):
        kernel_cka(x, y, utterances=[60])
    with pytest.raises(MeasureError, match="got no utterances"):
        kernel_cka(x, y, estimator="cross-utterance")
    with pytest.raises(MeasureError, match="debiased cka-rbf needs at least 4 frames, got 3"):
        kernel_cka(x[:3], y[:3])
    with pytest.raises(MeasureError, match=r"layer 'x' has no similarity with itself left .* look for frames"):
        kernel_cka(torch.eye(40, dtype=torch.float64), y[:40])  # all distances are equal
