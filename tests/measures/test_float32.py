"""Large layers in float32, float16 or bfloat16, which are summed in float32, read what the definitions say."""

import pickle

import numpy as np
import pytest
import torch

from otoscope.errors import MeasureError
from otoscope.measures import Accumulator, Moments, coordinates, get, held_out_cca
from otoscope.measures.inference import BlockMoments

from . import reference
from .data import autoregressive, index_of, normal, rotation

P, Q = 112, 100  # wide enough for the eigenvectors that large matrices go by
LENGTHS = [150, 1, 320, 90, 200, 60, 1, 250, 180, 130, 118]
FRAMES = sum(LENGTHS)
INDEX = index_of(LENGTHS)
BOTH_WAYS = ("pwcca", "regression")

REFERENCES = {
    "cka": lambda x, y: reference.cka(x, y, estimator="cross-utterance", index=INDEX),
    "cka-debiased": lambda x, y: reference.cka(x, y, estimator="debiased"),
    "cka-biased": lambda x, y: reference.cka(x, y, estimator="biased"),
    "cca": reference.cca,
    "cca-r2": reference.r2_cca,
    "svcca": reference.svcca,
    "pwcca": reference.pwcca,
    "regression": reference.regression,
    "cca-ridge": lambda x, y: reference.ridge_cca(x, y, 0.1),
    "bures": lambda x, y: 1 - reference.procrustes(x, y) ** 2 / 2,
    "shape-distance": reference.shape_distance,
}
OF_REDUNDANT_UNITS = [name for name in REFERENCES if name != "cca-ridge"]  # whose reference inverts

mergeable_or_not = pytest.mark.parametrize("mergeable", [True, False])


@pytest.fixture(autouse=True)
def float32_pays(monkeypatch):
    """Of layers small enough for tests too."""
    monkeypatch.setattr(coordinates, "SMALL", 1 << 20)


def speech(seed=0, p=P, q=Q, lengths=LENGTHS):
    """Two layers of saturated units that share what was said; deviations from 1 to 10⁻³ in different directions."""
    frames = sum(lengths)
    said = autoregressive(1, frames, 24, 0.9, seed=seed, dtype=torch.float64) * torch.logspace(0, -1.5, 24)

    def layer(width, at):
        heard = torch.tanh(said @ normal(24, width, seed=at))
        own = normal(frames, width, seed=at + 1) * torch.logspace(0, -2, width) @ rotation(width, at + 2)
        return heard / 2 + own / 4 + 2 * normal(width, seed=at + 3)

    return layer(p, seed + 10), layer(q, seed + 20)


def massive(z):
    """Two units a thousand times larger than the rest."""
    return torch.cat([1000 * z[:, :1], z[:, 1:7], 1000 * z[:, 7:8], z[:, 8:]], 1)


def redundant(z):
    """Dead, constant and duplicated units among the others."""
    z = z.clone()
    z[:, 5], z[:, 6], z[:, 20:30] = 0, -1000, z[:, 40:50]
    return z


def moments(x, y, *, lengths=LENGTHS, **options):
    made = Moments.of({"x": x, "y": y}, utterances=lengths, **options)
    assert made.axes["x"] is not None, "too little for float32"
    return made


def in_float64(monkeypatch, x, y, lengths=LENGTHS, **more):
    """The moments of the same numbers, summed in float64."""
    with monkeypatch.context() as patch:
        patch.setattr(coordinates, "SMALL", float("inf"))
        made = Moments.of({"x": x, "y": y, **more}, utterances=lengths)
    assert made.axes["x"] is None
    return made


def value(made, name, x="x", y="y"):
    return get(name).compute(made, x, y).value


def ways(name):
    return (("x", "y"), ("y", "x")) if name in BOTH_WAYS else (("x", "y"),)


def near(expected, name, rel=1e-6):
    return pytest.approx(expected, rel=10 * rel if name == "pwcca" else rel, abs=2e-7)


def assert_same(made, other, names=REFERENCES, rel=1e-6):
    assert (made.frames, made.utterances, made.squares) == (other.frames, other.utterances, other.squares)
    for name in names:
        for pair in ways(name):
            found, expected = (get(name).compute(m, *pair) for m in (made, other))
            assert found.ranks == expected.ranks, name
            assert found.value == near(expected.value, name, rel), name


def assert_as_defined(made, x, y, names=REFERENCES, rel=1e-6):
    """`x` and `y` are the numbers that were summed."""
    layers = {"x": x.double().numpy(), "y": y.double().numpy()}
    for name in names:
        for a, b in ways(name):
            assert value(made, name, a, b) == near(REFERENCES[name](layers[a], layers[b]), name, rel), name


def stream(views, lengths, at_a_time, **options):
    total, start = Accumulator({name: z.shape[1] for name, z in views.items()}, **options), 0
    for i in range(0, len(lengths), at_a_time):
        part = lengths[i : i + at_a_time]
        total.update({name: z[start : start + sum(part)] for name, z in views.items()}, part)
        start += sum(part)
    return total.take()


def test_what_is_summed_in_float32(monkeypatch):
    monkeypatch.undo()
    large, small = normal(4096, 256).float(), normal(4096, 32).float()
    assert Moments.of({"x": large, "y": large}).axes["x"] is not None
    assert Moments.of({"x": small, "y": small}).axes["x"] is None
    assert Moments.of({"x": large.double(), "y": large}).axes["y"] is None
    assert Moments.of({"x": large[:200], "y": large[:200]}).axes["x"] is None  # too few to take axes from


@mergeable_or_not
@pytest.mark.parametrize("scale", [1, 1e-6, 1e-3, 1e6])
def test_speech_at_any_scale(mergeable, scale):
    x, y = ((scale * z).float() for z in speech())
    before = x.clone()
    assert_as_defined(moments(x, y / scale**2, mergeable=mergeable), x, y / scale**2)
    assert torch.equal(x, before)


@pytest.mark.parametrize("scale", [1e-42, 1e-30, 1e-20, 1e20, 1e30])
@mergeable_or_not
def test_scales_near_the_ends_of_float32(mergeable, scale):
    x, y = speech()
    x, y = (x * scale).float(), y.float()
    names = ("cka", "cka-debiased", "svcca", "bures") if scale < 1e-37 else REFERENCES  # few bits are left there
    # The reference's least squares do not see numbers as small as these.
    assert_as_defined(moments(x, y, mergeable=mergeable), x.double() / scale, y, names)


@mergeable_or_not
@pytest.mark.parametrize("deviation", [1, 20, 0.01])
def test_means_of_a_thousand(mergeable, deviation):
    x, y = ((deviation * z + offset).float() for z, offset in zip(speech(), (1000, -1000), strict=True))
    names = REFERENCES if deviation >= 1 else ("cka-debiased", "cka-biased", "svcca", "regression", "bures")
    assert_as_defined(moments(x, y, mergeable=mergeable), x, y, names)


@mergeable_or_not
def test_massive_features(mergeable):
    x, y = (massive(z).float() for z in speech())
    assert_as_defined(moments(x, y, mergeable=mergeable), x, y)


@mergeable_or_not
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("deviation", [1, 20])
def test_half_precisions(mergeable, dtype, deviation):
    x, y = ((deviation * z).to(dtype) for z in speech())
    assert_as_defined(moments(x, y, mergeable=mergeable), x, y)


@mergeable_or_not
def test_dead_constant_and_duplicated_units(mergeable, monkeypatch):
    x, y = (redundant(z).float() for z in speech())
    made = moments(x, y, mergeable=mergeable)
    assert get("cca").compute(made, "x", "y").ranks == (P - 12, Q - 12)
    assert_as_defined(made, x, y, OF_REDUNDANT_UNITS)
    assert_same(made, in_float64(monkeypatch, x, y))


@mergeable_or_not
def test_rank_64_computed_in_float32(mergeable, monkeypatch):
    """What rounding adds to units computed from fewer is no direction; the CCA family reads what the few read."""
    a, b = normal(FRAMES, 64), normal(FRAMES, 64, seed=1)
    a, b = a.float(), (a + b * torch.logspace(-1, 1, 64)).float()
    x, y = a @ normal(64, 256, seed=2).float(), b @ normal(64, 256, seed=3).float()
    made = moments(x, y, mergeable=mergeable)
    found = get("cca").compute(made, "x", "y")
    assert found.ranks == (64, 64)
    assert found.value == pytest.approx(reference.cca(a.double(), b.double()), abs=1e-6)
    assert_as_defined(made, x, y, ("cka", "cka-debiased", "bures", "shape-distance"))
    assert_same(made, in_float64(monkeypatch, x, y))


@mergeable_or_not
@pytest.mark.parametrize("lengths", [[FRAMES - 40, *[1] * 40], [FRAMES - 60, *[6] * 10], [700, 800], [1] * FRAMES])
def test_utterances_of_any_length(mergeable, lengths):
    """One long beside short ones; two; single frames. Little is left of the sums once the utterances' own are off."""
    lengths = [*lengths[:-1], lengths[-1] + FRAMES - sum(lengths)]
    x, y = (z.float() for z in speech())
    index = index_of(lengths)
    expected = reference.cka(x.double(), y.double(), estimator="cross-utterance", index=index)
    made = moments(x, y, lengths=index, mergeable=mergeable)
    assert value(made, "cka") == pytest.approx(expected, rel=2e-6)


def test_wide_beside_narrow_layers_and_pairs_of_two_models(monkeypatch):
    x, y = speech(p=160, q=40)
    z, _ = speech(seed=3, p=96)
    views = {"a:0": x.float(), "a:1": x.tanh().float(), "b:0": y.float(), "b:1": z.float()}
    pairs = [(a, b) for a in ("b:1", "b:0") for b in ("a:0", "a:1")]  # runs of partners, some out of order
    some = Moments.of(views, utterances=LENGTHS, pairs=pairs)
    assert set(some.pairs) == {*pairs, *((name, name) for name in views)}
    assert all(axes is not None for axes in some.axes.values())
    for name in REFERENCES:
        for a, b in (("a:0", "b:0"), ("b:1", "a:0"), ("a:1", "b:1")):
            expected = REFERENCES[name](views[a].double().numpy(), views[b].double().numpy())
            assert value(some, name, a, b) == near(expected, name), (name, a, b)
    with pytest.raises(MeasureError, match="pair 'a:0', 'a:1' was not kept"):
        some.centred("a:0", "a:1")


@pytest.mark.parametrize("at_a_time", [1, 2, 5])
def test_small_updates(monkeypatch, at_a_time):
    x, y = (z.float() for z in speech())
    monkeypatch.setattr(Accumulator, "_capacity", lambda self: 400)
    made = stream({"x": x, "y": y}, LENGTHS, at_a_time)
    assert made.axes["x"] is not None
    assert_as_defined(made, x, y)


def pieces(x, y):
    """Moments with origins and axes of their own."""
    for a, b in ((0, 4), (4, 8), (8, 11)):
        rows = slice(sum(LENGTHS[:a]), sum(LENGTHS[:b]))
        yield moments(x[rows], y[rows], lengths=LENGTHS[a:b])


@pytest.mark.parametrize("scale", [1, 30])
def test_merging_in_any_grouping_and_taking_away(scale):
    """The middle piece is louder, so that the pieces' axes and origins have little to do with each other."""
    x, y = speech()
    middle = slice(sum(LENGTHS[:4]), sum(LENGTHS[:8]))
    x[middle] = scale * x[middle] @ rotation(P, 5)
    x, y = x.float(), y.float()
    a, b, c = pieces(x, y)
    assert not torch.equal(a.axes["x"], b.axes["x"])
    for merged in (a + b + c, c + (b + a), Moments.zero({"x": P, "y": Q}) + b + (a + c)):
        assert_as_defined(merged, x, y)
    first = slice(0, sum(LENGTHS[:4]))
    index = index_of(LENGTHS[:4])
    left = (a + b) - b
    assert (left.frames, left.utterances) == (a.frames, a.utterances)
    expected = reference.cka(x[first].double(), y[first].double(), estimator="cross-utterance", index=index)
    # What is taken away was larger, and its rounding stays behind.
    assert value(left, "cka") == pytest.approx(expected, rel=1e-6 * scale**2)
    assert value(left, "svcca") == pytest.approx(reference.svcca(x[first], y[first]), rel=1e-6 * scale**2)


def test_merging_with_what_float64_summed(monkeypatch):
    x, y = (z.float() for z in speech())
    cut = sum(LENGTHS[:4])
    one = moments(x[:cut], y[:cut], lengths=LENGTHS[:4])
    two = in_float64(monkeypatch, x[cut:], y[cut:], LENGTHS[4:])
    for merged in (one + two, two + one, one.update({"x": x[cut:].double(), "y": y[cut:].double()}, LENGTHS[4:])):
        assert_as_defined(merged, x, y)


def shaped(kind, x, y):
    """Speech whose first chunk says little of the rest."""
    n = sum(LENGTHS[:4])
    if kind == "silence, then speech":
        x[:n], y[:n] = 0.1 * x[:1] + 1e-4 * normal(n, P), y[:1] + 1e-4 * normal(n, Q)
    elif kind == "units that wake":
        x[:n, 3:10] = 0
        x[n:, 3] *= 3000
    elif kind == "massive features that wake":
        x[n:, 5], x[n:, 6] = 1000 * x[n:, 5], 1000 * x[n:, 9]
    elif kind == "another place":
        x[n:] += 30 * torch.linspace(-1, 1, P)
        y[n:] -= 30
    elif kind == "one direction":
        x[n:] += 30 * normal(len(x) - n, 1, seed=4) * normal(P, seed=5)
    return x, y


KINDS = [
    "silence, then speech",
    "units that wake",
    "massive features that wake",
    "another place",
    "one direction",
]


@pytest.mark.parametrize("kind", KINDS)
def test_speech_unlike_its_beginning(monkeypatch, kind):
    x, y = (z.float() for z in shaped(kind, *speech()))
    monkeypatch.setattr(Accumulator, "_capacity", lambda self: sum(LENGTHS[:4]))
    made = stream({"x": x, "y": y}, LENGTHS, 1)
    assert made.axes["x"] is not None
    names = [
        n for n in REFERENCES if n != "shape-distance"
    ]  # of nearly equal layers, where it takes a root of rounding
    assert_as_defined(made, x, y, names, rel=2e-6)
    assert torch.allclose(made.mean("x"), x.double().mean(0), rtol=1e-6, atol=1e-6 * float(x.abs().max()))


@pytest.mark.parametrize("kind", KINDS)
def test_blocks_of_speech_unlike_each_other(monkeypatch, kind):
    x, y = (z.float() for z in shaped(kind, *speech()))
    views = {"x": x, "y": y}
    whole = in_float64(monkeypatch, x, y)
    for mergeable in (True, False):
        blocks = BlockMoments.of(views, utterances=LENGTHS, blocks=4, mergeable=mergeable)
        assert blocks.blocks[0].axes["x"] is not None
        assert_same(blocks.total, whole, ("cka", "cka-debiased", "cca", "svcca", "regression"), rel=2e-6)


def test_what_axes_and_origins_are_kept_is_written_and_read(tmp_path, monkeypatch):
    x, y = (z.float() for z in speech())
    cut = sum(LENGTHS[:6])
    one = moments(x[:cut], y[:cut], lengths=LENGTHS[:6])
    one.save(tmp_path / "m.safetensors")
    rest = {"x": x[cut:], "y": y[cut:]}
    for other in (
        Moments.load(tmp_path / "m.safetensors"),
        Moments.from_dict(one.to_dict()),
        pickle.loads(pickle.dumps(one)),
    ):
        for name in ("x", "y"):
            assert torch.equal(other.axes[name], one.axes[name])
        assert_same(other, one, rel=1e-12)
        assert_as_defined(other.update(rest, LENGTHS[6:]), x, y, ("cka", "cca", "svcca", "pwcca"))


def test_not_mergeable_moments_stay_where_they_are():
    x, y = (z.float() for z in speech())
    cut = sum(LENGTHS[:6])
    one = moments(x[:cut], y[:cut], lengths=LENGTHS[:6], mergeable=False)
    two = moments(x[cut:], y[cut:], lengths=LENGTHS[6:], mergeable=False)
    with pytest.raises(MeasureError, match="different origins cannot be joined"):
        one + two
    with pytest.raises(MeasureError, match="different origins cannot be joined"):
        one - two
    with pytest.raises(MeasureError, match="that are mergeable cannot be joined to others that are not"):
        one + moments(x[cut:], y[cut:], lengths=LENGTHS[6:])
    with pytest.raises(MeasureError, match="count from the mean of their first update and take no second"):
        one.update({"x": x[cut:], "y": y[cut:]}, LENGTHS[6:])
    with pytest.raises(MeasureError, match="take no second"):
        stream({"x": x.double(), "y": y.double()}, LENGTHS, 4, mergeable=False)
    # Without utterances nothing is lost, and many updates will do.
    total = Accumulator({"x": P, "y": Q}, utterances=False, mergeable=False)
    for rows in (slice(0, cut), slice(cut, FRAMES)):
        total.update({"x": x[rows], "y": y[rows]})
    assert value(total.take(), "cka-debiased") == pytest.approx(REFERENCES["cka-debiased"](x, y), rel=1e-6)


@mergeable_or_not
def test_the_input_regressed_out(mergeable):
    x, y = (z.float() for z in speech())
    given = x[:, :40] + 0.1 * normal(FRAMES, 40, seed=8).float()
    made = Moments.of({"x": x, "y": y, "input": given}, utterances=LENGTHS, mergeable=mergeable)
    expected = reference.partial_cka(x.double(), y.double(), given.double(), estimator="cross-utterance", index=INDEX)
    # Most of both layers goes; what float32 made of the whole is still there.
    assert value(made, "cka-partial") == pytest.approx(expected, abs=2e-5)


@mergeable_or_not
@pytest.mark.parametrize("change", [lambda x: 2 * x + 1, lambda x: x.flip(1), lambda x: x @ rotation(P).float()])
def test_nothing_left_but_rounding_is_refused(mergeable, change):
    x, y = (z.float() for z in speech())
    made = Moments.of({"x": x, "y": y, "input": change(x)}, utterances=LENGTHS, mergeable=mergeable)
    with pytest.raises(MeasureError, match="layer 'x' has the same geometry as 'input'"):
        value(made, "cka-partial")
    half = FRAMES // 2
    constant = torch.cat([torch.ones(half, P), -torch.ones(FRAMES - half, P)]) * normal(P).float()
    made = moments(constant, y, lengths=[half, FRAMES - half], mergeable=mergeable)
    with pytest.raises(MeasureError, match="layer 'x' has no similarity with itself left"):
        value(made, "cka")


def test_a_copy_is_found_out(monkeypatch):
    x, _ = speech()
    x, y = x.float(), (3 * x @ rotation(P) + 1).float()
    made = moments(x, y)
    for name in ("cka", "cka-debiased", "cca", "svcca", "pwcca", "bures", "regression", "cca-ridge"):
        assert value(made, name) == pytest.approx(1, abs=1e-6)
    for name in ("procrustes", "shape-distance"):
        assert value(made, name) < 1e-3  # the root of what float32 leaves of 2 − 2c


def test_held_out_directions():
    x, y = (z.float() for z in speech())
    folds = [np.flatnonzero(k == INDEX % 3) for k in range(3)]
    utterances = np.empty(FRAMES, dtype=int)
    for k, held in enumerate(folds):
        utterances[held] = k  # three utterances: each is a fold
    expected = reference.held_out_cca(x.double().numpy(), y.double().numpy(), folds)
    assert held_out_cca(x, y, utterances=utterances, folds=3).value == pytest.approx(expected, abs=2e-6)
    assert held_out_cca(y, x, utterances=utterances, folds=3).value == pytest.approx(expected, abs=2e-6)
