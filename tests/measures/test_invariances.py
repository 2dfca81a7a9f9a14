"""What leaves each registered measure unchanged."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from otoscope.measures import Moments, cka, get, names

from .data import index_of, normal, related, rotation

LENGTHS = [60, 90, 50, 100]
FRAMES = sum(LENGTHS)

every_measure = pytest.mark.parametrize("name", names())


def value(name, x, y, utterances=LENGTHS):
    return get(name).compute(Moments.of({"x": x, "y": y}, utterances=utterances), "x", "y").value


@every_measure
@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 1000), p=st.integers(1, 8), q=st.integers(1, 8), scale=st.sampled_from([1e-6, 1e-3, 1e5]))
def test_rotation_scale_and_shift(name, seed, p, q, scale):
    x, y = related(FRAMES, p, q, seed=seed)
    base = value(name, x, y)
    turns = [level in ("rotation", "invertible") for level in get(name).invariance]
    turned = [
        z @ rotation(len(z.T), seed + k) if turn else z for k, (z, turn) in enumerate(zip((x, y), turns, strict=True))
    ]
    assert value(name, *turned) == pytest.approx(base, abs=1e-9)
    assert value(name, x * scale, y * -scale) == pytest.approx(base, abs=1e-9)
    assert value(name, x * scale + 1000 * scale, y - 5) == pytest.approx(base, abs=1e-8)


@every_measure
@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 1000), p=st.integers(1, 8), q=st.integers(1, 8))
def test_range_symmetry_and_order(name, seed, p, q):
    x, y = related(FRAMES, p, q, seed=seed)
    base = value(name, x, y)
    assert -1 - 1e-12 <= base <= 1 + 1e-12
    if get(name).symmetric:
        assert value(name, y, x) == pytest.approx(base, abs=1e-12)
    order = np.random.default_rng(seed).permutation(FRAMES)
    assert value(name, x[order], y[order], index_of(LENGTHS)[order]) == pytest.approx(base, abs=1e-9)
    columns = torch.randperm(p, generator=torch.Generator().manual_seed(seed))
    assert value(name, x[:, columns], y) == pytest.approx(base, abs=1e-9)


@every_measure
def test_invertible_maps(name):
    x, y = related(FRAMES, 8, 6)
    maps = normal(8, 8, seed=3) * torch.logspace(-3, 3, 8, dtype=torch.float64), normal(6, 6, seed=4)
    mapped = [
        z @ m if level == "invertible" else z for z, m, level in zip((x, y), maps, get(name).invariance, strict=True)
    ]
    assert value(name, *mapped) == pytest.approx(value(name, x, y), abs=1e-8)


@every_measure
def test_adding_1000_in_float32(name):
    x, y = (z.float() for z in related(FRAMES, 8, 6))
    assert value(name, x + 1000, y + 1000) == pytest.approx(value(name, x, y), abs=2e-5)


@every_measure
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("scale", [1e-6, 1e-3, 1e6])
def test_scale_does_not_change_ranks(name, dtype, scale):
    x, y = (z.to(dtype) for z in related(FRAMES, 8, 6))
    x = torch.cat([x, x[:, :3], torch.zeros(FRAMES, 2)], 1)
    moments = [Moments.of({"x": x * s, "y": y * s}, utterances=LENGTHS) for s in (1, scale)]
    results = [get(name).compute(m, "x", "y") for m in moments]
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
