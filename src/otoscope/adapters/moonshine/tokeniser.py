"""Moonshine's `tokenizer.bin`, a list of pieces, as a tokeniser that also takes text apart."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from otoscope.errors import CaptureError

if TYPE_CHECKING:
    from tokenizers import Tokenizer

__all__ = ["BEGIN", "END", "UNKNOWN", "pieces", "tokeniser_from_bin"]

UNKNOWN, BEGIN, END = "<unk>", "<s>", "</s>"

SPACE = "▁"
"""Stands for a space in sentencepiece's pieces."""

_FIRST_BYTE, _FIRST_PIECE = 3, 259  # behind the three special tokens the 256 bytes, behind those the pieces


def pieces(path: str | Path) -> list[bytes]:
    """The pieces of a `tokenizer.bin` in the order of their ids.

    Each is preceded by its length: one byte, or two (low 7 bits first) from 128 on. Raises CaptureError where the file
    cannot be read, breaks off, or does not begin with the special tokens and the 256 bytes.
    """
    path = Path(path)
    try:
        content = path.read_bytes()
    except OSError as error:
        raise CaptureError(f"{path} cannot be read ({error.strerror}): Moonshine's pieces lie in it") from error
    found: list[bytes] = []
    at = 0
    while at < len(content):
        length, at = content[at], at + 1
        if length >= 128 and at < len(content):
            length, at = length - 128 + 128 * content[at], at + 1
        if at + length > len(content):
            raise CaptureError(
                f"{path} is damaged: piece {len(found)} is to have {length} bytes, and the file ends before. "
                "Copy it again"
            )
        found.append(content[at : at + length])
        at += length
    begins = [token.encode() for token in (UNKNOWN, BEGIN, END)] + [bytes([i]) for i in range(256)]
    if found[:_FIRST_PIECE] != begins:
        raise CaptureError(
            f"{path} is no tokenizer.bin of Moonshine: it does not begin with <unk>, <s>, </s>, 256 bytes"
        )
    return found


def tokeniser_from_bin(path: str | Path) -> Tokenizer:
    """The byte-pair tokeniser whose pieces a `tokenizer.bin` lists; characters without a piece become bytes.

    The file holds no merges. They follow from the order of the pieces, as in Llama's tokeniser, which this one is:
    sentencepiece numbers pieces in the order in which it found them, and merges first what it found first. Raises
    CaptureError, see `pieces`.
    """
    from tokenizers import AddedToken, Tokenizer, decoders, normalizers
    from tokenizers.models import BPE

    listed = pieces(path)
    try:
        texts = [piece.decode() for piece in listed[_FIRST_PIECE:]]
    except UnicodeDecodeError as error:
        raise CaptureError(f"{path} is damaged: a piece is no text ({error}). Copy it again") from error
    special = [UNKNOWN, BEGIN, END]
    vocabulary = {token: i for i, token in enumerate([*special, *(f"<0x{i:02X}>" for i in range(256)), *texts])}
    merges: list[tuple[str, str]] = []
    for text in texts:
        ways = [(text[:i], text[i:]) for i in range(1, len(text))]
        known = [way for way in ways if way[0] in vocabulary and way[1] in vocabulary]
        merges += sorted(known, key=lambda way: (vocabulary[way[0]], vocabulary[way[1]]))
    made = Tokenizer(BPE(vocabulary, merges, unk_token=UNKNOWN, fuse_unk=True, byte_fallback=True))
    made.normalizer = normalizers.Sequence([normalizers.Prepend(SPACE), normalizers.Replace(" ", SPACE)])
    made.decoder = decoders.Sequence(
        [decoders.Replace(SPACE, " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    made.add_special_tokens([AddedToken(token, normalized=False, special=True) for token in special])
    return made
