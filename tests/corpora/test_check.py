"""What can be wrong with an utterance: each fault made on purpose, from real recordings, and told by name."""

from dataclasses import replace

import numpy as np
import pytest
import soundfile

from otoscope.corpora import KINDS, Corpus, Problem, Utterance, check, load, read_audio, summarise
from otoscope.corpora.audio import header_duration
from otoscope.corpora.checking import ctc_frames
from otoscope.errors import CorpusError


@pytest.fixture(scope="module")
def real(corpora_root):
    """A longer real utterance: its samples and its transcript."""
    u = next(u for u in load(corpora_root / "an4") if u.duration > 4)
    return soundfile.read(u.audio, dtype="int16")[0], u.text


def one(path, text="A WORD", duration=0.0, **fields):
    return Utterance("it", "someone", path, duration, text, "train", **fields)


def fault(tmp_path, real, broken):
    """Check a broken utterance among three good ones; the problem it is told as."""
    x, text = real
    good = tmp_path / "good.wav"
    soundfile.write(good, x, 16000)
    others = [replace(one(good, text), id=f"good{k}") for k in range(3)]
    checked = check(Corpus("demo", (*others, broken)))
    (problem,) = checked.problems
    assert problem.utterance == broken.id
    assert problem.kind in KINDS
    assert len(checked) == (3 if problem.action == "skipped" else 4)
    return problem


def test_all_of_an4_passes(an4):
    seen = []
    checked = check(an4, progress=lambda done, total: seen.append((done, total)))
    assert len(checked) == 1078
    assert checked.problems == ()
    assert seen == [(k + 1, 1078) for k in range(1078)]
    assert checked.hash() == an4.hash()


def test_missing(tmp_path, real):
    p = fault(tmp_path, real, one(tmp_path / "gone.wav"))
    assert (p.kind, p.action) == ("missing", "skipped")
    assert p.what == f"{tmp_path / 'gone.wav'}: there is no such file"


def test_empty_file(tmp_path, real):
    (tmp_path / "e.flac").touch()
    p = fault(tmp_path, real, one(tmp_path / "e.flac"))
    assert (p.kind, p.action) == ("empty", "skipped")
    assert "holds no bytes" in p.what


def test_file_without_samples(tmp_path, real):
    soundfile.write(tmp_path / "e.wav", np.zeros(0, np.int16), 16000)
    p = fault(tmp_path, real, one(tmp_path / "e.wav"))
    assert p.kind == "empty"
    assert "holds no samples" in p.what


def test_not_audio(tmp_path, real):
    (tmp_path / "n.wav").write_text("These are words, not sound.\n" * 40)
    p = fault(tmp_path, real, one(tmp_path / "n.wav"))
    assert p.kind == "not audio"
    assert "cannot be opened as audio (Format not recognised.)" in p.what


@pytest.mark.parametrize("suffix", [".flac", ".wav", ".sph", ".ogg"])
@pytest.mark.parametrize("share", [0.5, 0.9])
def test_cut_short(tmp_path, real, suffix, share):
    """Without any length in the corpus to compare with: the file itself must give it away."""
    path = tmp_path / f"t{suffix}"
    soundfile.write(path, np.tile(real[0], 4), 16000, format="NIST" if suffix == ".sph" else None)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])
    assert fault(tmp_path, real, one(path)).kind in ("truncated", "empty" if suffix == ".ogg" else "truncated")


def test_cut_short_opus(tmp_path, real, corpora_root):
    whole = next(iter(load(corpora_root / "librispeech-mini", parts=["dev"]))).audio.read_bytes()
    path = tmp_path / "t.opus"
    path.write_bytes(whole[: len(whole) // 2])
    assert fault(tmp_path, real, one(path)).kind == "truncated"


def test_shorter_than_the_corpus_says(tmp_path, real):
    path = tmp_path / "s.wav"
    soundfile.write(path, real[0][:16000], 16000)
    p = fault(tmp_path, real, one(path, duration=2.5))
    assert p.kind == "truncated"
    assert p.what.endswith("1.00 s, where the corpus says 2.50 s")


def test_longer_than_the_corpus_says(tmp_path, real):
    path = tmp_path / "s.wav"
    soundfile.write(path, real[0][:32000], 16000)
    p = fault(tmp_path, real, one(path, duration=1.5))
    assert (p.kind, p.action) == ("longer", "mended")


def test_segment_beyond_the_end(tmp_path, real):
    path = tmp_path / "s.wav"
    soundfile.write(path, real[0][:32000], 16000)
    p = fault(tmp_path, real, one(path, duration=1.5, start=1.0))
    assert p.kind == "truncated"
    assert p.what.endswith("1.00 s from 1.00 s on, where 1.50 s were expected")
    assert len(read_audio(one(path, duration=0.5, start=1.25))) == 8000


def test_flac_of_unknown_length(tmp_path, real):
    """As a program writes it into a pipe: the number of samples in its header is 0."""
    path = tmp_path / "pipe.flac"
    soundfile.write(path, real[0], 16000)
    data = bytearray(path.read_bytes())
    data[21] &= 0xF0
    data[22:26] = bytes(4)
    path.write_bytes(data)
    assert header_duration(path) == 0.0
    p = fault(tmp_path, real, one(path))
    assert (p.kind, p.action) == ("unreadable", "skipped")
    assert "its header leaves the length open" in p.what
    assert "rewrite it with `ffmpeg -i pipe.flac new.flac`" in p.what


def test_silent(tmp_path, real):
    soundfile.write(tmp_path / "z.flac", np.zeros(20000, np.int16), 16000)
    assert fault(tmp_path, real, one(tmp_path / "z.flac")).kind == "silent"


@pytest.mark.parametrize("rate", [8000, 22050, 44100])
def test_odd_rate_is_resampled(tmp_path, real, rate):
    path = tmp_path / "r.wav"
    t = np.arange(rate) / rate
    soundfile.write(path, 0.5 * np.sin(2 * np.pi * 440 * t), rate)
    u = one(path)
    p = fault(tmp_path, real, u)
    assert (p.kind, p.action) == ("sample rate", "mended")
    assert p.what == f"{rate} Hz, resampled to 16000 Hz"
    x = read_audio(u)
    assert x.dtype == np.float32
    expected = 0.5 * np.sin(2 * np.pi * 440 * np.arange(16000) / 16000)
    np.testing.assert_allclose(x[800:-800], expected[800:-800], atol=2e-3)


def test_stereo_is_averaged(tmp_path, real):
    path = tmp_path / "st.wav"
    left, right = real[0][:20000], real[0][20000:40000]
    soundfile.write(path, np.stack([left, right], axis=1), 16000)
    p = fault(tmp_path, real, one(path))
    assert (p.kind, p.action, p.what) == ("channels", "mended", "2 channels, averaged")
    mean = (left.astype(np.float32) + right) / 2 / 32768
    np.testing.assert_allclose(read_audio(one(path)), mean, atol=1e-6)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("ROOM 77", "'7'"),
        ("A CAFÉ", "'É'"),
        ("привет", "'П', 'Р', 'И', 'В', 'Е', 'Т'"),
        ("AT&T", "'&'"),
        ("50%", "'5', '0', '%'"),
    ],
)
def test_characters_outside_the_alphabet(tmp_path, real, text, named):
    soundfile.write(tmp_path / "c.wav", real[0], 16000)
    p = fault(tmp_path, real, one(tmp_path / "c.wav", text))
    assert (p.kind, p.action) == ("characters", "skipped")
    assert p.what == f"the transcript has {named}, which is outside the alphabet"


def test_other_alphabets(tmp_path, real):
    soundfile.write(tmp_path / "c.wav", real[0], 16000)
    corpus = Corpus("demo", (one(tmp_path / "c.wav", "Привет, 7!"),))
    assert check(corpus, alphabet=None).utterances[0].text == "ПРИВЕТ 7"
    assert check(corpus, alphabet="абвгдежзийклмнопрстуфхцчшщъыьэюя7 ").utterances[0].text == "привет 7"


@pytest.mark.parametrize("text", ["", "  ", "... !", "-"])
def test_no_transcript(tmp_path, real, text):
    soundfile.write(tmp_path / "c.wav", real[0], 16000)
    assert fault(tmp_path, real, one(tmp_path / "c.wav", text)).kind == "no transcript"


def test_too_short_for_its_transcript(tmp_path, real):
    path = tmp_path / "c.wav"
    soundfile.write(path, real[0][: int(0.48 * 16000)], 16000)  # 12 frames of 40 ms
    assert ctc_frames("HELLO BOOK") == 12
    fits = Corpus("demo", (one(path, "HELLO BOOK"),))
    assert len(check(fits)) == 1
    p = fault(tmp_path, real, one(path, "HELLO BOOKS"))
    assert p.kind == "too short"
    assert p.what == "12 frames in 0.48 s at 0.04 s each; CTC needs 13 for its 11 characters"
    assert len(check(Corpus("demo", (one(path, "HELLO BOOKS"),)), stride=0.02)) == 1


def test_duration_limits(tmp_path, real):
    path = tmp_path / "c.wav"
    soundfile.write(path, real[0][:16000], 16000)
    corpus = Corpus("demo", (one(path, "A"),))
    with pytest.raises(CorpusError, match=r"1\.00 s, below the least duration of 2 s"):
        check(corpus, min_duration=2)
    with pytest.raises(CorpusError, match=r"1\.00 s, above the greatest duration of 0\.5 s"):
        check(corpus, max_duration=0.5)


def test_duplicate_ids(an4):
    few = an4.utterances[:3]
    checked = check(Corpus("demo", (*few, few[1])))
    assert checked.utterances == check(Corpus("demo", few)).utterances
    assert [(p.kind, p.utterance) for p in checked.problems] == [("duplicate", few[1].id)]


def test_problems_of_the_importer_are_kept(an4):
    told = Problem("x", "unreadable", "as the importer told", "skipped")
    assert check(Corpus("demo", an4.utterances[:2], (told,))).problems == (told,)


def test_nothing_left(tmp_path):
    gone = [replace(one(tmp_path / f"{k}.wav"), id=str(k)) for k in range(5)]
    with pytest.raises(
        CorpusError, match=r"(?s)Of the 5 utterances of 'demo', none is usable.*5 skipped, missing: 0 \("
    ):
        check(Corpus("demo", tuple(gone)))
    with pytest.raises(CorpusError, match="holds no utterances"):
        check(Corpus("demo", ()))


def test_a_split_lost(an4, tmp_path):
    test = replace(one(tmp_path / "gone.wav"), split="test")
    with pytest.raises(CorpusError, match="the split 'test' has none left"):
        check(Corpus("demo", (*an4.split("train").utterances[:9], test)))


def test_most_of_it_unusable(an4):
    digits = [replace(u, text="1 2 3") if k % 3 else u for k, u in enumerate(an4.utterances[:30])]
    with pytest.raises(CorpusError, match=r"20 cannot be used, more than the share max_skipped=0\.5"):
        check(Corpus("demo", tuple(digits)))
    assert len(check(Corpus("demo", tuple(digits)), max_skipped=0.8)) == 10


def test_summary_counts_and_names(an4):
    digits = tuple(replace(u, text="9") for u in an4.utterances[:5])
    checked = check(Corpus("demo", digits + an4.utterances[5:20]))
    (line,) = summarise(checked.problems, names=1).splitlines()
    assert line.startswith("5 skipped, characters: an251-fash-b (the transcript has '9'")
    assert line.endswith("and 4 more")
    assert summarise([]) == ""


def test_reading_a_bad_file_names_it(tmp_path):
    with pytest.raises(CorpusError, match=r"gone\.wav: there is no such file\. Replace the file"):
        read_audio(one(tmp_path / "gone.wav"))
