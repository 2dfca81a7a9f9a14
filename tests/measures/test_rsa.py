"""Representational similarity analysis against scipy, with ties, pooling and what it refuses."""

import numpy as np
import pytest
import torch
from scipy.spatial.distance import cosine, pdist, squareform
from scipy.stats import pearsonr, spearmanr

from otoscope.errors import MeasureError
from otoscope.measures import Samples, get, rsa

from . import reference_samples as reference
from .data import index_of, normal, related, rotation

LENGTHS = [10, 25, 5, 20, 30, 10, 15, 5, 40, 40]
INDEX = index_of(LENGTHS)
COMPARE = {
    "pearson": lambda a, b: pearsonr(a, b).statistic,
    "spearman": lambda a, b: spearmanr(a, b).statistic,
    "cosine": lambda a, b: 1 - cosine(a, b),
}


@pytest.mark.parametrize("dissimilarity", ["euclidean", "correlation", "cosine"])
@pytest.mark.parametrize("comparison", list(COMPARE))
@pytest.mark.parametrize("centre", [True, False])
def test_agrees_with_scipy(dissimilarity, comparison, centre):
    x, y = related(200, 6, 9)
    found = rsa(x, y, utterances=LENGTHS, dissimilarity=dissimilarity, comparison=comparison, centre=centre)
    items = [reference.pooled(z, INDEX) for z in (x, y)]
    a, b = (pdist(z - z.mean(0) if centre else z, dissimilarity) for z in items)
    assert found.value == pytest.approx(COMPARE[comparison](a, b), rel=1e-9)
    assert (found.frames, found.utterances, found.measure) == (200, 10, "rsa")


def test_tied_dissimilarities_share_their_ranks():
    x = np.array([[0.0], [1.0], [2.0], [3.0], [5.0]])
    y = np.array([[0.0], [2.0], [2.0], [4.0], [3.0]])
    found = rsa(x, y, utterances=range(5)).value
    assert found == pytest.approx(reference.spearman(pdist(x), pdist(y)), rel=1e-12)


def test_segments_are_pooled_wherever_they_are():
    x, y = related(200, 6, 9)
    labels = np.random.default_rng(0).permutation(INDEX)
    tokens = np.array(["abcdefghij"[i] for i in labels])
    a, b = (pdist(reference.pooled(z, labels)) for z in (x, y))
    assert rsa(x, y, segments=tokens).value == pytest.approx(spearmanr(a, b).statistic, rel=1e-9)
    assert rsa(x, y, segments=LENGTHS) == rsa(x, y, utterances=LENGTHS)


@pytest.mark.parametrize("comparison", list(COMPARE))
def test_the_null_is_the_mean_over_permutations_of_the_items(comparison):
    x, y = related(200, 6, 9)
    found = rsa(x, y, utterances=LENGTHS, comparison=comparison)
    a, b = (squareform(pdist(reference.pooled(z, INDEX))) for z in (x, y))
    if comparison == "cosine":
        assert found.null == pytest.approx(reference.permutation_null_of_cosine(a, b), abs=1e-3)
        assert found.null > 0.5
        return
    random, values = np.random.default_rng(0), []
    for _ in range(2000):
        p = random.permutation(10)
        values.append(COMPARE[comparison](squareform(a), squareform(b[np.ix_(p, p)])))
    assert found.null == 0
    assert abs(np.mean(values)) < 4 * np.std(values) / 2000**0.5


def test_what_does_not_change_it():
    x, y = related(200, 6, 9)
    offsets = 100 * normal(6)
    for dissimilarity, change in (
        ("euclidean", (x @ rotation(6) + offsets) * 1e-6),
        ("cosine", (x @ rotation(6) + offsets) * 1e-6),
        ("correlation", x[:, [3, 1, 0, 5, 4, 2]] * 1e6 + offsets),
    ):
        base = rsa(x, y, utterances=LENGTHS, dissimilarity=dissimilarity, comparison="pearson").value
        found = rsa(change, y, utterances=LENGTHS, dissimilarity=dissimilarity, comparison="pearson").value
        assert found == pytest.approx(base, abs=1e-9)


def test_large_offsets_without_centring_hide_the_items():
    """Why `centre` is on: a few units with large means make every correlation between items the same."""
    x, y = related(200, 30, 30)
    x, y = (z + 50 * torch.eye(30, dtype=torch.float64)[k] for k, z in enumerate((x, y)))
    plain, centred = (
        rsa(x, y, utterances=LENGTHS, dissimilarity="correlation", comparison="pearson", centre=c).value
        for c in (False, True)
    )
    right = rsa(*related(200, 30, 30), utterances=LENGTHS, dissimilarity="correlation", comparison="pearson").value
    assert centred == pytest.approx(right, abs=1e-9)
    assert abs(plain - right) > 0.02


def test_float16_and_an_offset_of_1000():
    x, y = related(200, 6, 9)
    base = rsa(x, y, utterances=LENGTHS, comparison="pearson").value
    shifted = rsa((x + 1000).float(), (y + 1000).float(), utterances=LENGTHS, comparison="pearson").value
    assert shifted == pytest.approx(base, abs=1e-4)
    assert rsa((20 * x).half(), y.half(), utterances=LENGTHS, comparison="pearson").value == pytest.approx(
        base, abs=1e-2
    )


def test_more_items_than_are_taken():
    x, y = related(2000, 4, 4)
    found = rsa(x, y, utterances=[10] * 200, max_items=50)
    assert (found.frames, found.utterances) == (500, 50)
    assert found == rsa(x, y, utterances=[10] * 200, max_items=50)
    assert rsa(x, y, utterances=[10] * 200).utterances == 200


def test_all_pairs_are_what_each_pair_is():
    x, y = related(200, 6, 9)
    samples = Samples.of({"a": x, "b": y}, utterances=LENGTHS)
    compute = get("rsa").compute
    assert compute(samples, "b", "a").value == pytest.approx(rsa(x, y, utterances=LENGTHS).value, rel=1e-12)
    assert compute(samples, "a", "b", comparison="pearson") != compute(samples, "a", "b")


def test_refusals():
    x, y = related(200, 6, 9)
    with pytest.raises(MeasureError, match="rsa compares items: give either `utterances` or `segments`"):
        rsa(x, y)
    with pytest.raises(MeasureError, match="give either"):
        rsa(x, y, utterances=LENGTHS, segments=LENGTHS)
    with pytest.raises(MeasureError, match="rsa compares utterances or segments and needs at least 4, got 3"):
        rsa(x, y, utterances=[100, 50, 50])
    with pytest.raises(MeasureError, match="got none"):
        get("rsa").compute(Samples.of({"x": x, "y": y}), "x", "y")
    with pytest.raises(MeasureError, match="no dissimilarity 'manhattan'; there are euclidean"):
        rsa(x, y, utterances=LENGTHS, dissimilarity="manhattan")
    with pytest.raises(MeasureError, match="no comparison 'kendall'; there are spearman"):
        rsa(x, y, utterances=LENGTHS, comparison="kendall")
    with pytest.raises(
        MeasureError, match=r"correlation dissimilarity is not defined for 10 of 10 items of layer 'x' \(1"
    ):
        rsa(x[:, :1], y, utterances=LENGTHS, dissimilarity="correlation")
    with pytest.raises(MeasureError, match="layer 'y' is constant"):
        rsa(x, torch.full((200, 3), 0.1), utterances=LENGTHS)
    corners = torch.eye(4, dtype=torch.float64).repeat_interleave(5, 0)
    with pytest.raises(MeasureError, match="all 6 dissimilarities of layer 'x' are equal"):
        rsa(corners, y[:20], utterances=[5] * 4)
