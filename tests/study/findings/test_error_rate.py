"""Similarities and word errors over checkpoints and over runs, by hand and on constructed representations."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from otoscope.study.findings.error_rate import (
    ERRORS_AND_DISTANCE_TO_FINAL,
    ERRORS_AND_NEIGHBOURS,
    nearer_and_better,
    redundant_and_worse,
)
from otoscope.study.findings.evidence import Entry, Seen, Values
from otoscope.study.findings.finding_all import find_all
from tests.study.findings.patterns_seeds_and_errors import PATTERNS, RUNS_EACH

DRAWS = 4


def checkpoints(near, wer, run="cnn/seed0"):
    """A run of two layers whose mean similarity to the final state is `near`."""
    near, wer = np.array([*near, 1.0]), np.array([*wer, 0.1])
    apart = np.linspace(0.05, 0.0, len(near))
    arrays = {"to_final": np.array([near + apart, near - apart]), "dev_wer": wer, "steps": np.arange(len(near)) * 10.0}
    return Seen((run,), arrays)


def entry(seen):
    return Entry(seen.runs, {name: Values(a) for name, a in seen.arrays.items()})


def off_course(seed=0, n=16):
    """A course that falls, and what is off it."""
    random = np.random.default_rng(seed)
    return np.linspace(0, 1, n), random.normal(0, 0.2, n)


def test_what_is_nearer_than_its_step_makes_expect_and_has_fewer_errors_is_1():
    course, off = off_course()
    assert nearer_and_better([checkpoints(course + off, 2 - course - off)]) == pytest.approx(1)
    assert nearer_and_better([checkpoints(course + off, course + off)]) == pytest.approx(-1)


def test_it_is_the_correlation_of_what_a_cubic_leaves_of_the_ranks():
    course, off = off_course(1)
    wer = 2 - course + np.random.default_rng(9).normal(0, 0.2, len(course))
    t = np.arange(len(course))
    left = [r - np.polyval(np.polyfit(t, r, 3), t) for r in (stats.rankdata(course + off), stats.rankdata(wer))]
    expected = -stats.pearsonr(*left).statistic
    assert nearer_and_better([checkpoints(course + off, wer)]) == pytest.approx(expected)


def test_the_final_checkpoint_does_not_count():
    course, off = off_course(2)
    run = checkpoints(course + off, 2 - course - off**2)
    last = Seen(run.runs, {**run.arrays, "dev_wer": np.array([*run["dev_wer"][:-1], 9.0])})
    assert nearer_and_better([last]) == nearer_and_better([run])


def test_checkpoints_that_were_not_scored_do_not_count():
    course, off = off_course(2)
    run = checkpoints(course + off, 2 - course - off**2)
    keep = np.arange(len(run["steps"])) != 5
    unscored = Seen(run.runs, {**run.arrays, "dev_wer": np.where(keep, run["dev_wer"], np.nan)})
    without = Seen(run.runs, {name: a[..., keep] for name, a in run.arrays.items()})
    assert nearer_and_better([unscored]) == nearer_and_better([without]) != nearer_and_better([run])


def test_a_run_whose_errors_only_fall_with_the_steps_is_passed_over():
    course, off = off_course(3)
    told, untold = checkpoints(course + off, 2 - course - off), checkpoints(course + off, 2 - course, "cnn/seed1")
    assert nearer_and_better([told, untold]) == nearer_and_better([told])
    assert math.isnan(nearer_and_better([untold]))


def test_a_run_whose_layers_only_near_their_end_with_the_steps_is_passed_over():
    course, off = off_course(3)
    assert math.isnan(nearer_and_better([checkpoints(course, 2 - course - off)]))


def test_checkpoints_and_runs_in_a_random_order_are_the_baseline():
    courses = [off_course(k) for k in range(3)]
    runs = [checkpoints(c + off, 2 - c - off**2, f"cnn/seed{k}") for k, (c, off) in enumerate(courses)]
    chance = ERRORS_AND_DISTANCE_TO_FINAL.answer("cnn", "cka", [entry(run) for run in runs]).baselines["random order"]
    assert abs(chance.value) < 0.1
    assert -0.5 < chance.low < -0.1 < 0.1 < chance.high < 0.5
    found = ERRORS_AND_NEIGHBOURS.answer("all recognisers", "cka", [entry(run) for run in many(1)])
    chance = found.baselines["random order"]
    assert abs(chance.value) < 0.1
    assert -0.9 < chance.low < -0.4 < 0.4 < chance.high < 0.9  # of ten runs


def test_few_checkpoints_are_refused():
    found = ERRORS_AND_DISTANCE_TO_FINAL.answer("cnn", "cka", [entry(checkpoints(*off_course(n=7)))])
    assert found.reason == "cnn/seed0: 7 checkpoints with a word error rate before the final one, and it takes 8"
    assert found.verdict == "not enough data"


def final(run, neighbours, wer):
    within = np.eye(3)
    within[0, 1] = within[1, 2] = neighbours
    return Seen((run,), {"within": within, "dev_wer": np.array([1.0, wer])})


def many(slope, names=("cnn", "lstm"), each=5):
    """In either recogniser errors go with neighbours by `slope`; the second has more of both."""
    return [
        final(f"{name}/seed{s}", 0.5 + 0.3 * k + 0.01 * s, 0.2 + 0.3 * k + slope * 0.01 * s)
        for k, name in enumerate(names)
        for s in range(each)
    ]


def test_runs_are_compared_with_those_of_their_own_recogniser():
    assert redundant_and_worse(many(1)) == pytest.approx(1)
    assert redundant_and_worse(many(-1)) == pytest.approx(-1)
    details = ERRORS_AND_NEIGHBOURS.details(many(-1))
    assert details["runs"] == 10
    assert details["without regard to recogniser"] > 0.3  # the recognisers' difference, not the runs'


def test_of_one_recogniser_it_is_spearmans():
    random = np.random.default_rng(0)
    neighbours, wer = random.uniform(size=(2, 12))
    runs = [final(f"cnn/seed{i}", n, w) for i, (n, w) in enumerate(zip(neighbours, wer, strict=True))]
    assert redundant_and_worse(runs) == pytest.approx(stats.spearmanr(neighbours, wer).statistic)


def test_a_recogniser_of_one_run_adds_nothing():
    runs = many(1)
    assert redundant_and_worse([*runs, final("conformer/seed0", 0.1, 0.9)]) == redundant_and_worse(runs)


def test_seven_runs_are_not_enough():
    runs = [*many(1)[:7], final("conformer/seed0", 0.1, 0.9)]
    found = ERRORS_AND_NEIGHBOURS.answer("all recognisers", "cka", [entry(run) for run in runs])
    assert found.verdict == "not enough data"
    assert found.reason == "7 runs of recognisers with several seeds, and a relation between runs takes at least 8"
    eight = ERRORS_AND_NEIGHBOURS.answer("all recognisers", "cka", [entry(run) for run in many(1, each=4)])
    assert eight.effect.value == pytest.approx(1)
    assert eight.verdict == "holds"  # also without any one of them


@pytest.mark.parametrize(("built_in", "verdict"), [(True, "holds"), (False, "does not hold")])
@pytest.mark.parametrize("question", [ERRORS_AND_DISTANCE_TO_FINAL, ERRORS_AND_NEIGHBOURS], ids=lambda q: q.id)
def test_the_pattern_is_found_where_it_is_built_in_and_only_there(question, built_in, verdict):
    build = PATTERNS[question.id][0 if built_in else 1]
    found = [find_all(build(seed), questions=[question])[0] for seed in range(DRAWS)]
    assert [f.verdict for f in found].count(verdict) >= DRAWS - 1, [f.reason for f in found]
    if question is ERRORS_AND_NEIGHBOURS:
        assert found[0].details["runs"] == 3 * RUNS_EACH
        assert found[0].details["without regard to recogniser"] > 0.5
    elif not built_in:  # the course of training alone
        assert found[0].details["step not taken out"] > 0.5
