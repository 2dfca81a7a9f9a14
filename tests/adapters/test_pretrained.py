"""Pretrained recognisers on real speech: words right, layers compared with intervals, phones plainer with depth."""

import numpy as np
import pytest
import torch
from benchmarks.pretrained.models import MODELS
from benchmarks.pretrained.phones import curve
from benchmarks.pretrained.speech import centres, phones_at

from otoscope import load
from otoscope.capture import Layer
from otoscope.corpora import Interval
from otoscope.study import measure, transcribe
from tests.weights import pretrained  # noqa: F401


@pytest.fixture(scope="module")
def speech(corpora_root):
    return load(corpora_root / "librispeech-mini")


@pytest.fixture(scope="module")
def model(pretrained):  # noqa: F811
    """From a name to its recogniser, loaded once; a test skips where the weights cannot be had."""
    made = {}

    def loaded(name):
        pretrained(name)
        if name not in made:
            made[name] = MODELS[name].load()
        return made[name]

    return loaded


def shortest(speech, count):
    """Utterances of different speakers, none of a second or two."""
    by_speaker = {}
    for utterance in sorted(speech, key=lambda u: u.duration):
        if utterance.duration > 3:
            by_speaker.setdefault(utterance.speaker, utterance)
    return speech.keep(list(by_speaker.values())[:count])


@pytest.mark.parametrize("name", ["whisper-tiny.en", "moonshine-base"])
def test_an_utterance_is_written_down_and_no_library_chatters(name, model, speech, capfd):
    said = speech.split("test").utterances[1:2]
    found = transcribe(model(name), corpus=speech.keep(said))
    assert found.words > 10
    assert found.wer <= 0.2
    assert found.normaliser.startswith("whisper-normalizer")
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize(("name", "layers"), [("hama", 14), ("whisper-tiny.en", 5)])
def test_layers_have_finite_similarities_and_ordered_intervals(name, layers, model, speech):
    found = measure(model(name), corpus=shortest(speech, 6), intervals=True)
    values, low, high = (found[key].values for key in ("cka", "cka_low", "cka_high"))
    assert found.attrs["clusters"] == "speakers"
    assert values.shape == (layers, layers)
    assert all(np.isfinite(x).all() for x in (values, low, high))
    assert (low <= high).all()
    apart = ~np.eye(layers, dtype=bool)
    assert (low < high)[apart].all()
    assert np.median((high - low)[apart]) < 0.5


def test_phones_are_plainer_in_the_middle_of_whisper_than_before_it(model, speech):
    """A probe trained on some speakers and tested on others, and held-out CCA; the middle is block 2 of 4."""
    found = curve(model("whisper-tiny.en"), shortest(speech, 12), 12)
    assert found["speakers"] == 12
    front, middle = (found["layers"].index(f"model.encoder.{name}") for name in ("conv2", "layers.1"))
    assert found["accuracy"][middle] > found["accuracy"][front] + 0.1
    assert found["cca"][middle] > found["cca"][front] > 0
    assert found["cca_low"][middle] > found["cca_high"][front]


def test_frames_are_labelled_with_the_phone_at_their_centre():
    windowed = Layer("a", 1, stride=0.02, time_axis=1, kind="", window=0.1)
    padded = Layer("b", 1, stride=0.02, time_axis=1, kind="")
    torch.testing.assert_close(centres(windowed, 3), torch.tensor([0.05, 0.07, 0.09]))
    torch.testing.assert_close(centres(padded, 3), torch.tensor([0.0, 0.02, 0.04]))
    phones = [Interval("SIL", 0.0, 0.02), Interval("AE", 0.02, 0.04), Interval("AA", 0.04, 0.06)]
    assert phones_at(torch.tensor([0.01, 0.02, 0.03, 0.05, 0.07]), phones).tolist() == [-1, 1, 1, 0, -1]
