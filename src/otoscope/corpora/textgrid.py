"""Alignments from Praat TextGrids, one a file of its own, as the Montreal Forced Aligner writes them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from praatio import textgrid
from praatio.data_classes.interval_tier import IntervalTier
from praatio.data_classes.textgrid import Textgrid
from praatio.utilities.errors import PraatioException

from otoscope.corpora.manifest import Corpus, Interval, Problem, Utterance
from otoscope.errors import CorpusError

__all__ = ["with_alignments"]

TIERS: Mapping[str, Sequence[str]] = {"words": ("words", "word"), "phones": ("phones", "phone")}
"""What tiers are called; the aligner puts `<speaker> - ` before it where a recording has several speakers."""

SLACK_SECONDS = 0.5
"""How much longer or shorter than its utterance a TextGrid may be; beyond that it is of another recording."""


def with_alignments(corpus: Corpus, folder: str | Path) -> Corpus:
    """The same corpus with the word and phone times of a folder of TextGrids.

    A TextGrid belongs to the utterance whose id its file has as name (`<id>.TextGrid`), anywhere below the folder, and
    has interval tiers "words" and "phones" (or one of them).

    Args:
        corpus: utterances in any layout.
        folder: what the aligner wrote.

    Returns:
        The corpus; times that utterances had are replaced where a TextGrid has them. An utterance without a TextGrid,
        or with one whose length is not its own, stays as it is and is named in `problems` (kind "no alignment").

    Raises:
        CorpusError: no such folder; no TextGrid in it, or none of an utterance of the corpus; two of the same name; a
            file that is no TextGrid, or has neither tier.

    Example:
        >>> import pathlib, tempfile
        >>> folder = tempfile.TemporaryDirectory()
        >>> tier = IntervalTier("phones", [(0.0, 0.4, "HH"), (0.4, 1.0, "AY1")], 0, 1)
        >>> grid = Textgrid()
        >>> grid.addTier(tier)
        >>> grid.save(str(pathlib.Path(folder.name) / "a.TextGrid"), "short_textgrid", True)
        >>> speech = Corpus("demo", (Utterance("a", "ann", pathlib.Path("a.wav"), 1.0, "HI", "train"),))
        >>> with_alignments(speech, folder.name).utterances[0].phones[1]
        Interval(label='AY1', start=0.4, end=1.0)
        >>> folder.cleanup()
    """
    files = _files(Path(folder).expanduser())
    if not files.keys() & {u.id for u in corpus}:
        raise CorpusError(
            f"None of the {len(files)} TextGrids in {folder} is of an utterance of the corpus {corpus.name!r}: they "
            f"are called {', '.join(list(files)[:3])}, utterances {', '.join(u.id for u in corpus.utterances[:3])}. "
            "Name each file by its utterance."
        )
    utterances, problems = [], list[Problem]()
    for utterance in corpus:
        found, reason = _aligned(utterance, files.get(utterance.id))
        utterances.append(found)
        if reason:
            problems.append(Problem(utterance.id, "no alignment", reason, "kept"))
    return corpus.keep(utterances, problems)


def _files(folder: Path) -> dict[str, Path]:
    """TextGrids by the names of utterances."""
    if not folder.is_dir():
        raise CorpusError(f"There is no folder {folder} of alignments. Give the one that the aligner wrote.")
    files: dict[str, Path] = {}
    for path in sorted(folder.rglob("*")):
        if path.suffix.lower() != ".textgrid":
            continue
        if path.stem in files:
            raise CorpusError(
                f"{files[path.stem]} and {path} are TextGrids of the same name: which one is of the utterance "
                f"{path.stem!r} cannot be told. Give a folder with one of them."
            )
        files[path.stem] = path
    if not files:
        raise CorpusError(f"{folder} has no TextGrid. Expected <utterance id>.TextGrid, at any depth.")
    return files


def _aligned(utterance: Utterance, path: Path | None) -> tuple[Utterance, str]:
    """The utterance with its times, or as it is and why."""
    if path is None:
        return utterance, "no TextGrid of its name"
    grid = _read(path)
    tiers = {kind: _tier(grid, names) for kind, names in TIERS.items()}
    there = {kind: found for kind, found in tiers.items() if found is not None}
    if not there:
        raise CorpusError(
            f"{path} has no interval tier called words or phones; its tiers are {', '.join(grid.tierNames) or 'none'}. "
            "Rename them."
        )
    seconds = float(grid.maxTimestamp or 0.0)
    if utterance.duration and abs(seconds - utterance.duration) > SLACK_SECONDS:
        return utterance, f"{path.name} lasts {seconds:.2f} s, the utterance {utterance.duration:.2f} s"
    return replace(
        utterance, words=there.get("words", utterance.words), phones=there.get("phones", utterance.phones)
    ), ""


def _read(path: Path) -> Textgrid:
    try:
        return textgrid.openTextgrid(str(path), includeEmptyIntervals=False, reportingMode="silence")
    # What praatio raises on text that is no TextGrid depends on where it stumbles.
    except (PraatioException, OSError, ValueError, IndexError, KeyError, AttributeError) as error:
        raise CorpusError(f"{path} cannot be read as a TextGrid ({error}). Write it anew, e.g. with Praat.") from error


def _tier(grid: Textgrid, names: Sequence[str]) -> tuple[Interval, ...] | None:
    """The intervals of the tier of one of these names, None where there is none."""
    for tier in grid.tiers:
        if isinstance(tier, IntervalTier) and tier.name.rpartition(" - ")[2].strip().lower() in names:
            return tuple(Interval(e.label, float(e.start), float(e.end)) for e in tier.entries)
    return None
