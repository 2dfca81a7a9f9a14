"""Mutual nearest neighbours against whole distance matrices, chance, and what slow speech does to them."""

import numpy as np
import pytest
import torch

from otoscope.errors import MeasureError
from otoscope.measures import Samples, get, mutual_knn
from otoscope.measures import neighbours as module

from . import reference_samples as reference
from .data import autoregressive, index_of, normal, related, rotation

LENGTHS = [60, 90, 50]


@pytest.mark.parametrize("k", [1, 5, 20])
@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
@pytest.mark.parametrize("lengths", [None, LENGTHS])
def test_agrees_with_whole_distance_matrices(k, metric, lengths):
    x, y = related(200, 4, 5)
    index = None if lengths is None else index_of(lengths)
    found = mutual_knn(x, y, k=k, metric=metric, utterances=lengths)
    assert found.value == pytest.approx(reference.mutual_knn(x, y, k, index, metric == "cosine"), abs=1e-12)
    assert found.null == pytest.approx(reference.chance_of_neighbours(200, k, index), rel=1e-12)


def test_tiles_change_nothing(monkeypatch):
    x, y = related(200, 4, 5)
    whole = mutual_knn(x, y, utterances=LENGTHS)
    monkeypatch.setattr(module, "TILE_ENTRIES", 700)  # three rows of distances at a time
    assert mutual_knn(x, y, utterances=LENGTHS) == whole


@pytest.mark.parametrize("lengths", [None, LENGTHS])
def test_independent_layers_read_chance(lengths):
    found = [
        mutual_knn(normal(200, 6, seed=2 * s), normal(200, 6, seed=2 * s + 1), utterances=lengths) for s in range(30)
    ]
    values = [f.value for f in found]
    assert np.mean(values) == pytest.approx(found[0].null, abs=4 * np.std(values) / 30**0.5)


def test_neighbours_in_time_are_not_counted_where_utterances_are_given():
    """Slow independent layers: frames of one utterance are near each other in both, which says nothing of them."""
    lengths, without, across = [40] * 20, [], []
    for seed in range(8):
        x, y = (autoregressive(20, 40, 16, 0.95, seed=2 * seed + k) for k in (0, 1))
        without.append(mutual_knn(x, y).value)
        across.append(mutual_knn(x, y, utterances=lengths))
    null, values = across[0].null, [a.value for a in across]
    assert np.mean(without) > 20 * null
    assert abs(np.mean(values) - null) < 0.25 * null


def test_what_does_not_change_it():
    x, y = related(200, 4, 5)
    base = mutual_knn(x, y).value
    assert mutual_knn(x @ rotation(4) * 1e-6 + 3, y).value == pytest.approx(base, abs=1e-12)
    assert mutual_knn(x, x).value == 1
    order = torch.randperm(200, generator=torch.Generator().manual_seed(0))
    assert mutual_knn(x[order], y[order]).value == pytest.approx(base, abs=1e-12)
    sizes = torch.linspace(1, 5, 200, dtype=torch.float64)[:, None]
    x = x - x.mean(0)
    stretched = torch.cat([x * sizes, -x * sizes])  # centred still
    both, y = torch.cat([x, -x]), torch.cat([y, y + 100])
    assert mutual_knn(stretched, y, metric="cosine").value == mutual_knn(both, y, metric="cosine").value
    assert mutual_knn(stretched, y).value != mutual_knn(both, y).value


def test_more_frames_than_are_taken():
    x, y = related(2000, 4, 4)
    found = mutual_knn(x, y, utterances=[50] * 40, max_frames=500)
    assert (found.frames, found.utterances) == (500, 10)
    assert found.null == pytest.approx(10 / 450)
    assert found == mutual_knn(x, y, utterances=[50] * 40, max_frames=500)


def test_all_pairs_are_what_each_pair_is():
    x, y = related(200, 4, 5)
    samples = Samples.of({"a": x, "dead": torch.zeros(200, 2), "b": y}, utterances=LENGTHS)
    assert get("mutual-knn").compute(samples, "b", "a").value == mutual_knn(x, y, utterances=LENGTHS).value
    with pytest.raises(MeasureError, match="layer 'dead' is constant"):
        get("mutual-knn").compute(samples, "b", "dead")


def test_a_silent_frame_has_no_direction_and_does_no_harm():
    x, y = related(100, 4, 5)
    x = x - x.mean(0)
    x[0] = x[1:].mean(0) * 0
    x[1:] -= x[1:].mean(0)
    assert 0 < mutual_knn(x, y, metric="cosine").value < 1


def test_refusals():
    x, y = related(60, 5, 4)
    with pytest.raises(
        MeasureError, match=r"mutual-knn with k=60 needs at least as many other frames for each .* got 59"
    ):
        mutual_knn(x, y, k=60)
    with pytest.raises(MeasureError, match=r"other frames of other utterances for each frame, got 5;"):
        mutual_knn(x, y, utterances=[55, 5])
    with pytest.raises(MeasureError, match="smaller k of at least 1"):
        mutual_knn(x, y, k=0)
    with pytest.raises(MeasureError, match="no metric 'manhattan'; there are euclidean, cosine"):
        mutual_knn(x, y, metric="manhattan")
