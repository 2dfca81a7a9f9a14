"""Features, tokens, batches, augmentation, schedule, scoring: the small parts of a recogniser."""

import itertools

import numpy as np
import pytest
import soundfile
import torch
from hypothesis import given
from hypothesis import strategies as st

from otoscope import CorpusError
from otoscope.asr import CharacterTokens, FeatureStore, batches_by_length, log_mel, pad, score
from otoscope.asr.batching import shuffled_batches
from otoscope.asr.store import at_speed
from otoscope.corpora import ctc_frames

lengths_of = st.dictionaries(st.text(min_size=1, max_size=4), st.integers(1, 400), min_size=1, max_size=40)


@pytest.fixture(scope="module")
def audio(corpora_root):
    samples, rate = soundfile.read(corpora_root / "an4/audio/fcaw/an406-fcaw-b.flac", dtype="float32")
    assert rate == 16_000
    return samples


def test_features_of_real_speech_are_normalised_and_one_every_10_ms(audio):
    features = log_mel(audio)
    assert features.shape == (400, 80)
    torch.testing.assert_close(features.mean(0), torch.zeros(80), atol=1e-4, rtol=0)
    torch.testing.assert_close(features.std(0, correction=0), torch.ones(80), atol=1e-3, rtol=0)


def test_features_do_not_depend_on_the_level_of_the_recording(audio):
    torch.testing.assert_close(log_mel(audio * 0.1), log_mel(audio), atol=2e-2, rtol=0)


def test_a_pure_tone_lights_up_the_bin_of_its_frequency():
    time = np.arange(16_000) / 16_000
    rising = np.sin(2 * np.pi * (300 + 3000 * time) * time).astype(np.float32)
    peaks = log_mel(rising).argmax(1)
    assert peaks[80] > peaks[20]


def test_twice_the_speed_is_half_the_length_and_twice_the_pitch():
    time = np.arange(16_000) / 16_000
    fast = at_speed(np.sin(2 * np.pi * 440 * time).astype(np.float32), 2.0)
    assert abs(len(fast) - 8_000) <= 2
    assert np.abs(np.fft.rfft(fast[:8_000])).argmax() * 2 == pytest.approx(880, abs=4)


def test_a_store_is_built_once_and_gives_back_what_was_computed(audio, tmp_path):
    reads = []

    def read(utterance):
        reads.append(utterance)
        return audio

    wanted = [("b", 1.0), ("a", 1.0), ("a", 1.1)]
    for _ in range(2):
        store = FeatureStore.build(tmp_path, wanted, read, corpus_hash="h")
    assert reads == ["a", "b"]
    assert torch.equal(store.get("a"), log_mel(audio))
    assert store.frames("a", 1.1) == len(store.get("a", 1.1)) < store.frames("a")
    assert FeatureStore.build(tmp_path, wanted, read, corpus_hash="other").path != store.path
    with pytest.raises(KeyError, match=r"'c' at speed 1\.0"):
        store.get("c")


def test_ctc_needs_a_blank_between_equal_neighbours():
    tokens = CharacterTokens.of(["AB"])
    text = "ABBA"

    def loss(frames):
        log_probs = torch.full((frames, 1, 3), 1 / 3).log()
        target = torch.tensor(tokens.encode(text))
        return torch.nn.functional.ctc_loss(log_probs, target, torch.tensor([frames]), torch.tensor([len(text)]))

    assert torch.isinf(loss(ctc_frames(text) - 1))
    assert torch.isfinite(loss(ctc_frames(text)))


def test_error_rates_by_hand():
    rates = score(["ONE TWO THREE", "GO"], ["ONE TOO THREE FOUR", "GO"])
    assert rates.wer == pytest.approx(2 / 4)
    assert rates.cer == pytest.approx((1 + 5) / 15)
    with pytest.raises(CorpusError, match="2 references and 1 transcripts"):
        score(["A", "B"], ["A"])


@given(lengths_of, st.integers(1, 1000))
def test_batches_hold_every_utterance_once_within_the_limit(lengths, frames):
    for batches in (batches_by_length(lengths, frames=frames), shuffled_batches(lengths, frames=frames, seed=(0, 1))):
        assert sorted(itertools.chain.from_iterable(batches)) == sorted(lengths)
        for batch in batches:
            assert len(batch) == 1 or len(batch) * max(lengths[u] for u in batch) <= frames


def test_batches_change_with_the_epoch_and_repeat_with_the_seed():
    lengths = {str(i): 50 + 7 * i % 90 for i in range(60)}
    first, again, other = (shuffled_batches(lengths, frames=500, seed=(0, e)) for e in (1, 1, 2))
    assert first == again != other


def test_padding_a_batch_keeps_the_lengths():
    batch, lengths = pad([torch.ones(3, 80), torch.ones(5, 80)])
    assert batch.shape == (2, 5, 80)
    assert lengths.tolist() == [3, 5]
    assert batch.sum() == 8 * 80
