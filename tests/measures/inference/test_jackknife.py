"""Jackknife intervals against their definition, and what they refuse."""

import math
from dataclasses import replace

import numpy as np
import pytest

from otoscope.errors import MeasureError
from otoscope.measures import Measure, Moments, Samples, Similarity, cka, get, names
from otoscope.measures.inference import BlockMoments, BlockSamples, assign, jackknife, jackknife_all
from otoscope.measures.inference.halves import split

from .reference import CHANGED, delete_m_jackknife, linear_values, rows_of, speech, t_interval


def by_hand(name, views, lengths, blocks, level=0.95):
    """The interval of a measure, each part of the speech measured anew from its frames."""
    chosen = assign(dict(enumerate(lengths)), blocks)
    block_of = np.array([chosen[u] for u in range(len(lengths))])
    sizes = [sum(n for n, b in zip(lengths, block_of, strict=True) if b == k) for k in range(blocks)]

    def value(of):
        rows = rows_of(lengths, block_of, of)
        inside = [n for u, n in enumerate(lengths) if block_of[u] in of]
        return get(name).compute(Moments.of({k: v[rows] for k, v in views.items()}, utterances=inside), "x", "y").value

    to, back = (np.log, np.exp) if get(name).distance else (np.arctanh, np.tanh)
    theta = value(range(blocks))
    if name in CHANGED:
        left = linear_values(name, views, lengths, block_of, blocks)
    else:
        left = [value([c for c in range(blocks) if c != b]) for b in range(blocks)]
    halves = []
    for one, two in split(blocks):
        f = sum(sizes[b] for b in one) / sum(sizes)
        halves.append((f, value(one), value(two)))

    def parts(to):
        variance = delete_m_jackknife(to(theta), [to(v) for v in left], sizes)[1]
        gaps = np.array([f * to(a) + (1 - f) * to(b) - to(theta) for f, a, b in halves])
        root = np.mean([math.sqrt(f) + math.sqrt(1 - f) - 1 for f, _, _ in halves])
        return variance, gaps.mean(), gaps.mean() / root, gaps.var(ddof=1)

    rough = name in CHANGED
    variance, bias, root_bias, second = parts(to)
    if rough:
        centres = to(theta) - bias, to(theta) - root_bias
    else:
        variance, centres = max(variance - second, variance / 2), (to(theta) - bias,) * 2
    low = t_interval(min(centres), variance, blocks, level)[0]
    high = t_interval(max(centres), variance, blocks, level)[1]
    plain, _, _, second = parts(lambda v: v)
    error = math.sqrt(plain if rough else max(plain - second, plain / 2))
    return theta, back(low), back(high), error


@pytest.mark.parametrize(
    "name", ["cka", "cka-debiased", "cka-biased", "cca-r2", "cca", "svcca", "bures", "procrustes", "shape-distance"]
)
@pytest.mark.parametrize("turned", [False, True])
def test_against_the_definition(name, turned):
    views, lengths = speech(17)
    if turned:
        views = {"x": views["y"], "y": views["x"]}
    found = jackknife(BlockMoments.of(views, utterances=lengths, blocks=6), name, "x", "y", level=0.9)
    theta, low, high, error = by_hand(name, views, lengths, 6, level=0.9)
    near = 1e-7 if name in CHANGED else 1e-9  # differences have rounding of their own
    assert (found.value, found.low, found.high) == pytest.approx((theta, low, high), abs=near)
    assert found.standard_error == pytest.approx(error, abs=near)
    assert (found.level, found.interval, found.p_value) == (0.9, "jackknife", None)


@pytest.mark.parametrize(("p", "q"), [(5, 4), (4, 5), (4, 4)])
def test_the_weights_of_pwcca_change_too(p, q):
    """Where correlations lie apart; where they are close no derivative says what a block does (see `gradient`)."""
    views, lengths = speech(60, p=p, q=q, shared=min(p, q), strength=1.0, seed=3)
    views["y"] = views["y"] * np.linspace(1, 4, q)
    kept = BlockMoments.of(views, utterances=lengths, blocks=6)
    found = jackknife(kept, "pwcca", "x", "y")
    assert np.diff(found.correlations**2).max() < -0.03
    chosen = assign(dict(enumerate(lengths)), 6)
    left = linear_values("pwcca", views, lengths, np.array([chosen[u] for u in range(len(lengths))]), 6)
    moves = np.array(left) - found.value
    assert np.abs(np.array(found.left_out) - left).max() < 0.2 * np.abs(moves).max()


@pytest.mark.parametrize("name", CHANGED)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_directions_without_any_correlation_have_no_say(name, dtype):
    """Some units of y are what x leaves of them: correlations of 0 to rounding, which nothing can be divided by."""
    views, lengths = speech(150, p=100, q=100)
    x, y = (v - v.mean(0) for v in (views["x"], views["y"]))
    y[:, 60:] -= x @ np.linalg.lstsq(x, y[:, 60:], rcond=None)[0]
    for these in ({"x": x, "y": y}, {"x": x, "y": y[:, 1:]}, {"x": y[:, 1:], "y": x}):
        kept = BlockMoments.of({k: v.astype(dtype) for k, v in these.items()}, utterances=lengths)
        found = jackknife(kept, name, "x", "y")
        assert np.isfinite(found.left_out).all()
        assert 0 < found.standard_error < 0.1


@pytest.mark.parametrize("name", CHANGED)
def test_values_without_a_block_are_near_those_measured_anew(name):
    views, lengths = speech(100)
    kept = BlockMoments.of(views, utterances=lengths)
    left = np.array(jackknife(kept, name, "x", "y").left_out)
    anew = np.array([get(name).compute(kept.without(b), "x", "y").value for b in range(20)])
    assert np.corrcoef(left, anew)[0, 1] > (0.85 if name == "pwcca" else 0.95)  # its weights jump
    assert left.std() == pytest.approx(anew.std(), rel=0.25)


def test_moments_that_do_not_merge_give_nearly_the_same():
    views, lengths = speech(40)
    exact, quick = (
        jackknife(BlockMoments.of(views, utterances=lengths, mergeable=mergeable), "cka", "x", "y")
        for mergeable in (True, False)
    )
    assert (quick.low, quick.high) == pytest.approx((exact.low, exact.high), abs=0.02 * (exact.high - exact.low))


def test_all_at_once_is_each_alone():
    views, lengths = speech(15)
    views["z"] = np.tanh(views["x"])
    kept = BlockMoments.of(views, utterances=lengths, blocks=5)
    pairs = [("x", "y"), ("x", "z"), ("y", "x")]
    found = jackknife_all(kept, ["cka", "pwcca", get("procrustes")], pairs)
    assert list(found) == [(m, x, y) for x, y in pairs for m in ("cka", "pwcca", "procrustes")]
    for (name, x, y), result in found.items():
        assert (result.measure, result.layers) == (name, (x, y))
        alone = jackknife(kept, name, x, y)
        assert (result.value, result.low, result.high) == pytest.approx((alone.value, alone.low, alone.high), abs=1e-12)
        assert (result.units, result.ranks, result.weighted_by) == (alone.units, alone.ranks, alone.weighted_by)


def test_the_value_is_the_plain_one():
    views, lengths = speech(15)
    kept = BlockMoments.of(views, utterances=lengths)
    found = jackknife(kept, "cka", "x", "y")
    plain = cka(views["x"], views["y"], utterances=lengths)
    bare = replace(
        found, low=None, high=None, level=None, standard_error=None, interval=None, left_out=None, layers=("x", "y")
    )
    assert bare == replace(plain, value=bare.value)
    assert found.value == pytest.approx(plain.value, abs=1e-12)


@pytest.mark.parametrize("name", [n for n in names() if not n.startswith(("cka-partial", "paper"))])
def test_every_measure_has_an_interval_and_it_does_not_change_from_call_to_call(name):
    views, lengths = speech(12, phi=0.5, p=4)
    kind = BlockMoments if get(name).source == "moments" else BlockSamples
    found, again = (jackknife(kind.of(views, utterances=lengths, blocks=4), name, "x", "y") for _ in range(2))
    assert found == again
    assert found.low < found.high
    assert found.standard_error > 0


def test_samples_and_moments_agree():
    views, lengths = speech(12)

    def compute(samples: Samples, x: str, y: str) -> Similarity:
        return get("cka").compute(Moments.of(samples.views, utterances=list(samples.lengths)), x, y)

    of_samples = Measure("cka-of-samples", compute, source="samples")
    found = jackknife(BlockSamples.of(views, utterances=lengths, blocks=5), of_samples, "x", "y")
    other = jackknife(BlockMoments.of(views, utterances=lengths, blocks=5), "cka", "x", "y")
    assert (found.low, found.high) == pytest.approx((other.low, other.high), abs=1e-10)


@pytest.mark.parametrize("name", ["cka", "cca", "procrustes"])
def test_a_layer_and_itself(name):
    views, lengths = speech(10)
    views["y"] = 2 * views["x"] + 1
    found = jackknife(BlockMoments.of(views, utterances=lengths, blocks=5), name, "x", "y")
    same = 0 if get(name).distance else 1
    assert (found.low, found.high) == pytest.approx((same, same), abs=1e-6)


def test_more_confidence_is_wider_and_more_speech_narrower():
    few, many = (
        BlockMoments.of(views, utterances=lengths) for views, lengths in (speech(20, seed=1), speech(200, seed=1))
    )
    wide, narrow = jackknife(few, "cka", "x", "y"), jackknife(many, "cka", "x", "y")
    assert narrow.high - narrow.low < 0.6 * (wide.high - wide.low)
    sure = jackknife(few, "cka", "x", "y", level=0.99)
    assert sure.low < wide.low < wide.high < sure.high
    assert sure.standard_error == wide.standard_error


def test_rough_measures_can_be_named():
    views, lengths = speech(12)
    kept = BlockMoments.of(views, utterances=lengths, blocks=5)
    smooth = jackknife(kept, "cca", "x", "y", rough=())
    assert smooth.high - smooth.low < jackknife(kept, "cca", "x", "y").high - jackknife(kept, "cca", "x", "y").low


def test_clusters_widen_what_their_utterances_share():
    """Ten speakers, each with an offset that both layers have; utterances of one speaker say the same thing again."""
    random = np.random.default_rng(0)
    speaker = np.repeat(np.arange(10), 4)
    offsets = random.standard_normal((10, 3)) * 2
    x = np.repeat(offsets[speaker], 20, axis=0) + random.standard_normal((800, 3))
    y = np.repeat(offsets[speaker], 20, axis=0) + random.standard_normal((800, 3))
    utterances = [20] * 40
    by_utterance = jackknife(BlockMoments.of({"x": x, "y": y}, utterances=utterances), "cca-r2", "x", "y")
    by_speaker = jackknife(
        BlockMoments.of({"x": x, "y": y}, utterances=utterances, clusters=speaker), "cca-r2", "x", "y"
    )
    assert by_speaker.standard_error > 1.3 * by_utterance.standard_error


def test_halves_are_different_and_complementary():
    for blocks in (3, 4, 5, 20, 21):
        splits = split(blocks)
        assert len(splits) == len(set(splits)) == (3 if blocks < 5 else 5)
        for one, two in splits:
            assert sorted(one + two) == list(range(blocks))
            assert abs(len(one) - len(two)) <= 1


def test_too_few_blocks():
    views, lengths = speech(2)
    with pytest.raises(MeasureError, match=r"2 of the blocks hold speech; an interval takes at least 3 clusters"):
        jackknife(BlockMoments.of(views, utterances=lengths), "cka", "x", "y")
    views, lengths = speech(3, length=30)
    three = BlockMoments.of(views, utterances=lengths)
    assert jackknife(three, "cka-biased", "x", "y").interval == "jackknife"
    with pytest.raises(
        MeasureError, match=r"half of the blocks .* cannot be measured: cross-utterance CKA .* at least 2"
    ):
        jackknife(three, "cka", "x", "y")


def test_a_cluster_with_most_of_the_speech():
    views, lengths = speech(12)
    speakers = ["anna"] * 9 + ["bert", "carl", "dora"]
    with pytest.raises(MeasureError, match=r"one of 4 blocks, cluster 'anna', holds \d\d% of the frames"):
        jackknife(BlockMoments.of(views, utterances=lengths, clusters=speakers), "cka", "x", "y")
    with pytest.raises(MeasureError, match=r"one of 3 blocks holds 80% of the frames"):
        jackknife(BlockMoments.of({"x": views["x"][:100]}, utterances=[80, 10, 10]), "cka", "x", "x")


def test_measures_of_the_other_kind():
    views, lengths = speech(6)
    with pytest.raises(MeasureError, match=r"'rsa' is computed from samples, these blocks hold moments.*BlockSamples"):
        jackknife(BlockMoments.of(views, utterances=lengths), "rsa", "x", "y")
    with pytest.raises(MeasureError, match=r"'cka' is computed from moments, these blocks hold samples.*BlockMoments"):
        jackknife(BlockSamples.of(views, utterances=lengths), "cka", "x", "y")
    with pytest.raises(MeasureError, match="expected one or more different measures"):
        jackknife_all(BlockMoments.of(views, utterances=lengths), ["cka", "cka"], [("x", "y")])


def test_a_refusal_stands_in_the_place_of_its_result():
    views, lengths = speech(4, p=30, q=30, length=25)
    kept = BlockMoments.of({**views, "dead": np.zeros((sum(lengths), 2))}, utterances=lengths)
    found = jackknife_all(kept, ["cca", "cka"], [("x", "y"), ("x", "dead")])
    assert isinstance(found["cka", "x", "y"], Similarity)
    with pytest.raises(
        MeasureError, match=r"no interval of cca, since half of the blocks \(\d+ of \d+ frames\) cannot"
    ):
        raise found["cca", "x", "y"]
    with pytest.raises(MeasureError, match="layer 'dead' is constant"):
        raise found["cka", "x", "dead"]
    with pytest.raises(MeasureError, match="no interval of cca"):
        jackknife(kept, "cca", "x", "y")
