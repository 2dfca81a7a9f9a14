"""Word errors of a recogniser by utterance, kept on the disk, and how sure a difference between two is."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
from whisper_normalizer.english import EnglishTextNormalizer

from otoscope.asr.training.evaluation import word_errors
from otoscope.capture import Transcribes
from otoscope.corpora import Utterance
from otoscope.errors import StudyError
from otoscope.files import write_text
from otoscope.measures.inference.student import t_quantile
from otoscope.study.clusters import clusters_of
from otoscope.study.looking import heard_by, name_of

__all__ = ["LEVEL", "Errors", "Hearing", "Rate"]

LEVEL = 0.95

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Rate:
    """A number with the ends of its 95 % interval over speakers; NaN where there are too few."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Errors:
    """Word errors (utterances,), and of all recognisers alike: words (utterances,), clusters (utterances,)."""

    errors: Floats
    words: Floats
    clusters: npt.NDArray[np.intp]

    @property
    def wer(self) -> float:
        """All errors over all words."""
        return float(self.errors.sum() / self.words.sum())

    def less(self, others: Sequence[Errors]) -> Rate:
        """How much higher the word error rate is than that of others, on average over them; with no others, itself.

        The interval is by a jackknife over clusters of speech, of the difference on the same speech, with Student's t;
        where there are several others, what differs between them is added: they stand for all that could be drawn.
        """
        apart = self.errors - np.mean([other.errors for other in others], axis=0) if others else self.errors
        value = float(apart.sum() / self.words.sum())
        variance, freedom = self._over_clusters(apart)
        if len(others) > 1:
            variance += float(np.var([other.wer for other in others], ddof=1)) / len(others)
            freedom = min(freedom, len(others) - 1)
        if freedom < 2 or not math.isfinite(variance):
            return Rate(value, math.nan, math.nan)
        reach = t_quantile((1 + LEVEL) / 2, freedom) * math.sqrt(variance)
        return Rate(value, value - reach, value + reach)

    def _over_clusters(self, errors: Floats) -> tuple[float, int]:
        count = int(self.clusters.max()) + 1
        own = np.bincount(self.clusters, errors, count), np.bincount(self.clusters, self.words, count)
        left = [(total.sum() - total) for total in own]
        without = left[0][left[1] > 0] / left[1][left[1] > 0]
        return float((len(without) - 1) * without.var()), len(without) - 1


@dataclass
class Hearing:
    """What recognisers hear of the same speech. Transcripts are kept in a file, so that a run that was stopped goes on.

    `about` tells what they depend on beside the name under which each is kept.
    """

    speech: Sequence[Utterance]
    about: str
    path: Path | None = None
    _kept: dict[str, dict[str, str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        normalise = EnglishTextNormalizer()
        references = {u.id: normalise(u.text) for u in self.speech}
        self._references = {u: text for u, text in references.items() if text}
        if not self._references:
            raise StudyError("the speech has no word that could be scored: give a corpus with transcripts")
        scored = [u for u in self.speech if u.id in self._references]
        self._words = np.array([len(self._references[u.id].split()) for u in scored], dtype=np.float64)
        try:
            of = clusters_of({u.id: u.speaker for u in scored}, {u.id: max(u.duration, 0.1) for u in scored}).of
        except StudyError:
            of = {u.id: u.id for u in scored}
        _, self._clusters = np.unique([str(of[u.id]) for u in scored], return_inverse=True)
        if self.path is not None and self.path.is_file():
            self._kept = _read(self.path, self._key)

    @property
    def words(self) -> int:
        """Of the references, after the normaliser."""
        return int(self._words.sum())

    def errors(self, name: str, recogniser: Callable[[], object]) -> Errors:
        """The word errors of a recogniser, which is made only where what it hears is not known."""
        if name not in self._kept:
            made = recogniser()
            if not isinstance(made, Transcribes):
                raise StudyError(f"{name_of(made)} writes no transcript, so that what a change costs cannot be checked")
            self._kept[name] = heard_by(made, self.speech)
            self._keep()
        normalise = EnglishTextNormalizer()
        heard = {u: normalise(self._kept[name][u]) for u in self._references}
        by = word_errors(self._references, heard)
        return Errors(np.array([by[u] for u in self._references], dtype=np.float64), self._words, self._clusters)

    @property
    def _key(self) -> str:
        spoken = [[u.id, u.text, u.duration] for u in self.speech]
        return hashlib.sha256(json.dumps([self.about, spoken]).encode()).hexdigest()

    def _keep(self) -> None:
        if self.path is not None:
            write_text(self.path, json.dumps({"key": self._key, "heard": self._kept}, ensure_ascii=False) + "\n")


def _read(path: Path, key: str) -> dict[str, dict[str, str]]:
    """What was kept of the same recogniser on the same speech."""
    try:
        kept: Mapping[str, object] = json.loads(path.read_text(encoding="utf-8"))
        return dict(kept["heard"]) if kept["key"] == key else {}  # type: ignore[call-overload]
    except (OSError, ValueError, KeyError, TypeError):
        return {}
