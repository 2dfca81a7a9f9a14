"""Layers of decoders: prompt and padding dropped, compared by token or by word; front ends without padding."""

import pytest
import torch
from torch import nn

from otoscope import Batch, CaptureError, Fed, Layer, Speech, TorchRecogniser, reduce, similarity
from otoscope.capture import to_tokens, to_words, views_of

FED = Fed(tokens=[[5, 6, 7, 0], [8, 0]], words=[[0, 0, 1, -1], [0, -1]], start=2)


class Decoder(TorchRecogniser):
    """Embeds what it is fed, of an encoder that is only a stand-in for speech."""

    frame_shift = 0.01

    def __init__(self, seed=0):
        torch.manual_seed(seed)
        self.module = nn.Sequential(nn.Embedding(20, 8), nn.Linear(8, 6))

    def run(self, batch):
        return self.module(batch.inputs)

    def layers(self):
        return [Layer(name, units, 1, 1, "test", over="tokens") for name, units in (("0", 8), ("1", 6))]


def fed(tokens, words, *, start=1, padding=0):
    """A batch of a decoder that gets a prompt, the tokens, and padding."""
    longest = max(map(len, tokens)) + start + padding
    rows = [[1] * start + list(row) + [9] * (longest - start - len(row)) for row in tokens]
    return Batch(torch.tensor(rows), torch.tensor([100] * len(rows)), Fed(tokens, words, start))


def test_prompt_and_padding_are_dropped():
    output = torch.arange(2 * 7 * 3.0).view(2, 7, 3)
    steps, counts = to_tokens(output, Layer("d", 3, 1, 1, "test", over="tokens"), FED)
    assert counts == [4, 2]
    assert torch.equal(steps, torch.cat([output[0, 2:6], output[1, 2:4]]))


def test_words_are_means_of_their_tokens():
    steps = torch.tensor([[1.0], [3.0], [5.0], [100.0], [7.0], [100.0]])
    words, counts = to_words(steps, FED)
    assert words.flatten().tolist() == [2, 5, 7]
    assert counts == [2, 1]


def test_a_word_without_a_token_is_refused():
    with pytest.raises(CaptureError, match="a word of the transcript has no token"):
        to_words(torch.zeros(2, 1), Fed([[3, 4]], [[0, 2]]))


@pytest.mark.parametrize("shape", [(2, 5, 3), (1, 9, 3), (2, 9)])
def test_an_output_that_does_not_fit_is_refused(shape):
    with pytest.raises(CaptureError, match=r"the decoder layer d put out a tensor of shape .* at least 6 positions"):
        to_tokens(torch.zeros(shape), Layer("d", 3, 1, 1, "test", over="tokens"), FED)


def test_more_padding_and_a_longer_prompt_change_nothing():
    torch.manual_seed(0)
    tokens = [torch.randint(20, (n,)).tolist() for n in (9, 5, 12, 7)]
    words = [[i // 2 for i in range(len(row))] for row in tokens]
    plain, padded = (
        reduce({"d": Decoder()}, [fed(tokens, words, start=start, padding=padding)])
        for start, padding in ((1, 0), (3, 4))
    )
    assert plain.frames == 33
    assert similarity(plain, measure="cka").values == pytest.approx(similarity(padded, measure="cka").values, abs=1e-12)


def test_decoders_with_the_same_tokens_are_compared_by_token_and_others_by_word():
    words = [[0, 0, 1], [0, 1, 1]]
    one, same, other = (fed(tokens, words) for tokens in ([[4, 5, 6], [7, 8, 9]],) * 2 + ([[4, 5, 6], [7, 8, 3]],))
    both = {"a": Decoder(), "b": Decoder(1)}
    by_token = next(views_of(both, [{"a": one, "b": same}]))
    assert by_token[1] == [3, 3]
    assert set(by_token[0]) == {"a:0", "a:1", "b:0", "b:1"}
    with pytest.raises(CaptureError, match="a:0 and b:0 were given different tokens: compare them by word"):
        next(views_of(both, [{"a": one, "b": other}]))
    views, counts = next(views_of(both, [{"a": one, "b": other}], grid="word"))
    assert counts == [2, 2]
    assert torch.equal(views["a:0"][0], both["a"].module[0](torch.tensor([4, 5])).mean(0))
    shorter = fed([[4], [7]], [[0], [0]])
    with pytest.raises(CaptureError, match="different numbers of words"):
        next(views_of(both, [{"a": one, "b": shorter}], grid="word"))


class Encoder(TorchRecogniser):
    """A front end without padding, as wav2vec 2.0's: frames of 400 samples, one every 320."""

    frame_shift = 1 / 16_000
    KERNELS, STRIDES = (10, 3, 3, 3, 3, 2, 2), (5, 2, 2, 2, 2, 2, 2)

    def __init__(self):
        torch.manual_seed(0)
        channels = [1, *[4] * 7]
        sizes = zip(channels[:-1], channels[1:], self.KERNELS, self.STRIDES, strict=True)
        self.module = nn.Sequential(*(nn.Conv1d(*one) for one in sizes))

    def forward(self, inputs, lengths):
        return self.module(inputs[:, None])

    def layers(self):
        return [Layer("6", 4, 0.02, 2, "convolution", window=0.025)]


@pytest.mark.parametrize("samples", [400, 719, 720, 721, 5_000, 16_000, 16_079, 16_080])
def test_frames_of_a_front_end_without_padding(samples):
    encoder = Encoder()
    (made,) = encoder.layers()
    seen = encoder.outputs(Batch(torch.zeros(1, samples), torch.tensor([samples])), ["6"])["6"]
    assert made.frames([samples], encoder.frame_shift) == [seen.shape[2]]
    assert encoder.layers()[0].frames([399], encoder.frame_shift) == [0]


def test_layers_over_frames_and_over_tokens_do_not_mix():
    both = {"encoder": Encoder(), "decoder": Decoder()}
    with pytest.raises(CaptureError, match="6 runs over frames and 0 over tokens"):
        next(views_of(both, [{}]))


@pytest.mark.parametrize(("recogniser", "grid"), [(Encoder(), "word"), (Decoder(), 0.02)])
def test_a_grid_of_the_other_kind_is_refused(recogniser, grid):
    batch = fed([[4, 5]], [[0, 1]]) if isinstance(recogniser, Decoder) else Batch(torch.zeros(1, 800), [800])
    with pytest.raises(CaptureError, match=r"seconds|by word|\"word\""):
        next(views_of({"r": recogniser}, [batch], grid=grid))


def test_a_batch_without_what_the_decoder_was_fed_is_refused():
    batch = fed([[4, 5]], [[0, 1]])._replace(fed=None)
    with pytest.raises(CaptureError, match="the decoder of d was given nothing"):
        next(views_of({"d": Decoder()}, [batch]))


def test_a_recogniser_of_features_refuses_audio():
    with pytest.raises(CaptureError, match="Decoder does not say how audio becomes its input"):
        Decoder().prepare([Speech(torch.zeros(100).numpy(), "A")])


def test_an_utterance_too_short_for_a_frame_is_refused():
    with pytest.raises(CaptureError, match="utterance 2 of a batch is too short for these layers"):
        next(views_of({"r": Encoder()}, [Batch(torch.zeros(2, 800), torch.tensor([800, 399]))]))
