"""Models of SpeechBrain, ESPnet and NeMo, by stand-ins with these toolkits' interfaces: none is installed in tests.

What the stand-ins hold to is written in the toolkits' sources, and named in docs/adapters/. They show how lengths,
utterances and transcripts are handed over, not that the toolkits work.
"""

import importlib.util
import sys
from types import ModuleType, SimpleNamespace

import pytest
import torch
from torch import nn

from otoscope import CaptureError, Speech
from otoscope.adapters.espnet import from_espnet
from otoscope.adapters.nemo import from_nemo
from otoscope.adapters.speechbrain import from_speechbrain
from otoscope.capture import to_frames


class Encoder(nn.Module):
    """Frames of 20 ms, and a recurrent layer to which padding would matter."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.front = nn.Linear(320, 8)
        self.layers = nn.ModuleList([nn.GRU(8, 4, batch_first=True, bidirectional=True) for _ in range(2)])

    def forward(self, audio, counts=None):
        x = self.front(audio[:, : audio.shape[1] // 320 * 320].unflatten(1, (-1, 320)))
        for layer in self.layers:
            x = layer(x)[0]
        return x


class Pretrained(nn.Module):
    """As `speechbrain.inference.interfaces.Pretrained`: lengths are relative to the longest."""

    def __init__(self, rate=16_000):
        super().__init__()
        self.mods = nn.ModuleDict({"encoder": Encoder()})
        self.audio_normalizer = SimpleNamespace(sample_rate=rate)
        self.relative = []

    def encode_batch(self, wavs, wav_lens):
        self.relative.append(wav_lens.tolist())
        return self.mods.encoder(wavs)

    def transcribe_batch(self, wavs, wav_lens):
        return [f"{wavs.shape[1]} samples"], self.encode_batch(wavs, wav_lens)


class Speech2Text:
    """As `espnet2.bin.asr_inference.Speech2Text`: no module itself, called with samples."""

    def __init__(self):
        self.asr_model = nn.Module()
        self.asr_model.encoder = Encoder()
        self.asr_model.encode = lambda speech, speech_lengths: (self.asr_model.encoder(speech), speech_lengths // 320)

    def __call__(self, speech):
        return [(f"{len(speech)} samples", [], [], None), ("second best", [], [], None)]


class ASRModel(nn.Module):
    """As `nemo.collections.asr.models.ASRModel`: arguments by name, features padded to whole sixteens."""

    def __init__(self, rate=16_000):
        super().__init__()
        self.preprocessor = nn.Module()
        self.preprocessor._sample_rate = rate
        self.preprocessor.featurizer = SimpleNamespace(pad_to=16, dither=1e-5)
        self.preprocessor.forward = self.features
        self.encoder = Encoder()
        self.encoder.forward = lambda audio_signal, length: (Encoder.forward(self.encoder, audio_signal), length)

    def features(self, input_signal, length):
        extra = 16 * 320 if self.preprocessor.featurizer.pad_to else 0
        return nn.functional.pad(input_signal, (0, extra)), length

    def transcribe(self, audio, verbose=True):
        return [SimpleNamespace(text=f"{len(one)} samples") for one in audio]


TOOLKITS = {
    "speechbrain": ("speechbrain.inference.interfaces", "Pretrained", Pretrained, from_speechbrain, "encoder.layers.*"),
    "espnet": ("espnet2.bin.asr_inference", "Speech2Text", Speech2Text, from_espnet, "encoder.layers.*"),
    "nemo": ("nemo.collections.asr.models", "ASRModel", ASRModel, from_nemo, "encoder.layers.*"),
}


@pytest.fixture(params=list(TOOLKITS))
def toolkit(request, monkeypatch):
    module, kind, standing_in, adapter, layers = TOOLKITS[request.param]
    parts = module.split(".")
    for i in range(1, len(parts) + 1):
        monkeypatch.setitem(sys.modules, ".".join(parts[:i]), ModuleType(".".join(parts[:i])))
    setattr(sys.modules[module], kind, standing_in)
    return SimpleNamespace(name=request.param, model=standing_in, adapter=adapter, layers=layers)


def test_layers_of_a_model_and_what_it_hears(toolkit, spoken):
    speech = [Speech(audio) for audio in spoken[0][:4]]
    model = toolkit.model()
    own = toolkit.adapter(model, layers=[toolkit.layers])
    assert [(layer.units, layer.stride) for layer in own.layers()] == [(8, 0.02)] * 2
    assert own.source.startswith(toolkit.name)
    assert own.transcribe(speech) == [f"{len(one.audio)} samples" for one in speech]
    batch = own.prepare(speech)
    last = own.layers()[-1]
    with torch.inference_mode():
        found, _ = to_frames(own.outputs(batch, [last.name])[last.name], last, batch.lengths, own.frame_shift)
        expected = [Encoder()(torch.from_numpy(one.audio)[None])[0] for one in speech]
    torch.testing.assert_close(found, torch.cat(expected), rtol=0, atol=1e-6)


def test_the_default_is_one_layer_a_block(toolkit):
    assert [layer.name for layer in toolkit.adapter(toolkit.model()).layers()][-2:] == [
        "encoder.layers.0",
        "encoder.layers.1",
    ]


def test_batches_of_speechbrain_have_relative_lengths(monkeypatch, spoken):
    for name in ("speechbrain", "speechbrain.inference", "speechbrain.inference.interfaces"):
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    sys.modules["speechbrain.inference.interfaces"].Pretrained = Pretrained
    model = Pretrained()
    own = from_speechbrain(model, layers=["encoder.layers.*"], alone=False)
    batch = own.prepare([Speech(audio) for audio in spoken[0][:3]])
    model.relative.clear()
    with torch.inference_mode():
        own.outputs(batch, ["encoder.layers.0"])
    assert model.relative == [pytest.approx([n / max(batch.lengths.tolist()) for n in batch.lengths.tolist()])]


def test_another_kind_of_model_or_rate_is_refused(toolkit):
    with pytest.raises(CaptureError, match=r"expected a .*, got Linear: load the model with "):
        toolkit.adapter(nn.Linear(2, 2))
    if toolkit.name != "espnet":  # whose front end does not keep its rate
        with pytest.raises(CaptureError, match="is for speech at 8000 Hz, and speech here is at 16000 Hz"):
            toolkit.adapter(toolkit.model(rate=8_000))
    if toolkit.name == "speechbrain":
        monkey = toolkit.model()
        monkey.__class__ = type("VAD", (Pretrained,), {"encode_batch": property(), "transcribe_batch": property()})
        with pytest.raises(CaptureError, match="VAD of SpeechBrain has no encode_batch and transcribe_batch"):
            toolkit.adapter(monkey)
    if toolkit.name == "nemo":
        model = toolkit.model()
        del model.encoder
        with pytest.raises(CaptureError, match="ASRModel of NeMo has no preprocessor and encoder to run"):
            toolkit.adapter(model)


@pytest.mark.parametrize("name", list(TOOLKITS))
def test_without_the_toolkit_its_package_is_named(name):
    module, _, _, adapter, _ = TOOLKITS[name]
    absent = importlib.util.find_spec(module.split(".")[0]) is None
    told = rf"{module} cannot be imported \(No module named .*\): pip install {name}" if absent else "expected a"
    with pytest.raises(CaptureError, match=told):
        adapter(object())
