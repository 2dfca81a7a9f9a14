"""One pass for every kind of measure: the same frames as captured by hand, by utterance and by block."""

import numpy as np
import pytest
import torch

from otoscope import CaptureError, Moments, similarity
from otoscope.asr import PRESETS, CharacterTokens, ReferenceRecogniser, pad
from otoscope.capture import INPUT, Clusters, gather, spread_evenly, views_of
from otoscope.measures import Samples
from otoscope.measures.inference import BlockMoments, BlockSamples, assign

NAMES = [[f"u{i}" for i in range(j, j + 4)] for j in (0, 4, 8)]


@pytest.fixture(scope="module")
def recogniser():
    torch.manual_seed(0)
    return ReferenceRecogniser(PRESETS["cnn"]["small"].model, CharacterTokens.of(["AB "]))


@pytest.fixture(scope="module")
def features():
    generator = torch.Generator().manual_seed(0)
    lengths = torch.randint(40, 200, (12,), generator=generator).tolist()
    return [torch.randn(n, 80, generator=generator).cumsum(0) / 5 for n in lengths]


@pytest.fixture
def batches(features):
    return [pad(features[i : i + 4]) for i in (0, 4, 8)]


@pytest.fixture(scope="module")
def by_hand(recogniser, features):
    """Every layer's frames of each utterance, one pass for each."""
    return {f"u{i}": next(views_of({"r": recogniser}, [pad([f])]))[0] for i, f in enumerate(features)}


def test_frames_are_kept_of_the_utterances_asked_for_and_moments_of_all(recogniser, batches, by_hand):
    wanted = ["u1", "u2", "u9"]
    found = gather({"r": recogniser}, batches, NAMES, sampled=wanted)
    assert isinstance(found.moments, Moments)
    assert isinstance(found.samples, Samples)
    assert found.frames == found.moments.frames == sum(len(v["r:subsample"]) for v in by_hand.values())
    assert found.utterances == found.moments.utterances == 12
    assert found.samples.lengths == tuple(len(by_hand[u]["r:subsample"]) for u in wanted)
    for name, x in found.samples.views.items():
        torch.testing.assert_close(x, torch.cat([by_hand[u][name] for u in wanted]), rtol=1e-4, atol=1e-5)


def test_blocks_hold_whole_clusters_and_sum_to_the_moments_of_all(recogniser, batches, by_hand):
    of = {f"u{i}": f"speaker {i % 5}" for i in range(12)}
    sizes = dict.fromkeys(of.values(), 0)
    for utterance, views in by_hand.items():
        sizes[of[utterance]] += len(views["r:subsample"])
    clusters = Clusters(of, assign(sizes, 20), "speakers")
    found = gather({"r": recogniser}, batches, NAMES, sampled=["u0", "u5", "u6"], clusters=clusters)
    assert isinstance(found.moments, BlockMoments)
    assert isinstance(found.samples, BlockSamples)
    assert sorted(found.moments.sizes) == sorted(sizes.values())
    for part, block in enumerate(found.moments.parts):
        (speaker,) = found.moments.clusters_in(part)
        assert block.frames == sizes[speaker]
    u0, u5, u6 = found.samples.block_of
    assert u0 == u5 != u6  # of one speaker, and of another
    plain = gather({"r": recogniser}, batches, NAMES)
    whole, one = (
        similarity(m, measure="cka").values for m in (found.moments.total, plain.moments) if isinstance(m, Moments)
    )
    np.testing.assert_allclose(whole, one, atol=5e-6)


def test_the_input_is_a_view_on_the_same_grid(recogniser, batches, features):
    views, lengths = next(views_of({"r": recogniser}, batches, inputs=True))
    for seen, f in zip(views[INPUT].split(lengths), features[:4], strict=True):
        assert len(seen) == -(-len(f) // 4)
        middle = 0.5 * f[2] + f[3] + f[4] + f[5] + 0.5 * f[6]  # 40 ms about the middle of the second output frame
        torch.testing.assert_close(seen[1], middle / 4)
    found = gather({"r": recogniser}, batches, NAMES, pairs=[("r:blocks.0", "r:blocks.1"), *_with_input()], inputs=True)
    assert isinstance(found.moments, Moments)
    partial = similarity(found.moments, measure="cka-partial", layers_x=["r:blocks.0"], layers_y=["r:blocks.1"])
    assert -1 <= float(partial[0, 0]) <= 1


def _with_input():
    return [(f"r:blocks.{i}", INPUT) for i in (0, 1)]


def test_shuffled_frames_keep_the_utterances_of_the_first_side(recogniser, batches, by_hand):
    found = gather({"r": recogniser}, batches, NAMES, moments=False, sampled=["u3"], shuffled=True)
    assert found.moments is None
    assert isinstance(found.samples, Samples)
    (kept,) = found.samples.lengths or ()
    assert kept <= len(by_hand["u3"]["r:blocks.0"])
    torch.testing.assert_close(
        found.samples.views["r:blocks.0"], by_hand["u3"]["r:blocks.0"][:kept], rtol=1e-4, atol=1e-5
    )
    assert "~r:blocks.0" in found.samples.views


def test_nothing_to_look_at_is_an_error(recogniser, batches):
    with pytest.raises(CaptureError, match="batches are empty"):
        gather({"r": recogniser}, [], [])
    with pytest.raises(CaptureError, match="none of the utterances to keep frames of"):
        gather({"r": recogniser}, batches, NAMES, sampled=["someone else"])


@pytest.mark.parametrize("most", [0, 39, 100, 1000, 3000, 10**6])
def test_utterances_are_spread_over_all_and_hold_no_more_frames_than_asked(most):
    random = np.random.default_rng(most)
    frames = {f"u{i}": int(n) for i, n in enumerate(random.integers(40, 200, 50))}
    chosen = spread_evenly(frames, most)
    assert sum(frames[u] for u in chosen) <= most
    at = [list(frames).index(u) for u in chosen]
    assert at == sorted(set(at))
    if 1 < len(chosen) < 50:
        gaps = np.diff(at)
        assert gaps.max() - gaps.min() <= 1
        assert sum(frames[u] for u in chosen) > 0.7 * most
    if most > sum(frames.values()):
        assert chosen == list(frames)
