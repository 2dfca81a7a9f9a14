"""What training, decoding and checkpoints ask of any set of output tokens."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

__all__ = ["BLANK", "Tokens"]

BLANK = 0
"""The CTC blank; for an attention decoder, the start and the end of a sentence."""


class Tokens(Protocol):
    """A finite set of output units, numbered from 0; 0 is the CTC blank and stands for no text.

    `separator` is the token between two words, or None where the tokens themselves say where a word begins.

    >>> from otoscope.asr import CharacterTokens
    >>> tokens: Tokens = CharacterTokens.of(["GO HOME"])
    >>> tokens.separator
    1
    """

    @property
    def separator(self) -> int | None:
        """The token between words, or None."""
        ...

    def __len__(self) -> int:
        """The number of tokens, the blank among them: the width of a recogniser's output."""
        ...

    def encode(self, text: str) -> list[int]:
        """The tokens of a text. Raises KeyError for a character that they cannot write."""
        ...

    def decode(self, indices: Sequence[int]) -> str:
        """The text of tokens, blanks left out."""
        ...

    def symbol(self, index: int) -> str:
        """A printable name of one token, without white space: what language models know it by."""
        ...

    def to_dict(self) -> dict[str, Any]:
        """What a checkpoint stores, ready for JSON; `tokens_from` reads it."""
        ...
