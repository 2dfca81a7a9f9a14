"""From outputs to frames × units: padding and layouts; similarities that padding and batching cannot change."""

import numpy as np
import pytest
import torch

from otoscope import CaptureError, Layer, ReferenceRecogniser, similarity
from otoscope.asr import PRESETS, CharacterTokens, pad
from otoscope.capture import reduce, to_frames, views_of
from otoscope.capture.streaming import shuffle_utterances


def layer(units=3, stride=0.02, time_axis=1):
    return Layer("l", units, stride, time_axis, "test")


def test_padding_is_dropped_by_true_length():
    output = torch.arange(2 * 5 * 3.0).view(2, 5, 3)
    frames, lengths = to_frames(output, layer(), torch.tensor([10, 5]), 0.01)
    assert lengths == [5, 3]
    assert torch.equal(frames, torch.cat([output[0], output[1, :3]]))


def test_every_layout_gives_the_same_frames():
    plain = torch.randn(2, 5, 6)
    lengths = torch.tensor([10, 7])
    expected, _ = to_frames(plain, layer(6), lengths, 0.01)
    for output, axis in (
        (plain.transpose(1, 2), 2),  # (batch, channels, frames)
        (plain.transpose(0, 1), 0),  # (frames, batch, units)
        (plain.view(2, 5, 2, 3).permute(0, 2, 1, 3), 2),  # (batch, channels, frames, frequencies)
    ):
        assert torch.equal(to_frames(output, layer(6, time_axis=axis), lengths, 0.01)[0], expected)


@pytest.mark.parametrize(
    ("shape", "said"),
    [((2, 4, 3), "2 utterances × 4 frames × 3 units"), ((2, 5, 4), "5 frames × 4 units"), ((1, 5, 3), "1 utterances")],
)
def test_an_output_of_another_shape_is_refused(shape, said):
    with pytest.raises(CaptureError, match=said):
        to_frames(torch.zeros(shape), layer(), torch.tensor([10, 5]), 0.01)
    with pytest.raises(CaptureError, match="expected \\(batch, frames, units\\)"):
        to_frames(torch.zeros(shape[:2]), layer(), torch.tensor([10, 5]), 0.01)


@pytest.fixture(params=["cnn", "lstm", "transformer"])
def recogniser(request):
    torch.manual_seed(0)
    return ReferenceRecogniser(PRESETS[request.param]["small"].model, CharacterTokens.of(["AB "]))


def speech(count=12):
    generator = torch.Generator().manual_seed(0)
    lengths = torch.randint(40, 200, (count,), generator=generator).tolist()
    return [torch.randn(n, 80, generator=generator).cumsum(0) / 5 for n in lengths]


def cka(recogniser, batches):
    moments = reduce({"r": recogniser}, batches)
    return similarity(moments, measure=["cka", "cka-biased", "cka-debiased"]).to_array().values


def test_padding_and_batch_size_do_not_change_a_similarity(recogniser):
    features = speech()
    alone = cka(recogniser, [pad([f]) for f in features])
    pairs = cka(recogniser, [pad(features[i : i + 2]) for i in range(0, 12, 2)])
    together = cka(recogniser, [pad(features)])
    padded, lengths = pad(features)
    much = torch.cat([padded, torch.full((12, 300, 80), 7.0)], dim=1)
    with_rubbish = cka(recogniser, [(much, lengths)])
    for other in (pairs, together, with_rubbish):
        np.testing.assert_allclose(other, alone, atol=2e-5)


def test_reducing_while_streaming_is_measuring_all_frames_at_once(recogniser):
    batches = [pad(speech()[i : i + 4]) for i in (0, 4, 8)]
    parts = list(views_of({"r": recogniser}, batches))
    whole = {name: torch.cat([views[name] for views, _ in parts]) for name in parts[0][0]}
    lengths = [n for _, own in parts for n in own]
    direct = similarity(whole, measure="cka", utterances=lengths)
    streamed = similarity(reduce({"r": recogniser}, batches), measure="cka")
    np.testing.assert_allclose(streamed.values, direct.values, atol=5e-6)  # float32 sums, in chunks of their own


def test_two_recognisers_are_captured_side_by_side(recogniser):
    moments = reduce({"a": recogniser, "b": recogniser}, [pad(speech())])
    found = similarity(moments, measure="cka")
    for name in ("subsample", "blocks.0", "blocks.1"):
        assert float(found.sel(layer_x=f"a:{name}", layer_y=f"b:{name}")) == pytest.approx(1, abs=1e-9)


def test_shuffling_pairs_every_utterance_with_another():
    x = torch.arange(9.0)[:, None]
    generator = torch.Generator().manual_seed(0)
    turned = set()
    for _ in range(20):
        views, lengths = shuffle_utterances({"x": x}, [2, 3, 4], generator)
        assert lengths == [2, 3, 2]
        assert views["x"].flatten().tolist() == [0, 1, 2, 3, 4, 5, 6]
        first, second, third = (part.flatten().tolist() for part in views["~x"].split(lengths))
        assert sorted(first) == [2, 3]
        assert sorted(second) == [5, 6, 7]
        assert sorted(third) == [0, 1]
        turned.add(tuple(second))
    assert turned == {(5, 6, 7), (7, 5, 6), (6, 7, 5)}
    with pytest.raises(CaptureError, match="at least 2"):
        shuffle_utterances({"x": x}, [9], generator)


def test_no_speech_is_an_error(recogniser):
    with pytest.raises(CaptureError, match="batches are empty"):
        reduce({"r": recogniser}, [])
