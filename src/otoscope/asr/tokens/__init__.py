"""What a recogniser puts out: characters or sentencepiece units, with the CTC blank."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from otoscope.asr.tokens.base import BLANK, Tokens
from otoscope.asr.tokens.characters import CharacterTokens
from otoscope.asr.tokens.pieces import PieceTokens
from otoscope.errors import TrainingError

__all__ = ["BLANK", "CharacterTokens", "PieceTokens", "Tokens", "tokens_from"]


def tokens_from(saved: Mapping[str, Any] | Sequence[str]) -> Tokens:
    """The tokens that `to_dict` described; a plain list of characters is how checkpoints held them at first.

    Raises TrainingError for a kind of tokens that this version does not know.

    >>> tokens_from(CharacterTokens(("A", "B")).to_dict())
    CharacterTokens(characters=('A', 'B'))
    """
    if not isinstance(saved, Mapping):
        return CharacterTokens(tuple(saved))
    kinds: dict[str, type[CharacterTokens] | type[PieceTokens]] = {
        CharacterTokens.kind: CharacterTokens,
        PieceTokens.kind: PieceTokens,
    }
    if saved.get("kind") not in kinds:
        raise TrainingError(
            f"the tokens of this checkpoint are of kind {saved.get('kind')!r}; expected one of {sorted(kinds)}. Was "
            "it written by a newer version of Otoscope?"
        )
    return kinds[saved["kind"]].from_dict(saved)
