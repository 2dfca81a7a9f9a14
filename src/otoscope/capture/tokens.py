"""From padded outputs of decoder layers to steps × units, prompt and padding dropped, by token or by word."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import torch
from torch import Tensor

from otoscope.capture.types import Fed, Layer
from otoscope.errors import CaptureError

__all__ = ["TokenGrid", "to_tokens", "to_words"]

TokenGrid = Literal["token", "word"]
"""What a comparison of decoders runs on: their tokens, where they share them, else the words of the transcript."""


def to_tokens(output: Tensor, layer: Layer, fed: Fed) -> tuple[Tensor, list[int]]:
    """A decoder layer's padded output (batch, positions, units) to its true steps, (steps, units), and their counts.

    The steps of an utterance are those that predict its tokens. Raises CaptureError where the output is not what
    `layer` and `fed` say.
    """
    counts = [len(tokens) for tokens in fed.tokens]
    longest = fed.start + max(counts, default=0)
    if output.dim() != 3 or output.shape[0] != len(counts) or output.shape[1] < longest:
        raise CaptureError(
            f"the decoder layer {layer.name} put out a tensor of shape {tuple(output.shape)}; expected "
            f"{len(counts)} utterances × at least {longest} positions × {layer.units} units"
        )
    return torch.cat([row[fed.start : fed.start + n] for row, n in zip(output, counts, strict=True)]), counts


def to_words(steps: Tensor, fed: Fed) -> tuple[Tensor, list[int]]:
    """Steps × units to words × units: the mean over each word's tokens, and the words of each utterance.

    >>> fed = Fed(tokens=[[7, 8, 9, 0]], words=[[0, 0, 1, -1]])
    >>> to_words(torch.tensor([[1.0], [3.0], [5.0], [9.0]]), fed)
    (tensor([[2.],
            [5.]]), [2])
    """
    counts = [1 + max(words, default=-1) for words in fed.words]
    index, base = [], 0
    for words, count in zip(fed.words, counts, strict=True):
        index += [base + word if word >= 0 else -1 for word in words]
        base += count
    where = torch.tensor(index, device=steps.device)
    inside = where >= 0
    steps = steps.to(torch.promote_types(steps.dtype, torch.float32))  # half precision would lose what differs
    sums = steps.new_zeros(base, steps.shape[1]).index_add_(0, where[inside], steps[inside])
    sizes = torch.bincount(where[inside], minlength=base)
    if not sizes.all():
        raise CaptureError("a word of the transcript has no token: Fed.words must count words from 0, without gaps")
    return sums / sizes[:, None].to(steps.dtype), counts


def token_views(
    outputs: Mapping[str, tuple[Tensor, Layer, Fed]], grid: TokenGrid
) -> tuple[dict[str, Tensor], list[int]]:
    """Decoder layers as views with the same steps: by token or by word.

    Raises CaptureError where the decoders' steps differ: by token they must have been given the same tokens, by word
    transcripts of as many words.
    """
    views: dict[str, Tensor] = {}
    first: tuple[str, object, list[int]] | None = None
    for name, (output, layer, fed) in outputs.items():
        steps, counts = to_tokens(output, layer, fed)
        given: object = [list(tokens) for tokens in fed.tokens]
        if grid == "word":
            steps, counts = to_words(steps, fed)
            given = counts
        if first is None:
            first = name, given, counts
        elif given != first[1]:
            raise CaptureError(
                f"the decoders behind {first[0]} and {name} were given different "
                + ("tokens: compare them by word" if grid == "token" else "numbers of words for one utterance")
            )
        views[name] = steps
    assert first is not None
    if 0 in first[2]:
        raise CaptureError(
            f"utterance {first[2].index(0) + 1} of a batch has no {grid} for the decoder: leave utterances without a "
            "transcript out"
        )
    return views, first[2]
