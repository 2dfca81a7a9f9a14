"""Text from the output of a CTC graph that comes with its vocabulary."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import Any

import numpy as np
import numpy.typing as npt

from otoscope.errors import CaptureError

__all__ = ["ctc_text"]


def ctc_text(
    log_probs: npt.NDArray[np.floating[Any]],
    lengths: Sequence[int] | npt.NDArray[np.integer[Any]],
    vocabulary: Sequence[str],
    *,
    blank: str | int,
    separator: str = "",
    boundary: str | None = None,
) -> list[str]:
    """What a CTC graph heard: the likeliest token of each frame, repetitions and blanks taken out.

    Arguments:
        log_probs: (batch, frames, tokens); logits do as well.
        lengths: true frames of each utterance, (batch,).
        vocabulary: the tokens in the order of the last axis.
        blank: the blank symbol, or its number.
        separator: what stands between two tokens of a word; " " for phones.
        boundary: the token that ends a word, where there is one; in the text a space.

    Raises:
        CaptureError: a vocabulary of another size, or without this blank.

    >>> frames = np.eye(4)[[0, 0, 3, 0, 1, 3, 2]]
    >>> ctc_text(frames[None], [7], ["l", "o", "|", "_"], blank="_", boundary="|")
    ['llo']
    """
    if log_probs.ndim != 3 or log_probs.shape[2] != len(vocabulary):
        raise CaptureError(
            f"CTC outputs of shape {log_probs.shape} do not fit a vocabulary of {len(vocabulary)} tokens: expected "
            "(batch, frames, tokens)"
        )
    if isinstance(blank, str) and blank not in vocabulary:
        raise CaptureError(f"the vocabulary has no token {blank!r}: give the blank symbol's own name, or its number")
    silent = vocabulary.index(blank) if isinstance(blank, str) else blank
    texts = []
    for best, n in zip(log_probs.argmax(axis=-1), lengths, strict=True):
        tokens = [vocabulary[k] for k, _ in groupby(best[: int(n)]) if k != silent]
        words = [list(word) for apart, word in groupby(tokens, lambda token: token == boundary) if not apart]
        texts.append(" ".join(separator.join(word) for word in words))
    return texts
