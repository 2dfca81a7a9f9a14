"""The cheapest blocks, against every choice there is; ways that know nothing of similarity."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from otoscope.advice.prune.choosing import cheapest, cost_of
from otoscope.advice.prune.ways import by_chance, by_magnitude, first, last


def cost_by_hand(blocks, unlike):
    """State by state: where a block stays, its own input is handed on; else the state before the stretch."""
    total, held = 0.0, None
    for block in range(len(unlike)):
        if block in blocks:
            held = block if held is None else held
        else:
            total += 0.0 if held is None else unlike[held, block]
            held = None
    return total


@given(st.integers(2, 7), st.integers(0, 1000))
def test_they_cost_the_least_of_all_choices(blocks, seed):
    random = np.random.default_rng(seed)
    unlike = random.random((blocks + 1, blocks + 1))
    removable = random.random(blocks) < 0.8
    free = [i for i in range(blocks) if removable[i]]
    found = cheapest(unlike, removable.tolist(), blocks)
    assert len(found) == len(free)
    for count, chosen in enumerate(found, start=1):
        every = [cost_by_hand(c, unlike) for c in itertools.combinations(free, count)]
        assert len(chosen) == count
        assert set(chosen) <= set(free)
        assert cost_of(chosen, unlike) == pytest.approx(min(every))
        assert cost_of(chosen, unlike) == pytest.approx(cost_by_hand(chosen, unlike))


def test_more_are_not_left_out_than_asked_for():
    assert cheapest(np.ones((6, 6)), [True] * 5, 2)[-1] in list(itertools.combinations(range(5), 2))
    assert len(cheapest(np.ones((6, 6)), [True] * 5, 2)) == 2


def test_a_state_that_was_not_measured_is_not_handed_on():
    unlike = np.full((4, 4), 0.5)
    unlike[1, 2] = math.nan
    assert cheapest(unlike, [True] * 3, 1) in ([(0,)], [(2,)])


def test_random_choices_differ_and_are_always_the_same():
    drawn = by_chance([0, 1, 3, 4, 5], 2, 8)
    assert drawn == by_chance([0, 1, 3, 4, 5], 2, 8)
    assert len(set(drawn)) == 8
    assert all(set(blocks) <= {0, 1, 3, 4, 5} and len(set(blocks)) == 2 for blocks in drawn)
    assert sorted(by_chance([0, 2], 1, 5)) == [(0,), (2,)]  # there are no more


def test_ends_and_small_weights():
    module = nn.Sequential(*(nn.Linear(2, 2) for _ in range(4)))
    for at, size in enumerate((3.0, 1.0, 4.0, 2.0)):
        nn.init.constant_(module[at].weight, size)
        nn.init.constant_(module[at].bias, 0.0)
    names = list("0123")
    assert by_magnitude(module, names, [0, 1, 2, 3], 2) == (1, 3)
    assert by_magnitude(module, names, [0, 2, 3], 1) == (3,)
    assert (first([0, 2, 3], 2), last([0, 2, 3], 2)) == ((0, 2), (2, 3))
    torch.manual_seed(0)
