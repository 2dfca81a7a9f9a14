"""Correlations of ranks against scipy, and what a trend leaves of them."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from otoscope.study.findings.ranks import beyond_trend, rank_correlation, ranks

few = st.lists(st.integers(0, 6), min_size=3, max_size=15)


@given(few)
def test_ranks_are_scipys_less_a_half(values):
    x = np.array(values, dtype=float)
    assert ranks(x).tolist() == (stats.rankdata(x) - 0.5).tolist()


@given(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), min_size=3, max_size=15))
def test_rank_correlation_is_spearmans(values):
    x, y = np.array(values, dtype=float).T
    found = rank_correlation(x, y)
    if np.ptp(x) == 0 or np.ptp(y) == 0:
        assert math.isnan(found)
    else:
        assert found == pytest.approx(stats.spearmanr(x, y).statistic, abs=1e-12)


@given(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6), st.integers(1, 4)), min_size=3, max_size=10))
def test_a_whole_weight_is_as_many_of_the_same(values):
    x, y, w = np.array(values, dtype=float).T
    many = np.repeat(np.arange(len(w)), w.astype(int))
    expected = rank_correlation(x[many], y[many])
    assert rank_correlation(x, y, w) == pytest.approx(expected, abs=1e-9, nan_ok=True)


def test_degree_one_is_the_partial_correlation_of_ranks():
    random = np.random.default_rng(0)
    x, y, t = random.standard_normal((3, 30)) + np.linspace(0, 2, 30)
    xy, xt, yt = (stats.spearmanr(*two).statistic for two in ((x, y), (x, t), (y, t)))
    closed = (xy - xt * yt) / math.sqrt((1 - xt**2) * (1 - yt**2))
    assert beyond_trend(x, y, t, degree=1) == pytest.approx(closed, abs=1e-12)


def test_the_order_of_the_trend_is_all_that_counts():
    random = np.random.default_rng(1)
    x, y = random.standard_normal((2, 20))
    t = np.arange(20.0)
    assert beyond_trend(x, y, t) == pytest.approx(beyond_trend(x, y, np.log1p(t)))


@pytest.mark.parametrize("n", [3, 5])
def test_too_few_values_tell_nothing(n):
    x = np.random.default_rng(2).standard_normal((3, n))
    assert math.isnan(beyond_trend(*x))


def test_what_only_follows_the_trend_tells_nothing():
    t = np.arange(12.0)
    assert math.isnan(beyond_trend(np.exp(t), np.random.default_rng(3).standard_normal(12), t))


@pytest.mark.parametrize(("degree", "least", "most"), [(1, 0.15, 0.5), (3, -0.1, 0.1)])
def test_a_cubic_takes_out_that_two_curves_level_off_alike(degree, least, most):
    """Independent noise about curves that level off: a straight line in the ranks leaves a relation."""
    random = np.random.default_rng(4)
    t = np.arange(20.0)
    course = 1 - np.exp(-t / 3)
    found = [beyond_trend(*(course + random.normal(0, 0.05, (2, 20))), t, degree=degree) for _ in range(300)]
    assert least < np.mean(found) < most
