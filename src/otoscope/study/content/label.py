"""What a label is: something that is true of each frame, word or utterance, by which layers are read."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from otoscope.corpora import Interval, Utterance

__all__ = ["Floats", "Label", "Parted", "Spoken", "Unit", "interval_at", "said", "seconds_of"]

Floats = npt.NDArray[np.float64]

Unit = Literal["frame", "word", "utterance"]
"""What a row is: a frame, or the mean of the frames of a word or of an utterance."""

Parted = Literal["speaker", "utterance"]
"""What is never parted between the speech a probe is fitted to and the speech it is tested on."""

SILENCES = frozenset({"", "SIL", "SP", "SPN", "NSN", "SILENCE", "PAU"})


class Spoken(NamedTuple):
    """One utterance as labels see it.

    `times` (frames,) are the seconds at the centres of its frames, from its start; `features` (frames, 80) its log-mel
    energies there.
    """

    utterance: Utterance
    times: Floats
    features: Floats


@dataclass(frozen=True)
class Label:
    """Something to read off layers.

    Arguments:
        name: what users call it.
        what: the same in a few words.
        kind: "classes" for one of several names, "numbers" for one or more numbers.
        unit: what a row is.
        of: from an utterance to a name for each row ("" for none), or rows × columns of numbers (NaN for none). Rows
            are its frames, its `words`, or itself.
        aligned: the intervals of `Utterance` that it is read from, "" for none.
        parted: what folds keep together. Speakers, unless the speaker is what is asked for.
        least: the rows that a class needs, in at least 3 groups; rarer ones are left out and counted.
        most: the classes that are kept, the most frequent; None for all.
    """

    name: str
    what: str
    kind: Literal["classes", "numbers"]
    unit: Unit
    of: Callable[[Spoken], Sequence[str] | Floats]
    aligned: Literal["", "phones", "words"] = ""
    parted: Parted = "speaker"
    least: int = 1
    most: int | None = None


def said(label: str) -> str:
    """A label of an alignment in capitals, "" for silence, noise and what the aligner did not know.

    >>> [said(label) for label in ("AH", "the", "sil", "<eps>", "+NSN+", "[laughter]", "")]
    ['AH', 'THE', '', '', '', '', '']
    """
    name = label.strip().upper()
    return "" if name in SILENCES or re.fullmatch(r"[<\[+({].*", name) else name


def interval_at(times: Floats, intervals: Sequence[Interval]) -> npt.NDArray[np.intp]:
    """Which interval each time lies in, −1 for none; an interval has its start and not its end.

    >>> interval_at(np.array([0.0, 0.1, 0.25]), [Interval("A", 0.0, 0.1), Interval("B", 0.1, 0.2)]).tolist()
    [0, 1, -1]
    """
    if not intervals:
        return np.full(len(times), -1, dtype=np.intp)
    order = np.argsort([i.start for i in intervals], kind="stable")
    starts, ends = (np.array([getattr(intervals[i], end) for i in order]) for end in ("start", "end"))
    last = np.searchsorted(starts, times, side="right") - 1
    inside = (last >= 0) & (times < ends[last.clip(min=0)])
    return np.where(inside, order[last.clip(min=0)], -1)


def seconds_of(intervals: Sequence[Interval]) -> Floats:
    """How long each interval lasts, NaN for silence; (intervals, 1)."""
    return np.array([[i.end - i.start if said(i.label) else np.nan] for i in intervals]).reshape(-1, 1)
