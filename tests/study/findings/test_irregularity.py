"""F3, by hand on small matrices and on constructed representations."""

from __future__ import annotations

import numpy as np
import pytest

from otoscope.study.findings import find_all
from otoscope.study.findings.evidence import Entry, Seen, Values
from otoscope.study.findings.irregularity import (
    IRREGULARITY,
    IRREGULARITY_AGAINST_OTHERS,
    beyond_others,
    irregularity,
)
from tests.study.findings.patterns_depth_and_pace import PATTERNS

ONE_RISE = np.array(
    [
        [1.0, 0.5, 0.7, 0.2],
        [0.5, 1.0, 0.5, 0.5],
        [0.7, 0.5, 1.0, 0.5],
        [0.2, 0.5, 0.5, 1.0],
    ]
)


def seen(similarity, run="cnn/seed0", own=True):
    return Seen((run,), {"within": np.asarray(similarity)}, own)


def robinson(layers):
    index = np.arange(layers)
    return 0.7 ** np.abs(index[:, None] - index)


def test_what_falls_all_the_way_is_regular_however_it_falls():
    random = np.random.default_rng(0)
    assert irregularity(robinson(7)) == 0
    steep = robinson(7) ** random.uniform(1, 3)  # as convex as one likes
    assert irregularity(steep) == 0


def test_it_is_the_share_of_movement_that_goes_up():
    """From layer 0: down 0.5, up 0.2, down 0.5. From 1: 0.5; 0.5, 0. From 2: 0.5, up 0.2; 0.5. From 3: 0.5, 0, 0.3."""
    down = (0.5 + 0.5) + (0.5 + 0.5) + (0.5 + 0.5) + (0.5 + 0.3)
    assert irregularity(ONE_RISE) == pytest.approx(0.4 / (0.4 + down))


def test_the_scale_of_similarities_does_not_matter():
    assert irregularity(3 * ONE_RISE) == pytest.approx(irregularity(ONE_RISE))
    assert irregularity(ONE_RISE - 1) == pytest.approx(irregularity(ONE_RISE))  # as minus a distance


def test_noise_on_a_level_profile_counts_little():
    noise = np.random.default_rng(1).normal(0, 0.01, (8, 8))
    level = 0.6 + (noise + noise.T) / 2
    np.fill_diagonal(level, 1.0)
    assert irregularity(level) < 0.05


def test_it_takes_movement():
    assert np.isnan(irregularity(np.ones((5, 5))))


def test_others_count_by_recogniser_and_only_where_they_can_tell():
    shown = [
        seen(ONE_RISE, "cnn/seed0"),
        seen(robinson(5), "lstm/seed0", own=False),
        seen(ONE_RISE, "transformer/seed0", own=False),
        seen(ONE_RISE, "transformer/seed1", own=False),
        seen(np.eye(2), "tiny/seed0", own=False),
    ]
    assert beyond_others(shown) == pytest.approx(irregularity(ONE_RISE) / 2)
    details = IRREGULARITY_AGAINST_OTHERS.details(shown)
    assert details["others"] == 2
    assert details["lstm"] == 0
    assert np.isnan(beyond_others(shown[:1]))


def test_details_say_where_profiles_rise():
    details = IRREGULARITY.details([seen(ONE_RISE)])
    assert [details[f"rise of layer {k}"] for k in range(4)] == pytest.approx([0.2, 0, 0.2, 0])


def test_too_few_layers_are_refused():
    entry = Entry(("lstm/seed0",), {"within": Values(np.eye(3)), "untrained:within": Values(np.eye(3))})
    found = IRREGULARITY.answer("lstm", "cka", [entry])
    assert found.verdict == "not applicable"
    assert "3 layers" in found.reason


@pytest.mark.parametrize(("question", "draws"), [(IRREGULARITY, 6), (IRREGULARITY_AGAINST_OTHERS, 3)])
@pytest.mark.parametrize(("built_in", "verdict"), [(0, "holds"), (1, "does not hold")])
def test_it_is_found_where_it_is_built_in_and_only_there(question, draws, built_in, verdict):
    build = PATTERNS[question.id][built_in]
    verdicts = [find_all(build(seed), questions=[question])[0].verdict for seed in range(draws)]
    assert verdicts.count(verdict) >= draws - (draws > 5), verdicts
