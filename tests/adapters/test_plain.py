"""Any torch module by features, forward and layer names: frames are those of the module run by itself."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from otoscope import Batch, CaptureError, Layer, Recogniser, Speech, reduce, similarity
from otoscope.adapters.plain import PlainRecogniser
from otoscope.asr import log_mel
from otoscope.capture import Finds, Transcribes, to_frames


class Convolutions(nn.Module):
    """Audio in, a front end without padding, as wav2vec 2.0's: kernels 10, 8, strides 5, 64."""

    def __init__(self):
        super().__init__()
        self.front = nn.Sequential(nn.Conv1d(1, 16, 10, 5), nn.ReLU(), nn.Conv1d(16, 12, 8, 64))
        self.rnn = nn.GRU(12, 6, batch_first=True, bidirectional=True)
        self.output = nn.Linear(12, 3)

    def forward(self, audio):
        return self.output(self.rnn(self.front(audio[:, None]).transpose(1, 2))[0])


class Packed(nn.Module):
    """Features in, packed sequences inside, frames on the first axis, lengths known."""

    def __init__(self):
        super().__init__()
        self.rnn = nn.GRU(80, 10, bidirectional=True)

    def forward(self, features, lengths):
        packed = pack_padded_sequence(features.transpose(0, 1), lengths.cpu(), enforce_sorted=False)
        return pad_packed_sequence(self.rnn(packed)[0])[0]


@pytest.fixture(scope="module")
def speech(spoken):
    return [Speech(audio, text) for audio, text in zip(*spoken, strict=True)][:6]


@pytest.fixture(scope="module")
def convolutions():
    torch.manual_seed(0)
    return Convolutions()


def frames_of(recogniser, speech):
    """Every layer's true frames over a batch, and how many of each utterance."""
    batch = recogniser.prepare(speech)
    with torch.inference_mode():
        outputs = recogniser.outputs(batch, [layer.name for layer in recogniser.layers()])
    return {
        layer.name: to_frames(outputs[layer.name], layer, batch.lengths, recogniser.frame_shift)
        for layer in recogniser.layers()
    }


def test_layers_of_a_module_on_audio_are_read_off(convolutions):
    own = PlainRecogniser(convolutions, layers=["front.0", "front.2", "rnn"])
    assert isinstance(own, Recogniser)
    assert isinstance(own, Finds)
    assert not isinstance(own, Transcribes)
    first, front, rnn = own.layers()
    assert (first.units, first.time_axis, first.kind) == (16, 2, "Conv1d")
    assert first.stride == pytest.approx(5 / 16_000)
    assert first.window == pytest.approx(10 / 16_000)
    assert front.stride == pytest.approx(320 / 16_000)
    assert front.window == pytest.approx((10 + 7 * 5) / 16_000)
    assert (rnn.units, rnn.time_axis, rnn.kind) == (12, 1, "GRU")


def test_without_a_forward_each_utterance_goes_through_alone(convolutions, speech):
    """A bidirectional GRU that saw padding would put out something else from the first frame on."""
    own = PlainRecogniser(convolutions, layers=["front.2", "rnn", "output"])
    found = frames_of(own, speech)
    with torch.inference_mode():
        alone = [convolutions(torch.from_numpy(one.audio)[None])[0] for one in speech]
    assert found["output"][1] == [len(frames) for frames in alone]
    torch.testing.assert_close(found["output"][0], torch.cat(alone), rtol=0, atol=1e-6)
    assert len({tuple(n) for _, n in found.values()}) == 1


def test_a_forward_with_lengths_takes_padded_batches(speech):
    torch.manual_seed(0)
    calls = []

    def forward(module, features, lengths):
        calls.append(tuple(features.shape[:1]))
        return module(features, lengths)

    own = PlainRecogniser(Packed(), features=log_mel, forward=forward, frame_shift=0.01, layers=["rnn"])
    (layer,) = own.layers()
    assert (layer.time_axis, layer.units, layer.stride, layer.window) == (1, 20, 0.01, 0.0)
    calls.clear()
    together, counts = frames_of(own, speech)["rnn"]
    assert calls == [(len(speech),)]
    alone = [frames_of(own, [one])["rnn"] for one in speech]
    assert counts == [n for _, (n,) in alone]
    torch.testing.assert_close(together, torch.cat([frames for frames, _ in alone]), rtol=0, atol=1e-6)


def test_alone_and_frames_first(speech):
    """Joined to a batch on the axis of utterances, the second here."""
    torch.manual_seed(0)
    rnn = nn.Sequential(nn.GRU(80, 10))

    class Alone(nn.Module):
        def __init__(self):
            super().__init__()
            self.rnn = rnn[0]

        def forward(self, features):
            return self.rnn(features.transpose(0, 1))[0]

    own = PlainRecogniser(Alone(), features=log_mel, frame_shift=0.01, layers=["rnn"])
    assert own.layers()[0].time_axis == 0
    found, counts = frames_of(own, speech)["rnn"]
    with torch.inference_mode():
        expected = [rnn[0](log_mel(one.audio)[:, None])[0][:, 0] for one in speech]
    assert counts == [len(x) for x in expected]
    torch.testing.assert_close(found, torch.cat(expected), rtol=0, atol=1e-6)


def test_transcripts_are_what_decode_makes_of_the_outputs(convolutions, speech):
    def decode(outputs, lengths):
        assert outputs.shape[0] == len(lengths)
        return [" ".join(map(str, row.argmax(-1).tolist())) for row in outputs]

    own = PlainRecogniser(convolutions, decode=decode, layers=["rnn"])
    assert isinstance(own, Transcribes)
    with torch.inference_mode():
        expected = [convolutions(torch.from_numpy(one.audio)[None])[0].argmax(-1).tolist() for one in speech]
    assert own.transcribe(speech) == [" ".join(map(str, row)) for row in expected]
    assert len(set(own.transcribe(speech))) > 1


def test_transcripts_of_batches(speech):
    own = PlainRecogniser(
        Packed(),
        features=log_mel,
        forward=lambda module, features, lengths: module(features, lengths),
        frame_shift=0.01,
        layers=["rnn"],
        decode=lambda outputs, lengths: [str(n) for n in lengths.tolist()],
    )
    assert own.transcribe(speech * 3) == [str(len(log_mel(one.audio))) for one in speech] * 3


def test_a_layer_may_be_given_by_hand(convolutions):
    by_hand = Layer("rnn", 12, 0.02, 1, "my kind", window=45 / 16_000)
    own = PlainRecogniser(convolutions, layers=["front.2", by_hand])
    assert own.layers()[1] is by_hand
    assert [layer.name for layer in own.find(["output", "front.*"])] == ["front.0", "front.1", "front.2", "output"]


def test_the_default_is_one_layer_a_block():
    torch.manual_seed(0)
    block = nn.TransformerEncoderLayer(16, 2, 32, batch_first=True)
    model = nn.Sequential(nn.Linear(80, 16), nn.TransformerEncoder(block, 3, enable_nested_tensor=False))
    own = PlainRecogniser(model, features=log_mel, frame_shift=0.01)
    assert [layer.name for layer in own.layers()][-3:] == ["1.layers.0", "1.layers.1", "1.layers.2"]


def test_similarities_of_a_plain_module(convolutions, speech):
    own = PlainRecogniser(convolutions, layers=["front.2", "rnn"])
    moments = reduce({"own": own}, [own.prepare(speech[:3]), own.prepare(speech[3:])])
    found = similarity(moments, measure="cka")
    assert np.isfinite(found.to_numpy()).all()
    assert float(found.sel(layer_x="own:rnn", layer_y="own:rnn")) == pytest.approx(1)


def test_what_is_missing_or_wrong_is_said(convolutions):
    with pytest.raises(CaptureError, match=r"no layer matches 'fron\.\*'. The model has: front, front\.0"):
        PlainRecogniser(convolutions, layers=["fron.*"])
    with pytest.raises(CaptureError, match=r"without frame_shift: say how many seconds"):
        PlainRecogniser(convolutions, features=log_mel)
    own = PlainRecogniser(convolutions, features=lambda x: torch.zeros(1, 4, 4), frame_shift=0.01, layers=["rnn"])
    with pytest.raises(CaptureError, match=r"features made a tensor of shape \(1, 4, 4\) of 160 samples"):
        own.prepare([Speech(np.zeros(160, np.float32))])


def test_names_and_where_it_came_from(convolutions):
    assert PlainRecogniser(convolutions).name == "Convolutions"
    assert PlainRecogniser(convolutions, name="a", source="b").source == "b"
    batch = PlainRecogniser(convolutions).prepare([Speech(np.ones(8, np.float32)), Speech(np.ones(5, np.float32))])
    assert isinstance(batch, Batch)
    assert batch.lengths.tolist() == [8, 5]
    assert batch.inputs[1].tolist() == [1.0] * 5 + [0.0] * 3
