"""The corpus that comes with Otoscope: speech synthesised by espeak-ng, with exact phone and word times."""

from __future__ import annotations

import csv
import gzip
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from importlib.resources import files
from pathlib import Path

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

from otoscope.corpora.audio import SAMPLE_RATE_HZ
from otoscope.corpora.cache import cache_dir, made_whole
from otoscope.corpora.espeak import Speech, synthesise
from otoscope.corpora.importers.tsv import TSV
from otoscope.corpora.manifest import Corpus, Interval, Utterance
from otoscope.corpora.noise import add_noise, babble, pink
from otoscope.errors import CorpusError

__all__ = ["default_corpus"]

VERSION = 1  # raise it whenever the audio or the texts change: it is part of the cache's key

_ACCENTS = ("en-us", "en-gb-x-rp", "en-us", "en")
# espeak-ng's variants that sound like people: no robots, whispers or croaks, and none of those made by its Klatt
# synthesiser, whose noise comes from the C library's generator and differs from one run to the next.
_VARIANTS = (
    *("f1", "f2", "f3", "f4", "f5", "m1", "m2", "m3", "m4", "m5", "m6", "m7", "m8"),
    *("Alicia", "Andrea", "Andy", "Annie", "Gene", "Lee", "Marco", "Mario", "Michael", "Mike"),
    *("anika", "antonio", "belinda", "ed", "john", "linda", "max", "miguel"),
    *("pablo", "paul", "pedro", "quincy", "rob", "robert", "sandro", "shelby", "steph", "steph2", "travis"),
    *("victor", "zac"),
)
_SPEAKERS = {"train": 28, "dev": 6, "test": 8}
_SHORTEST, _LONGEST = 1.0, 3.5  # seconds
_SNR_DB = (10.0, 25.0)
_GAIN_DB = (-6.0, 3.0)
_PEAK = 0.95
_SECONDS_A_PHRASE = 1.55  # what a phrase brings on average, those outside the limits included: 1.7, and some reserve


@dataclass(frozen=True, slots=True)
class _Speaker:
    name: str
    voice: str
    rate: int  # words a minute
    pitch: int
    pitch_range: int


def default_corpus(
    *,
    seed: int = 0,
    train_minutes: float = 40.0,
    dev_minutes: float = 1.5,
    test_minutes: float = 2.5,
    progress: Callable[[int, int], None] | None = None,
) -> Corpus:
    """The default corpus, from the cache, or made there first.

    Short phrases of English books (3 to 8 words) spoken by espeak-ng: 42 voices that differ in accent, formants,
    pitch and speed, noise (white, pink, babble) at 10 to 25 dB, varying loudness. Speakers and phrases of train, dev
    and test are disjoint. It is for trying Otoscope out and for tests where the truth about phones and words is
    needed; it says nothing about how hard real speech is.

    Args:
        seed: fixes speakers, phrases and noise. Equal arguments give equal samples.
        train_minutes: minutes of speech for training; likewise `dev_minutes` and `test_minutes`.
        dev_minutes: as above, for development.
        test_minutes: as above, for testing.
        progress: called while making it with (seconds made, seconds to make).

    Returns:
        Utterances at 16 kHz with word and phone (IPA, `SIL` for pauses) intervals.

    Raises:
        CorpusError: a split asks for more than its phrases give (152, 10 and 15 minutes), or for nothing.

    Example:
        >>> import os, tempfile
        >>> folder = tempfile.TemporaryDirectory()
        >>> os.environ["OTOSCOPE_CACHE"] = folder.name
        >>> corpus = default_corpus(train_minutes=0.1, dev_minutes=0.05, test_minutes=0.05)
        >>> corpus.splits
        ('train', 'dev', 'test')
        >>> [w.label for w in corpus.utterances[0].words] == corpus.utterances[0].text.split()
        True
        >>> del os.environ["OTOSCOPE_CACHE"]; folder.cleanup()
    """
    minutes = {"train": train_minutes, "dev": dev_minutes, "test": test_minutes}
    if min(minutes.values()) <= 0:
        raise CorpusError(f"The default corpus was asked for {minutes} minutes; each must be above 0.")
    for split, phrases in _phrases().items():
        if minutes[split] > (most := len(phrases) * _SECONDS_A_PHRASE / 60):
            raise _too_much(split, minutes[split], most)
    size = "-".join(f"{m:g}" for m in minutes.values())
    folder = cache_dir() / "corpora" / f"default-v{VERSION}-seed{seed}-{size}"
    if not folder.is_dir():
        _make(folder, seed, minutes, progress)
    return replace(TSV.read(folder, ()), name="default")


def _make(folder: Path, seed: int, minutes: dict[str, float], progress: Callable[[int, int], None] | None) -> None:
    """Write the corpus in the layout `tsv`."""
    made, total = 0.0, 60 * sum(minutes.values())
    with (
        made_whole(folder) as making,
        (making / "transcripts.tsv").open("w", encoding="utf-8", newline="") as transcripts,
        gzip.open(making / "alignments.tsv.gz", "wt", encoding="utf-8", newline="") as alignments,
    ):
        texts, times = (csv.writer(f, delimiter="\t", lineterminator="\n") for f in (transcripts, alignments))
        texts.writerow(["utt_id", "speaker", "path", "duration", "text", "split"])
        times.writerow(["utt_id", "word_index", "word", "phone", "start", "end"])
        for u, samples in _utterances(seed, minutes):
            path = making / u.audio
            path.parent.mkdir(parents=True, exist_ok=True)
            soundfile.write(path, samples, SAMPLE_RATE_HZ, subtype="PCM_16")
            texts.writerow([u.id, u.speaker, u.audio.as_posix(), f"{u.duration:.4f}", u.text, u.split])
            times.writerows([u.id, *row] for row in _rows(u))
            made += u.duration
            if progress:
                progress(int(min(made, total)), int(total))


def _rows(u: Utterance) -> Iterator[list[str]]:
    index = 0
    for phone in u.phones:
        while index + 1 < len(u.words) and phone.start >= u.words[index].end - 1e-9:
            index += 1
        word = u.words[index]
        inside = phone.label != "SIL" and word.start - 1e-9 <= phone.start < word.end
        times = f"{phone.start:.5f}", f"{phone.end:.5f}"
        yield [str(index) if inside else "-1", word.label.lower() if inside else "", phone.label, *times]


def _utterances(seed: int, minutes: dict[str, float]) -> Iterator[tuple[Utterance, NDArray[np.float32]]]:
    phrases = _phrases()
    speakers = _speakers(seed)
    for number, (split, wanted) in enumerate(minutes.items()):
        order = np.random.default_rng([seed, number]).permutation(len(phrases[split]))
        crowd = _crowd(phrases[split], speakers[split], np.random.default_rng([seed, number, 0]))
        seconds = 0.0
        for count, index in enumerate(order):
            # a generator for each utterance: a larger corpus begins with the same utterances as a smaller one
            rng = np.random.default_rng([seed, number, 1, count])
            speaker = speakers[split][int(rng.integers(len(speakers[split])))]
            text = phrases[split][index]
            speech = _speak(text, speaker, rng)
            words = tuple(replace(w, label=w.label.upper()) for w in speech.words)
            duration = len(speech.samples) / SAMPLE_RATE_HZ
            if " ".join(w.label for w in words) != text or not _SHORTEST <= duration <= _LONGEST:
                continue  # not all words have their own times, or longer than asked for
            name = f"{split}-{count:05d}"
            audio = Path("audio", speaker.name, f"{name}.flac")
            u = Utterance(name, speaker.name, audio, duration, text, split, words, speech.phones)
            yield u, _in_noise(speech.samples, crowd, rng)
            seconds += duration
            if seconds >= 60 * wanted:
                break
        else:
            raise _too_much(split, wanted, seconds / 60)


def _too_much(split: str, wanted: float, most: float) -> CorpusError:
    return CorpusError(
        f"The default corpus has phrases for {most:.0f} minutes of {split!r}, not {wanted:g}. "
        f"Ask for fewer {split}_minutes, or use a real corpus (`otoscope corpus fetch`)."
    )


def _phrases() -> dict[str, list[str]]:
    phrases: dict[str, list[str]] = {}
    split = ""
    for line in (files(__package__) / "data" / "phrases.txt").read_text(encoding="utf-8").splitlines():
        if line.startswith("["):
            split = line.strip("[]")
        elif not line.startswith("#"):
            phrases.setdefault(split, []).append(line)
    return phrases


def _speakers(seed: int) -> dict[str, list[_Speaker]]:
    """Speakers a split: every variant (the shape of the vocal tract) belongs to one speaker only."""
    rng = np.random.default_rng([seed, 99])
    variants = iter(rng.permutation(_VARIANTS).tolist())
    speakers: dict[str, list[_Speaker]] = {}
    for split, count in _SPEAKERS.items():
        speakers[split] = [
            _Speaker(
                name=variant.lower(),
                voice=f"{_ACCENTS[k % len(_ACCENTS)]}+{variant}",
                rate=int(rng.integers(140, 186)),
                pitch=int(rng.integers(35, 66)),
                pitch_range=int(rng.integers(35, 66)),
            )
            for k, variant in zip(range(count), variants, strict=False)
        ]
    return speakers


def _speak(text: str, speaker: _Speaker, rng: np.random.Generator) -> Speech:
    """One reading of a phrase at 16 kHz, with a little quiet before and after it."""
    speech = synthesise(
        text.lower(),
        voice=speaker.voice,
        rate=round(speaker.rate * rng.uniform(0.93, 1.07)),
        pitch=round(speaker.pitch + rng.uniform(-4, 4)),
        pitch_range=speaker.pitch_range,
    )
    before, after = (round(s * SAMPLE_RATE_HZ) for s in rng.uniform(0.05, 0.2, size=2))
    samples = soxr.resample(speech.samples, speech.rate_hz, SAMPLE_RATE_HZ, quality="HQ")
    samples = np.pad(samples, (before, after)).astype(np.float32)
    shift, end = before / SAMPLE_RATE_HZ, len(samples) / SAMPLE_RATE_HZ
    words, phones = (
        [Interval(i.label, i.start + shift, min(i.end + shift, end)) for i in intervals]
        for intervals in (speech.words, speech.phones)
    )
    # the quiet joins the pauses that the phrase already begins and ends with
    first, last = (0 if phones[0].label != "SIL" else 1), (None if phones[-1].label != "SIL" else -1)
    inner = phones[first:last]
    outer = Interval("SIL", 0.0, inner[0].start), Interval("SIL", inner[-1].end, end)
    return Speech(samples, SAMPLE_RATE_HZ, tuple(words), (outer[0], *inner, outer[1]))


def _crowd(phrases: list[str], speakers: list[_Speaker], rng: np.random.Generator) -> NDArray[np.float32]:
    chosen = zip(rng.choice(len(phrases), 12), rng.choice(len(speakers), 12), strict=True)
    return babble([_speak(phrases[p], speakers[s], rng).samples for p, s in chosen])


def _in_noise(speech: NDArray[np.float32], crowd: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float32]:
    count = len(speech)
    match int(rng.integers(3)):
        case 0:
            noise = rng.standard_normal(count, dtype=np.float32)
        case 1:
            noise = pink(rng, count)
        case _:
            noise = np.take(crowd, np.arange(count) + rng.integers(len(crowd)), mode="wrap")
    gain = 10 ** (rng.uniform(*_GAIN_DB) / 20)
    mixed = add_noise(speech, noise, snr_db=rng.uniform(*_SNR_DB)) * gain
    quieter: NDArray[np.float32] = (mixed * min(1.0, _PEAK / float(np.abs(mixed).max()))).astype(np.float32)
    return quieter
