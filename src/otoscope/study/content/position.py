"""Where in its utterance a frame is."""

from __future__ import annotations

from otoscope.study.content.label import Floats, Label, Spoken

__all__ = ["POSITION", "RELATIVE_POSITION"]


def _seconds(spoken: Spoken) -> Floats:
    return spoken.times[:, None]


def _share(spoken: Spoken) -> Floats:
    end = spoken.utterance.duration or float(spoken.times[-1])  # 0: nobody has measured it
    return spoken.times[:, None] / end


POSITION = Label("position", "seconds from the utterance's start", "numbers", "frame", _seconds)
RELATIVE_POSITION = Label("relative-position", "0 at the utterance's start, 1 at its end", "numbers", "frame", _share)
