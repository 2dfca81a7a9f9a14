"""Quantiles of Student's t against scipy."""

import pytest
from scipy import stats

from otoscope.errors import MeasureError
from otoscope.measures.inference.student import check_level, t_quantile


@pytest.mark.parametrize("degrees", [1, 2, 3, 4, 5, 10, 19, 19.5, 50, 200, 10_000])
@pytest.mark.parametrize("probability", [0.01, 0.025, 0.6, 0.75, 0.9, 0.975, 0.995, 0.9999, 1 - 1e-9])
def test_quantiles(probability, degrees):
    assert t_quantile(probability, degrees) == pytest.approx(stats.t.ppf(probability, degrees), rel=1e-9)


def test_the_middle_is_zero_and_the_tails_mirror():
    assert t_quantile(0.5, 7) == pytest.approx(0, abs=1e-12)
    assert t_quantile(0.1, 7) == -t_quantile(0.9, 7)


@pytest.mark.parametrize("level", [0, 1, 95, -0.5, float("nan")])
def test_levels_that_are_no_share(level):
    with pytest.raises(MeasureError, match=r"level is .*; expected a share between 0 and 1, such as 0\.95"):
        check_level(level)
