"""Characters as output tokens."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from otoscope.asr.tokens.base import BLANK

__all__ = ["CharacterTokens"]

BLANK_SYMBOL = "<blank>"
SPACE_SYMBOL = "<space>"


@dataclass(frozen=True)
class CharacterTokens:
    """Maps text to token indices and back. Index 0 is the CTC blank; `characters[i]` is index i + 1.

    >>> tokens = CharacterTokens.of(["YES", "NO"])
    >>> tokens.encode("NOES")
    [2, 3, 1, 4]
    >>> tokens.decode([2, 3])
    'NO'
    """

    kind: ClassVar[str] = "characters"

    characters: tuple[str, ...]

    @classmethod
    def of(cls, texts: Iterable[str]) -> CharacterTokens:
        """The alphabet of these texts, in code-point order (a space comes first where there is one)."""
        return cls(tuple(sorted(set().union(*map(set, texts)))))

    @classmethod
    def from_dict(cls, saved: Mapping[str, Any]) -> CharacterTokens:
        """The tokens that `to_dict` described."""
        return cls(tuple(saved["characters"]))

    @property
    def separator(self) -> int | None:
        """The index of the space; None where no text has one."""
        return self.characters.index(" ") + 1 if " " in self.characters else None

    def __len__(self) -> int:
        return len(self.characters) + 1

    def encode(self, text: str) -> list[int]:
        """The token indices of a text. Raises KeyError for a character outside the alphabet."""
        index = {c: i + 1 for i, c in enumerate(self.characters)}
        return [index[c] for c in text]

    def decode(self, indices: Sequence[int]) -> str:
        """The text of token indices, blanks left out."""
        return "".join(self.characters[i - 1] for i in indices if i != BLANK)

    def symbol(self, index: int) -> str:
        """The character itself; `<space>` and `<blank>` for those that cannot be seen."""
        if index == BLANK:
            return BLANK_SYMBOL
        character = self.characters[index - 1]
        return SPACE_SYMBOL if character.isspace() else character

    def to_dict(self) -> dict[str, Any]:
        """What a checkpoint stores."""
        return {"kind": self.kind, "characters": list(self.characters)}
