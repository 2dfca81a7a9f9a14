"""Who speaks; a row is the mean of an utterance's frames, and whole utterances are left out, not speakers."""

from __future__ import annotations

from otoscope.study.clusters import UNKNOWN
from otoscope.study.content.label import Label, Spoken

__all__ = ["SPEAKER"]


def _of(spoken: Spoken) -> list[str]:
    speaker = spoken.utterance.speaker
    return ["" if speaker in UNKNOWN else speaker]


SPEAKER = Label("speaker", "who speaks", "classes", "utterance", _of, parted="utterance", least=3)
