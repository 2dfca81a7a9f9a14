"""Transcripts: brought to one spelling, and what then still lies outside the alphabet."""

from __future__ import annotations

import unicodedata

__all__ = ["ENGLISH", "normalise", "outside"]

ENGLISH = "ABCDEFGHIJKLMNOPQRSTUVWXYZ' "
"""Letters, apostrophe and space: what LibriSpeech and AN4 are written in."""

_APOSTROPHES = dict.fromkeys(map(ord, "’‘ʼ´`＇"), "'")
_SPACES = dict.fromkeys(map(ord, "-‐‑‒–—―_\t\n\r\u00a0"), " ")
# Marks that are not spoken. %, &, @, +, $ and digits are: they are left, and so the transcript is named.
_SILENT = frozenset('.,;:!?"“”„«»‹›()[]{}…¡¿')


def normalise(text: str, *, alphabet: str | None = ENGLISH) -> str:
    """Bring a transcript to the alphabet's spelling without changing a word.

    NFKC; typographic apostrophes to `'`; hyphens and dashes to spaces; punctuation dropped; upper case (lower case
    where the alphabet has no capitals); single spaces. Whatever the alphabet itself holds is kept. Digits, accents
    and signs that are read aloud stay, for `outside` to find: how they were spoken cannot be known.

    Args:
        text: a transcript.
        alphabet: every character the recogniser can write; None: of any script, upper case.

    Returns:
        The transcript, possibly empty.

    Example:
        >>> normalise("“Well-known,” he said: it’s 9 o’clock…")
        "WELL KNOWN HE SAID IT'S 9 O'CLOCK"
    """
    kept = set(alphabet or "")
    table = {c: to for c, to in (_APOSTROPHES | _SPACES).items() if chr(c) not in kept}
    text = unicodedata.normalize("NFKC", text.translate(table)).translate(table)
    text = "".join(c for c in text if c not in _SILENT or c in kept)
    has_case = [c for c in kept if c.upper() != c.lower()]
    if all(c.isupper() for c in has_case):
        text = text.upper()
    elif all(c.islower() for c in has_case):
        text = text.lower()
    text = unicodedata.normalize("NFKC", text)  # what was dropped may have parted a letter from its accent
    return " ".join(w for w in text.split() if w.strip("'"))  # a lone quotation mark is no word


def outside(text: str, alphabet: str) -> str:
    """The characters of `text` that are not in `alphabet`, each once, in order of appearance.

    Example:
        >>> outside("CAFÉ 99", ENGLISH)
        'É9'
    """
    return "".join(dict.fromkeys(c for c in text if c not in set(alphabet)))
