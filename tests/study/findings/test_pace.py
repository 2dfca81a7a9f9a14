"""F6, by hand and on constructed representations."""

from __future__ import annotations

import math

import numpy as np
import pytest

from otoscope.study.findings import find_all
from otoscope.study.findings.evidence import Entry, Seen, Values
from otoscope.study.findings.pace import PACE_AND_LOSS, PACE_AND_RATE, Pace, pace_and_loss, pace_and_rate
from otoscope.study.findings.partial import partial_rank_correlation
from otoscope.study.results import CheckpointRow, Comparison, LayerRow, Results
from tests.study.findings.patterns_depth_and_pace import PATTERNS

N = 12


def seen(**changes):
    """Twelve intervals of which nothing goes with anything else, but by what is changed."""
    random = np.random.default_rng(0)
    arrays = {
        "successive": random.uniform(0.5, 1, (3, N)),
        "steps": random.integers(1, 9, N + 1).cumsum().astype(float),
        "dev_loss": random.uniform(20, 100, N + 1),
        "learning_rate": np.concatenate([[np.nan], random.uniform(0, 1, N)]),
    }
    return Seen(("cnn/seed0",), arrays | changes)


def test_pace_has_one_value_for_each_interval():
    pace = Pace.of(seen())
    assert pace.by_layer.shape == (3, N)
    assert pace.fall.shape == pace.length.shape == pace.rate.shape == pace.change.shape == (N,)
    assert pace.fall[0] == seen()["dev_loss"][0] - seen()["dev_loss"][1]


def test_changes_that_are_the_fall_or_the_rate_go_with_it_wholly():
    shown = seen()
    fall, rate = -np.diff(shown["dev_loss"]), shown["learning_rate"][1:]
    with_fall = seen(successive=np.tile(1 - (fall - fall.min()) / 1000, (3, 1)))
    with_rate = seen(successive=np.tile(1 - rate / 10, (3, 1)))
    assert pace_and_loss([with_fall]) == pytest.approx(1)
    assert pace_and_rate([with_rate]) == pytest.approx(1)
    assert pace_and_loss([with_rate]) == 0  # nothing is left to go with the loss
    assert pace_and_rate([with_fall]) == 0
    assert PACE_AND_LOSS.details([with_fall])["layer 2"] == pytest.approx(1)


def test_intervals_in_a_random_order_are_the_baseline():
    shown = seen(successive=1 - np.random.default_rng(5).uniform(0, 0.3, (3, N)))
    entry = Entry(shown.runs, {name: Values(a) for name, a in shown.arrays.items()})
    chance = PACE_AND_LOSS.answer("cnn", "cka", [entry]).baselines["random order"]
    assert abs(chance.value) < 0.1  # a mean of 200 correlations of five degrees of freedom
    assert chance.low < -0.5 < 0.5 < chance.high


def test_changes_that_only_follow_the_number_of_steps_go_with_nothing():
    """Both grow with the interval: related where nothing is taken out, and not beyond it."""
    random = np.random.default_rng(4)
    steps = random.permutation(np.geomspace(1, 400, N)).round().cumsum()
    length = np.log(np.diff(np.concatenate([[0], steps])))

    def shown():
        change = 0.05 * length + random.uniform(0, 0.1, N)
        fall = length + random.uniform(0, 2, N)
        return seen(
            successive=np.tile(1 - change, (3, 1)),
            steps=np.concatenate([[0], steps]),
            dev_loss=np.concatenate([[100], 100 - fall.cumsum()]),
        )

    runs = [shown() for _ in range(60)]
    plain = np.mean([partial_rank_correlation(p.change, p.fall) for p in map(Pace.of, runs)])
    assert plain > 0.8
    assert abs(pace_and_loss(runs)) < 0.15


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"successive": np.ones((3, 5))}, "6 checkpoints"),
        ({"successive": np.full((3, N), np.nan)}, "successive checkpoints were not computed"),
        ({"dev_loss": np.full(N + 1, np.nan)}, "loss on the development split"),
        ({"learning_rate": np.full(N + 1, np.nan)}, "learning rate is not known"),
    ],
)
@pytest.mark.parametrize("question", [PACE_AND_LOSS, PACE_AND_RATE])
def test_too_little_is_refused(question, changes, says):
    assert says in question.refusal(seen(**changes))
    assert question.refusal(seen()) == ""


def test_a_rate_that_does_not_change_has_nothing_to_tell():
    constant = seen(learning_rate=np.full(N + 1, 0.001))
    assert "the same" in PACE_AND_RATE.refusal(constant)
    assert PACE_AND_LOSS.refusal(constant) == ""
    assert math.isfinite(pace_and_loss([constant]))


def test_results_of_before_learning_rates_were_kept_are_refused_by_name():
    run = "cnn/seed0"
    pairs = [Comparison("to_previous", run, k + 1, "a", run, k, "a", {"cka": 0.9}) for k in range(N)]
    rows = [CheckpointRow(run, k, dev_loss=100 - k) for k in range(N + 1)]
    results = Results.from_rows(pairs, rows, [LayerRow(run, "a", 8, 0.04)])
    old = Results(results.dataset.drop_vars("learning_rate"))
    found, *_ = find_all(old, questions=[PACE_AND_LOSS])
    assert found.verdict == "not enough data"
    assert "learning rate is not known" in found.reason


@pytest.mark.parametrize("question", [PACE_AND_LOSS, PACE_AND_RATE])
@pytest.mark.parametrize(("built_in", "verdict"), [(0, "holds"), (1, "does not hold")])
def test_it_is_found_where_it_is_built_in_and_only_there(question, built_in, verdict):
    build = PATTERNS[question.id][built_in]
    found = [find_all(build(seed), questions=[question])[0] for seed in range(3)]
    assert [f.verdict for f in found] == [verdict] * 3, [f.reason for f in found]
