"""Agreement of seeds and matching of layers, by hand and on constructed representations."""

from __future__ import annotations

import numpy as np
import pytest

from otoscope.study.findings.evidence import Entry, Seen, Values
from otoscope.study.findings.finding_all import find_all
from otoscope.study.findings.seeds import LAYER_MATCHING, SAME_DEPTH, matching, matching_accuracy, same_depth
from tests.study.findings.patterns_seeds_and_errors import PATTERNS, same_layers

DRAWS = 4
RUNS = ("cnn/seed0", "cnn/seed1")


def seen(*matrices):
    return [Seen(RUNS, {"across": np.array(m, dtype=float)}) for m in matrices]


def test_both_directions_count():
    """Rows choose 0, 0, 2; columns choose 0, 0, 2: two of three are right in either."""
    assert matching_accuracy(np.array([[0.9, 0.5, 0.1], [0.8, 0.4, 0.2], [0.1, 0.3, 0.7]])) == pytest.approx(2 / 3)
    one_way = np.array([[0.9, 0.8], [0.1, 0.2]])  # rows 0 and 1, columns 0 and 0
    assert matching_accuracy(one_way) == matching_accuracy(one_way.T) == 0.75


def test_matching_is_the_mean_over_pairs_and_the_same_after_any_rising_map():
    right, wrong = np.eye(4), np.eye(4)[::-1]
    assert matching(seen(right, wrong)) == 0.5
    s = np.random.default_rng(0).uniform(size=(6, 6))
    assert matching_accuracy(s) == matching_accuracy(np.exp(5 * s))


def test_same_depth_is_the_diagonal_less_the_rest():
    assert same_depth(seen([[0.9, 0.2], [0.4, 0.7]])) == pytest.approx(0.8 - 0.3)
    assert same_depth(seen(np.full((5, 5), 0.6))) == pytest.approx(0)


def test_every_layer_is_told_by_itself():
    found = SAME_DEPTH.details(seen([[0.9, 0.2], [0.4, 0.7]], [[0.7, 0.2], [0.4, 0.5]]))
    assert found == pytest.approx({"same depth": 0.7, "different depths": 0.3, "layer 0": 0.8, "layer 1": 0.6})
    by_layer = LAYER_MATCHING.details(seen([[0.9, 0.8], [0.1, 0.2]]))
    assert by_layer == {"chance": 0.5, "layer 0": 1.0, "layer 1": 0.5}


@pytest.mark.parametrize(
    ("matrix", "reason"),
    [
        (np.eye(3), "3 layers, and matching takes at least 4"),
        (np.ones((4, 5)), "4 and 5 layers: layers at the same depth take two runs of one architecture"),
        (np.full((4, 4), np.nan), "16 similarities were not computed"),
    ],
)
def test_what_cannot_be_matched_is_refused(matrix, reason):
    entry = Entry(RUNS, {name: Values(matrix) for name in ("across", "untrained:across")})
    for question in (LAYER_MATCHING, SAME_DEPTH):
        found = question.answer("cnn", "cka", [entry])
        assert (found.verdict, found.reason) == ("not applicable", f"cnn/seed0 × cnn/seed1: {reason}")


def test_untrained_runs_are_the_baseline():
    found, *_ = find_all(same_layers(0), questions=[SAME_DEPTH])
    assert found.effect.value > 0.15
    assert abs(found.baselines["untrained"].value) < 0.05
    assert found.beyond["untrained"].low > 0


def test_one_seed_is_not_enough():
    results = same_layers(0)
    alone = results.dataset.sel(pair=(results.dataset.run_x == RUNS[0]) & (results.dataset.run_y == RUNS[0]))
    alone = alone.sel(checkpoint=alone.run_c == RUNS[0], layer=alone.run_l == RUNS[0])
    found, *_ = find_all(type(results)(alone), questions=[LAYER_MATCHING], measures=["cka"])
    assert (found.verdict, "more seeds" in found.reason) == ("not enough data", True)


@pytest.mark.parametrize(("built_in", "verdict"), [(True, "holds"), (False, "does not hold")])
@pytest.mark.parametrize("question", [SAME_DEPTH, LAYER_MATCHING], ids=lambda q: q.id)
def test_the_pattern_is_found_where_it_is_built_in_and_only_there(question, built_in, verdict):
    build = PATTERNS[question.id][0 if built_in else 1]
    found = [find_all(build(seed), questions=[question])[0] for seed in range(DRAWS)]
    assert [f.verdict for f in found].count(verdict) >= DRAWS - 1, [f.reason for f in found]
