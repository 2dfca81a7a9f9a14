"""A table of transcripts, a table of alignments, a folder of audio.

`transcripts.tsv` has a header naming at least utt_id, speaker, path, text and split (duration, in seconds, is
optional); paths are relative to the folder. `alignments.tsv.gz`, where present, has utt_id, word_index (−1 outside
words), word, phone, start and end in seconds, one row a phone.
"""

from __future__ import annotations

import csv
import gzip
import io
from collections.abc import Iterator, Sequence
from pathlib import Path

from otoscope.corpora.audio import header_duration
from otoscope.corpora.importers.base import Importer, read_lines, wanted
from otoscope.corpora.manifest import Corpus, Interval, Utterance
from otoscope.errors import CorpusError

__all__ = ["TSV"]

_TRANSCRIPTS, _ALIGNMENTS = "transcripts.tsv", "alignments.tsv.gz"
_COLUMNS = ("utt_id", "speaker", "path", "text", "split")
_ALIGNED = ("utt_id", "word_index", "phone", "start", "end")

_Row = tuple[int, str, float, float]  # word index, phone, start, end


def _read(root: Path, parts: Sequence[str]) -> Corpus:
    table = root / _TRANSCRIPTS
    aligned = _alignments(root / _ALIGNMENTS)
    utterances = []
    for number, row in _rows(table, "\n".join(line for _, line in read_lines(table)), _COLUMNS):
        if not wanted(row["split"], parts):
            continue
        audio = (root / row["path"]).resolve()
        duration = _seconds(table, number, row["duration"]) if row.get("duration") else header_duration(audio)
        words, phones = _intervals(row["text"], aligned.get(row["utt_id"], []))
        utterances.append(
            Utterance(row["utt_id"], row["speaker"], audio, duration, row["text"], row["split"], words, phones)
        )
    return Corpus(root.name, tuple(utterances))


def _rows(table: Path, text: str, columns: Sequence[str]) -> Iterator[tuple[int, dict[str, str]]]:
    # No quoting: a transcript may hold a lone quotation mark.
    reader = csv.DictReader(io.StringIO(text), delimiter="\t", quoting=csv.QUOTE_NONE)
    if lacking := [c for c in columns if c not in (reader.fieldnames or ())]:
        raise CorpusError(
            f"{table} lacks the column {', '.join(lacking)} (its header has {reader.fieldnames}). "
            f"Expected tab-separated columns {', '.join(columns)}."
        )
    for number, row in enumerate(reader, start=2):
        if None in row or None in row.values():
            raise CorpusError(f"{table}, row {number}: expected {len(reader.fieldnames or ())} tab-separated fields.")
        yield number, row


def _seconds(table: Path, number: int, value: str) -> float:
    try:
        return float(value)
    except ValueError as error:
        raise CorpusError(f"{table}, row {number}: expected seconds, got {value!r}.") from error


def _alignments(path: Path) -> dict[str, list[_Row]]:
    if not path.is_file():
        return {}
    try:
        with gzip.open(path, "rt", encoding="utf-8", newline="") as file:
            text = file.read()
    except (OSError, EOFError, UnicodeDecodeError) as error:
        raise CorpusError(f"{path} cannot be read as gzip-compressed UTF-8 text ({error}).") from error
    aligned: dict[str, list[_Row]] = {}
    for number, row in _rows(path, text, _ALIGNED):
        times = _seconds(path, number, row["start"]), _seconds(path, number, row["end"])
        aligned.setdefault(row["utt_id"], []).append((int(row["word_index"]), row["phone"], *times))
    return aligned


def _intervals(text: str, rows: list[_Row]) -> tuple[tuple[Interval, ...], tuple[Interval, ...]]:
    """Word and phone intervals; a word lasts from its first phone to its last and is spelled as in the transcript."""
    spelled = text.split()
    spans: dict[int, tuple[float, float]] = {}
    for index, _, start, end in rows:
        if 0 <= index < len(spelled):
            spans[index] = (spans.get(index, (start, end))[0], end)
    words = tuple(Interval(spelled[i], *span) for i, span in sorted(spans.items()))
    return words, tuple(Interval(phone, start, end) for _, phone, start, end in rows)


TSV = Importer("tsv", f"{_TRANSCRIPTS} + {_ALIGNMENTS} + audio", lambda p: (p / _TRANSCRIPTS).is_file(), _read)
