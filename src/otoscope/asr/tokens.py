"""Characters as output tokens, with the CTC blank."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

__all__ = ["BLANK", "CharacterTokens"]

BLANK = 0


@dataclass(frozen=True)
class CharacterTokens:
    """Maps text to token indices and back. Index 0 is the CTC blank; `characters[i]` is index i + 1.

    >>> tokens = CharacterTokens.of(["YES", "NO"])
    >>> tokens.encode("NOES")
    [2, 3, 1, 4]
    >>> tokens.decode([2, 3])
    'NO'
    """

    characters: tuple[str, ...]

    @classmethod
    def of(cls, texts: Iterable[str]) -> CharacterTokens:
        """The alphabet of these texts, in code-point order (a space comes first where there is one)."""
        return cls(tuple(sorted(set().union(*map(set, texts)))))

    def __len__(self) -> int:
        return len(self.characters) + 1

    def encode(self, text: str) -> list[int]:
        """The token indices of a text. Raises KeyError for a character outside the alphabet."""
        index = {c: i + 1 for i, c in enumerate(self.characters)}
        return [index[c] for c in text]

    def decode(self, indices: Sequence[int]) -> str:
        """The text of token indices, blanks left out."""
        return "".join(self.characters[i - 1] for i in indices if i != BLANK)
