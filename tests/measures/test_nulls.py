"""Null levels against simulation and quadrature."""

import numpy as np
import pytest
from scipy import integrate

from otoscope.measures import cca, cka, pwcca, svcca
from otoscope.measures.nulls import _limit, mean_correlation

from . import reference
from .data import normal

SIZES = [(20, 20, 300), (5, 40, 200), (40, 5, 200), (1, 1, 30), (1, 10, 50), (3, 3, 30), (30, 60, 100), (50, 49, 100)]


@pytest.mark.parametrize(("p", "q", "n"), SIZES)
def test_level_is_what_independent_layers_read(p, q, n):
    draws = min(1000, 4000 // min(p, q))
    values = [reference.cca(normal(n, p, seed=2 * k), normal(n, q, seed=2 * k + 1)) for k in range(draws)]
    assert np.mean(values) == pytest.approx(mean_correlation(p, q, n), abs=0.007)


@pytest.mark.parametrize(("p", "q", "n"), [(4, 4, 6), (4, 4, 8), (20, 20, 30), (30, 10, 35), (1, 5, 7)])
def test_level_with_fewer_frames_than_units_of_both(p, q, n):
    """Effective sizes may be that few: the cosines between two random subspaces that must share directions."""
    random, values = np.random.default_rng(0), []
    for _ in range(400):
        x, y = (np.linalg.qr(z - z.mean(0))[0] for z in (random.normal(size=(n, p)), random.normal(size=(n, q))))
        values.append(np.linalg.svd(x.T @ y, compute_uv=False).mean())
    assert np.mean(values) == pytest.approx(mean_correlation(p, q, n), abs=0.007)


@pytest.mark.parametrize("measure", [cca, pwcca, svcca])
def test_results_carry_it(measure):
    found = [measure(normal(300, 20, seed=2 * k) * 3, normal(300, 8, seed=2 * k + 1)) for k in range(40)]
    assert np.mean([f.value for f in found]) == pytest.approx(found[0].null, abs=0.01)


@pytest.mark.parametrize(("p", "q", "n"), [(20, 20, 300), (5, 40, 200), (2, 97, 100), (60, 60, 121)])
def test_density_has_mass_one_and_the_exact_mean(p, q, n):
    """An independent quadrature of the Wachter law: E[ρ²] = max(p, q)/(n − 1)."""
    (gp, gq) = sorted((p / (n - 1), q / (n - 1)))
    a, b = ((np.sqrt(gp * (1 - gq)) + sign * np.sqrt(gq * (1 - gp))) ** 2 for sign in (-1, 1))

    def density(x):
        return np.sqrt(max((b - x) * (x - a), 0)) / (2 * np.pi * gp * x * (1 - x))

    def expect(of):
        return integrate.quad(lambda x: of(x) * density(x), a, b, limit=500)[0]

    assert expect(lambda x: 1) == pytest.approx(1, abs=1e-5)
    assert expect(lambda x: x) == pytest.approx(max(p, q) / (n - 1), abs=1e-5)
    assert expect(np.sqrt) == pytest.approx(_limit(gp, gq), abs=1e-5)


def test_biased_cka_level_is_its_mean_over_permutations():
    x, y = normal(40, 10), normal(40, 6, seed=1) + 2
    order = np.random.default_rng(0)
    values = [cka(x, y[order.permutation(40)], estimator="biased").value for _ in range(400)]
    assert cka(x, y, estimator="biased").null == pytest.approx(np.mean(values), abs=0.005)


def test_unbiased_estimators_have_level_zero():
    x, y = normal(40, 10), normal(40, 6, seed=1)
    assert cka(x, y).null == cka(x, y, utterances=[20, 20]).null == 0


def test_effective_numbers_of_frames_need_not_be_whole():
    levels = [mean_correlation(8, 5, n) for n in (100, 100.25, 100.5, 101)]
    assert levels == sorted(levels, reverse=True)
    assert levels[1] - levels[3] == pytest.approx(0.75 * (levels[0] - levels[3]), rel=0.02)
    assert mean_correlation(8, 5, 8.9) == 1
    assert mean_correlation(4, 4, 5.001) == pytest.approx(1, abs=1e-3)
