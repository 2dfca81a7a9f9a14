"""Effects and their errors, against closed forms."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from otoscope.study.findings.assessing import assess
from otoscope.study.findings.evidence import Entry, Values


def mean_of(name):
    return lambda seen: float(np.mean([one[name].mean() for one in seen]))


def runs(values, left_out=None, recogniser="cnn"):
    return [
        Entry((f"{recogniser}/seed{s}",), {"x": Values(np.array(v), None if left_out is None else left_out[s])})
        for s, v in enumerate(values)
    ]


def test_over_seeds_alone_it_is_the_t_interval_of_the_mean():
    values = [0.2, 0.5, 0.6, 0.9]
    effect = assess(mean_of("x"), runs(values), least=0.4)
    low, high = stats.t.interval(0.95, 3, np.mean(values), stats.sem(values))
    assert (effect.low, effect.high) == pytest.approx((low, high), rel=1e-9)
    assert effect.p_above == pytest.approx(stats.ttest_1samp(values, 0.4, alternative="greater").pvalue, rel=1e-9)
    assert effect.p_below == pytest.approx(stats.ttest_1samp(values, 0.4, alternative="less").pvalue, rel=1e-9)
    assert math.isnan(effect.error_speech)


def test_over_speech_alone_it_is_the_jackknife_of_one_run():
    left = np.random.default_rng(0).normal(0.5, 0.01, size=(20, 3))
    effect = assess(mean_of("x"), runs([left.mean(0)], [left]), least=0.0, draws=20_000)
    pseudo = left.mean(1)
    assert effect.error_speech == pytest.approx(math.sqrt(19 / 20 * ((pseudo - pseudo.mean()) ** 2).sum()), rel=0.02)
    assert math.isnan(effect.error_seeds)
    reach = stats.t.ppf(0.975, 19) * effect.error_speech
    assert effect.high - effect.value == pytest.approx(reach, rel=1e-6)


def test_seeds_and_speech_add_up_with_satterthwaites_degrees_of_freedom():
    random = np.random.default_rng(1)
    values = random.normal(0.5, 0.1, 3)
    left = values[:, None] + random.normal(0, 0.02, (3, 20))
    effect = assess(mean_of("x"), runs(values, left), least=0.0)
    seeds, speech = effect.error_seeds**2, effect.error_speech**2
    freedom = (seeds + speech) ** 2 / (seeds**2 / 2 + speech**2 / 19)
    assert effect.high - effect.value == pytest.approx(
        stats.t.ppf(0.975, freedom) * math.sqrt(seeds + speech), rel=1e-6
    )


def test_recognisers_have_each_their_own_error_over_seeds():
    """The difference of two means: the variances of both add up."""
    one, other = [0.2, 0.4, 0.9], [0.1, 0.15, 0.3]
    evidence = [*runs(one), *runs(other, recogniser="lstm")]

    def difference(seen):
        of = {name: [s["x"].mean() for s in seen if s.runs[0].startswith(name)] for name in ("cnn", "lstm")}
        return float(np.mean(of["cnn"]) - np.mean(of["lstm"]))

    effect = assess(difference, evidence, least=0.0)
    assert effect.error_seeds == pytest.approx(math.hypot(stats.sem(one), stats.sem(other)), rel=1e-9)


def test_pairs_of_runs_are_left_out_with_either_of_them():
    values = {(0, 1): 0.5, (0, 2): 0.7, (1, 2): 0.9}
    entries = [Entry((f"cnn/seed{a}", f"cnn/seed{b}"), {"x": Values(np.array(v))}) for (a, b), v in values.items()]
    effect = assess(mean_of("x"), entries, least=0.0)
    without = np.array([0.9, 0.7, 0.5])
    assert effect.error_seeds == pytest.approx(math.sqrt(2 / 3 * ((without - without.mean()) ** 2).sum()))


def test_one_run_without_intervals_has_a_value_and_nothing_more():
    effect = assess(mean_of("x"), runs([0.5]), least=0.0)
    assert effect.value == 0.5
    assert math.isnan(effect.low)
    assert math.isnan(effect.p_above)


@pytest.mark.parametrize(("value", "above"), [(0.5, 0.0), (0.3, 1.0), (0.4, 1.0)])
def test_an_effect_that_nothing_changes_is_certain(value, above):
    effect = assess(mean_of("x"), runs([value] * 3), least=0.4)
    assert (effect.low, effect.high) == pytest.approx((value, value))
    assert effect.p_above == above


def test_the_interval_covers_the_truth_as_often_as_it_says():
    """Rank correlations of noisy similarities, over seeds and speech: too wide is right, too narrow is not."""
    random, hits, draws = np.random.default_rng(2), 0, 200
    for _ in range(draws):
        true = random.normal(0.5, 0.1, 4)
        common = random.normal(0, 0.05, 20)
        left = true[:, None] - (common - common.mean()) / 19
        seen = true + common.mean()
        effect = assess(mean_of("x"), runs(seen, left + common.mean()), least=0.0)
        hits += effect.low <= 0.5 <= effect.high
    assert hits / draws >= 0.92
