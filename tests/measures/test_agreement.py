"""Agreement with the definitions, written independently in `reference.py`."""

import numpy as np
import pytest
import torch

from otoscope.measures import Moments, cca, chunk, cka, pwcca, svcca

from . import reference
from .data import index_of, related

LENGTHS = [40, 7, 1, 60, 40, 25, 12, 15]
FRAMES = sum(LENGTHS)


@pytest.mark.parametrize("shape", [(12, 9), (5, 20), (1, 8), (20, 20)])
@pytest.mark.parametrize("estimator", ["biased", "debiased", "cross-utterance"])
def test_cka(estimator, shape):
    x, y = related(FRAMES, *shape)
    utterances = LENGTHS if estimator == "cross-utterance" else None
    expected = reference.cka(x, y, estimator=estimator, index=index_of(LENGTHS))
    assert cka(x, y, estimator=estimator, utterances=utterances).value == pytest.approx(expected, abs=1e-11)


@pytest.mark.parametrize("shape", [(12, 9), (5, 20), (1, 8), (20, 20)])
@pytest.mark.parametrize("measure", [cca, svcca, pwcca])
def test_cca_family(measure, shape):
    x, y = related(FRAMES, *shape)
    assert measure(x, y).value == pytest.approx(getattr(reference, measure.__name__)(x, y), abs=1e-11)


@pytest.mark.parametrize("variance", [0.3, 0.5, 0.9, 1.0])
def test_svcca_at_other_variances(variance):
    x, y = related(FRAMES, 12, 9)
    assert svcca(x, y, variance=variance).value == pytest.approx(reference.svcca(x, y, variance), abs=1e-11)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_lower_precision_is_read_exactly(dtype):
    """What arrives in a lower precision is measured as it stands, not with that precision's sums."""
    x, y = (z.to(dtype) for z in related(FRAMES, 12, 9))
    index = index_of(LENGTHS)
    for estimator in ("biased", "debiased", "cross-utterance"):
        expected = reference.cka(x.double(), y.double(), estimator=estimator, index=index)
        assert cka(x, y, estimator=estimator, utterances=index).value == pytest.approx(expected, abs=1e-11)
    assert cca(x, y).value == pytest.approx(reference.cca(x.double(), y.double()), abs=1e-11)


def test_numpy_and_torch_alike():
    x, y = (z.float() for z in related(FRAMES, 12, 9))
    frozen = x.numpy().copy()
    frozen.flags.writeable = False
    assert cka(frozen, y.numpy(), utterances=LENGTHS).value == cka(x, y, utterances=LENGTHS).value
    assert cca(x.numpy()[:, ::-1], y).value == pytest.approx(cca(x, y).value, abs=1e-12)
    assert cca(x.requires_grad_(), y).value == cca(x.detach(), y).value


def test_input_stays_as_it_is():
    x, y = related(FRAMES, 12, 9)
    before = x.clone()
    cka(x, y, utterances=LENGTHS)
    cka(x.numpy(), y.numpy())
    assert torch.equal(x, before)


@pytest.mark.parametrize(("memory_bound", "tile", "short"), [(-1e9, 384, 1 << 16), (1e9, 384, 1 << 16), (1e9, 8, 10)])
def test_both_ways_to_within_utterance_similarity(monkeypatch, memory_bound, tile, short):
    """From each utterance's A_u or from its Gram matrices, whole or in tiles: the same sums."""
    x, y = related(FRAMES, 12, 9)
    expected = reference.cka(x, y, estimator="cross-utterance", index=index_of(LENGTHS))
    monkeypatch.setattr(chunk, "MEMORY_BOUND", memory_bound)
    monkeypatch.setattr(chunk, "TILE", tile)
    monkeypatch.setattr(chunk, "SHORT", short)
    assert cka(x, y, estimator="cross-utterance", utterances=LENGTHS).value == pytest.approx(expected, abs=1e-11)


def test_pairs_seen_from_either_side():
    x, y = related(FRAMES, 12, 9)
    moments = Moments.of({"x": x, "y": y}, utterances=LENGTHS)
    forward, backward = moments.pair("x", "y"), moments.pair("y", "x")
    assert torch.equal(forward.cross.T, backward.cross)
    assert torch.equal(forward.norm_x, backward.norm_y)
    assert pwcca(y, x).value == pytest.approx(reference.pwcca(y, x), abs=1e-11)
    assert np.isclose(float(forward.cross[0, 0]), float((x[:, 0] - x[:, 0].mean()) @ (y[:, 0] - y[:, 0].mean())))
