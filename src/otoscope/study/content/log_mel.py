"""What the ear hears at each frame: the log-mel energies that reference recognisers are given."""

from __future__ import annotations

from otoscope.asr import MEL_BINS
from otoscope.study.content.label import Floats, Label, Spoken

__all__ = ["LOG_MEL"]


def _of(spoken: Spoken) -> Floats:
    return spoken.features


LOG_MEL = Label("log-mel", f"{MEL_BINS} log-mel energies", "numbers", "frame", _of)
