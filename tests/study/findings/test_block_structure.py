"""F4, by hand on small matrices and on constructed representations."""

from __future__ import annotations

import numpy as np
import pytest

from otoscope.study.findings import find_all
from otoscope.study.findings.block_structure import (
    BLOCK_STRUCTURE,
    beyond_distance,
    block_scores,
    block_structure,
    stretches,
)
from otoscope.study.findings.choosing import at_choice_of_others
from otoscope.study.findings.evidence import Seen
from tests.study.findings.patterns_depth_and_pace import PATTERNS


def seen(similarity, run="cnn/seed0"):
    return Seen((run,), {"within": np.asarray(similarity)})


def toeplitz(layers, keep=0.8):
    index = np.arange(layers)
    return keep ** np.abs(index[:, None] - index)


def with_block(layers, first, last, more):
    made = toeplitz(layers)
    made[first : last + 1, first : last + 1] += more
    np.fill_diagonal(made, 1.0)
    return made


@pytest.mark.parametrize("layers", [5, 6, 9, 13])
@pytest.mark.parametrize("keep", [0.2, 0.8, 0.99])
def test_what_depends_on_distance_alone_has_no_block(layers, keep):
    assert np.abs(block_scores(toeplitz(layers, keep))).max() < 1e-12


def test_a_block_is_what_distance_does_not_explain_by_hand():
    """Six layers, 0.3 more between 1, 2 and 3: of five pairs at distance 1 two have it, of four at distance 2 one."""
    residual = beyond_distance(with_block(6, 1, 3, 0.3))
    near, far = 0.3 * 2 / 5, 0.3 / 4
    assert residual[1, 2] == pytest.approx(0.3 - near)
    assert residual[1, 3] == pytest.approx(0.3 - far)
    within = (2 * (0.3 - near) + (0.3 - far)) / 3
    outside = {0: -(near + far + 0) / 3, 4: -(0 + far + near) / 3, 5: -(0 + 0 + far) / 3}
    score = block_scores(with_block(6, 1, 3, 0.3))[stretches(6).index((1, 3))]
    assert score == pytest.approx(within - max(outside.values()))


def test_the_block_that_is_there_is_the_one_that_is_found():
    details = BLOCK_STRUCTURE.details([seen(with_block(8, 2, 5, 0.2))])
    assert (details["first layer"], details["last layer"]) == (2, 5)


def test_one_odd_layer_makes_no_block_of_the_others():
    odd = toeplitz(7)
    odd[0, 1:] -= 0.3
    odd[1:, 0] -= 0.3
    assert block_scores(odd).max() < 0.03
    whole = block_scores(with_block(7, 2, 6, 0.3))
    assert whole.max() > 0.15


def test_orders_of_a_pair_are_averaged():
    asymmetric = with_block(6, 1, 3, 0.3)
    asymmetric[1, 2] += 0.1
    asymmetric[2, 1] -= 0.1
    assert block_scores(asymmetric) == pytest.approx(block_scores(with_block(6, 1, 3, 0.3)))


def test_each_run_is_scored_at_the_stretch_that_others_choose():
    scores = np.array([[0.9, 0.2, 0.1], [0.1, 0.8, 0.3], [0.2, 0.7, 0.6]])
    # Without run 0: sums 0.3, 1.5, 0.9. Without 1: 1.1, 0.9, 0.7. Without 2: 1.0, 1.0, 0.4: the first of equals.
    assert at_choice_of_others(scores).tolist() == [0.2, 0.1, 0.2]
    assert at_choice_of_others(scores[:1]).tolist() == [0.9]


def test_blocks_at_other_depths_in_other_runs_are_not_one():
    same = [seen(with_block(9, 3, 5, 0.3)) for _ in range(3)]
    moving = [seen(with_block(9, first, first + 2, 0.3)) for first in (0, 3, 6)]
    assert block_structure(same) > 0.15
    assert block_structure(moving) < 0.02
    assert BLOCK_STRUCTURE.details(moving)["best of each run, chosen by itself"] > 0.15


@pytest.mark.parametrize(("built_in", "verdict"), [(0, "holds"), (1, "does not hold")])
def test_it_is_found_where_it_is_built_in_and_only_there(built_in, verdict):
    build = PATTERNS["F4"][built_in]
    verdicts = [find_all(build(seed), questions=[BLOCK_STRUCTURE])[0].verdict for seed in range(5)]
    assert verdicts.count(verdict) >= 4, verdicts


def test_noise_alone_is_no_block():
    """The best of many stretches of independent similarities is large by chance in a run, not in the next."""
    random = np.random.default_rng(0)

    def draw():
        noise = np.triu(random.normal(0, 0.1, (9, 9)), 1)
        return seen(toeplitz(9) + noise + noise.T)

    found = [block_structure([draw() for _ in range(3)]) for _ in range(200)]
    chosen_by_itself = [block_structure([draw()]) for _ in range(200)]
    assert np.mean(found) < 0.0
    assert np.mean(chosen_by_itself) > 0.02
