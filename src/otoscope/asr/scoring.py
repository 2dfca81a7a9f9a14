"""Word and character error rates, by jiwer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import jiwer

from otoscope.errors import CorpusError

__all__ = ["ErrorRates", "score"]


@dataclass(frozen=True, slots=True)
class ErrorRates:
    """Errors of a set of transcripts; `wer` and `cer` are fractions (0.2 is 20 %) and can exceed 1."""

    wer: float
    cer: float
    words: int
    utterances: int


def score(references: Sequence[str], hypotheses: Sequence[str]) -> ErrorRates:
    """Word and character error rate: (substitutions + deletions + insertions) / reference length, pooled over all.

    Texts are compared as they are (no normalisation). Raises CorpusError where the two differ in number or there
    is nothing to score.

    >>> score(["YES", "GO HOME"], ["YES", "GO"]).wer  # doctest: +ELLIPSIS
    0.333...
    """
    if len(references) != len(hypotheses) or not references:
        raise CorpusError(
            f"scoring takes as many transcripts as references, at least one: got {len(references)} references and "
            f"{len(hypotheses)} transcripts"
        )
    words = jiwer.process_words(list(references), list(hypotheses))
    characters = jiwer.process_characters(list(references), list(hypotheses))
    count = words.hits + words.substitutions + words.deletions
    return ErrorRates(words.wer, characters.cer, count, len(references))
