"""What leaves each registered measure unchanged, and what does not: every measure runs through all of this."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from otoscope.measures import Moments, Samples, cka, get, names

from .data import index_of, normal, related, rotation

LENGTHS = [30, 60, 20, 50, 40, 45, 25, 30]
FRAMES = sum(LENGTHS)
LEVELS = ("scale", "permutation", "rotation", "invertible")

ONE_WIDTH = {"paper-cca", "paper-cka"}  # compare unit by unit
NARROWEST = {"cka-pc-removed": 2}  # one component is taken away
COUNTS = {"mutual-knn"}  # neighbours, of which rounding may exchange two that are equally far
ONE_NEIGHBOUR = 2 / FRAMES
SELF_AT_MOST_ONE = {"cca-held-out"}  # what generalises, which may be less than all of a layer

every_measure = pytest.mark.parametrize("name", names())
seeds, widths = st.integers(0, 1000), st.integers(1, 8)


def layers(name, p, q, seed=0):
    """Two related layers of about these widths that the measure takes, and a third for what it may be given."""
    p, q = (max(width, NARROWEST.get(name, 1)) for width in (p, q))
    x, y = related(FRAMES, p, p if name in ONE_WIDTH else q, seed=seed)
    return x, y, x[:, :1] + normal(FRAMES, 4, seed=seed + 9)


def result(name, x, y, third, utterances=LENGTHS):
    source = Samples if get(name).source == "samples" else Moments
    views = {"x": x, "y": y, "input": third}
    return get(name).compute(source.of(views, utterances=utterances), "x", "y")


def value(*args, **options):
    return result(*args, **options).value


def change(z, level, seed):
    """The layer after something of this level, and (but for "scale") each unit shifted by a constant of its own."""
    p = z.shape[1]
    if level == "scale":
        return z * -2.5 + 7
    z = z + 10 * normal(p, seed=seed + 1)
    if level == "permutation":
        return z[:, torch.arange(p).roll(1).flip(0)]
    if level == "rotation":
        return z @ rotation(p, seed)
    return z @ rotation(p, seed) * torch.logspace(-1.5, 1.5, p, dtype=torch.float64) @ rotation(p, seed + 2)


@every_measure
@settings(max_examples=10, deadline=None)
@given(seed=seeds, p=widths, q=widths)
def test_declared_invariances_hold(name, seed, p, q):
    x, y, third = layers(name, p, q, seed)
    base, (of_x, of_y) = value(name, x, y, third), get(name).invariance
    for level in LEVELS:
        if LEVELS.index(level) <= LEVELS.index(of_x):
            assert value(name, change(x, level, seed), y, third) == pytest.approx(base, abs=1e-9), level
        if LEVELS.index(level) <= LEVELS.index(of_y):
            assert value(name, x, change(y, level, seed), third) == pytest.approx(base, abs=1e-9), level


@every_measure
@pytest.mark.parametrize("side", [0, 1])
def test_what_is_not_declared_changes_the_value(name, side):
    x, y, third = layers(name, 8, 6)
    declared = get(name).invariance[side]
    if declared == "invertible":
        y = y + 0.5 * y**2  # no linear map
        changed = (x**3, y) if side == 0 else (x, y**3)
    else:
        level = LEVELS[LEVELS.index(declared) + 1]
        changed = (change(x, level, 0), y) if side == 0 else (x, change(y, level, 0))
    assert abs(value(name, *changed, third) - value(name, x, y, third)) > 1e-3


@every_measure
@pytest.mark.parametrize("scale", [1e-6, 1e-3, 1e5])
@settings(max_examples=4, deadline=None)
@given(seed=seeds, p=widths, q=widths)
def test_scale_and_shift(name, scale, seed, p, q):
    x, y, third = layers(name, p, q, seed)
    base = value(name, x, y, third)
    assert value(name, x * scale, y * -scale, third * scale) == pytest.approx(base, abs=1e-9)
    assert value(name, x * scale + 1000 * scale, y - 5, third) == pytest.approx(base, abs=1e-8)


@every_measure
@settings(max_examples=10, deadline=None)
@given(seed=seeds, p=widths, q=widths)
def test_range_symmetry_and_order(name, seed, p, q):
    x, y, third = layers(name, p, q, seed)
    base, measure = value(name, x, y, third), get(name)
    low, high = (0, np.inf) if measure.distance else (-1, 1)
    assert low - 1e-12 <= base <= high + 1e-12
    if measure.symmetric:
        assert value(name, y, x, third) == pytest.approx(base, abs=1e-10)
    order = np.random.default_rng(seed).permutation(FRAMES)
    moved = value(name, x[order], y[order], third[order], index_of(LENGTHS)[order])
    assert moved == pytest.approx(base, abs=1e-9)


@every_measure
def test_not_symmetric_where_it_does_not_say_so(name):
    if get(name).symmetric:
        return
    x, y, third = layers(name, 8, 5)
    assert abs(value(name, x, y, third) - value(name, y, x, third)) > 1e-3


@every_measure
@settings(max_examples=10, deadline=None)
@given(seed=seeds, p=widths)
def test_a_layer_with_itself(name, seed, p):
    x, _, third = layers(name, p, p, seed)
    own = value(name, x, x.clone(), third)
    if get(name).distance:
        assert own == pytest.approx(0, abs=1e-7)  # √(rounding) of a difference of equal numbers
    elif name in SELF_AT_MOST_ONE:
        assert 0.9 < own <= 1 + 1e-12
    else:
        assert own == pytest.approx(1, abs=1e-9)


@every_measure
def test_the_same_on_every_call(name):
    x, y, third = layers(name, 8, 6)
    assert result(name, x, y, third) == result(name, x.clone(), y.clone(), third)


@every_measure
def test_adding_1000_in_float32(name):
    """Of frames that float32 holds exactly at either place, so that no neighbour is lost to rounding before us."""
    x, y, third = ((z * 1024).round().float() / 1024 for z in layers(name, 8, 6))
    assert value(name, x + 1000, y + 1000, third + 1000) == pytest.approx(value(name, x, y, third), abs=1e-6)


@every_measure
def test_what_float32_loses_at_1000(name):
    x, y, third = (z.float() for z in layers(name, 8, 6))
    near, far = (value(name, x + c, y + c, third + c) for c in (0, 1000))
    assert far == pytest.approx(near, abs=ONE_NEIGHBOUR if name in COUNTS else 2e-5)


@every_measure
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("scale", [1e-6, 1e-3, 1e6])
def test_scale_does_not_change_ranks(name, dtype, scale):
    x, y, third = (z.to(dtype) for z in layers(name, 8, 6))
    x, y = (torch.cat([z, z[:, :3], torch.zeros(FRAMES, 2)], 1) for z in (x, y))
    results = [result(name, x * s, y * s, third) for s in (1, scale)]
    assert results[0].ranks == results[1].ranks
    assert results[0].value == pytest.approx(results[1].value, abs=1e-5)


def test_cross_utterance_is_an_inner_product():
    """Signed values, and never beyond 1: Cauchy–Schwarz on the between-utterance Gram matrices."""
    values = []
    for seed in range(60):
        x, y = normal(12, 3, seed=seed), normal(12, 3, seed=seed + 500)
        values.append(cka(x, y, utterances=[3, 5, 4]).value)
    assert min(values) < 0 < max(values)
    assert max(map(abs, values)) <= 1
