"""Ranks and their correlation against scipy."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from otoscope.study.findings.ranks import rank_correlation, ranks

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
