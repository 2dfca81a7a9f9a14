"""Bootstrap collections against n × n Grams of the copied frames, and the intervals from them."""

import numpy as np
import pytest
import torch

from otoscope.errors import MeasureError
from otoscope.measures import Moments, cka, get
from otoscope.measures.inference import BlockAccumulator, BlockMoments, assign, bootstrap, bootstrap_all, jackknife
from otoscope.measures.inference.resample import Resampler

from .reference import cka_of_copies, debiased_of_copies, rows_of, speech

WEIGHTS = [[1, 1, 1, 1, 1], [2, 0, 1, 1, 1], [3, 2, 0, 0, 0], [0, 0, 4, 0, 1], [0, 5, 0, 0, 0]]


def copies(lengths, weights):
    """Each copied frame's row, utterance, block and copy."""
    chosen = assign(dict(enumerate(lengths)), len(weights))
    block_of, utterance = (
        np.array([chosen[u] for u in range(len(lengths))]),
        np.repeat(np.arange(len(lengths)), lengths),
    )
    found = []
    for block, weight in enumerate(weights):
        for copy in range(weight):
            rows = rows_of(lengths, block_of, [block])
            found.append(np.stack([rows, utterance[rows], np.full_like(rows, block), np.full_like(rows, copy)], 1))
    return np.concatenate(found).T


@pytest.mark.parametrize("weights", WEIGHTS)
def test_what_copies_count(weights):
    views, lengths = speech(10)
    drawn = Resampler(BlockMoments.of(views, utterances=lengths, blocks=5).parts).moments(weights)
    rows, utterance, block, copy = copies(lengths, weights)
    x, y = views["x"][rows], views["y"][rows]
    assert drawn.frames == len(rows)
    assert get("cka").compute(drawn, "x", "y").value == pytest.approx(
        cka_of_copies(x, y, utterance, copy, block), abs=1e-10
    )
    assert get("cka-debiased").compute(drawn, "x", "y").value == pytest.approx(
        debiased_of_copies(x, y, rows), abs=1e-10
    )
    assert get("cka-biased").compute(drawn, "x", "y").value == pytest.approx(cka(x, y, estimator="biased").value)
    plain = Moments.of({"x": x, "y": y})
    for name in ("cca", "pwcca", "bures"):
        assert get(name).compute(drawn, "x", "y").value == pytest.approx(get(name).compute(plain, "x", "y").value)


def test_blocks_counted_apart_are_brought_together():
    """Two processes count from origins of their own."""
    views, lengths = speech(10)
    names, chosen = list(range(10)), assign(dict(enumerate(lengths)), 5)
    starts, parts = np.cumsum([0, *lengths]), []
    for first, last in [(0, 5), (5, 10)]:
        total = BlockAccumulator({"x": 5, "y": 4}, blocks=5, assignment=chosen)
        frames = {k: torch.from_numpy(v[starts[first] : starts[last]]) for k, v in views.items()}
        total.update(frames, lengths[first:last], names[first:last])
        parts.append(total.take())
    both, whole = parts[0] + parts[1], BlockMoments.of(views, utterances=lengths, blocks=5)
    for weights in WEIGHTS:
        ours, theirs = Resampler(both.parts).moments(weights), Resampler(whole.parts).moments(weights)
        for name in ("cka", "cka-debiased", "cca"):
            assert get(name).compute(ours, "x", "y").value == pytest.approx(
                get(name).compute(theirs, "x", "y").value, abs=1e-10
            )


def test_unrelated_layers_stay_centred_at_zero():
    """Copies that counted as different utterances would put every collection far above 0."""
    values = []
    for seed in range(10):
        views, lengths = speech(20, seed=seed, strength=0.0, phi=0.9)
        draw, kept = np.random.default_rng(seed), Resampler(BlockMoments.of(views, utterances=lengths).parts)
        for _ in range(20):
            weights = np.bincount(draw.integers(0, 20, 20), minlength=20).tolist()
            values.append(get("cka").compute(kept.moments(weights), "x", "y").value)
    assert abs(np.mean(values)) < 0.01


def test_the_spread_is_that_of_the_jackknife():
    views, lengths = speech(60)
    kept = BlockMoments.of(views, utterances=lengths)
    for name in ("cka", "cca-r2", "procrustes"):
        drawn, left = bootstrap(kept, name, "x", "y"), jackknife(kept, name, "x", "y")
        assert drawn.value == left.value
        assert drawn.standard_error == pytest.approx(left.standard_error, rel=0.25)
        assert (drawn.low, drawn.high) == pytest.approx((left.low, left.high), abs=0.25 * (left.high - left.low))


def test_seeds():
    views, lengths = speech(12)
    kept = BlockMoments.of(views, utterances=lengths, blocks=4)
    first, again, other = (bootstrap(kept, "cka", "x", "y", resamples=50, seed=s) for s in (0, 0, 1))
    assert first == again
    assert first.low != other.low
    assert (first.interval, first.level) == ("bootstrap", 0.95)
    pair = bootstrap_all(kept, ["cka", "cca"], [("x", "y")], resamples=50)
    assert pair["cka", "x", "y"] == first


def test_refusals():
    views, lengths = speech(12)
    kept = BlockMoments.of(views, utterances=lengths, blocks=4)
    with pytest.raises(MeasureError, match="resamples is 10; a standard error takes at least 50"):
        bootstrap(kept, "cka", "x", "y", resamples=10)
    with pytest.raises(MeasureError, match="level is 95"):
        bootstrap(kept, "cka", "x", "y", level=95)
    few, counts = speech(2)
    kept = BlockMoments.of(few, utterances=counts)
    with pytest.raises(MeasureError, match="2 of the blocks hold speech"):
        bootstrap(kept, "cka", "x", "y")
