"""CKA of weighted blocks from products between blocks, against the sums made anew for each weighting."""

import numpy as np
import pytest
import torch

from otoscope.measures import get
from otoscope.measures.inference import BlockAccumulator, BlockMoments
from otoscope.measures.inference.block_products import block_products

from .reference import speech

NAMES = ("cka", "cka-debiased", "cka-biased", "cka-partial")
PAIRS = [("x", "y"), ("x", "x"), ("y", "y"), ("input", "input"), ("x", "input"), ("y", "input")]
WEIGHTS = [[1, 1, 1, 1, 1], [0, 1, 1, 1, 1], [0, 1, 0, 1, 0], [2, 0, 1, 1, 1], [0, 0, 4, 0, 1]]


def layers():
    views, lengths = speech(12)
    generator = np.random.default_rng(5)
    shared = generator.normal(size=(sum(lengths), 3))
    # Off the origin, and not alike from one end to the other: parts have means of their own.
    views = {name: v + 3 + np.linspace(0, 2, len(v))[:, None] for name, v in views.items()}
    return {**views, "input": views["x"][:, :3] + shared}, lengths


def check(blocks):
    made = block_products(blocks, PAIRS, WEIGHTS)
    for weights, ours in zip(WEIGHTS, made, strict=True):
        theirs = blocks.weighted(weights)
        assert (ours.frames, ours.utterances, ours.squares) == (theirs.frames, theirs.utterances, theirs.squares)
        for name in NAMES:
            measure = get(name)
            expected = measure.compute(theirs, "x", "y")
            found = measure.compute(ours, "x", "y")
            assert found.value == pytest.approx(expected.value, rel=1e-9, abs=1e-12)
            assert found.null == pytest.approx(expected.null, rel=1e-9, nan_ok=True)


@pytest.mark.parametrize("mergeable", [True, False])
def test_every_weighting_of_blocks(mergeable):
    views, lengths = layers()
    check(BlockMoments.of(views, utterances=lengths, blocks=5, mergeable=mergeable))


def test_blocks_with_origins_of_their_own():
    views, lengths = layers()
    total = [BlockAccumulator({k: v.shape[1] for k, v in views.items()}, blocks=5) for _ in range(2)]
    starts = np.cumsum([0, *lengths])
    for part, (first, last) in zip(total, [(0, 5), (5, 12)], strict=True):
        frames = {k: torch.from_numpy(v[starts[first] : starts[last]]) for k, v in views.items()}
        part.update(frames, lengths[first:last])
    check(total[0].take() + total[1].take())


def test_pairs_that_were_not_kept_are_left_out():
    views, lengths = layers()
    kept = BlockMoments.of(views, utterances=lengths, blocks=5, pairs=[("y", "x")])
    (made,) = block_products(kept, PAIRS, [[1] * 5])
    assert made.has_pair("x", "y")
    assert made.has_pair("input", "input")
    assert not made.has_pair("x", "input")
