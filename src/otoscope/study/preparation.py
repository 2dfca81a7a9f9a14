"""From a corpus to what a study works on: usable utterances, tokens, features, the probe set."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt

from otoscope.asr import FRAME_SHIFT_SECONDS, STRIDE, FeatureStore, Tokens
from otoscope.capture import Clusters
from otoscope.corpora import Corpus, Problem, check, default_corpus, draw_splits, load, read_audio
from otoscope.errors import StudyError
from otoscope.files import file_hash
from otoscope.study.config import StudyConfig
from otoscope.study.noisy import noisy_reader
from otoscope.study.probes import ProbeSet, check_measures, draw_probe, draw_probes

__all__ = ["GRID_SECONDS", "Speech", "build_features", "build_probes", "load_speech", "tokens_of"]

GRID_SECONDS = STRIDE * FRAME_SHIFT_SECONDS
"""From one frame that is compared to the next: the stride of every reference recogniser."""

Progress = Callable[[str, int, int], None]
"""Called with what is being done, how much of it is done, and how much there is."""


@dataclass(frozen=True)
class Speech:
    """The usable utterances of a study, its alphabet, the probe set (utterance ids), a hash of texts and audio.

    `tokens` are what each recogniser of the study puts out. `clusters` are what intervals leave out in turn, where
    they are asked for. `further` are the probe sets beside the main one, by name.
    """

    corpus: Corpus
    alphabet: str
    tokens: Mapping[str, Tokens]
    probe: tuple[str, ...]
    hash: str
    clusters: Clusters | None = None
    further: Mapping[str, ProbeSet] = field(default_factory=dict)

    def texts(self, split: str) -> dict[str, str]:
        """Utterance id → transcript of one split."""
        return {u.id: u.text for u in self.corpus.split(split)}


def load_speech(config: StudyConfig, progress: Progress) -> Speech:
    """Loads and checks the corpus, draws a dev split where there is none, and chooses the probe set.

    Raises CorpusError or StudyError where too little is left to train, to validate, to test or to compare on.
    """
    if config.corpus == "default" and not config.parts:
        corpus = default_corpus(progress=lambda done, total: progress("speaking the corpus, seconds", done, total))
    else:
        corpus = load(config.corpus, format=config.format, parts=config.parts)
    corpus = check(
        corpus,
        stride=GRID_SECONDS,
        progress=lambda done, total: progress("checking audio", done, total),
    )
    corpus = draw_splits(corpus)
    alphabet = "".join(sorted({c for u in corpus.split("train") for c in u.text}))
    corpus = _same_alphabet(corpus, alphabet)
    for split in ("train", "dev", "test"):
        if not corpus.split(split).utterances:
            raise StudyError(
                f"the corpus {corpus.name!r} has no usable utterance in its {split} split (splits: "
                f"{', '.join(corpus.splits) or 'none'}); a study trains on train, chooses on dev and scores test once"
            )
    probe = draw_probe(corpus, config.probe.splits, config.probe.utterances)
    chosen = set(probe)
    clusters = check_measures(config, [u for u in corpus if u.id in chosen], grid=GRID_SECONDS)
    further = draw_probes(corpus, config, grid=GRID_SECONDS)
    return Speech(corpus, alphabet, tokens_of(config, corpus), probe, _hash(corpus), clusters, further)


def tokens_of(config: StudyConfig, corpus: Corpus) -> dict[str, Tokens]:
    """What each recogniser puts out, by its name."""
    texts = [u.text for u in corpus.split("train")]
    return {name: recogniser.tokens(texts) for name, recogniser in config.recognisers.items()}


def _same_alphabet(corpus: Corpus, alphabet: str) -> Corpus:
    """Leaves out utterances of dev and test with characters that training never saw: no recogniser could write them."""
    known = set(alphabet)
    strange = {u.id: sorted(set(u.text) - known) for u in corpus if not set(u.text) <= known}
    problems = [
        Problem(i, "characters", f"{' '.join(map(repr, c))} do not occur in the training transcripts", "skipped")
        for i, c in strange.items()
    ]
    return corpus.keep([u for u in corpus if u.id not in strange], problems) if strange else corpus


def _hash(corpus: Corpus) -> str:
    """SHA-256 over the manifest and the bytes of every audio file: another recording is another study."""
    digest = hashlib.sha256(corpus.hash().encode())
    files = {path: file_hash(path) for path in {u.audio for u in corpus}}
    for u in sorted(corpus, key=lambda u: u.id):  # which utterance is in which file, and where in it
        digest.update(json.dumps([u.id, u.start, files[u.audio]]).encode())
    return digest.hexdigest()


def build_features(speech: Speech, speeds: Sequence[float], folder: Path, progress: Progress) -> FeatureStore:
    """The features of every utterance, those of the training split at every speed."""
    by_id = {u.id: u for u in speech.corpus}
    wanted = [(u.id, s) for u in speech.corpus for s in (set(speeds) | {1.0} if u.split == "train" else (1.0,))]

    def read(utterance: str) -> npt.NDArray[np.float32]:
        return read_audio(by_id[utterance])

    return FeatureStore.build(
        folder,
        wanted,
        read,
        corpus_hash=speech.hash,
        progress=lambda done: progress("features", done, len(wanted)),
    )


def build_probes(
    speech: Speech, splits: Sequence[str], store: FeatureStore, folder: Path, progress: Progress
) -> dict[str, ProbeSet]:
    """Every probe set with its features, the main one (of these `splits`) under the empty name.

    Those with noise have features of their own, in `folder`; the others share the study's `store`.
    """
    sets = {"": ProbeSet(speech.probe, tuple(splits), speech.clusters).at(store.path, speech.hash)}
    for name, probe in speech.further.items():
        path = store.path
        if probe.noise is not None and probe.noise_db is not None:
            path = FeatureStore.build(
                folder,
                [(u, 1.0) for u in probe.utterances],
                noisy_reader(speech.corpus, probe.noise, probe.noise_db),
                corpus_hash=probe.features_hash(speech.hash),
                progress=partial(_show, progress, f"features of {name}", len(probe.utterances)),
            ).path
        sets[name] = probe.at(path, speech.hash)
    return sets


def _show(progress: Progress, what: str, total: int, done: int) -> None:
    progress(what, done, total)
