"""Audio files, each with a `.txt` transcript of the same stem beside it.

The speaker is the folder the file lies in. Top-level folders named train, dev (valid, validation) and test (eval) are
the splits; without them the splits are drawn by speaker.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from otoscope.corpora.audio import AUDIO_SUFFIXES, header_duration
from otoscope.corpora.importers.base import Importer, split_named, wanted
from otoscope.corpora.manifest import Corpus, Problem, Utterance
from otoscope.corpora.splits import draw_splits
from otoscope.errors import CorpusError

__all__ = ["DIRECTORY"]


def _audio_files(root: Path) -> list[Path]:
    return sorted(p for p in root.rglob("*") if p.suffix.lower() in AUDIO_SUFFIXES and p.is_file())


def _recognises(root: Path) -> bool:
    return root.is_dir() and any(
        p.suffix.lower() in AUDIO_SUFFIXES and p.with_suffix(".txt").exists() for p in root.rglob("*")
    )


def _read(root: Path, parts: Sequence[str]) -> Corpus:
    files = _audio_files(root)
    tops = {f: split_named(f.relative_to(root).parts[0]) for f in files if f.parent != root}
    given = bool(tops) and len(tops) == len(files) and all(tops.values())
    utterances: list[Utterance] = []
    problems: list[Problem] = []
    for file in files:
        name = file.relative_to(root).with_suffix("").as_posix()
        if given and not wanted(file.relative_to(root).parts[0], parts):
            continue
        transcript = file.with_suffix(".txt")
        if not transcript.is_file():
            what = f"no transcript {transcript.name} beside {file}"
            problems.append(Problem(name, "no transcript", what, "skipped"))
            continue
        try:
            text = " ".join(transcript.read_text(encoding="utf-8-sig").split())
        except UnicodeDecodeError as error:
            raise CorpusError(f"{transcript} is not UTF-8 text ({error}). Convert it, e.g. with iconv.") from error
        split = (tops[file] if given else None) or "train"
        utterances.append(Utterance(name, file.parent.name, file.resolve(), header_duration(file), text, split))
    problems += _orphans(root)
    corpus = Corpus(root.name, tuple(utterances), tuple(problems))
    if given:
        return corpus
    drawn = draw_splits(corpus)
    return drawn.keep([u for u in drawn if wanted(u.split, parts)])


def _orphans(root: Path) -> list[Problem]:
    """Transcripts whose audio is missing, in folders that have other audio (elsewhere a .txt is a README)."""
    stems = {f.with_suffix("") for f in _audio_files(root)}
    folders = {s.parent for s in stems}
    lone = [t for t in sorted(root.rglob("*.txt")) if t.with_suffix("") not in stems and t.parent in folders]
    told = (t.relative_to(root).with_suffix("").as_posix() for t in lone if not t.stem.isupper())
    return [Problem(name, "missing", f"{name}.txt has no audio beside it", "skipped") for name in told]


DIRECTORY = Importer("directory", "<speaker>/*.flac|wav|… + *.txt", _recognises, _read)
