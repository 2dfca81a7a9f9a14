"""LibriSpeech as OpenSLR lays it out: `<subset>/<speaker>/<chapter>/<utterance>.flac` and `*.trans.txt`.

The path may be the `LibriSpeech` folder, the folder that holds it, or a single subset such as `dev-clean`.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from otoscope.corpora.audio import header_duration
from otoscope.corpora.importers.base import Importer, read_lines, split_named, wanted
from otoscope.corpora.manifest import Corpus, Utterance
from otoscope.errors import CorpusError

__all__ = ["LIBRISPEECH"]

_TRANSCRIPTS = "*/*/*.trans.txt"


def _has(folder: Path, pattern: str) -> bool:
    return next(folder.glob(pattern), None) is not None


def _subsets(root: Path) -> list[Path]:
    """The subset folders at or below a path, in order of name; empty where the layout is another."""
    if _has(root, _TRANSCRIPTS):
        return [root]
    for folder in (root, root / "LibriSpeech"):
        if folder.is_dir() and (found := [d for d in sorted(folder.iterdir()) if d.is_dir() and _has(d, _TRANSCRIPTS)]):
            return found
    return []


def _read(root: Path, parts: Sequence[str]) -> Corpus:
    utterances = []
    for subset in _subsets(root):
        if not wanted(subset.name, parts):
            continue
        split = split_named(subset.name) or subset.name
        for transcripts in sorted(subset.glob(_TRANSCRIPTS)):
            for number, line in read_lines(transcripts):
                utt, _, text = line.partition(" ")
                if utt.count("-") < 2:
                    raise CorpusError(
                        f"{transcripts}, line {number}: expected 'speaker-chapter-number TEXT', got {line[:60]!r}."
                    )
                audio = _audio(transcripts.parent, utt)
                duration = header_duration(audio)
                utterances.append(Utterance(utt, transcripts.parents[1].name, audio, duration, text.strip(), split))
    return Corpus(root.name, tuple(utterances))


def _audio(folder: Path, utt: str) -> Path:
    """The FLAC file, or what it was converted to; where there is neither, the FLAC, for `check` to miss."""
    flac = (folder / f"{utt}.flac").resolve()
    others = (flac.with_suffix(s) for s in (".wav", ".ogg", ".opus"))
    return flac if flac.exists() else next((o for o in others if o.exists()), flac)


LIBRISPEECH = Importer(
    "librispeech",
    "<subset>/<speaker>/<chapter>/*.flac + *.trans.txt",
    lambda p: p.is_dir() and bool(_subsets(p)),
    _read,
)
