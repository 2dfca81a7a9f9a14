"""F5, by hand and on constructed representations."""

from __future__ import annotations

import numpy as np
import pytest

from otoscope.study.findings import find_all
from otoscope.study.findings.evidence import Entry, Seen, Values
from otoscope.study.findings.most_changed import MOST_CHANGED, most_changed
from tests.study.findings.patterns_depth_and_pace import PATTERNS


def seen(*kept):
    return Seen(("cnn/seed0",), {"kept": np.array(kept)})


def test_it_is_the_change_above_the_median_of_the_layer_that_others_choose():
    """Layer 3 changes most in runs 0 and 1, layer 0 in run 2."""
    runs = [seen(0.5, 0.6, 0.7, 0.1), seen(0.6, 0.6, 0.6, 0.2), seen(0.1, 0.5, 0.5, 0.4)]
    # Above the median: (0.05, −0.05, −0.15, 0.45), (0, 0, 0, 0.4), (0.35, −0.05, −0.05, 0.05).
    # Run 0 has layer 3 by 1 and 2 (0.45 > 0.35), run 1 too (0.5 > 0.4), run 2 (0.85).
    assert most_changed(runs) == pytest.approx((0.45 + 0.4 + 0.05) / 3)
    details = MOST_CHANGED.details(runs)
    assert details["layer that changes most"] == 3
    assert details["share of runs in which it does"] == pytest.approx(2 / 3)
    assert details["change of layer 0"] == pytest.approx(1 - (0.5 + 0.6 + 0.1) / 3)


def test_a_layer_that_changes_most_by_chance_adds_nothing():
    random = np.random.default_rng(0)
    found = [most_changed([seen(*random.normal(0.5, 0.1, 8)) for _ in range(3)]) for _ in range(500)]
    alone = [most_changed([seen(*random.normal(0.5, 0.1, 8))]) for _ in range(500)]
    assert abs(np.mean(found)) < 0.01
    assert np.mean(alone) > 0.1


def test_what_is_the_same_for_all_layers_does_not_matter():
    one, other = seen(0.5, 0.6, 0.7, 0.1), seen(0.7, 0.8, 0.9, 0.3)
    assert most_changed([one]) == pytest.approx(most_changed([other]))


@pytest.mark.parametrize(("kept", "says"), [([0.5, 0.5, 0.5], "3 layers"), ([0.5, np.nan, 0.5, 0.5], "1 similarities")])
def test_too_little_is_refused(kept, says):
    entry = Entry(("cnn/seed0",), {"kept": Values(np.array(kept)), "shuffled:kept": Values(np.array(kept))})
    found = MOST_CHANGED.answer("cnn", "cka", [entry])
    assert found.verdict == "not applicable"
    assert says in found.reason


@pytest.mark.parametrize(("built_in", "verdict"), [(0, "holds"), (1, "does not hold")])
def test_it_is_found_where_it_is_built_in_and_only_there(built_in, verdict):
    build = PATTERNS["F5"][built_in]
    found = [find_all(build(seed), questions=[MOST_CHANGED])[0] for seed in range(5)]
    assert [f.verdict for f in found].count(verdict) >= 4, [f.reason for f in found]
    assert all(abs(f.baselines["shuffled"].value) < 0.05 for f in found)
