"""Partial correlations of ranks against textbooks, and what is left of two courses of training."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from otoscope.study.findings.partial import partial_rank_correlation, unexplained


def test_with_nothing_given_it_is_spearmans():
    x, y = np.random.default_rng(0).integers(0, 6, (2, 30)).astype(float)
    assert partial_rank_correlation(x, y) == pytest.approx(stats.spearmanr(x, y).statistic)


def test_one_thing_given_is_the_textbooks_partial_correlation():
    x, y, z = np.random.default_rng(1).normal(size=(3, 25)) + np.linspace(0, 3, 25)
    xy, xz, yz = (stats.spearmanr(*pair).statistic for pair in ((x, y), (x, z), (y, z)))
    expected = (xy - xz * yz) / math.sqrt((1 - xz**2) * (1 - yz**2))
    assert partial_rank_correlation(x, y, (z,)) == pytest.approx(expected)
    assert unexplained(x, (z,)) == pytest.approx(1 - xz**2)


def test_two_things_given_are_taken_out_one_after_the_other():
    """r_xy.zw from the three correlations that are partial in z (Kendall 1942)."""
    x, y, z, w = np.random.default_rng(2).normal(size=(4, 25)) + np.linspace(0, 2, 25)
    xy, xw, yw = (partial_rank_correlation(*pair, (z,)) for pair in ((x, y), (x, w), (y, w)))
    expected = (xy - xw * yw) / math.sqrt((1 - xw**2) * (1 - yw**2))
    assert partial_rank_correlation(x, y, (z, w)) == pytest.approx(expected)


def test_what_others_explain_wholly_has_nothing_left_to_go_with_anything():
    x, y = np.random.default_rng(3).normal(size=(2, 20))
    assert partial_rank_correlation(x, y, (x**3,)) == 0
    assert math.isnan(partial_rank_correlation(x, y, (y**3,)))
    assert math.isnan(partial_rank_correlation(x, np.ones(20)))
    assert math.isnan(partial_rank_correlation(np.ones(20), y))


@pytest.mark.parametrize(("degree", "least", "most"), [(1, 0.15, 0.5), (3, -0.1, 0.1)])
def test_a_cubic_takes_out_that_two_curves_level_off_alike(degree, least, most):
    """Independent noise about curves that level off: a straight line in the ranks leaves a relation."""
    random = np.random.default_rng(4)
    course = 1 - np.exp(-np.arange(20.0) / 3)
    found = [partial_rank_correlation(*(course + random.normal(0, 0.05, (2, 20))), trend=degree) for _ in range(300)]
    assert least < np.mean(found) < most
