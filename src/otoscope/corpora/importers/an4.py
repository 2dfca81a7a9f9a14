"""CMU AN4 as released: `etc/an4_{train,test}.transcription` and `.fileids`, `wav/**.sph` (or .raw, .wav).

Transcription lines read `<s> YES </s> (an251-fash-b)` for training and the same without `<s>` for testing. The files
of `.fileids` stand in the same order; the speaker is the folder of the file. The path may be the `an4` folder or the
folder that holds it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from otoscope.corpora.audio import header_duration
from otoscope.corpora.importers.base import Importer, read_lines, wanted
from otoscope.corpora.manifest import Corpus, Problem, Utterance
from otoscope.errors import CorpusError

__all__ = ["AN4"]

_SUFFIXES = (".sph", ".wav", ".raw", ".flac")
_LINE = re.compile(r"^(?:<s>)?(?P<text>.*?)(?:</s>)?\s*\((?P<utt>[^()\s]+)\)\s*$")


def _base(root: Path) -> Path | None:
    """The folder that has `etc`: the path itself, or its `an4`."""
    return next((b for b in (root, root / "an4") if (b / "etc" / "an4_train.transcription").is_file()), None)


def _read(root: Path, parts: Sequence[str]) -> Corpus:
    base = _base(root)
    if base is None:
        raise CorpusError(f"{root} has no etc/an4_train.transcription. Give the folder that an4_*.tar.gz unpacks to.")
    utterances: list[Utterance] = []
    problems: list[Problem] = []
    for split in ("train", "test"):
        transcripts = base / "etc" / f"an4_{split}.transcription"
        if not (wanted(split, parts) and transcripts.is_file()):
            continue
        files = {line.rsplit("/", 1)[-1]: line for _, line in read_lines(base / "etc" / f"an4_{split}.fileids")}
        for number, line in read_lines(transcripts):
            if not (found := _LINE.match(line)):
                what = f"expected '<s> TEXT </s> (utterance)', got {line[:60]!r}"
                raise CorpusError(f"{transcripts}, line {number}: {what}.")
            utt = found["utt"]
            if utt not in files:
                what = f"{transcripts.name}, line {number}: an4_{split}.fileids does not list it"
                problems.append(Problem(utt, "unreadable", what, "skipped"))
                continue
            audio = _audio(base / "wav" / files[utt].strip())
            speaker = audio.parent.name
            utterances.append(Utterance(utt, speaker, audio, header_duration(audio), found["text"].strip(), split))
    return Corpus("an4", tuple(utterances), tuple(problems))


def _audio(stem: Path) -> Path:
    """The file in the format of this release; where there is none, the SPHERE name, for `check` to miss."""
    candidates = [stem.with_name(stem.name + suffix).resolve() for suffix in _SUFFIXES]
    return next((c for c in candidates if c.exists()), candidates[0])


AN4 = Importer("an4", "etc/an4_*.transcription + .fileids + wav/**", lambda p: _base(p) is not None, _read)
