"""The one manifest type: what a corpus is to the rest of Otoscope."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

__all__ = ["Corpus", "Interval", "Problem", "Utterance"]


@dataclass(frozen=True, slots=True)
class Interval:
    """A labelled stretch of time inside one utterance; `start` and `end` in seconds."""

    label: str
    start: float
    end: float


@dataclass(frozen=True, slots=True)
class Utterance:
    """One utterance: who says what, for how long, in which file.

    `audio` is an absolute path, `duration` is in seconds (0 where the importer could not tell). `words` and
    `phones` are empty where no alignment is at hand; their times count from the start of the utterance.
    `start` is where the utterance begins inside a longer recording, in seconds; None: it is the whole file.
    """

    id: str
    speaker: str
    audio: Path
    duration: float
    text: str
    split: str
    words: tuple[Interval, ...] = ()
    phones: tuple[Interval, ...] = ()
    start: float | None = None


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that was found wrong with one utterance, and what was done about it.

    `action` is `"skipped"` (the utterance is left out) or `"mended"` (used, after what `what` says, e.g. resampled).
    """

    utterance: str
    kind: str
    what: str
    action: str


@dataclass(frozen=True)
class Corpus:
    """Utterances with a name, and everything that was skipped or mended on the way in."""

    name: str
    utterances: tuple[Utterance, ...]
    problems: tuple[Problem, ...] = field(default=())

    def __len__(self) -> int:
        return len(self.utterances)

    def __iter__(self) -> Iterator[Utterance]:
        return iter(self.utterances)

    @property
    def splits(self) -> tuple[str, ...]:
        """The split names, in order of first appearance."""
        return tuple(dict.fromkeys(u.split for u in self.utterances))

    @property
    def duration(self) -> float:
        """Seconds of speech."""
        return sum(u.duration for u in self.utterances)

    def split(self, name: str) -> Corpus:
        """The utterances of one split (an empty corpus where there is no such split)."""
        return self.keep([u for u in self.utterances if u.split == name])

    def keep(self, utterances: Sequence[Utterance], problems: Sequence[Problem] = ()) -> Corpus:
        """The same corpus with these utterances, `problems` added to those already known."""
        return Corpus(self.name, tuple(utterances), self.problems + tuple(problems))

    def hash(self) -> str:
        """SHA-256 over ids, speakers, durations, texts and splits: tells whether two studies saw the same speech."""
        digest = hashlib.sha256()
        for u in sorted(self.utterances, key=lambda u: u.id):
            row = [u.id, u.speaker, round(u.duration, 3), u.text, u.split]
            digest.update(json.dumps(row, ensure_ascii=False).encode())
        return digest.hexdigest()
