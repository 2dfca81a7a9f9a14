"""Kaldi data directories: `wav.scp`, `text`, `utt2spk` and, where recordings are cut up, `segments`.

The path is one such directory, or a folder of them named after their splits (`data/train`, `data/dev`, …). Entries of
`wav.scp` must be plain files: commands (`sph2pipe … |`) are never run.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from otoscope.corpora.audio import header_duration
from otoscope.corpora.importers.base import Importer, read_lines, split_named, wanted
from otoscope.corpora.manifest import Corpus, Problem, Utterance
from otoscope.errors import CorpusError

__all__ = ["KALDI"]


def _is_data(folder: Path) -> bool:
    return (folder / "wav.scp").is_file() and (folder / "text").is_file()


def _folders(root: Path) -> list[Path]:
    if not root.is_dir():
        return []
    return [root] if _is_data(root) else [d for d in sorted(root.iterdir()) if d.is_dir() and _is_data(d)]


def _read(root: Path, parts: Sequence[str]) -> Corpus:
    utterances: list[Utterance] = []
    problems: list[Problem] = []
    for folder in _folders(root):
        if wanted(folder.name, parts):
            found, faults = _data_directory(folder)
            utterances += found
            problems += faults
    return Corpus(root.name, tuple(utterances), tuple(problems))


def _data_directory(folder: Path) -> tuple[list[Utterance], list[Problem]]:
    split = split_named(folder.name) or "train"
    audio = {rec: _audio_path(folder, rec, value) for rec, value in _table(folder / "wav.scp").items()}
    texts = _table(folder / "text")
    speakers = _table(folder / "utt2spk")
    segments = _segments(folder / "segments") if (folder / "segments").is_file() else None
    places: dict[str, tuple[str, float, float] | None]  # recording, start, end; None: a whole recording
    places = dict(segments) if segments is not None else dict.fromkeys(audio)
    utterances: list[Utterance] = []
    problems: list[Problem] = []
    for utt in dict.fromkeys([*places, *texts]):
        place = places.get(utt)
        recording = place[0] if place else utt
        lacking = [
            name
            for name, there in (
                ("segments" if segments is not None else "wav.scp", utt in places),
                ("wav.scp", recording in audio),
                ("text", utt in texts),
                ("utt2spk", utt in speakers),
            )
            if not there
        ]
        if lacking:
            problems.append(Problem(utt, "unreadable", f"{folder.name}/{lacking[0]} does not list it", "skipped"))
            continue
        path = audio[recording]
        start, duration = (place[1], place[2] - place[1]) if place else (None, header_duration(path))
        utterances.append(Utterance(utt, speakers[utt], path, duration, texts[utt], split, start=start))
    return utterances, problems


def _table(path: Path) -> dict[str, str]:
    """A Kaldi table: a key, white space, the rest of the line."""
    table: dict[str, str] = {}
    for _, line in read_lines(path):
        key, *rest = line.split(maxsplit=1)
        table[key] = rest[0].strip() if rest else ""
    return table


def _audio_path(folder: Path, recording: str, value: str) -> Path:
    if value.endswith("|"):
        raise CorpusError(
            f"{folder / 'wav.scp'}: {recording} is the command {value!r}. Otoscope runs no commands from data files. "
            "Write the audio to files first (Kaldi: wav-copy scp:wav.scp ark,scp:…, or run each command with its "
            "output sent to a .wav) and list their paths in wav.scp."
        )
    if value.rpartition(":")[2].isdigit() and not Path(value).exists():
        raise CorpusError(
            f"{folder / 'wav.scp'}: {recording} lies inside an archive ({value!r}). Expected one audio file for each "
            "recording: copy it out with wav-copy and list the files."
        )
    # Kaldi's relative paths count from the recipe's folder, usually one or two above data/<split>.
    bases = [Path(), folder, *list(folder.resolve().parents)[:3]]
    return next((p for b in bases if (p := b / value).exists()), folder / value).resolve()


def _segments(path: Path) -> dict[str, tuple[str, float, float]]:
    segments = {}
    for number, line in read_lines(path):
        try:
            utt, recording, start, end = line.split()
            segments[utt] = recording, float(start), float(end)
        except ValueError as error:
            raise CorpusError(
                f"{path}, line {number}: expected 'utterance recording start end', got {line[:60]!r}."
            ) from error
        if not 0 <= segments[utt][1] < segments[utt][2]:
            raise CorpusError(f"{path}, line {number}: {utt} ends before it starts ({start} to {end} s).")
    return segments


KALDI = Importer("kaldi", "wav.scp + text + utt2spk [+ segments]", lambda p: bool(_folders(p)), _read)
