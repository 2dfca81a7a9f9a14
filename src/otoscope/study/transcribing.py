"""What any recogniser hears, with its error rates."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version

from whisper_normalizer.english import EnglishTextNormalizer

from otoscope.asr.scoring import score
from otoscope.capture import Transcribes
from otoscope.corpora import Corpus
from otoscope.errors import StudyError
from otoscope.study.looking import Model, hearable, heard_by, loaded, name_of, source_of, spread

__all__ = ["Transcribed", "transcribe"]


@dataclass(frozen=True)
class Transcribed:
    """What was heard, utterance → text as the recogniser wrote it, and error rates over all of it.

    `wer` and `cer` are fractions; `words` counts those of the references, both after `normaliser`, which is named with
    its version; `recogniser` says what was loaded. `empty` names utterances whose reference has no words, which are
    not scored, `left_out` those that the recogniser cannot take, each with the reason.
    """

    recogniser: str
    transcripts: dict[str, str]
    wer: float
    cer: float
    words: int
    normaliser: str
    empty: tuple[str, ...]
    left_out: tuple[str, ...]


def transcribe(
    model: Model,
    *,
    corpus: Corpus,
    utterances: int = 300,
    progress: Callable[[int], None] | None = None,
) -> Transcribed:
    """Transcripts and error rates of any recogniser that writes what it hears.

    References and transcripts are compared after OpenAI's English normaliser (Radford et al. 2022), since recognisers
    differ in case, punctuation and numerals: "Mr. Smith's 21" and "MISTER SMITH'S TWENTY ONE" are equal.

    Arguments:
        model: a recogniser, or its name or path, see `load_recogniser`.
        corpus: speech with transcripts.
        utterances: at most so many, spread over the corpus.
        progress: called with the number of utterances done.

    Raises:
        StudyError: an empty corpus or one without words; a recogniser that writes nothing.
        CaptureError: a model that cannot be loaded.
    """
    if utterances < 1 or not corpus.utterances:
        raise StudyError(
            f"there is nothing to transcribe: the corpus {corpus.name!r} has {len(corpus)} utterances, and "
            f"{utterances} were asked for"
        )
    recogniser = loaded(model)
    if not isinstance(recogniser, Transcribes):
        raise StudyError(f"{name_of(recogniser)} writes no transcript: its layers can be measured, no more")
    chosen, left_out = hearable(spread(corpus.utterances, utterances), {"x": recogniser}, {"x": []})
    if not chosen:
        raise StudyError(f"no utterance of the corpus {corpus.name!r} can be transcribed: {left_out[0]}")
    heard = heard_by(recogniser, chosen, progress)
    normalise = EnglishTextNormalizer()
    references = {u.id: normalise(u.text) for u in chosen}
    scored = [u for u, text in references.items() if text]
    if not scored:
        raise StudyError(f"no utterance of the corpus {corpus.name!r} has a word that could be scored")
    rates = score([references[u] for u in scored], [normalise(heard[u]) for u in scored])
    return Transcribed(
        source_of(recogniser),
        {u.id: heard[u.id] for u in chosen},
        rates.wer,
        rates.cer,
        rates.words,
        f"whisper-normalizer {version('whisper-normalizer')}, English",
        tuple(u for u in references if u not in set(scored)),
        tuple(left_out),
    )
