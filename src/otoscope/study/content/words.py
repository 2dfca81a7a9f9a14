"""Which word is spoken, for the most frequent ones; a row is the mean of the word's frames."""

from __future__ import annotations

from otoscope.study.content.label import Label, Spoken, said

__all__ = ["WORDS"]

MOST = 50


def _of(spoken: Spoken) -> list[str]:
    return [said(word.label) for word in spoken.utterance.words]


WORDS = Label("words", f"which of the {MOST} most frequent words", "classes", "word", _of, "words", least=10, most=MOST)
