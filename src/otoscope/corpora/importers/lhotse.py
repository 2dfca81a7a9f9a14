"""Lhotse cut manifests: `*cuts*.jsonl(.gz)`, a file or a folder of them. Needs the extra `lhotse`.

Each supervision is one utterance: it stands at its own place in the recording. The split is a custom field `split` of
the cut, else what the manifest's name speaks of (`cuts_train.jsonl.gz`, `librispeech_cuts_dev-clean.jsonl.gz`).
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from otoscope.corpora.importers.base import Importer, split_named, wanted
from otoscope.corpora.manifest import Corpus, Interval, Problem, Utterance
from otoscope.errors import CorpusError

__all__ = ["LHOTSE"]

_SUFFIXES = (".jsonl", ".jsonl.gz")


def _manifests(path: Path) -> list[Path]:
    if path.is_file():
        return [path] if path.name.endswith(_SUFFIXES) else []
    return [p for p in sorted(path.glob("*cuts*.jsonl*")) if p.name.endswith(_SUFFIXES)]


def _read(path: Path, parts: Sequence[str]) -> Corpus:
    cut_set = _library().CutSet
    utterances: list[Utterance] = []
    problems: list[Problem] = []
    for manifest in _manifests(path):
        by_name = _split_in(manifest.name.split(".jsonl")[0])
        try:
            cuts = list(cut_set.from_file(manifest))
        except Exception as error:  # lhotse raises what its parsers raise, of any type
            raise CorpusError(
                f"{manifest} is not a lhotse cut manifest ({type(error).__name__}: {error}). "
                "Make one with `lhotse cut simple`."
            ) from error
        for cut in cuts:
            split = (getattr(cut, "custom", None) or {}).get("split") or by_name
            if not (wanted(split, parts) or wanted(manifest.name, parts)):
                continue
            if fault := _unusable(cut):
                problems.append(Problem(cut.id, "unreadable", fault, "skipped"))
                continue
            utterances += [_utterance(cut, s, manifest.parent, split) for s in cut.supervisions]
    return Corpus(path.name.split(".jsonl")[0], tuple(utterances), tuple(problems))


def _library() -> Any:
    try:
        return importlib.import_module("lhotse")
    except ModuleNotFoundError as error:
        raise CorpusError(
            "Reading lhotse manifests needs the package lhotse, which is not installed. "
            "Install it: pip install 'otoscope[lhotse]'."
        ) from error


def _split_in(name: str) -> str:
    """The split that a part of a manifest's name speaks of; train where none does."""
    for word in name.replace(".", "_").split("_"):
        if split := split_named(word):
            return split
    return "train"


def _unusable(cut: Any) -> str | None:
    recording = getattr(cut, "recording", None)
    if recording is None:
        return f"a {type(cut).__name__} without a recording of its own; expected a cut of one recording with audio"
    if not cut.supervisions:
        return "the cut has no supervision, so no transcript"
    kinds = [source.type for source in recording.sources]
    if kinds != ["file"]:
        return f"the recording comes from {kinds}; expected one file. Save it: `lhotse cut save-audios`"
    return None


def _utterance(cut: Any, supervision: Any, folder: Path, split: str) -> Utterance:
    start = float(cut.start + max(supervision.start, 0.0))
    duration = min(cut.start + cut.duration, cut.start + supervision.end) - start
    recording = cut.recording
    whole = start == 0 and duration >= recording.duration - 1 / recording.sampling_rate
    audio = Path(recording.sources[0].source)
    if not audio.is_absolute() and not audio.exists():  # lhotse means the working directory; moved manifests do not
        audio = folder / audio
    alignment = supervision.alignment or {}
    words, phones = (
        tuple(
            Interval(a.symbol, a.start + cut.start - start, a.start + a.duration + cut.start - start)
            for a in alignment.get(kind, ())
        )
        for kind in ("word", "phone")
    )
    return Utterance(
        id=supervision.id if len(cut.supervisions) > 1 else cut.id,
        speaker=supervision.speaker or "unknown",
        audio=audio.resolve(),
        duration=duration,
        text=supervision.text or "",
        split=split,
        words=words,
        phones=phones,
        start=None if whole else start,
    )


LHOTSE = Importer("lhotse", "*cuts*.jsonl(.gz)", lambda p: bool(_manifests(p)), _read)
