"""Layers whose similarity is known beforehand."""

import math

import numpy as np
import pytest
import torch

from otoscope.measures import Moments, cca, cka, get, pwcca, svcca

from . import reference
from .data import autoregressive, index_of, normal, rotation

UTTERANCES = 50


def orthonormal(n, k, seed=0):
    """n frames of k centred units, orthonormal: exactly isotropic."""
    z = normal(n, k, seed=seed)
    return torch.linalg.qr(z - z.mean(0)).Q


def test_canonical_correlations_of_exact_mixtures():
    """y_i = ρ_i x_i + √(1 − ρ_i²) e_i on exactly orthonormal columns has the canonical correlations ρ_i."""
    z = orthonormal(200, 10)
    x, e, rho = z[:, :5], z[:, 5:], torch.tensor([0.9, 0.7, 0.5, 0.3, 0.1], dtype=torch.float64)
    y = (rho * x + (1 - rho**2).sqrt() * e) @ normal(5, 5, seed=1)
    found = cca(x @ normal(5, 5, seed=2), y)
    assert np.allclose(found.correlations, rho, atol=1e-12)
    assert found.value == pytest.approx(0.5, abs=1e-12)


def test_projection_weights_by_hand():
    """On x = z Λ the variates are z's columns, α_i = λ_i."""
    z = orthonormal(200, 6)
    scale, rho = torch.tensor([4.0, 2.0, 1.0], dtype=torch.float64), torch.tensor([0.2, 0.6, 0.9], dtype=torch.float64)
    y = rho * z[:, :3] + (1 - rho**2).sqrt() * z[:, 3:]
    assert pwcca(z[:, :3] * scale, y).value == pytest.approx((4 * 0.2 + 2 * 0.6 + 0.9) / 7, abs=1e-12)
    assert pwcca(y, z[:, :3] * scale).value == pytest.approx(1.7 / 3, abs=1e-12)
    assert pwcca(y, z[:, :3]).weighted_by == "x"


def test_biased_cka_of_isotropic_blocks():
    """[A, B] and [A, C] share half their directions; isotropic p of q directions give √(p/q)."""
    z = orthonormal(100, 12)
    assert cka(z[:, :8], z[:, 4:], estimator="biased").value == pytest.approx(0.5, abs=1e-12)
    assert cka(z[:, :3], z, estimator="biased").value == pytest.approx(0.5, abs=1e-12)
    assert cka(z[:, :4], z[:, 4:], estimator="biased").value == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("measure", [cka, cca, svcca, pwcca])
def test_itself_is_one(measure):
    x = normal(300, 20)
    assert measure(x, x).value == pytest.approx(1, abs=1e-10)
    assert measure(x, 3 * x @ rotation(20) + 2).value == pytest.approx(1, abs=1e-10)


def test_unbiased_estimators_where_frames_are_few():
    """Independent isotropic layers: biased CKA reads 0.80 at 128 frames of 512 units, debiased 0."""
    values = {"biased": [], "debiased": []}
    for seed in range(4):
        x, y = normal(128, 512, seed=2 * seed), normal(128, 512, seed=2 * seed + 1)
        for estimator, found in values.items():
            found.append(cka(x, y, estimator=estimator).value)
    assert np.mean(values["biased"]) == pytest.approx(0.80, abs=0.01)
    assert np.mean(values["debiased"]) == pytest.approx(0, abs=0.005)


@pytest.mark.parametrize("phi", [0.9, 0.98])
def test_independent_autoregressive_sequences(phi):
    """20 draws of 50 × 400 frames of 256 units: the default with utterances reads within 0.01 of zero, on average."""
    values = [
        cka(*(autoregressive(UTTERANCES, 400, 256, phi, seed=100 * draw + k) for k in (1, 2)), utterances=[400] * 50)
        for draw in range(20)
    ]
    assert {v.estimator for v in values} == {"cross-utterance"}
    assert abs(np.mean([v.value for v in values])) < 0.002
    assert max(abs(v.value) for v in values) < 0.01


def test_half_shared_autoregressive_sequences():
    """[A, B] and [A, C] of slow sequences: the truth is 0.5, and only the cross-utterance estimator reads it."""
    values = []
    for draw in range(5):
        a, b, c = (autoregressive(UTTERANCES, 200, 64, 0.98, seed=50 * draw + k) for k in range(3))
        x, y = torch.cat([a, b], 1), torch.cat([a, c], 1)
        moments = Moments.of({"x": x, "y": y}, utterances=[200] * UTTERANCES)
        values.append([get(name).compute(moments, "x", "y").value for name in ("cka", "cka-debiased")])
    cross, debiased = np.mean(values, 0)
    assert cross == pytest.approx(0.5, abs=0.01)
    assert debiased > 0.6


def test_the_mean_term_is_needed():
    """Without removing the mean of the between-utterance Gram entries, few slow utterances read far above zero."""
    lengths, values = [100] * 4, []
    for draw in range(60):
        x, y = (autoregressive(4, 100, 32, 0.9, seed=10 * draw + k, dtype=torch.float64) for k in (1, 2))
        m = Moments.of({"x": x, "y": y}, utterances=lengths)
        without = {p: float((m.pair(*p).cross ** 2).sum() - m.pair(*p).within) for p in m.pairs}
        values.append(
            (
                without["x", "y"] / math.sqrt(without["x", "x"] * without["y", "y"]),
                get("cka").compute(m, "x", "y").value,
            )
        )
    without, with_term = np.mean(values, 0)
    assert without > 0.04
    assert abs(with_term) < 0.015


@pytest.mark.parametrize("count", [2, 3, 6])
def test_few_utterances_and_uneven_lengths(count):
    """Two utterances are enough for a mean of zero; what few utterances cost is spread, not bias."""
    lengths = [30 * (k + 1) for k in range(count)]
    values = []
    for draw in range(150):
        x, y = (autoregressive(count, 30 * count, 16, 0.8, seed=10 * draw + k) for k in (1, 2))
        keep = torch.cat([torch.arange(k * 30 * count, k * 30 * count + n) for k, n in enumerate(lengths)])
        values.append(cka(x[keep], y[keep], utterances=lengths).value)
    assert abs(np.mean(values)) < 4 * np.std(values) / math.sqrt(len(values))


def test_near_the_exact_u_statistic_over_distinct_utterances():
    """The four-utterance U-statistic does not stream at this cost; ours stays close to it."""
    lengths = [6, 9, 4, 8, 7, 6]
    differences, spread = [], []
    for draw in range(12):
        x, y = (autoregressive(6, 9, 12, 0.7, seed=20 * draw + k, dtype=torch.float64) for k in (1, 2))
        keep = torch.cat([torch.arange(9 * k, 9 * k + n) for k, n in enumerate(lengths)])
        x, y = x[keep], (y + x if draw % 2 else y)[keep]
        exact = reference.cka_over_distinct_utterances(x.numpy(), y.numpy(), index_of(lengths))
        differences.append(cka(x, y, utterances=lengths).value - exact)
        spread.append(exact)
    assert abs(np.mean(differences)) < 0.02
    assert np.max(np.abs(differences)) < 0.3 * np.ptp(spread)
