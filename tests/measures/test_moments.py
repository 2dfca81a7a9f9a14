"""Moments are a monoid: any order, grouping, origin and batch size give the same sums."""

import itertools
import pickle
from dataclasses import fields

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from otoscope.errors import MeasureError
from otoscope.measures import Accumulator, Moments, accumulator, registry

from .data import from_moments, index_of, normal, related

LENGTHS = [20, 5, 33, 20, 8]
STARTS = np.cumsum([0, *LENGTHS])
WIDTHS = {"a": 6, "b": 4, "c": 9}


def layers(seed=0):
    a, b = related(sum(LENGTHS), 6, 4, seed=seed)
    drift = torch.linspace(0, 20, len(a), dtype=torch.float64)[:, None]  # origins of the pieces lie far apart
    return {"a": a + drift, "b": b, "c": torch.cat([b - 2 * drift, normal(len(a), 5, seed=9)], 1)}


def pieces(views):
    zero = Moments.zero(WIDTHS)
    for start, length in zip(STARTS, LENGTHS, strict=False):
        yield zero.update({name: x[start : start + length] for name, x in views.items()}, [length])


def assert_same(one, other, rel=1e-9):
    assert (one.frames, one.utterances, one.squares) == (other.frames, other.utterances, other.squares)
    for x, y in one.pairs:
        left, right = one.pair(x, y), other.pair(x, y)
        for f in fields(left):
            mine, theirs = getattr(left, f.name), getattr(right, f.name)
            assert torch.allclose(mine, theirs, rtol=rel, atol=rel * max(1.0, float(theirs.abs().max()))), f.name
    for name in from_moments():
        for x, y in one.pairs:
            values = [registry.get(name).compute(m, x, y).value for m in (one, other)]
            assert values[0] == pytest.approx(values[1], abs=1e-9)


def test_centred_sums_are_those_of_centred_frames():
    """Every sum in `blocks.py`, by its definition."""
    views = layers()
    found = Moments.of(views, utterances=LENGTHS).pair("a", "c")
    x, y = (views[name] - views[name].mean(0) for name in "ac")
    a, b = (x**2).sum(1), (y**2).sum(1)
    X, Y = x.split(LENGTHS), y.split(LENGTHS)
    A, s, t = [u.T @ v for u, v in zip(X, Y, strict=True)], [u.sum(0) for u in X], [v.sum(0) for v in Y]
    expected = {
        "cross": sum(A),
        "norms": a @ b,
        "norm_y": y.T @ a,
        "norm_x": x.T @ b,
        "spread": sum(n * Au + torch.outer(su, tu) for n, Au, su, tu in zip(LENGTHS, A, s, t, strict=True)),
        "cross_t": sum(Au @ tu for Au, tu in zip(A, t, strict=True)),
        "cross_s": sum(Au.T @ su for Au, su in zip(A, s, strict=True)),
        "within": sum((Au**2).sum() for Au in A),
    }
    assert set(expected) == {f.name for f in fields(found)}
    for name, value in expected.items():
        assert torch.allclose(getattr(found, name), value, rtol=1e-11, atol=1e-8), name


def test_any_order_and_grouping():
    views = layers()
    whole = Moments.of(views, utterances=LENGTHS)
    parts = list(pieces(views))
    for order in list(itertools.permutations(range(5)))[::13]:
        total = Moments.zero(WIDTHS)
        for k in order:
            total = total + parts[k]
        assert_same(total, whole)
    assert_same((parts[0] + parts[3]) + (parts[4] + (parts[1] + parts[2])), whole)


def test_what_was_added_can_be_taken_away():
    views = layers()
    whole, parts = Moments.of(views, utterances=LENGTHS), list(pieces(views))
    assert_same(whole - parts[2], parts[0] + parts[1] + parts[3] + parts[4])
    assert_same((whole - parts[0]) - parts[4], (parts[3] + parts[2]) + parts[1])
    with pytest.raises(MeasureError, match="cannot remove 86 frames of 5 utterances from 20 frames of 1 utterances"):
        parts[0] - whole


@settings(max_examples=20, deadline=None)
@given(st.lists(st.integers(1, 12), min_size=3, max_size=6), st.integers(0, 100), st.integers(1, 5))
def test_merging_is_associative_and_commutative(lengths, seed, cut):
    n = sum(lengths)
    views = {"a": normal(n, 3, seed=seed) + seed, "b": normal(n, 2, seed=seed + 1)}
    cut = min(cut, len(lengths) - 1)
    first, rest = sum(lengths[:cut]), lengths[cut:]
    one = Moments.of({name: x[:first] for name, x in views.items()}, utterances=index_of(lengths[:cut]))
    two = Moments.of({name: x[first:] for name, x in views.items()}, utterances=index_of(rest))
    whole = Moments.of(views, utterances=index_of(lengths))
    for merged in (one + two, two + one, (one + Moments.zero({"a": 3, "b": 2})) + two):
        for pair in merged.pairs:
            for f in fields(merged.pair(*pair)):
                mine, theirs = getattr(merged.pair(*pair), f.name), getattr(whole.pair(*pair), f.name)
                assert torch.allclose(mine, theirs, rtol=1e-9, atol=1e-9 * float(1 + theirs.abs().max()))


def test_batch_size_does_not_matter(monkeypatch):
    views = layers()
    whole = Moments.of(views, utterances=LENGTHS)
    for frames in (1, 30, 60):
        monkeypatch.setattr(accumulator.Accumulator, "_capacity", lambda self, frames=frames: frames)
        assert_same(Moments.of(views, utterances=LENGTHS), whole)
    plain = Moments.of(views)
    monkeypatch.undo()
    assert float((plain.pair("a", "c").cross - Moments.of(views).pair("a", "c").cross).abs().max()) < 1e-8


def test_order_of_utterances_and_of_frames_within_them():
    views, index = layers(), index_of(LENGTHS)
    whole = Moments.of(views, utterances=LENGTHS)
    shuffled = np.random.default_rng(0).permutation(len(index))
    moved = {name: x[shuffled] for name, x in views.items()}
    assert_same(Moments.of(moved, utterances=index[shuffled]), whole)
    assert_same(Moments.of(moved, utterances=[f"utt{k}" for k in index[shuffled]]), whole)
    assert_same(Moments.of(moved, utterances=torch.tensor(index[shuffled]) * 7 - 3), whole)


def test_large_offset_in_float32_costs_nothing():
    """Added to frames that float32 holds exactly at either place, 1000 changes no sum beyond rounding."""
    coarse = {name: (x * 64).round() / 64 for name, x in layers().items()}
    near = Moments.of({name: x.float() for name, x in coarse.items()}, utterances=LENGTHS)
    far = Moments.of({name: x.float() + 1000 for name, x in coarse.items()}, utterances=LENGTHS)
    assert torch.allclose(near.pair("a", "c").cross, far.pair("a", "c").cross, rtol=1e-11, atol=1e-9)
    assert torch.allclose(near.mean("a") + 1000, far.mean("a"), rtol=1e-13)


def test_update_leaves_its_operands_alone():
    views = layers()
    one = Moments.of(views, utterances=LENGTHS)
    before = one.pair("a", "b").cross.clone()
    one.update(views, LENGTHS)
    one + one
    assert torch.equal(one.pair("a", "b").cross, before)
    assert one.frames == sum(LENGTHS)
    total = Accumulator.of(one)
    snapshot = total.moments()
    total.update(views, LENGTHS)
    assert torch.equal(snapshot.pair("a", "b").cross, before)


def test_a_refused_update_adds_nothing(monkeypatch):
    views = layers()
    total = Accumulator(WIDTHS)
    total.update(views, LENGTHS)
    before = total.moments()
    broken = {**views, "c": views["c"].clone()}
    broken["c"][3, 2] = float("nan")
    monkeypatch.setattr(accumulator.Accumulator, "_capacity", lambda self: 1)
    broken["c"][-1, 2] = float("nan")
    with pytest.raises(MeasureError, match="layer 'c' holds 2 values"):
        total.update(broken, LENGTHS)
    assert_same(total.moments(), before, rel=0)


def test_only_the_pairs_asked_for():
    views = layers()
    some = Moments.of(views, utterances=LENGTHS, pairs=[("c", "a"), ("a", "c")])
    assert set(some.pairs) == {("a", "a"), ("b", "b"), ("c", "c"), ("c", "a")}
    whole = Moments.of(views, utterances=LENGTHS)
    assert torch.allclose(some.pair("a", "c").cross, whole.pair("a", "c").cross)
    with pytest.raises(MeasureError, match="pair 'a', 'b' was not kept"):
        some.pair("a", "b")


@pytest.mark.parametrize("utterances", [LENGTHS, None])
def test_dict_and_file_give_the_same_moments(tmp_path, utterances):
    one = Moments.of(layers(), utterances=utterances)
    one.save(tmp_path / "moments.safetensors")
    assert [p.name for p in tmp_path.iterdir()] == ["moments.safetensors"]
    for other in (Moments.from_dict(one.to_dict()), Moments.load(tmp_path / "moments.safetensors")):
        assert (other.pairs, other.widths, other.frames) == (one.pairs, one.widths, one.frames)
        for pair in one.pairs:
            assert torch.equal(one.pair(*pair).cross, other.pair(*pair).cross)
        assert registry.get("cka").compute(other, "a", "c") == registry.get("cka").compute(one, "a", "c")


def test_moments_travel_between_processes():
    one = Moments.of(layers(), utterances=LENGTHS)
    registry.get("cca").compute(one, "a", "b")
    assert_same(pickle.loads(pickle.dumps(one)), one, rel=0)


def test_empty_moments_survive_a_file(tmp_path):
    Moments.zero(WIDTHS).save(tmp_path / "m")
    views = layers()
    assert_same(
        Moments.load(tmp_path / "m") + Moments.of(views, utterances=LENGTHS), Moments.of(views, utterances=LENGTHS)
    )


def test_broken_file_is_named(tmp_path):
    Moments.of(layers()).save(tmp_path / "m")
    (tmp_path / "m").write_bytes((tmp_path / "m").read_bytes()[:-50])
    with pytest.raises(MeasureError, match=r"cannot read moments from .*m:"):
        Moments.load(tmp_path / "m")
    with pytest.raises(MeasureError, match="cannot read moments"):
        Moments.load(tmp_path / "nothing")
    with pytest.raises(MeasureError, match="format is None"):
        Moments.from_dict({"about": {}, "tensors": {}})


def test_what_does_not_fit_is_refused():
    views = layers()
    one = Moments.of(views, utterances=LENGTHS)
    with pytest.raises(MeasureError, match="first difference layer 'a' of"):
        one + Moments.zero({"a": 3})
    with pytest.raises(MeasureError, match=r"first difference pair \('a', 'b'\)"):
        one + Moments.zero(WIDTHS, pairs=[("a", "c"), ("b", "c")])
    with pytest.raises(MeasureError, match="make both alike"):
        one + Moments.of(views)
    with pytest.raises(MeasureError, match="do not keep utterances apart"):
        Moments.of(views).update(views, LENGTHS)
    with pytest.raises(MeasureError, match="need their lengths"):
        one.update(views)
    with pytest.raises(MeasureError, match="5 utterance lengths sum to 87 frames, but the layers have 86"):
        one.update(views, [21, *LENGTHS[1:]])
    with pytest.raises(MeasureError, match=r"at least 1 frame, got \[0, 86\]"):
        one.update(views, [0, 86])
    with pytest.raises(MeasureError, match=r"missing \['c'\], unknown \['d'\]"):
        one.update({"a": views["a"], "b": views["b"], "d": views["c"]}, LENGTHS)
    with pytest.raises(MeasureError, match="layer 'a' has 5 units, the moments have 6"):
        one.update({**views, "a": views["a"][:, :5]}, LENGTHS)
    with pytest.raises(MeasureError, match="pairs name unknown layers z"):
        Moments.zero(WIDTHS, pairs=[("a", "z")])
    with pytest.raises(MeasureError, match="at least one layer"):
        Moments.zero({})
    with pytest.raises(MeasureError, match="moments are empty"):
        Moments.zero(WIDTHS).pair("a", "a")
    with pytest.raises(MeasureError, match="no layer 'z' in the moments; there are a, b, c"):
        one.mean("z")
