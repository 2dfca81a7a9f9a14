"""The default corpus: the same samples always, true times, disjoint splits, made once and whole."""

import hashlib
import os
import subprocess
import sys
import threading
from collections import Counter

import numpy as np
import pytest
import soundfile

from otoscope.corpora import check, default_corpus, load, read_audio
from otoscope.corpora.default import _VARIANTS, _phrases, _speakers
from otoscope.corpora.espeak import synthesise
from otoscope.errors import CorpusError

SMALL = {"train_minutes": 0.5, "dev_minutes": 0.15, "test_minutes": 0.2}


def digest(samples):
    return hashlib.sha256(samples.tobytes()).hexdigest()


def fingerprint(corpus):
    return hashlib.sha256("".join(digest(read_audio(u)) + str(u.words + u.phones) for u in corpus).encode()).hexdigest()


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OTOSCOPE_CACHE", str(tmp_path_factory.mktemp("default")))
        return default_corpus(**SMALL)


@pytest.mark.parametrize("voice", ["en-us+f3", "en-gb-x-rp+m5", "en+belinda", "en-us+Andy"])
def test_an_utterance_does_not_depend_on_what_was_spoken_before(voice):
    def speak():
        return digest(synthesise("the same words again", voice=voice).samples)

    first = speak()
    for other in ("one", "quite another phrase, longer than the first", "s"):
        synthesise(other, voice="en-gb-scotland+f2", rate=250, pitch=90)
        assert speak() == first


def test_no_voice_of_the_corpus_depends_on_what_was_spoken_before():
    def speak(variants):
        return {v: digest(synthesise("fish and chips", voice=f"en-us+{v}").samples) for v in variants}

    assert speak(_VARIANTS) == speak(_VARIANTS[::-1])


def test_voices_speeds_and_pitches_differ():
    text = "a few words to hear"
    base = synthesise(text)
    assert len(synthesise(text, rate=220).samples) < 0.9 * len(base.samples)
    for change in ({"voice": "en-us+f3"}, {"pitch": 70}, {"pitch_range": 10}):
        assert digest(synthesise(text, **change).samples) != digest(base.samples)


def test_unknown_voice():
    with pytest.raises(CorpusError, match="espeak-ng has no voice 'en-mars'; expected a name such as 'en-us'"):
        synthesise("hello", voice="en-mars")


def test_phones_cover_the_whole_and_pauses_are_quiet():
    quiet, loud = [], []
    for text in _phrases()["train"][:40]:
        speech = synthesise(text.lower())
        ends = [0.0, *(p.end for p in speech.phones)]
        assert [p.start for p in speech.phones] == ends[:-1]
        assert ends[-1] == pytest.approx(len(speech.samples) / speech.rate_hz)
        assert [w.label for w in speech.words] == text.lower().split()
        for p in speech.phones:
            stretch = speech.samples[int(p.start * speech.rate_hz) : int(p.end * speech.rate_hz)]
            if p.label == "SIL":
                quiet.append(float(np.sqrt(np.mean(stretch**2))))
            elif p.label[0] in "aeiouæɑɔəɛɜɪʊʌ":
                loud.append(float(np.sqrt(np.mean(stretch**2))))
    assert np.median(quiet) < 1e-3 < np.percentile(loud, 1)


def test_l_after_a_vowel_has_time_of_its_own():
    (vowel, l_after, _) = synthesise("all").phones
    assert (vowel.label, l_after.label) == ("ɔː", "l")
    assert l_after.end - l_after.start == pytest.approx(0.06)


def test_small_corpus(small):
    corpus = small
    assert corpus.splits == ("train", "dev", "test")
    for split, minutes in zip(corpus.splits, SMALL.values(), strict=True):
        assert 60 * minutes <= corpus.split(split).duration < 60 * minutes + 3.5
    for u in corpus:
        info = soundfile.info(u.audio)
        assert (info.samplerate, info.channels, info.subtype) == (16000, 1, "PCM_16")
        assert u.duration == pytest.approx(info.duration, abs=1e-4)
        assert 1.0 <= u.duration <= 3.5
        assert [w.label for w in u.words] == u.text.split()
        assert u.phones[0].start == 0.0
        assert u.phones[-1].end == pytest.approx(u.duration, abs=1e-3)
        assert all(0 <= w.start < w.end <= u.duration for w in u.words)
    assert check(corpus).problems == ()


def test_words_are_made_of_their_phones(small):
    for u in small:
        bounds = {round(t, 4) for p in u.phones for t in (p.start, p.end)}
        assert all({round(w.start, 4), round(w.end, 4)} <= bounds for w in u.words)


def test_noise_is_there_but_not_too_loud(small):
    def snr(u):
        x = read_audio(u).astype(np.float64)
        quiet = x[: int(u.phones[0].end * 16000)]
        speech = x[int(u.words[0].start * 16000) : int(u.words[-1].end * 16000)]
        return 10 * np.log10(np.mean(speech**2) / np.mean(quiet**2))

    ratios = [snr(u) for u in small.split("train")]
    assert 8 < np.median(ratios) < 30


def test_splits_share_neither_voice_nor_phrase(small):
    phrases, speakers = _phrases(), _speakers(0)
    variants = [s.voice.split("+")[1] for group in speakers.values() for s in group]
    assert len(set(variants)) == len(variants) == 42
    seen = Counter(p for group in phrases.values() for p in set(group))
    assert max(seen.values()) == 1
    assert len({w for group in phrases.values() for p in group for w in p.split()}) > 4000
    corpus = small
    for field in ("speaker", "text"):
        by_split = [{getattr(u, field) for u in corpus.split(s)} for s in corpus.splits]
        assert sum(map(len, by_split)) == len(set().union(*by_split))


def test_two_processes_make_the_same_samples(tmp_path, small):
    """Each with a cache of its own, the second with speech synthesised beforehand (see the end of this file)."""
    env = os.environ | {"OTOSCOPE_CACHE": str(tmp_path)}
    other = subprocess.run([sys.executable, __file__], env=env, capture_output=True, text=True, check=True)
    assert other.stdout.strip() == fingerprint(small)


def test_another_seed_is_another_corpus(small):
    assert {u.text for u in default_corpus(seed=1, **SMALL)} != {u.text for u in small}


def test_a_larger_corpus_begins_with_the_smaller(small):
    few = small.split("train")
    large = default_corpus(**(SMALL | {"train_minutes": 0.6})).split("train")
    assert len(large) > len(few)
    assert fingerprint(large.keep(large.utterances[: len(few)])) == fingerprint(few)


def test_it_is_made_once(cache):
    ticks = []
    default_corpus(**SMALL, progress=lambda done, total: ticks.append((done, total)))
    assert ticks[-1] == (51, 51)
    again = []
    default_corpus(**SMALL, progress=lambda *tick: again.append(tick))
    assert again == []


def test_several_at_once_agree(cache):
    results = []
    threads = [threading.Thread(target=lambda: results.append(default_corpus(**SMALL))) for _ in range(3)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert len(results) == 3
    assert len(set(map(fingerprint, results))) == 1
    assert not list((cache / "corpora").glob(".*"))


def test_a_kill_in_the_middle_leaves_nothing_that_is_read(cache, monkeypatch):
    def stop(done, total):
        if done > 10:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        default_corpus(**SMALL, progress=stop)
    assert not list((cache / "corpora").iterdir())
    assert len(default_corpus(**SMALL)) > 10


def test_what_a_killed_process_left_is_removed_after_a_day(cache):
    default_corpus(**SMALL)
    (folder,) = (cache / "corpora").iterdir()
    old, new = (folder.with_name(f".{folder.name}-{name}") for name in ("old", "new"))
    for left in (old, new):
        left.mkdir()
    os.utime(old, (0, 0))
    folder.rename(cache / "aside")
    default_corpus(**SMALL)
    assert not old.exists()
    assert new.exists()


def test_more_than_there_is():
    with pytest.raises(CorpusError, match=r"has phrases for \d+ minutes of 'dev', not 60\. Ask for fewer dev_minutes"):
        default_corpus(train_minutes=0.05, dev_minutes=60, test_minutes=0.05)
    with pytest.raises(CorpusError, match="each must be above 0"):
        default_corpus(test_minutes=0)


def test_load_takes_parts_of_it(cache, monkeypatch):
    monkeypatch.setattr("otoscope.corpora.loading.default_corpus", lambda: default_corpus(**SMALL))
    assert load().splits == ("train", "dev", "test")
    assert load("default", parts=["dev"]).splits == ("dev",)
    with pytest.raises(CorpusError, match="has no part 'nope'; expected among train, dev, test"):
        load("default", parts=["nope"])


if __name__ == "__main__":
    synthesise("something else first", voice="en+m3")
    print(fingerprint(default_corpus(**SMALL)))
