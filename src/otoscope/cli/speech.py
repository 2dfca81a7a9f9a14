"""The speech that recognisers are looked at with: options and how they are followed."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from otoscope.capture import Speech
from otoscope.cli.progress import Show
from otoscope.corpora import Corpus, check, read_audio, summarise
from otoscope.errors import CorpusError
from otoscope.study.looking import spread

__all__ = ["Format", "Speaking", "Split", "checked", "one_of", "part_of", "some_of"]

Speaking = Annotated[str, Parameter(help='The speech: a corpus folder, or "default".')]
Format = Annotated[str | None, Parameter(help="The corpus layout, where it is not to be guessed.")]
Split = Annotated[str | None, Parameter(help='Which split of it; "all" for all [test, where there is one].')]


def part_of(speech: Corpus, split: str | None) -> Corpus:
    """The split asked for, else test, else the first."""
    if not speech.splits:
        raise CorpusError(f"no utterance of the corpus {speech.name!r} can be used:\n{summarise(speech.problems)}")
    if split == "all":
        return speech
    if split is not None and split not in speech.splits:
        raise CorpusError(
            f"the corpus {speech.name!r} has no split {split!r}; --split takes {', '.join(speech.splits)} or all"
        )
    return speech.split(split or ("test" if "test" in speech.splits else speech.splits[0]))


def some_of(speech: Corpus, utterances: int) -> Corpus:
    """At most so many of its utterances, spread evenly: the only ones that need be read."""
    return speech.keep(spread(speech.utterances, utterances))


def checked(speech: Corpus, progress: Show) -> Corpus:
    """The speech with every file decoded, what is skipped told."""
    speech = check(speech, progress=lambda done, total: progress("checking audio", done, total))
    if speech.problems:
        progress(f"problems, {summarise(speech.problems)}", 1, 1)
    return speech


def one_of(speech: Corpus) -> Speech:
    """An utterance of middling length."""
    by_length = sorted(part_of(speech, None).utterances, key=lambda u: u.duration)
    chosen = by_length[len(by_length) // 2]
    return Speech(read_audio(chosen), chosen.text)
