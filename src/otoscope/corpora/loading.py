"""From a path or a name to a corpus."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from otoscope.corpora.cache import cache_dir
from otoscope.corpora.default import default_corpus
from otoscope.corpora.importers import IMPORTERS, Importer
from otoscope.corpora.manifest import Corpus
from otoscope.corpora.sources import SOURCES
from otoscope.errors import CorpusError

__all__ = ["load"]


def load(path_or_name: str | Path | None = None, *, format: str | None = None, parts: Sequence[str] = ()) -> Corpus:
    """Load a corpus in any layout that Otoscope knows.

    It reads transcripts and file headers, not the audio itself: follow it with `check`, and with `with_dev` where the
    corpus has no dev split.

    Args:
        path_or_name: a folder (or a lhotse manifest file); the name of a corpus that `fetch` has brought; None or
            "default": the synthetic corpus that comes with Otoscope.
        format: the layout, one of `IMPORTERS`; None: found out by looking.
        parts: take only these subsets, by name or glob: LibriSpeech folders (`("train-clean-100", "dev-*")`), Kaldi
            directories, or splits. Empty: all.

    Returns:
        The corpus, in the order of its files.

    Raises:
        CorpusError: there is no such folder or name, its layout is none of those known, a table in it is malformed,
            or no utterance is in the parts asked for.

    Example:
        >>> load("/no/such/folder")  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        otoscope.errors.CorpusError: There is no folder '/no/such/folder', and no corpus of that name. ...
    """
    if path_or_name is None or path_or_name == "default":
        corpus = default_corpus()
        return corpus if not parts else _of_parts(corpus, parts)
    path = Path(path_or_name).expanduser()
    if not path.exists():
        path = _fetched(str(path_or_name))
    corpus = _importer(path, format).read(path.resolve(), parts)
    if not len(corpus) and not corpus.problems:
        told = f" in the parts {', '.join(parts)}" if parts else ""
        raise CorpusError(f"{path} holds no utterances{told}. Give its top folder, and parts that it has.")
    return corpus


def _of_parts(corpus: Corpus, parts: Sequence[str]) -> Corpus:
    if unknown := [p for p in parts if p not in corpus.splits]:
        raise CorpusError(f"The default corpus has no part {unknown[0]!r}; expected among {', '.join(corpus.splits)}.")
    return corpus.keep([u for u in corpus if u.split in parts])


def _fetched(name: str) -> Path:
    if name not in SOURCES:
        raise CorpusError(
            f"There is no folder {name!r}, and no corpus of that name. Give the path of a corpus, 'default', or one "
            f"that can be fetched: {', '.join(SOURCES)}."
        )
    path = cache_dir() / "corpora" / name
    if not path.is_dir():
        raise CorpusError(f"The corpus {name!r} is not here yet. Fetch it first: otoscope corpus fetch {name}.")
    return path


def _importer(path: Path, format: str | None) -> Importer:
    if format is not None:
        if format not in IMPORTERS:
            raise CorpusError(f"There is no format {format!r}; expected one of {', '.join(IMPORTERS)}.")
        chosen = IMPORTERS[format]
        if not chosen.recognises(path):
            raise CorpusError(f"{path} is not in the layout {format!r}; expected {chosen.layout}.")
        return chosen
    for importer in IMPORTERS.values():
        if importer.recognises(path):
            return importer
    known = "\n".join(f"  {i.name}: {i.layout}" for i in IMPORTERS.values())
    raise CorpusError(f"{path} is in no layout that Otoscope knows:\n{known}\nGive the top folder of one of these.")
