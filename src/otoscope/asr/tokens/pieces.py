"""Sentencepiece units as output tokens (Kudo & Richardson 2018). Needs the extra `sentencepiece`."""

from __future__ import annotations

import base64
import importlib
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, ClassVar, Literal

from otoscope.asr.settings import expect, is_whole
from otoscope.asr.tokens.base import BLANK
from otoscope.errors import TrainingError

__all__ = ["PieceTokens"]

WORD_START = "\u2581"
"""How sentencepiece writes the space before a word: the lower one eighth block."""


@dataclass(frozen=True)
class PieceTokens:
    """Pieces of words learnt from the training text; a piece that begins a word says so, hence no separator.

    Index 0 is the CTC blank: it takes the place of sentencepiece's unknown piece, which is never a target, so that
    every other index is sentencepiece's own. `model` is the trained sentencepiece model, byte for byte.

    >>> tokens = PieceTokens.train(["GO HOME", "GO ON", "COME ON"], size=16, algorithm="bpe")
    >>> len(tokens), tokens.decode(tokens.encode("COME HOME"))
    (16, 'COME HOME')
    """

    kind: ClassVar[str] = "pieces"
    separator: ClassVar[int | None] = None

    model: bytes = field(repr=False)

    @classmethod
    def train(
        cls, texts: Iterable[str], *, size: int = 128, algorithm: Literal["unigram", "bpe"] = "unigram"
    ) -> PieceTokens:
        """Pieces for the training transcripts: the same texts, in any order, always give the same pieces.

        Args:
            texts: the training transcripts, words parted by single spaces.
            size: the number of tokens, the blank among them.
            algorithm: `unigram` (Kudo 2018), or `bpe` (Sennrich et al. 2016).

        Returns:
            The tokens. Every character of the texts can be written with them.

        Raises:
            StudyError: a size or algorithm that cannot be.
            TrainingError: sentencepiece is not installed, or the texts do not have that many pieces.
        """
        expect(is_whole(size, 2), "size", size, "a whole number of at least 2")
        expect(algorithm in ("unigram", "bpe"), "algorithm", algorithm, "'unigram' or 'bpe'")
        model = io.BytesIO()
        try:
            _library().SentencePieceTrainer.train(
                sentence_iterator=iter(sorted(texts)),
                model_writer=model,
                model_type=algorithm,
                vocab_size=size,
                character_coverage=1.0,  # every letter: nothing in a training transcript is unknown
                normalization_rule_name="identity",  # transcripts have been normalised already
                unk_id=BLANK,
                bos_id=-1,
                eos_id=-1,
                pad_id=-1,
                num_threads=1,  # sums in another order give other pieces
                minloglevel=2,
            )
        except (RuntimeError, OSError) as error:
            raise TrainingError(
                f"sentencepiece cannot make {size} {algorithm} pieces of these texts: {str(error).rstrip('. ')}. Ask "
                "for fewer (or, where it says that the vocabulary is too small, more), or use CharacterTokens"
            ) from error
        return cls(model.getvalue())

    @classmethod
    def from_dict(cls, saved: Mapping[str, Any]) -> PieceTokens:
        """The tokens that `to_dict` described."""
        return cls(base64.b64decode(saved["model"]))

    @cached_property
    def _processor(self) -> Any:
        return _library().SentencePieceProcessor(model_proto=self.model)

    def __len__(self) -> int:
        return int(self._processor.get_piece_size())

    def encode(self, text: str) -> list[int]:
        """The most likely pieces of a text. Raises KeyError for a character that the training text did not have."""
        indices: list[int] = self._processor.encode(text)
        if BLANK in indices:
            known = set("".join(map(self.symbol, range(1, len(self)))))
            raise KeyError(next((c for c in text if c not in known and c != " "), text))
        return indices

    def decode(self, indices: Sequence[int]) -> str:
        """The text of token indices, blanks left out; the space before the first word is no part of it."""
        text = "".join(self.symbol(i) for i in indices if i != BLANK)
        return text.replace(WORD_START, " ").removeprefix(" ")

    def symbol(self, index: int) -> str:
        """The piece as sentencepiece writes it, ▁ for the space before a word."""
        return "<blank>" if index == BLANK else str(self._processor.id_to_piece(index))

    def to_dict(self) -> dict[str, Any]:
        """What a checkpoint stores: the sentencepiece model in base64."""
        return {"kind": self.kind, "model": base64.b64encode(self.model).decode("ascii")}

    def __getstate__(self) -> dict[str, Any]:
        return {"model": self.model}  # to worker processes: the model alone, its processor is made there


def _library() -> Any:
    try:
        return importlib.import_module("sentencepiece")
    except ModuleNotFoundError as error:
        raise TrainingError(
            "Sentencepiece tokens need the package sentencepiece, which is not installed. Install it: "
            "pip install 'otoscope[sentencepiece]'."
        ) from error
