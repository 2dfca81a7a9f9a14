"""Correspondence of depth with depth, by hand and on constructed representations."""

from __future__ import annotations

import numpy as np
import pytest

from otoscope.study.findings.architectures import ACROSS_ARCHITECTURES, depth_with_depth
from otoscope.study.findings.evidence import Entry, Seen, Values
from otoscope.study.findings.finding_all import find_all
from tests.study.findings.patterns_seeds_and_errors import OUT_OF_ORDER, PATTERNS

DRAWS = 4
RUNS = ("cnn/seed0", "lstm/seed0")


def one_hot(partners, columns):
    s = np.full((len(partners), columns), 0.1)
    s[np.arange(len(partners)), partners] = 0.9
    return s


def test_an_order_that_is_kept_is_1_and_one_that_is_turned_round_is_minus_1():
    s = one_hot([0, 1, 2, 3, 4], 5)
    assert depth_with_depth(s) == 1
    assert depth_with_depth(s[::-1]) == -1


def test_all_layers_with_one_partner_have_no_order():
    s = np.full((4, 4), 0.1)
    s[2, :] = s[:, 2] = 0.8
    s[2, 2] = 0.9
    assert depth_with_depth(s) == 0


def test_it_is_the_mean_of_both_directions():
    """There 0, 0, 1, 1: two of six pairs share their partner; back 0, 2 in order."""
    s = np.array([[0.9, 0.1], [0.8, 0.1], [0.1, 0.9], [0.1, 0.8]])
    assert depth_with_depth(s) == pytest.approx((4 / 6 + 1) / 2)
    assert depth_with_depth(s.T) == depth_with_depth(s)


def test_ten_layers_cannot_all_have_their_own_among_four():
    """The bound that the docstring gives."""
    s = one_hot([0, 0, 0, 1, 1, 1, 2, 2, 3, 3], 4)
    s[[0, 3, 6, 8], [0, 1, 2, 3]] = 0.95
    assert depth_with_depth(s) == pytest.approx((37 / 45 + 1) / 2)


def test_details_have_the_path_in_order_and_the_partners():
    s = np.array([[0.9, 0.2, 0.1], [0.3, 0.2, 0.8], [0.1, 0.7, 0.4]])
    found = ACROSS_ARCHITECTURES.details([Seen(RUNS, {"across": s})])
    assert found["best match"] == pytest.approx(0.8)
    assert found["path in order"] == pytest.approx((2.1 + 2.0) / 6)  # 0.9 + 0.8 + 0.4 there, 0.9 + 0.7 + 0.4 back
    assert [found[f"partner of layer {i}"] for i in range(3)] == [0, 2, 1]
    assert [found[f"partner back of layer {j}"] for j in range(3)] == [0, 2, 1]


@pytest.mark.parametrize(
    ("matrix", "reason"),
    [
        (np.ones((3, 6)), "3 and 6 layers, and an order of matches takes at least 4 of both"),
        (np.full((4, 5), np.nan), "20 similarities were not computed"),
    ],
)
def test_what_cannot_be_ordered_is_refused(matrix, reason):
    entry = Entry(RUNS, {name: Values(matrix) for name in ("across", "untrained:across")})
    found = ACROSS_ARCHITECTURES.answer("cnn × lstm", "cka", [entry])
    assert (found.verdict, found.reason) == ("not applicable", f"cnn/seed0 × lstm/seed0: {reason}")


@pytest.mark.parametrize(("built_in", "verdict"), [(True, "holds"), (False, "does not hold")])
def test_the_pattern_is_found_where_it_is_built_in_and_only_there(built_in, verdict):
    build = PATTERNS["F8"][0 if built_in else 1]
    found = [find_all(build(seed), questions=[ACROSS_ARCHITECTURES])[0] for seed in range(DRAWS)]
    assert [f.verdict for f in found].count(verdict) >= DRAWS - 1, [f.reason for f in found]
    assert found[0].of == "cnn × lstm"
    if not built_in:  # layers do correspond, but not in their order
        partners = [found[0].details[f"partner back of layer {j}"] for j in range(len(OUT_OF_ORDER))]
        assert partners == list(OUT_OF_ORDER)
