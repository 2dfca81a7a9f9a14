"""What a decoder is fed: the model's own prompt, then the tokens of a transcript, and which word each belongs to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from otoscope.errors import CaptureError

__all__ = ["WHISPER_MULTILINGUAL", "Teacher", "shortened", "teacher_of", "words_of", "writes_lower_case"]

MARKS = ("▁", "Ġ")
"""How sentencepiece and byte-level pieces mark the beginning of a word."""

WHISPER_MULTILINGUAL = 51_865
"""From this size of vocabulary on, a Whisper knows languages, as openai/whisper decides it."""


PANGRAM = "the quick brown fox jumps over the lazy dog and packs five dozen jugs of water"


@dataclass(frozen=True, slots=True)
class Teacher:
    """Turns transcripts into what a decoder is fed.

    `prompt` are the token ids that a decoder starts from, `end` the id that it ends a transcript with, `most` the
    positions that it has (None: no limit), `leading` what stands before a transcript's first word.
    """

    tokeniser: Any
    prompt: tuple[int, ...]
    end: int
    most: int | None = None
    leading: str = ""

    def tokens(self, text: str) -> tuple[list[int], list[int]]:
        """The tokens of a transcript with its end, and the word that each is a part of.

        Raises CaptureError where the decoder has too few positions for it, and for a word without a token.
        """
        text = " ".join(text.split())
        said = self.leading + text if text else ""
        tokens, words = words_of(self.tokeniser, said)
        silent = _silent(self.tokeniser, text, words)
        if silent:
            raise CaptureError(
                f"the tokeniser gives the word {silent!r} of the transcript {shortened(text)!r} no token: take it out "
                "of the transcript, or leave the utterance out"
            )
        if self.most is not None and len(self.prompt) + len(tokens) > self.most:
            raise CaptureError(
                f"the transcript {shortened(text)!r} has {len(tokens)} tokens and the decoder room for "
                f"{self.most - len(self.prompt)}: cut the utterance"
            )
        return [*tokens, self.end], [*words, -1]


def shortened(text: str) -> str:
    """The first words of a transcript, by which an utterance can be found.

    >>> shortened("the quick brown fox jumps over the lazy dog")
    'the quick brown fox jumps over…'
    """
    words = text.split()
    return " ".join(words[:6])[:60] + ("…" if len(words) > 6 else "")


def _silent(tokeniser: Any, text: str, words: Sequence[int]) -> str | None:
    """The first word of a transcript that none of its tokens belongs to."""
    said = text.split()
    absent = [word for number, word in enumerate(said) if number not in set(words)]
    # By marks words are counted only: which of them is left out shows when each is alone.
    alone = (word for word in said if not tokeniser(word, add_special_tokens=False)["input_ids"])
    return next(alone, absent[0]) if absent else None


def words_of(tokeniser: Any, text: str) -> tuple[list[int], list[int]]:
    """The tokens of a text, and the word (between spaces, counted from 0) that each begins or goes on with.

    By the characters that each token stands for, where the tokeniser tells; else by the mark of a word's first piece.
    A mark that is a token of its own is a part of the word that it begins.
    """
    if not text:
        return [], []
    if getattr(tokeniser, "is_fast", False):
        encoded = tokeniser(text, add_special_tokens=False, return_offsets_mapping=True)
        word, number, at_space = [], -1, True
        for character in text:
            if not character.isspace() and at_space:
                number += 1
            at_space = character.isspace()
            word.append(-1 if at_space else number)
        pieces = tokeniser.convert_ids_to_tokens(encoded["input_ids"])
        spans = zip(pieces, encoded["offset_mapping"], strict=True)
        # One character more for a mark alone: that of the word after it.
        words = [max(word[start : end + (piece in MARKS)], default=-1) for piece, (start, end) in spans]
        return list(encoded["input_ids"]), words
    tokens = list(tokeniser(text, add_special_tokens=False)["input_ids"])
    return tokens, _by_marks(tokeniser.convert_ids_to_tokens(tokens))


def _by_marks(pieces: Sequence[str]) -> list[int]:
    """Words by the marks of sentencepiece (▁) and of byte-level pieces (Ġ), or by separators (|) between letters.

    >>> _by_marks(["▁", "the", "▁c", "at"])
    [0, 0, 1, 1]
    >>> _by_marks(["A", "|", "C"])
    [0, -1, 1]
    """
    words: list[int] = []
    number, starts = -1, True
    for piece in pieces:
        starts = starts or piece[:1] in (*MARKS, "|", " ")
        if piece.strip("| "):
            number, starts = number + starts, False
            words.append(number)
        else:
            words.append(-1)
    return words


def teacher_of(module: Any, tokeniser: Any, decoder: Any, language: str) -> Teacher:
    """The teacher for a model's decoder. Raises CaptureError for a language or special tokens that it lacks."""
    settings, config = module.generation_config, decoder.config
    kind = getattr(module.config, "model_type", "")
    start = _first(settings.decoder_start_token_id, module.config, "decoder_start_token_id", "bos_token_id")
    end = _first(settings.eos_token_id, module.config, "eos_token_id")
    end = end[0] if isinstance(end, list | tuple) else end
    most = getattr(config, "max_target_positions", None) or getattr(config, "max_position_embeddings", None)
    prompt = [start]
    if kind == "whisper":
        multilingual = getattr(settings, "is_multilingual", config.vocab_size >= WHISPER_MULTILINGUAL)
        names = ["<|startoftranscript|>"]
        names += [f"<|{language}|>", "<|transcribe|>"] if multilingual else []
        prompt = [_special(tokeniser, name) for name in [*names, "<|notimestamps|>"]]
        end = _special(tokeniser, "<|endoftext|>")
    elif kind.startswith("seamless"):
        languages = getattr(settings, "text_decoder_lang_to_code_id", None) or {}
        code = {"en": "eng"}.get(language, language)
        prompt.append(languages[code] if code in languages else _special(tokeniser, f"__{code}__"))
    elif getattr(settings, "forced_bos_token_id", None) is not None:
        prompt.append(settings.forced_bos_token_id)
    if prompt[0] is None or end is None:
        raise CaptureError(
            f"{type(module).__name__} does not say which token its decoder starts from and ends with: set "
            "decoder_start_token_id and eos_token_id in its generation_config"
        )
    # Whisper's transcripts begin with a space, in training as in what it writes.
    leading = " " if kind == "whisper" else ""
    return Teacher(tokeniser, tuple(prompt), int(end), most, leading)


def writes_lower_case(tokeniser: Any) -> bool:
    """Whether lower case takes a tokeniser fewer tokens than capitals: it was made for texts that are mostly that.

    One that does not know a case needs few tokens for it too, those of what is unknown: then fewer letters come back.
    """
    low, high = (tokeniser(text, add_special_tokens=False)["input_ids"] for text in (PANGRAM, PANGRAM.upper()))
    return len(low) < len(high) and _letters(tokeniser, low) >= _letters(tokeniser, high)


def _letters(tokeniser: Any, tokens: Sequence[int]) -> int:
    """How many letters tokens stand for, unknown ones left out."""
    known = [token for token in tokens if token != tokeniser.unk_token_id]
    return sum(map(str.isalpha, str(tokeniser.decode(known))))


def _first(value: Any, config: Any, *names: str) -> Any:
    return next((v for v in (value, *(getattr(config, name, None) for name in names)) if v is not None), None)


def _special(tokeniser: Any, token: str) -> int:
    found = tokeniser.convert_tokens_to_ids(token)
    if found is None or (found == tokeniser.unk_token_id and token != tokeniser.unk_token):
        raise CaptureError(f"the tokeniser has no token {token}: give a language that the model knows (language=...)")
    return int(found)
