"""Agreement with scikit-learn, where it computes the same thing."""

import numpy as np
import pytest
from sklearn.cross_decomposition import CCA
from sklearn.decomposition import PCA
from sklearn.linear_model import LinearRegression

from otoscope.measures import cca, describe, held_out_cca, r2_cca, regression

from .data import related

LENGTHS = [100, 80, 120]


def variates(x, y):
    k = min(x.shape[1], y.shape[1])
    return CCA(n_components=k, max_iter=100_000, tol=1e-13).fit(x, y)


def correlations(a, b):
    return np.array([np.corrcoef(a[:, i], b[:, i])[0, 1] for i in range(a.shape[1])])


@pytest.mark.parametrize("shape", [(6, 6), (8, 4), (3, 7)])
def test_canonical_correlations(shape):
    x, y = (z.numpy() for z in related(300, *shape))
    theirs = correlations(*variates(x, y).transform(x, y))
    assert np.allclose(cca(x, y).correlations, theirs, atol=1e-7)
    assert cca(x, y).value == pytest.approx(theirs.mean(), rel=1e-6)
    assert r2_cca(x, y).value == pytest.approx((theirs**2).mean(), rel=1e-6)


def test_held_out_canonical_correlations():
    x, y = (z.numpy() for z in related(sum(LENGTHS), 6, 4))
    index, expected = np.repeat(range(3), LENGTHS), 0
    for u, n in enumerate(LENGTHS):
        train, held = index != u, index == u
        found = correlations(*variates(x[train], y[train]).transform(x[held], y[held]))
        expected += n / len(x) * found.mean()
    assert held_out_cca(x, y, utterances=LENGTHS, folds=3).value == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("shape", [(6, 6), (8, 4), (3, 7)])
def test_regression(shape):
    x, y = (z.numpy() for z in related(300, *shape))
    predicted = LinearRegression().fit(x, y).predict(x)
    expected = 1 - ((y - predicted) ** 2).sum() / ((y - y.mean(0)) ** 2).sum()
    assert regression(x, y).value == pytest.approx(expected, rel=1e-10)


def test_principal_components():
    x, _ = (z.numpy() for z in related(300, 12, 4))
    share = PCA().fit(x).explained_variance_ratio_
    found = describe(x, variance=0.9)
    assert found.top_share == pytest.approx(share[0], rel=1e-10)
    assert found.components == np.argmax(share.cumsum() >= 0.9) + 1
    assert found.effective_dimension == pytest.approx(1 / (share**2).sum(), rel=1e-10)
