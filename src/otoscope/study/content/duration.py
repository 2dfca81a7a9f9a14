"""How long the phone or the word lasts that is spoken."""

from __future__ import annotations

import numpy as np

from otoscope.study.content.label import Floats, Label, Spoken, interval_at, seconds_of

__all__ = ["DURATION", "WORD_DURATION"]


def _phone(spoken: Spoken) -> Floats:
    # One more, for frames in no phone: index −1.
    seconds = np.vstack([seconds_of(spoken.utterance.phones), [[np.nan]]])
    return seconds[interval_at(spoken.times, spoken.utterance.phones)]


def _word(spoken: Spoken) -> Floats:
    return seconds_of(spoken.utterance.words)


DURATION = Label("duration", "seconds of the phone at a frame's centre", "numbers", "frame", _phone, "phones")
WORD_DURATION = Label("word-duration", "seconds of the word", "numbers", "word", _word, "words")
