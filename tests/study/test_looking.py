"""What a comparison looks at: layers of either model, utterances that all can take, and what decoders are fed."""

from dataclasses import dataclass, field

import numpy as np
import pytest
import torch
from torch import nn

from otoscope import Batch, CaptureError, Corpus, Fed, Layer, StudyError, TorchRecogniser, Utterance, measure
from otoscope.study import plan_measure, transcribe
from otoscope.study.asked import Asked
from otoscope.study.looking import chosen_layers, costs, hearable

LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ' "


class Own(TorchRecogniser):
    """An encoder and a decoder of a layer or two with random weights, at work on real audio."""

    frame_shift = 1 / 16_000

    def __init__(self, *, name="own", prefix="enc", padded=None, lower=False, heard=None):
        torch.manual_seed(0)
        self.module = nn.ModuleDict({prefix: nn.Conv1d(1, 6, 400, 320), "dec": nn.Embedding(len(LETTERS) + 1, 5)})
        self.name, self.prefix, self.padded_seconds, self.writes_lower_case = name, prefix, padded, lower
        self.heard, self.given = heard or {}, []

    def prepare(self, speech):
        self.given += [one.text for one in speech]
        audio = [torch.from_numpy(one.audio) for one in speech]
        tokens = [[*self.tokenise(one.text), len(LETTERS)] for one in speech]
        words = [[one.text[:i].count(" ") for i in range(len(one.text))] + [-1] for one in speech]
        padded = nn.utils.rnn.pad_sequence(audio, batch_first=True)
        ids = nn.utils.rnn.pad_sequence([torch.tensor(row) for row in tokens], batch_first=True)
        return Batch((padded, ids), torch.tensor([len(a) for a in audio]), Fed(tokens, words))

    def run(self, batch):
        audio, ids = batch.inputs
        return self.module[self.prefix](audio[:, None]), self.module["dec"](ids)

    def layers(self):
        return [Layer(self.prefix, 6, 0.02, 2, "convolution", window=0.025)]

    def decoder_layers(self):
        return [Layer("dec", 5, 1, 1, "embedding", over="tokens")]

    def find(self, patterns):
        from otoscope import select

        known = {layer.name: layer for layer in [*self.layers(), *self.decoder_layers()]}
        return [known[name] for name in select(self.module, patterns)]

    def tokenise(self, text):
        return [LETTERS.index(c) for c in text]

    def transcribe(self, speech):
        return [self.heard.get(one.text, one.text.lower()) for one in speech]


@dataclass
class Spoken:
    """A corpus of noise on the disk, made for one test."""

    folder: object
    utterances: list = field(default_factory=list)

    def say(self, name, seconds, text, speaker=None):
        import soundfile

        path = self.folder / f"{name}.wav"
        rng = np.random.default_rng(len(self.utterances))
        soundfile.write(path, 0.1 * rng.standard_normal(round(16_000 * seconds)), 16_000)
        self.utterances.append(Utterance(name, speaker or name, path, seconds, text, "test"))
        return self

    @property
    def corpus(self):
        return Corpus("noise", tuple(self.utterances))


@pytest.fixture
def spoken(tmp_path):
    made = Spoken(tmp_path)
    for i, text in enumerate(["ONE TWO", "THREE", "FOUR FIVE SIX", "SEVEN"]):
        made.say(f"u{i}", 1 + i / 4, text)
    return made


def test_utterances_that_a_model_cannot_take_are_left_out_by_name(spoken):
    spoken.say("long", 3.0, "TOO LONG").say("short", 0.02, "TOO SHORT")
    found = measure(Own(padded=2.5), corpus=spoken.corpus)
    assert found.attrs["utterances"] == 4
    assert found.attrs["left_out"] == [
        "long: 3.0 s, more than the 2.5 s that own takes",
        "short: 0.02 s, too short for a frame",
    ]
    heard = transcribe(Own(padded=2.5), corpus=spoken.corpus)
    assert heard.left_out == ("long: 3.0 s, more than the 2.5 s that own takes",)
    assert set(heard.transcripts) == {"u0", "u1", "u2", "u3", "short"}
    with pytest.raises(StudyError, match=r"no utterance of the corpus 'noise' can be looked at: u0: 1\.0 s, more than"):
        measure(Own(padded=0.5), corpus=spoken.corpus)


def test_an_utterance_without_a_transcript_is_left_out_for_a_decoder_alone(spoken):
    spoken.say("silent", 1.0, "")
    assert measure(Own(), corpus=spoken.corpus).attrs["left_out"] == []
    found = measure(Own(), corpus=spoken.corpus, decoder=True)
    assert found.attrs["left_out"] == ["silent: no transcript to feed a decoder"]
    assert (found.attrs["grid"], found.attrs["transcripts"]) == ("token", "the reference")
    assert found.attrs["frames"] == sum(len(u.text) + 1 for u in spoken.utterances[:4])


def test_capitals_are_fed_in_lower_case_where_the_whole_corpus_is_in_them(spoken):
    lower, plain = Own(lower=True), Own()
    assert measure(lower, corpus=spoken.corpus, decoder=True).attrs["transcripts"] == "the reference, in lower case"
    assert "one two" in lower.given
    measure(lower, plain, corpus=spoken.corpus, decoder=True)  # one of the two knows capitals: both are fed these
    assert "ONE TWO" in plain.given
    spoken.say("mixed", 1.0, "Eight NINE")
    again = Own(lower=True)
    assert measure(again, corpus=spoken.corpus, decoder=True).attrs["transcripts"] == "the reference"
    assert "ONE TWO" in again.given


def test_own_transcripts_are_fed_as_they_were_written_and_plans_do_not_listen(spoken):
    own = Own(lower=True, heard={"THREE": "", "SEVEN": "OK"})
    found = measure(own, corpus=spoken.corpus, decoder=True, transcripts="own")
    assert found.attrs["transcripts"] == "its own transcripts"
    assert found.attrs["left_out"] == ["u1: nothing was written of it"]
    assert set(own.given) == {"one two", "four five six", "OK"}
    deaf = Own()
    deaf.transcribe = None  # a plan that listened would fail
    plan_measure(deaf, corpus=spoken.corpus, decoder=True, transcripts="own")
    with pytest.raises(StudyError, match="two recognisers write different transcripts"):
        measure(Own(), Own(), corpus=spoken.corpus, decoder=True, transcripts="own")


def test_a_glob_need_match_in_one_of_two_models_only():
    both = {"x": Own(prefix="enc"), "y": Own(prefix="coder", name="other")}
    found = chosen_layers(both, ["enc", "coder"], decoder=False)
    assert {role: [layer.name for layer in own] for role, own in found.items()} == {"x": ["enc"], "y": ["coder"]}
    with pytest.raises(CaptureError, match="no layer matches 'nothing'"):
        chosen_layers(both, ["enc", "nothing"], decoder=False)
    with pytest.raises(StudyError, match="none of enc matches a layer of other"):
        chosen_layers(both, ["enc"], decoder=False)


def test_batches_are_cut_by_what_speech_is_padded_to(spoken):
    speech = spoken.utterances
    assert costs(speech, [Own()])["u0"] == 100
    assert set(costs(speech, [Own(), Own(padded=30.0)]).values()) == {3000}
    kept, left = hearable(speech, {"x": Own(padded=30.0)}, {"x": []})
    assert (len(kept), left) == (4, [])


def test_the_models_that_were_compared_stand_in_the_result(spoken):
    one, other = Own(), Own()
    one.source, other.source = "folder/one", "hub/other@abc"
    found = measure(one, other, corpus=spoken.corpus)
    assert found.attrs["models"] == ["folder/one", "hub/other@abc"]
    assert found.attrs["splits"] == ["test"]
    assert "torch" in found.attrs["versions"]


def test_a_measure_of_the_inputs_frames_is_refused_for_decoders(spoken):
    asked = {"layers": None, "utterances": 9, "samples": 1000, "intervals": False}
    with pytest.raises(StudyError, match="cka-partial takes the input's frames out, and decoders have none"):
        Asked.of(Own(), None, corpus=spoken.corpus, measures=["cka-partial"], decoder=True, **asked)
    found = measure(Own(), corpus=spoken.corpus, measures=["cka-partial"])
    assert found["cka-partial"].shape == (1, 1)
