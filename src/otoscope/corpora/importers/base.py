"""What an importer is, and what all of them share."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from otoscope.corpora.manifest import Corpus
from otoscope.errors import CorpusError

__all__ = ["Importer", "read_lines", "split_named", "wanted"]


@dataclass(frozen=True, slots=True)
class Importer:
    """One layout of speech on disk.

    `recognises` says from a look at a path whether it is in this layout; `read` turns it into a corpus, taking only
    the `parts` (subset or split names, globs; empty: all) that are asked for. Readers look at transcripts and headers
    only: audio that is missing or broken is for `check` to find.
    """

    name: str
    layout: str
    recognises: Callable[[Path], bool]
    read: Callable[[Path, Sequence[str]], Corpus]


_SPLITS = (("train", r"train|tr\b"), ("dev", r"dev|val|cv\b"), ("test", r"test|eval|tt\b"))


def split_named(name: str) -> str | None:
    """The split that a subset's name speaks of, or None.

    Example:
        >>> [split_named(n) for n in ("train-clean-100", "validation", "test-other", "misc")]
        ['train', 'dev', 'test', None]
    """
    for split, pattern in _SPLITS:
        if re.match(pattern, name.lower()):
            return split
    return None


def wanted(name: str, parts: Sequence[str]) -> bool:
    """Whether a part of a corpus was asked for."""
    return not parts or any(fnmatchcase(name, part) for part in parts)


def read_lines(path: Path) -> Iterable[tuple[int, str]]:
    """The numbered lines of a UTF-8 text file that hold anything, without line ends."""
    try:
        lines = path.read_text(encoding="utf-8-sig").split("\n")
    except UnicodeDecodeError as error:
        raise CorpusError(f"{path} is not UTF-8 text ({error}). Convert it, e.g. with iconv.") from error
    except OSError as error:
        raise CorpusError(f"{path} cannot be read ({error.strerror}).") from error
    return [(number, line.rstrip("\r")) for number, line in enumerate(lines, start=1) if line.strip()]
