"""Random Fourier features: the kernel on average, with an error of 1/√D, and what streams through moments."""

import numpy as np
import pytest
import torch

from otoscope.errors import MeasureError
from otoscope.measures import RBF, Accumulator, Laplace, Moments, Polynomial, kernel_cka, random_features
from otoscope.measures.cka import compute

from . import reference_samples as reference
from .data import autoregressive, related


def streamed(views, kernel, dimension, *, seed=0, utterances=None, estimator=None):
    kernels = {name: kernel.fitted(x - x.mean(0)) for name, x in views.items()}
    widths = {name: x.shape[1] for name, x in views.items()}
    features = random_features(kernels, widths, dimension=dimension, seed=seed)
    return compute(Moments.of(features(views), utterances=utterances), "x", "y", estimator=estimator).value


@pytest.mark.parametrize(("kernel", "name"), [(RBF(), "rbf"), (RBF(0.5), "rbf"), (Laplace(), "laplace")], ids=str)
def test_inner_products_are_the_kernel_on_average_and_the_error_falls_as_the_root(kernel, name):
    x, _ = related(60, 5, 4)
    K = reference.gram(x, name, kernel.factor)

    def error(dimension):
        found = []
        for seed in range(20):
            make = random_features({"x": kernel.fitted(x)}, {"x": 5}, dimension=dimension, seed=seed)
            z = make({"x": x})["x"]
            found.append((z @ z.T).numpy() - K)
        found = np.array(found)
        assert np.abs(found.mean(0)).max() < 6 / np.sqrt(dimension * 20)
        return np.sqrt((found**2).mean())

    errors = [error(dimension) for dimension in (64, 256, 1024)]
    assert errors[0] < 1 / np.sqrt(64)
    assert errors[0] / errors[1] == pytest.approx(2, rel=0.25)
    assert errors[1] / errors[2] == pytest.approx(2, rel=0.25)


@pytest.mark.parametrize(("kernel", "low_by"), [(RBF(), 3), (Laplace(), 15)], ids=str)
def test_the_error_of_cka_falls_as_the_root(kernel, low_by):
    """Its spread falls as 1/√D. The features' own noise makes layers less like themselves: low by some share of 1/D."""
    x, y = related(200, 6, 5)
    exact = kernel_cka(x, y, kernel=kernel).value
    kernels, widths = {"x": kernel.fitted(x), "y": kernel.fitted(y)}, {"x": 6, "y": 5}

    def found(dimension):
        values = []
        for seed in range(40):
            z = random_features(kernels, widths, dimension=dimension, seed=seed)({"x": x, "y": y})
            values.append(reference.similarity_of(*((f @ f.T).numpy() for f in z.values()), "debiased"))
        return np.array(values)

    few, many = found(256), found(4096)
    assert few.std() / many.std() == pytest.approx(4, rel=0.35)
    assert few.std() < 0.4 / np.sqrt(256)
    for values, dimension in ((few, 256), (many, 4096)):
        assert -low_by / dimension - values.std() / 3 < values.mean() - exact < values.std() / 3


@pytest.mark.parametrize("estimator", ["biased", "debiased", "cross-utterance"])
def test_moments_of_the_features_give_kernel_cka(estimator):
    x, y = related(300, 6, 5)
    lengths = [30] * 10
    exact = kernel_cka(x, y, utterances=lengths, estimator=estimator).value
    assert streamed({"x": x, "y": y}, RBF(), 1024, utterances=lengths, estimator=estimator) == pytest.approx(
        exact, abs=0.03
    )


def test_across_utterances_slow_independent_frames_read_zero():
    lengths, values, exact = [40] * 20, [], []
    for seed in range(8):
        x, y = (autoregressive(20, 40, 8, 0.95, seed=2 * seed + k) for k in (0, 1))
        values.append(streamed({"x": x, "y": y}, RBF(), 256, utterances=lengths))
        exact.append(kernel_cka(x, y, utterances=lengths).value)
    assert abs(np.mean(values)) < 3 * np.std(values, ddof=1) / 8**0.5
    np.testing.assert_allclose(values, exact, atol=0.05)


def test_pieces_of_speech_give_the_same_features_and_sums():
    x, y = (z.float() for z in related(200, 6, 6))
    kernels = {"x": RBF().fitted(x), "y": RBF().fitted(y)}
    widths = {"x": 6, "y": 6}
    whole = random_features(kernels, widths, dimension=64)({"x": x, "y": y})
    total = Accumulator({"x": 64, "y": 64})
    for start in (0, 100):
        again = random_features(kernels, widths, dimension=64)  # as another process would
        part = again({"x": x[start : start + 100].numpy(), "y": y[start : start + 100].numpy()})
        assert torch.equal(part["x"], whole["x"][start : start + 100])
        total.update(part, [60, 40])
    found = compute(total.moments(), "x", "y").value
    assert found == pytest.approx(compute(Moments.of(whole, utterances=[60, 40, 60, 40]), "x", "y").value, rel=1e-9)


def test_equal_layers_have_equal_features():
    x, _ = related(100, 6, 6)
    assert streamed({"x": x, "y": x.clone()}, RBF(), 32) == pytest.approx(1, abs=1e-12)


def test_types():
    x, y = related(50, 4, 4)
    make = random_features({"x": RBF(bandwidth=3.0)}, {"x": 4}, dimension=16)
    for dtype, expected in (
        (torch.float16, torch.float32),
        (torch.float32, torch.float32),
        (torch.float64, torch.float64),
    ):
        assert make({"x": x.to(dtype)})["x"].dtype is expected
    assert make({"x": y})["x"].shape == (50, 16)


def test_refusals():
    kernel = RBF(bandwidth=1.0)
    with pytest.raises(MeasureError, match="random features of kernels for a but widths of b; name the same layers"):
        random_features({"a": kernel}, {"b": 3})
    with pytest.raises(MeasureError, match="random features of dimension 7; expected an even number"):
        random_features({"a": kernel}, {"a": 3}, dimension=7)
    with pytest.raises(MeasureError, match=r"layer 'a' has the kernel Polynomial\(.*\), which has no random Fourier"):
        random_features({"a": Polynomial()}, {"a": 3})
    with pytest.raises(MeasureError, match="this kernel's scale is not known yet"):
        random_features({"a": RBF()}, {"a": 3})
    with pytest.raises(MeasureError, match="layer 'a' has 4 units"):
        random_features({"a": kernel}, {"a": 3})({"a": torch.zeros(5, 4)})
