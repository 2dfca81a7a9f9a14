"""CKA without leading principal components."""

import numpy as np
import pytest
import torch

from otoscope.errors import MeasureError
from otoscope.measures import Samples, cka, get, pc_removed_cka

from . import reference
from .data import index_of, normal, related

LENGTHS = [40, 7, 1, 60, 40, 25, 12, 15]
FRAMES = sum(LENGTHS)


@pytest.mark.parametrize("estimator", ["biased", "debiased", "cross-utterance"])
@pytest.mark.parametrize("k", [0, 1, 3])
@pytest.mark.parametrize("shape", [(12, 9), (5, 20)])
def test_against_the_definition(shape, k, estimator):
    x, y = related(FRAMES, *shape)
    utterances = LENGTHS if estimator == "cross-utterance" else None
    expected = reference.pc_removed_cka(x, y, k, estimator=estimator, index=index_of(LENGTHS))
    found = pc_removed_cka(x, y, k=k, estimator=estimator, utterances=utterances)
    assert found.value == pytest.approx(expected, rel=1e-8)
    assert found.ranks == (shape[0] - k, shape[1] - k)


def test_none_removed_is_cka():
    x, y = related(FRAMES, 12, 9)
    assert pc_removed_cka(x, y, k=0, utterances=LENGTHS).value == pytest.approx(
        cka(x, y, utterances=LENGTHS).value, abs=1e-12
    )


def test_one_loud_direction_makes_layers_alike():
    """A block in a map of CKA that is a single direction's doing."""
    loud, a, b = (normal(500, p, seed=k) for k, p in enumerate([1, 20, 20]))
    x, y = torch.cat([40 * loud, a], 1), torch.cat([40 * loud, b], 1)
    assert cka(x, y).value > 0.99
    assert abs(pc_removed_cka(x, y).value) < 0.05


def test_all_layers_at_once_in_chunks(monkeypatch):
    """The same for every pair of many layers, whatever the size of a chunk; a dead layer spoils nothing else."""
    x, y = related(FRAMES, 12, 9)
    views = {"a": x, "b": y.float(), "c": torch.cat([x, y], 1), "dead": torch.ones(FRAMES, 3), "one": x[:, :1]}
    module = __import__("sys").modules[pc_removed_cka.__module__]
    whole = Samples.of(views, utterances=LENGTHS)
    expected = pc_removed_cka(x, y.float(), utterances=LENGTHS).value
    compute = get("cka-pc-removed").compute
    assert compute(whole, "a", "b").value == pytest.approx(expected, abs=1e-10)
    for entries in (1, 60 * 35):
        monkeypatch.setattr(module, "CHUNK_ENTRIES", entries)
        for utterances in (LENGTHS, None):
            samples = Samples.of(views, utterances=utterances)
            single = pc_removed_cka(x, views["c"], utterances=utterances).value
            assert compute(samples, "c", "a").value == pytest.approx(single, abs=1e-10)
    with pytest.raises(MeasureError, match="layer 'dead' is constant"):
        compute(whole, "a", "dead")
    with pytest.raises(MeasureError, match="layer 'one' has rank 1, so that nothing is left of it without 1"):
        compute(whole, "one", "a")


def test_offset_in_float32():
    x, y = (z.float() for z in related(FRAMES, 12, 9))
    base = pc_removed_cka(x, y, utterances=LENGTHS).value
    assert pc_removed_cka(x + 1000, y - 1000, utterances=LENGTHS).value == pytest.approx(base, abs=1e-4)


def test_null_of_the_biased_estimator():
    x, y = normal(60, 10), normal(60, 6, seed=1)
    order = np.random.default_rng(0)
    values = [pc_removed_cka(x, y[order.permutation(60)], estimator="biased").value for _ in range(300)]
    assert pc_removed_cka(x, y, estimator="biased").null == pytest.approx(
        np.mean(values), abs=4 * np.std(values) / 300**0.5
    )


@pytest.mark.parametrize("k", [-1, 0.5])
def test_k_is_a_whole_number(k):
    with pytest.raises(MeasureError, match="expected a whole number of components to remove"):
        pc_removed_cka(*related(FRAMES, 12, 9), k=k)
