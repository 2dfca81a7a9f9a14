"""Blocks of speech: whole clusters, balanced, the same on every call, mergeable."""

import numpy as np
import pytest
import torch

from otoscope.errors import MeasureError
from otoscope.measures import Moments, Samples, get
from otoscope.measures.inference import BlockAccumulator, BlockMoments, BlockSamples, assign

from ..data import index_of, normal
from .reference import rows_of, speech

MEASURES = ("cka", "cka-debiased", "cca", "bures")


def assert_same(a, b):
    assert (a.frames, a.utterances, a.squares) == (b.frames, b.utterances, b.squares)
    for name in MEASURES:
        assert get(name).compute(a, "x", "y").value == pytest.approx(get(name).compute(b, "x", "y").value, abs=1e-11)


def blocks_of(lengths, blocks):
    return [assign(dict(enumerate(lengths)), blocks)[u] for u in range(len(lengths))]


def test_each_part_and_what_is_left_are_the_moments_of_those_frames():
    views, lengths = speech(11)
    kept = BlockMoments.of(views, utterances=lengths, blocks=4)
    block_of = np.array(blocks_of(lengths, 4))
    for chosen, found in [
        ([0, 1, 2, 3], kept.total),
        *[([b], kept.parts[b]) for b in range(4)],
        *[([c for c in range(4) if c != b], kept.without(b)) for b in range(4)],
        ([1, 3], kept.only([1, 3])),
        ([0, 1, 3], kept.only([3, 0, 1])),
    ]:
        rows = rows_of(lengths, block_of, chosen)
        inside = [n for u, n in enumerate(lengths) if block_of[u] in chosen]
        assert_same(found, Moments.of({k: v[rows] for k, v in views.items()}, utterances=inside))


def test_blocks_are_balanced_and_hold_whole_clusters():
    random = np.random.default_rng(0)
    lengths = random.integers(100, 1200, 200).tolist()
    speakers = random.integers(0, 37, 200)
    kept = BlockMoments.of({"x": normal(sum(lengths), 1).float()}, utterances=lengths, clusters=speakers, blocks=10)
    ideal = sum(lengths) / 10
    largest = max(np.bincount(speakers, weights=lengths))
    assert max(kept.sizes) - min(kept.sizes) < largest
    assert max(abs(n - ideal) for n in kept.sizes) < 0.25 * ideal
    assert sorted(kept.clusters) == sorted(set(speakers.tolist()))
    for part, size in enumerate(kept.sizes):
        assert sum(n for n, s in zip(lengths, speakers, strict=True) if s in kept.clusters_in(part)) == size


def test_the_same_clusters_give_the_same_blocks():
    sizes = {f"speaker {k}": 100 + 37 * k % 50 for k in range(30)}
    assert assign(sizes, 7) == assign(dict(sizes), 7)
    with pytest.raises(MeasureError, match="blocks is 2; an interval takes at least 3, and 20 are usual"):
        assign(sizes, 2)


def test_labels_for_each_frame_and_utterances_in_any_order():
    views, lengths = speech(12)
    speakers = [f"s{u % 5}" for u in range(12)]
    kept = BlockMoments.of(views, utterances=lengths, clusters=speakers, blocks=3)
    order = np.random.default_rng(0).permutation(sum(lengths))
    index, labels = index_of(lengths)[order], np.repeat(speakers, lengths)[order]
    again = BlockMoments.of({k: v[order] for k, v in views.items()}, utterances=index, clusters=labels, blocks=3)
    assert kept.clusters == again.clusters
    for a, b in zip(kept.parts, again.parts, strict=True):
        assert_same(a, b)


def test_a_stream_gives_what_whole_layers_give():
    views, lengths = speech(20)
    speakers = [f"s{u % 7}" for u in range(20)]
    whole = BlockMoments.of(views, utterances=lengths, clusters=speakers, blocks=4)
    sizes = dict.fromkeys(dict.fromkeys(speakers), 0)
    for n, s in zip(lengths, speakers, strict=True):
        sizes[s] += n
    starts = np.cumsum([0, *lengths])
    halves = []
    for first, last in [(0, 9), (9, 20)]:
        total = BlockAccumulator({"x": 5, "y": 4}, blocks=4, assignment=assign(sizes, 4))
        for u in range(first, last, 3):
            stop = min(u + 3, last)
            part = {k: torch.from_numpy(v[starts[u] : starts[stop]]) for k, v in views.items()}
            total.update(part, lengths[u:stop], speakers[u:stop])
        halves.append(total.take())
    both = halves[1] + halves[0]
    assert both.clusters == whole.clusters
    for a, b in zip(both.parts, whole.parts, strict=True):
        assert_same(a, b)
    assert_same(both.total, whole.total)
    assert_same(both.without(1), whole.without(1))


def test_updates_leave_what_was_there_as_it_was():
    views, lengths = speech(6)
    zero = BlockMoments.zero({"x": 5, "y": 4}, blocks=3)
    assert (zero.sizes, zero.parts) == ((), ())
    first = zero.update(views, lengths)
    second = first.update(views, lengths, [f"again {u}" for u in range(6)])
    assert zero.sizes == ()
    assert sum(first.sizes) == sum(lengths)
    assert sum(second.sizes) == 2 * sum(lengths)
    assert set(second.clusters) == {f"again {u}" for u in range(6)}


def test_new_utterances_go_to_the_lightest_block():
    total = BlockAccumulator({"x": 2}, blocks=3)
    total.update({"x": normal(150, 2)}, [50, 40, 30, 10, 20])
    assert total.take().sizes == (50, 60, 40)


def test_fewer_clusters_than_blocks():
    views, lengths = speech(5)
    kept = BlockMoments.of(views, utterances=lengths)
    assert len(kept.blocks) == 20
    assert sorted(kept.sizes) == sorted(lengths)


def test_block_samples_hold_the_same_frames():
    views, lengths = speech(11)
    speakers = [u % 6 for u in range(11)]
    moments = BlockMoments.of(views, utterances=lengths, clusters=speakers, blocks=4)
    samples = BlockSamples.of(views, utterances=lengths, clusters=speakers, blocks=4)
    assert samples.sizes == moments.sizes
    for part in range(4):
        assert samples.clusters_in(part) == moments.clusters_in(part)
        left = samples.without(part)
        assert isinstance(left, Samples)
        assert_same(Moments.of(left.views, utterances=list(left.lengths)), moments.without(part))


def test_what_does_not_fit():
    views, lengths = speech(6)
    with pytest.raises(MeasureError, match=r"clusters has 5 labels for 6 utterances of \d+ frames"):
        BlockMoments.of(views, utterances=lengths, clusters=[1, 2, 3, 4, 5])
    with pytest.raises(MeasureError, match=r"clusters has shape \(6,\) and dtype float64"):
        BlockMoments.of(views, utterances=lengths, clusters=np.linspace(0, 1, 6))
    torn = np.arange(sum(lengths)) % 2
    with pytest.raises(
        MeasureError, match=r"utterance 0 has frames of 2 clusters \(0, 1\); a cluster is made of whole"
    ):
        BlockMoments.of(views, utterances=lengths, clusters=torn)
    with pytest.raises(MeasureError, match="blocks is 1; an interval takes at least 3"):
        BlockMoments.of(views, utterances=lengths, blocks=1)
    total = BlockAccumulator({"x": 5, "y": 4}, blocks=3)
    with pytest.raises(MeasureError, match=r"clusters has 1 labels for 6 utterances"):
        total.update(views, lengths, ["one"])
    assert total.take().sizes == ()
    with pytest.raises(MeasureError, match="puts cluster 'anna' into block 5 of 3"):
        BlockAccumulator({"x": 5}, blocks=3, assignment={"anna": 5})


def test_block_moments_that_cannot_be_added():
    views, lengths = speech(6)
    three, four = (BlockMoments.of(views, utterances=lengths, blocks=b) for b in (3, 4))
    with pytest.raises(MeasureError, match="block moments of 3 and of 4 blocks cannot be added"):
        three + four
    first = BlockMoments.zero({"x": 5, "y": 4}, blocks=3).update(views, lengths, list("abcdef"))
    second = BlockMoments.zero({"x": 5, "y": 4}, blocks=3).update(views, lengths, list("badcfe"))
    with pytest.raises(MeasureError, match=r"cluster 'a' is in block \d here and in block \d there .*`assignment`"):
        first + second
