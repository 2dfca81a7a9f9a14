"""The probe sets of a study: the speech that layers are compared on, and the same made different."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from otoscope.asr import FRAME_SHIFT_SECONDS, MEL_BINS
from otoscope.asr.store import REVISION as FEATURES
from otoscope.capture import Clusters
from otoscope.corpora import Corpus, Utterance
from otoscope.errors import StudyError
from otoscope.measures import registry
from otoscope.study.clusters import UNKNOWN, clusters_of
from otoscope.study.config import MIN_PROBE, StudyConfig
from otoscope.study.needs import check_samples
from otoscope.study.noisy import REVISION as NOISE

__all__ = ["ProbeSet", "check_measures", "draw_probe", "draw_probes"]


@dataclass(frozen=True)
class ProbeSet:
    """Utterances to compare layers on.

    `clusters` are what intervals leave out in turn, where they are asked for; `splits` are those that the utterances
    come from. Frames are averaged over `grid` cells of the common frame grid. `noise` of a kind is added to the audio,
    `noise_db` under it. `store` is the folder of the features and `features` a hash of what they depend on beside the
    utterances' names, once they are there.
    """

    utterances: tuple[str, ...]
    splits: tuple[str, ...]
    clusters: Clusters | None = None
    grid: int = 1
    noise: str | None = None
    noise_db: float | None = None
    store: Path = Path()
    features: str = ""

    def at(self, store: Path, corpus_hash: str) -> ProbeSet:
        """The set with its features in `store`."""
        recipe = [FEATURES, self.features_hash(corpus_hash), FRAME_SHIFT_SECONDS, MEL_BINS]
        return replace(self, store=store, features=_hash(recipe))

    def features_hash(self, corpus_hash: str) -> str:
        """What the audio is, with its noise."""
        return corpus_hash if self.noise is None else _hash([NOISE, corpus_hash, self.noise, self.noise_db])

    def about(self) -> dict[str, object]:
        """What it is, as results tell it."""
        told = {"splits": list(self.splits), "utterances": len(self.utterances), "grid": self.grid}
        return {**told, "noise": self.noise, "noise_db": self.noise_db}


def draw_probe(corpus: Corpus, splits: Sequence[str], most: int) -> tuple[str, ...]:
    """At most so many utterances of some splits, drawn the same way every time.

    Raises StudyError for splits without utterances, and for fewer utterances than comparing layers takes.
    """
    if missing := [split for split in splits if not corpus.split(split).utterances]:
        raise StudyError(
            f"the probe set is to come from {', '.join(missing)}, where the corpus {corpus.name!r} has no utterance; "
            f"its splits are {', '.join(corpus.splits)}: change [probe] splits"
        )
    ids = sorted(u.id for split in splits for u in corpus.split(split))
    _enough(len(ids), splits)
    draw = np.random.default_rng(0).permutation(len(ids))[:most]
    return tuple(ids[i] for i in sorted(draw))


def draw_probes(corpus: Corpus, config: StudyConfig, *, grid: float) -> dict[str, ProbeSet]:
    """The further probe sets of a study by name, without their features; `grid` is seconds from frame to frame.

    Raises StudyError, before anything is trained, naming the set that cannot be compared on.
    """
    sets = {}
    for name, asked in config.probes.items():
        splits, most = asked.splits or config.probe.splits, asked.utterances or config.probe.utterances
        try:
            ids = draw_probe(corpus, splits, most)
            if asked.half is not None:
                ids = _half({u.id: u.speaker for u in corpus}, ids, asked.half)
                _enough(len(ids), splits)
            utterances = [u for u in corpus if u.id in set(ids)]
            clusters = check_measures(config, utterances, grid=asked.grid * grid)
        except StudyError as error:
            raise StudyError(f"probes.{name}: {error}") from error
        sets[name] = ProbeSet(ids, tuple(splits), clusters, asked.grid, asked.noise, asked.noise_db)
    return sets


def check_measures(config: StudyConfig, probe: Sequence[Utterance], *, grid: float) -> Clusters | None:
    """What intervals leave out in turn, where they are asked for.

    Raises StudyError where the utterances cannot carry the measures, or their intervals.
    """
    seconds = {u.id: u.duration for u in probe}
    check_samples(list(map(registry.get, config.measures)), seconds, grid=grid, samples=config.samples)
    return clusters_of({u.id: u.speaker for u in probe}, seconds) if config.intervals else None


def _half(speakers: Mapping[str, str], ids: Sequence[str], which: int) -> tuple[str, ...]:
    """The utterances of the first or second half of the speakers; one whose speaker is not known stands for itself."""
    of = {u: u if speakers[u] in UNKNOWN else speakers[u] for u in ids}
    known = sorted(set(of.values()))
    order, middle = np.random.default_rng(0).permutation(len(known)), (len(known) + 1) // 2
    chosen = {known[i] for i in (order[middle:] if which else order[:middle])}
    return tuple(u for u in ids if of[u] in chosen)


def _enough(count: int, splits: Sequence[str]) -> None:
    if count < MIN_PROBE:
        raise StudyError(
            f"the probe set has {count} utterances (splits {', '.join(splits)}); comparing layers "
            f"across utterances takes at least {MIN_PROBE}: name more splits in [probe]"
        )


def _hash(recipe: list[object]) -> str:
    return hashlib.sha256(json.dumps(recipe).encode()).hexdigest()
