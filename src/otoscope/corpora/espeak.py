"""espeak-ng by ctypes: speech with the exact times of its phones and words."""

from __future__ import annotations

import _ctypes
import ctypes
import sys
import threading
from dataclasses import dataclass
from typing import NamedTuple

import espeakng_loader
import numpy as np
from numpy.typing import NDArray

from otoscope.corpora.manifest import Interval
from otoscope.errors import CorpusError

__all__ = ["Speech", "synthesise"]

# Names as in espeak-ng's speak_lib.h
_AUDIO_OUTPUT_SYNCHRONOUS = 2
_INITIALIZE_PHONEME_EVENTS_IPA = 0x1 | 0x2
_RATE, _PITCH, _RANGE = 1, 3, 4
_POS_CHARACTER, _CHARS_UTF8 = 1, 1
_EVENT_TERMINATED, _EVENT_PHONEME = 0, 7

_SEED = 1
# espeak-ng pronounces some neighbours as one ("of the", "for a") and then gives no time for the second. A bar
# between words prevents it, and is not heard.
_BETWEEN_WORDS = " | "
# espeak-ng renders [l] after a vowel as the end of the vowel and leaves the phone itself next to no time. The vowel's
# last part is then given to it.
_MERGED_L, _L_FROM_VOWEL, _VOWEL_SHARE = 0.03, 0.06, 0.6  # seconds, seconds, least share that stays with the vowel
_VOWELS = frozenset("aeiouæɑɒɔəɛɜɪʊʌɐᵻɚ")
_STRESS = dict.fromkeys(map(ord, "ˈˌ"))

_one_at_a_time = threading.Lock()  # the library's state is global


@dataclass(frozen=True, slots=True)
class Speech:
    """Synthesised speech: samples (float32, −1…1), their rate, and intervals in seconds.

    `phones` are IPA without stress marks, `SIL` in pauses, and cover the whole; a word lasts from its first phone to
    its last. Times are those of the synthesiser's own commands, with one exception: an [l] that espeak-ng merges into
    the vowel before it is given that vowel's last 60 ms.
    """

    samples: NDArray[np.float32]
    rate_hz: int
    words: tuple[Interval, ...]
    phones: tuple[Interval, ...]


class _Phone(NamedTuple):
    sample: int
    text_position: int  # of the word it belongs to
    name: bytes


class _Id(ctypes.Union):
    _fields_ = (("number", ctypes.c_int), ("name", ctypes.c_char_p), ("string", ctypes.c_char * 8))


class _Event(ctypes.Structure):
    _fields_ = (
        ("type", ctypes.c_int),
        ("unique_identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("audio_position", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("id", _Id),
    )


_Callback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(_Event))


def synthesise(text: str, *, voice: str = "en-us", rate: int = 160, pitch: int = 50, pitch_range: int = 50) -> Speech:
    """Speak a text with espeak-ng; the same arguments give the same samples, whatever was spoken before.

    Args:
        text: words parted by spaces, in lower case (capitals may be read as letters).
        voice: an espeak-ng voice, with or without a variant: `en-us`, `en-gb-x-rp+f3`.
        rate: words a minute, 80 to 450.
        pitch: 0 to 100.
        pitch_range: 0 (monotone) to 100.

    Returns:
        Samples with phone and word times; `words` lacks those that espeak-ng could not tell apart.

    Raises:
        CorpusError: espeak-ng does not start, or has no such voice.

    Example:
        >>> speech = synthesise("one of the men")
        >>> [w.label for w in speech.words]
        ['one', 'of', 'the', 'men']
        >>> "".join(p.label for p in speech.phones if p.label != "SIL")
        'wʌnʌvðəmɛn'
    """
    chunks: list[NDArray[np.int16]] = []
    events: list[_Phone] = []

    def receive(samples: ctypes._Pointer[ctypes.c_short], count: int, event: ctypes._Pointer[_Event]) -> int:
        if count > 0:
            chunks.append(np.ctypeslib.as_array(samples, (count,)).copy())
        k = 0
        while (e := event[k]).type != _EVENT_TERMINATED:
            if e.type == _EVENT_PHONEME:
                events.append(_Phone(e.sample, e.text_position, e.id.string))
            k += 1
        return 0

    words = text.split()
    spoken = _BETWEEN_WORDS.join(words).encode()
    callback = _Callback(receive)
    with _one_at_a_time:
        library = _fresh_library()
        try:
            rate_hz = _start(library, voice)
            for parameter, value in ((_RATE, rate), (_PITCH, pitch), (_RANGE, pitch_range)):
                library.espeak_SetParameter(parameter, value, 0)
            library.espeak_SetSynthCallback(callback)
            size = ctypes.c_size_t(len(spoken) + 1)
            library.espeak_Synth(spoken, size, 0, _POS_CHARACTER, 0, _CHARS_UTF8, None, None)
        finally:
            library.espeak_Terminate()
            _unload(library)
    samples = (np.concatenate(chunks) / 32768).astype(np.float32) if chunks else np.zeros(0, np.float32)
    return Speech(samples, rate_hz, *_intervals(words, events, len(samples), rate_hz))


def _fresh_library() -> ctypes.CDLL:
    """The library with its static data as on the first day.

    espeak-ng 1.52 carries the phase of its oscillators and noise from one utterance to the next, through
    espeak_Terminate and a seed as well. Only loading it anew (and seeding it, for it starts from the clock) makes an
    utterance depend on its text and voice alone. It takes a millisecond.
    """
    library = ctypes.CDLL(espeakng_loader.get_library_path())
    library.espeak_ng_SetRandSeed(ctypes.c_long(_SEED))
    return library


def _unload(library: ctypes.CDLL) -> None:
    if sys.platform == "win32":
        _ctypes.FreeLibrary(library._handle)
    else:
        _ctypes.dlclose(library._handle)


def _start(library: ctypes.CDLL, voice: str) -> int:
    data = espeakng_loader.get_data_path()
    rate_hz = library.espeak_Initialize(_AUDIO_OUTPUT_SYNCHRONOUS, 200, data.encode(), _INITIALIZE_PHONEME_EVENTS_IPA)
    if rate_hz <= 0:
        raise CorpusError(f"espeak-ng does not start with its data in {data}. Reinstall espeakng-loader.")
    library.espeak_ng_SetRandSeed(ctypes.c_long(_SEED))
    if library.espeak_SetVoiceByName(voice.encode()) != 0:
        raise CorpusError(f"espeak-ng has no voice {voice!r}; expected a name such as 'en-us' or 'en-us+f3'.")
    return int(rate_hz)


def _intervals(
    words: list[str], events: list[_Phone], samples: int, rate_hz: int
) -> tuple[tuple[Interval, ...], tuple[Interval, ...]]:
    """Words and phones: a phone lasts until the next begins, a word from its first phone to its last."""
    starting_at: dict[int, str] = {}  # position in the spoken text, which counts characters from 1
    position = 1
    for word in words:
        starting_at[position] = word
        position += len(word) + len(_BETWEEN_WORDS)
    if events and events[0].sample > 0:
        events = [_Phone(0, 0, b""), *events]
    ends = [e.sample for e in events[1:]] + [samples]
    phones: list[Interval] = []
    spans: dict[int, tuple[float, float]] = {}
    for event, last in zip(events, ends, strict=True):
        label = event.name.decode().translate(_STRESS) or "SIL"
        start, end = event.sample / rate_hz, last / rate_hz
        if label == "l" and end - start < _MERGED_L and phones and _VOWELS & set(phones[-1].label):
            vowel = phones[-1]
            start = max(vowel.end - _L_FROM_VOWEL, vowel.start + _VOWEL_SHARE * (vowel.end - vowel.start))
            phones[-1] = Interval(vowel.label, vowel.start, start)
        if label == "SIL" and phones and phones[-1].label == "SIL":
            phones[-1] = Interval("SIL", phones[-1].start, end)
        elif end > start:
            phones.append(Interval(label, start, end))
        if label != "SIL" and event.text_position in starting_at:
            spans[event.text_position] = (spans.get(event.text_position, (start, end))[0], end)
    return tuple(Interval(starting_at[p], *span) for p, span in sorted(spans.items())), tuple(phones)
