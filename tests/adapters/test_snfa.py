"""snfa's BiGRU with its real weights: layers one by one are the whole, and it hears phones of Japanese."""

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from otoscope import Speech, load, reduce, similarity
from otoscope.corpora import read_audio

EXAMPLE = Path(__file__).parents[2] / "examples" / "snfa_bigru.py"


@pytest.fixture(scope="module")
def example():
    spec = importlib.util.spec_from_file_location("snfa_bigru", EXAMPLE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def path(pretrained):
    return pretrained("snfa") / "jp.npz"


@pytest.fixture(scope="module")
def own(example, path):
    return example.recogniser(path)


@pytest.fixture(scope="module")
def speech(corpora_root):
    corpus = load(corpora_root / "librispeech-mini")
    return [Speech(read_audio(u), u.text) for u in corpus.split("test").utterances[:6]]


def test_layers_one_by_one_are_the_gru_of_two_layers(own, path, speech):
    """`bi_rnn` as torch has it, both layers in one module, and the residual connection around it."""
    with np.load(path, allow_pickle=False) as arrays:
        state = {n: torch.from_numpy(arrays[n].astype(np.float32)) for n in arrays.files if n != "meta_data"}
    whole = nn.GRU(256, 128, 2, batch_first=True, bidirectional=True)
    whole.load_state_dict({n[7:]: w for n, w in state.items() if n.startswith("bi_rnn.")})
    batch = own.prepare(speech)
    with torch.inference_mode():
        seen = own.outputs(batch, ["pre", "rnn0", "rnn1", "fc"])
        for i, n in enumerate(batch.lengths.tolist()):
            x = batch.inputs[i, :n] @ state["pre.weight"].T + state["pre.bias"]
            y = whole(x[None])[0][0]
            torch.testing.assert_close(seen["rnn1"][i, :n], y, rtol=0, atol=1e-5)
            scores = (x + y) @ state["fc.weight"].T + state["fc.bias"]
            torch.testing.assert_close(seen["fc"][i, :n], scores, rtol=0, atol=1e-4)
            assert not seen["rnn1"][i, n:].any()


def test_features_are_snfas(example, speech):
    """By the loops of snfa's own stft.py (after librosa's), on a second of speech."""
    samples = speech[0].audio[16_000:32_000]
    points = np.linspace(0, 2595 * np.log10(1 + 8000 / 700), 82)
    bins = np.floor(1025 * 700 * (10 ** (points / 2595) - 1) / 16_000).astype(int)
    bank = np.zeros((80, 513))
    for i in range(1, 81):
        left, centre, right = bins[i - 1 : i + 2]
        for j in range(left, centre):
            bank[i - 1, j] = (j - left) / (centre - left)
        for j in range(centre, right):
            bank[i - 1, j] = (right - j) / (right - centre)
    frames = [samples[i : i + 1024] * np.hanning(1024) for i in range(0, len(samples) - 1024 + 1, 320)]
    expected = np.log(np.array([bank @ np.abs(np.fft.rfft(f)) ** 2 for f in frames]) + 1e-7)
    np.testing.assert_allclose(example.log_mel(samples).numpy(), expected, atol=1e-5)


def test_layers_are_told_from_names(own):
    assert [(x.name, x.units, x.stride, x.window) for x in own.layers()] == [
        ("pre", 256, 0.02, 0.0),
        ("rnn0", 256, 0.02, 0.0),
        ("rnn1", 256, 0.02, 0.0),
        ("fc", 38, 0.02, 0.0),
    ]


def test_it_hears_yes(own, corpora_root):
    """Two speakers' "yes", as a Japanese ear has it: vowels and a sibilant in their order."""
    corpus = load(corpora_root / "an4")
    words = [u for u in corpus if u.text.lower() in ("yes", "no")]
    heard = own.transcribe([Speech(read_audio(u)) for u in words])
    ends = {}
    for utterance, phones in zip(words, heard, strict=True):
        ends.setdefault(utterance.text.lower(), []).append(phones.replace("pau", "").split())
    assert len(words) >= 20
    sibilant = {word: np.mean([bool({"s", "ts", "sh"} & set(p)) for p in said]) for word, said in ends.items()}
    nasal = {word: np.mean([bool({"n", "m", "N"} & set(p)) for p in said]) for word, said in ends.items()}
    assert sibilant["yes"] > 0.6 > 0.4 > sibilant["no"]
    assert nasal["no"] > nasal["yes"]


def test_neighbouring_layers_are_most_alike(own, speech):
    with torch.inference_mode():
        moments = reduce({"snfa": own}, [own.prepare(speech[:3]), own.prepare(speech[3:])])
    found = similarity(moments, measure="cka").to_numpy()
    assert found[0, 1] > found[0, 2]
    assert found[1, 2] > found[0, 2]


def test_the_example_runs(example, path, an4_subset, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["snfa_bigru.py", str(an4_subset), str(path)])
    example.main()
    printed = capsys.readouterr().out
    assert "snfa:rnn1" in printed
    assert "pau" in printed
