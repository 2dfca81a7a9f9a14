"""What docs/methods/cross-utterance.md says of the estimator: its bias, its spread, and where it fails."""

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from otoscope.measures import Moments, cka, get
from otoscope.measures.cka import similarity_sum

from . import reference
from .data import autoregressive, index_of, normal, related

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


def script(name):
    spec = importlib.util.spec_from_file_location(f"benchmark_{name}", BENCHMARKS / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # where dataclasses look for their annotations
    spec.loader.exec_module(module)
    return module


def test_utterances_of_one_frame_give_the_debiased_form_and_a_little_more():
    """S − S_debiased = 2/(n − 2) Σ (aᵢ − ā)(bᵢ − b̄), exactly."""
    x, y = related(60, 5, 4)
    moments, plain = Moments.of({"x": x, "y": y}, utterances=range(60)), Moments.of({"x": x, "y": y})
    a, b = (((z - z.mean(0)) ** 2).sum(1) for z in (x, y))
    gap = similarity_sum(moments, "x", "y", "cross-utterance") - similarity_sum(plain, "x", "y", "debiased")
    assert gap == pytest.approx(float(2 / 58 * ((a - a.mean()) * (b - b.mean())).sum()), rel=1e-9)


@pytest.mark.parametrize("lengths", [[60, 60], [60, 60, 60], [20, 150, 20]])
def test_the_mean_term_removes_the_bias_of_estimated_means(lengths):
    """On unrelated layers: without it the estimator reads far above 0, with it 0 within three standard errors."""
    with_term, without = [], []
    compare = script("cross_utterance").without_mean_term
    for seed in range(120):
        x, y = (autoregressive(1, sum(lengths), 12, 0.0, seed=1000 * s + seed) for s in (1, 2))
        x, y = (torch.cat([_slow(part) for part in z.split(lengths)]) for z in (x, y))
        with_term.append(cka(x, y, utterances=lengths).value)
        without.append(compare(x.numpy(), y.numpy(), lengths))
    error = np.std(with_term) / np.sqrt(120)
    assert abs(np.mean(with_term)) < 3 * error
    assert np.mean(without) > 3 * error


def _slow(noise, phi=0.85):
    """AR(1) from white noise, from its stationary start."""
    x = noise.double().clone()
    for t in range(1, len(x)):
        x[t] = phi * x[t - 1] + (1 - phi**2) ** 0.5 * x[t]
    return x


def test_its_spread_on_unrelated_layers():
    """√2 over the number of independent frames."""
    values, lags = [], np.arange(1, 60)
    for seed in range(150):
        x, y = (autoregressive(20, 60, 10, 0.8, seed=2 * seed + s) for s in (0, 1))
        values.append(cka(x, y, utterances=[60] * 20).value)
    size = 1200 / (1 + 2 * ((1 - lags / 60) * 0.8 ** (2 * lags)).sum())
    assert np.std(values) == pytest.approx(np.sqrt(2) / size, rel=0.2)


def test_what_utterances_share_in_both_layers_counts():
    """Offsets in 4 of 16 directions with a unit's variance: Σ_xy has four ones, Σ_xx four twos and twelve ones."""
    values = []
    for seed in range(30):
        offsets = normal(60, 4, seed=500 + seed).repeat_interleave(40, 0)
        x, y = (normal(2400, 16, seed=2 * seed + s) for s in (0, 1))
        x[:, :4] += offsets
        y[:, :4] += offsets
        values.append(cka(x, y, utterances=[40] * 60).value)
    assert np.mean(values) == pytest.approx(4 / (4 * 4 + 12), abs=0.015)


def test_speakers_with_several_utterances_are_given_as_utterances():
    """Each layer has its own offsets by speaker: unrelated, but two utterances of one speaker agree in both."""
    by_utterance, by_speaker = [], []
    speaker = np.repeat(np.arange(8), 4)
    for seed in range(40):
        x, y = (normal(32 * 30, 8, seed=4 * seed + s) for s in (0, 1))
        for z, s in ((x, 2), (y, 3)):
            z += 1.5 * normal(8, 8, seed=4 * seed + s)[speaker].repeat_interleave(30, 0)
        by_utterance.append(cka(x, y, utterances=[30] * 32).value)
        by_speaker.append(cka(x, y, utterances=np.repeat(speaker, 30)).value)
    assert np.mean(by_utterance) > 0.15
    assert abs(np.mean(by_speaker)) < 3 * np.std(by_speaker) / np.sqrt(40) + 0.01


def test_the_u_statistic_of_the_tables_is_the_definition():
    lengths = [3, 5, 2, 4, 4]
    x, y = (z.numpy() for z in related(18, 3, 4))
    found = script("cross_utterance").u_statistic(x, y, lengths)
    assert found == pytest.approx(reference.cka_over_distinct_utterances(x, y, index_of(lengths)), rel=1e-9)


def test_the_tables_are_printed():
    tables = script("cross_utterance")
    for table in (tables.few, tables.factors):
        rows = list(table(1))
        assert len({row.count("|") for row in rows}) == 1
        assert len(rows) > 6


def test_the_truths_of_the_coverage_table_are_what_much_speech_reads():
    coverage = script("coverage")
    cell = coverage.Cell("much", 600, latent=6, strength=2.5, phi=0.3)
    views, lengths = cell.study(0)
    moments = Moments.of(views, utterances=lengths)
    truth = coverage.truths(*cell.covariances())
    for name in cell.measures:
        assert get(name).compute(moments, "x", "y").value == pytest.approx(truth[name], abs=0.02), name


def test_rows_of_the_coverage_table():
    coverage = script("coverage")
    cell = coverage.Cell("few", 20, latent=2, strength=1.5, measures=("cka", "cca-r2"))
    rows, shares = coverage.run(cell, 12)
    assert len(rows) == 2
    assert min(shares.values()) > 0.6
    assert coverage.shown(0.95) == "95.0%"
    assert coverage.shown(0.9) == "**90.0%**"
