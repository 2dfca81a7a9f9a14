"""Whether a recogniser hears: real utterances, and how many words of them come out wrong."""

import csv
import re
from collections.abc import Sequence
from pathlib import Path

import jiwer
import soundfile

from otoscope.capture import Speech

NUMBERS = {"1803": "eighteen o three", "13": "thirteen"}
"""Figures in the utterances of the tests; Whisper writes them so, the corpus in words."""


def utterances(corpora_root: Path) -> list[Speech]:
    """The first 4 utterances of librispeech-mini's test split."""
    root = corpora_root / "librispeech-mini"
    with (root / "transcripts.tsv").open(encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file, delimiter="\t") if row["split"] == "test"][:4]
    return [Speech(soundfile.read(root / row["path"], dtype="float32")[0], row["text"]) for row in rows]


def normalised(text: str) -> str:
    words = re.sub(r"[^\w' ]", " ", text.lower()).split()
    return " ".join(NUMBERS.get(word, word) for word in words)


def word_error_rate(speech: Sequence[Speech], heard: Sequence[str]) -> float:
    return jiwer.wer([normalised(one.text) for one in speech], [normalised(text) for text in heard])
