"""What is read off layers of which it is known what they say: all of it, some of it, nothing."""

import numpy as np
import pytest
import torch
from scipy.stats import binom
from sklearn.linear_model import Ridge

from otoscope import Folds, Moments, cka, held_out_cca
from otoscope.measures.held_out_cca import compute
from otoscope.study.content import METHODS
from otoscope.study.content.correlation import _whitened, left_out
from otoscope.study.content.intervals import ERROR, SHARE, block_interval
from otoscope.study.content.numbers_probe import PENALTIES, _fits
from otoscope.study.content.score import Score
from tests.study.content.constructed import EACH, FRAMES, SPEAKERS, classes, correlated, one_hot, target

TOTAL = SPEAKERS * EACH * FRAMES


@pytest.mark.parametrize("method", METHODS)
def test_a_layer_that_is_the_label_says_all_of_it(method):
    names = classes()
    score = METHODS[method](one_hot(names), target(names))
    assert score.value > 0.999
    assert score.low > 0.99


@pytest.mark.parametrize("method", METHODS)
def test_a_layer_that_is_the_numbers_says_all_of_them(method):
    y = correlated(3, phi=0.9, seed=1)
    score = METHODS[method](torch.from_numpy(y), target(y, numbers=True))
    assert score.value > 0.999


@pytest.mark.parametrize("numbers", [False, True])
@pytest.mark.parametrize("method", METHODS)
def test_a_layer_that_is_constant_says_nothing_or_is_refused(method, numbers):
    from otoscope import MeasureError

    y = correlated(2, phi=0.9, seed=1) if numbers else classes()
    asked = target(y, numbers=numbers)
    if method == "probe":
        score = METHODS[method](torch.ones(TOTAL, 4), asked)
        assert score.value == pytest.approx(score.chance, abs=1e-9)
    else:
        with pytest.raises(MeasureError, match="constant"):
            METHODS[method](torch.ones(TOTAL, 4), asked)


DRAWS = 40
FEW = int(binom.ppf(0.001, DRAWS, 0.95))
"""Intervals that cover the truth in 95 % of all studies do so at least this often, but for one time in a thousand."""


def unrelated(method, *, numbers):
    scores = []
    for seed in range(DRAWS):
        y = correlated(2, phi=0.95, seed=2 * seed) if numbers else classes(phi=0.95, seed=2 * seed)
        x = torch.from_numpy(correlated(12, phi=0.95, seed=2 * seed + 1))
        scores.append(METHODS[method](x, target(y, numbers=numbers)))
    return scores


@pytest.mark.parametrize("numbers", [False, True])
@pytest.mark.parametrize("method", ["cca-held-out", "cka"])
def test_correlated_noise_reads_0_and_intervals_cover_it(method, numbers):
    scores = unrelated(method, numbers=numbers)
    values = np.array([s.value for s in scores])
    assert abs(values.mean()) < 4 * values.std(ddof=1) / np.sqrt(DRAWS)
    assert sum(s.low <= 0 <= s.high for s in scores) >= FEW


def test_correlated_noise_tells_no_numbers():
    scores = unrelated("probe", numbers=True)
    assert -0.05 < np.mean([s.value for s in scores]) < 0.005
    assert sum(s.low <= 0 for s in scores) >= FEW


def test_correlated_noise_tells_classes_no_better_than_chance():
    scores = unrelated("probe", numbers=False)
    assert np.mean([s.value - s.chance for s in scores]) < 0.01
    assert sum(s.low <= s.chance for s in scores) >= FEW


def test_a_split_by_frame_would_read_noise_as_speech():
    # What splits by speaker are for: neighbours of a tested frame tell its label.
    y = classes(phi=0.98, seed=3)
    x = torch.from_numpy(correlated(40, phi=0.98, seed=4))
    by_speaker = METHODS["cca-held-out"](x, target(y)).value
    by_frame = held_out_cca(x, one_hot(y), utterances=np.random.default_rng(0).permutation(TOTAL)).value
    assert abs(by_speaker) < 0.1
    assert by_frame > 0.25


def test_labels_some_frames_late_are_told_worse():
    names = classes(phi=0.9)
    x = one_hot(names)
    found = [METHODS["probe"](x.roll(shift, 0), target(names)).value for shift in (0, 1, 3, 10)]
    assert found == sorted(found, reverse=True)
    assert found[0] > 0.999
    assert found[3] < 0.6


@pytest.mark.parametrize("numbers", [False, True])
def test_held_out_cca_is_the_measure_with_folds_of_speakers(numbers):
    y = correlated(3, phi=0.9, seed=5) if numbers else classes(seed=5)
    x = torch.from_numpy(correlated(8, phi=0.9, seed=6)) + (
        torch.from_numpy(y)[:, :1] if numbers else 2 * one_hot(y)[:, :1]
    )
    asked = target(y, numbers=numbers)
    expected = held_out_cca(x, asked.numbers(), utterances=asked.groups, folds=5).value
    found = METHODS["cca-held-out"](x, asked)
    assert found.value == pytest.approx(expected, abs=1e-12)
    assert found.low < found.value < found.high
    left = left_out(*(_whitened(v) for v in (x, asked.numbers())), asked.folds, asked.blocks)
    for block in range(len(left)):
        kept = asked.blocks != block
        parts = [
            Moments.of({"x": x[kept & (asked.folds == f)], "y": asked.numbers()[kept & (asked.folds == f)]})
            for f in asked.fold_numbers
        ]
        assert left[block] == pytest.approx(compute(Folds.between(parts), "x", "y").value, abs=1e-6)


@pytest.mark.parametrize(("method", "estimator"), [("cka", "cross-utterance"), ("cka-debiased", "debiased")])
def test_cka_is_the_measure(method, estimator):
    names = classes()
    x = torch.from_numpy(correlated(8, phi=0.9, seed=7)) + one_hot(names)[:, :1]
    asked = target(names)
    expected = cka(x, asked.numbers(), utterances=[FRAMES] * (SPEAKERS * EACH), estimator=estimator).value
    assert METHODS[method](x, asked).value == pytest.approx(expected, rel=1e-6)


def test_with_few_rows_cca_is_of_principal_components_and_says_so():
    names = classes(phi=0)
    wide = torch.cat([10 * one_hot(names), torch.randn(TOTAL, 600)], 1)
    score = METHODS["cca-held-out"](wide, target(names))
    assert "480 leading principal components" in score.note
    assert score.value > 0.9


def test_ridge_is_that_of_scikit_learn():
    y, x = correlated(2, phi=0.5, seed=8), correlated(6, phi=0.5, seed=9)
    train = torch.arange(TOTAL) < 1500
    fits = _fits(torch.from_numpy(x).float(), torch.from_numpy(y), train, ~train)
    seen = x[:1500].astype(np.float32)
    scaled = (x.astype(np.float32) - seen.mean(0)) / seen.std(0, ddof=1)
    for penalty, found in zip(PENALTIES, fits, strict=True):
        ridge = Ridge(alpha=penalty * 1500).fit(scaled[:1500], y[:1500])
        np.testing.assert_allclose(found, ridge.predict(scaled[1500:]), atol=1e-5)


def test_r2_is_what_is_left_of_the_variance():
    random = np.random.default_rng(0)
    x = random.standard_normal((TOTAL, 4))
    y = x[:, :1] + random.standard_normal((TOTAL, 1))  # half of the variance is noise
    score = METHODS["probe"](torch.from_numpy(x), target(y, numbers=True))
    assert score.value == pytest.approx(0.5, abs=0.04)
    assert score.low < 0.5 < score.high
    assert score.chance == 0


@pytest.mark.parametrize(("scale", "ends"), [(SHARE, (0, 1)), (ERROR, (-np.inf, 1))])
def test_block_intervals_cover_a_mean_over_speakers(scale, ends):
    random, covered, draws = np.random.default_rng(0), 0, 400
    for _ in range(draws):
        sizes = random.integers(50, 150, 20)
        sums = sizes * np.clip(random.normal(0.7, 0.1, 20), 0.01, 0.99)
        value = sums.sum() / sizes.sum()
        left = (sums.sum() - sums) / (sizes.sum() - sizes)
        low, high = block_interval(value, left, sizes.tolist(), scale)
        assert ends[0] <= low <= value <= high <= ends[1]
        covered += low <= 0.7 <= high
    assert 0.91 <= covered / draws <= 0.985


def test_too_few_blocks_have_no_interval():
    assert np.isnan(block_interval(0.5, np.array([0.4, 0.6]), [10, 10], SHARE)).all()
    assert np.isnan(block_interval(0.5, np.array([0.4, 0.6, 0.5]), [100, 10, 10], SHARE)).all()
    assert block_interval(1.0, np.array([1.0, 1.0, 1.0]), [10, 10, 10], SHARE) == (1.0, 1.0)


def test_a_score_says_nothing_of_its_interval_unless_told():
    assert np.isnan([Score(0.5).low, Score(0.5).high]).all()
