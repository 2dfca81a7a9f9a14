"""From recognisers and batches of speech to moments, without keeping an activation."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

import torch
from torch import Tensor

from otoscope.capture.frames import common_grid, to_frames, to_grid
from otoscope.capture.hooks import capture
from otoscope.capture.types import Layer, Recogniser, Seconds
from otoscope.errors import CaptureError
from otoscope.measures import Accumulator, Moments

__all__ = ["INPUT", "SHUFFLED", "reduce", "streamed", "view_name", "views_of"]

Views = tuple[dict[str, Tensor], list[int]]
Batch = tuple[Tensor, Tensor]

SHUFFLED = "~"
"""Stands before the name of a view whose utterances were shuffled."""

INPUT = "input"
"""The view of what the recognisers are given: their features, on the grid of the comparison."""


def view_name(model: str, layer: str) -> str:
    """The name of a layer among the views of several models."""
    return f"{model}:{layer}"


@torch.inference_mode()
def views_of(
    recognisers: Mapping[str, Recogniser],
    batches: Iterable[Batch],
    *,
    layers: Mapping[str, Sequence[Layer]] | None = None,
    grid: Seconds | None = None,
    inputs: bool = False,
) -> Iterator[Views]:
    """Batch by batch, every layer of every recogniser as frames × units on one grid, and the utterances' lengths.

    `batches` yields padded features (batch, frames, bins) and true lengths; all recognisers get the same. `layers`
    chooses layers (default: each recogniser's own choice, `recogniser.layers()`); `grid` in seconds (default: the
    coarsest stride). Views are named `<recogniser>:<layer>`; with `inputs`, the features are one more, named `input`.
    """
    chosen = {name: list((layers or {}).get(name) or r.layers()) for name, r in recognisers.items()}
    grid = grid or common_grid([layer for own in chosen.values() for layer in own])
    strides = {view_name(m, layer.name): layer.stride for m, own in chosen.items() for layer in own}
    names = {m: [layer.name for layer in own] for m, own in chosen.items()}
    for recogniser in recognisers.values():
        recogniser.module.eval()
    for features, lengths in batches:
        outputs = {}
        for name, recogniser in recognisers.items():
            # Hooked for its own pass only: two names may stand for one module.
            with capture(recogniser.module, names[name]) as captured:
                recogniser.forward(features, lengths)
                seen = captured.take()
            for layer in chosen[name]:
                frames = to_frames(seen[layer.name], layer, lengths, recogniser.frame_shift)
                outputs[view_name(name, layer.name)] = frames
            if inputs:
                counts = [int(n) for n in lengths]
                outputs[INPUT] = torch.cat([row[:n] for row, n in zip(features, counts, strict=True)]), counts
                strides[INPUT] = recogniser.frame_shift
        yield to_grid(outputs, strides, grid=grid)


def shuffle_utterances(views: Mapping[str, Tensor], lengths: Sequence[int], generator: torch.Generator) -> Views:
    """The views, and beside each a shuffled one (`~name`): every utterance paired with its neighbour in the batch.

    Both are cut to the shorter of the two utterances, and the neighbour is turned by a random number of frames, its
    end coming round to its start. Without the turn, the silence with which utterances begin and end would line up and
    look like similarity. What is left is alike whatever was said, and when: the baseline of every similarity.
    """
    if len(lengths) < 2:
        raise CaptureError("shuffling utterances takes at least 2 in a batch: make the batches larger")
    other = [*lengths[1:], lengths[0]]
    kept = [min(pair) for pair in zip(lengths, other, strict=True)]
    turns = [int(torch.randint(n, (1,), generator=generator)) for n in kept]
    shuffled: dict[str, Tensor] = {}
    for name, x in views.items():
        parts = torch.split(x, list(lengths))
        turned = [*parts[1:], parts[0]]
        shuffled[name] = torch.cat([p[:n] for p, n in zip(parts, kept, strict=True)])
        shuffled[SHUFFLED + name] = torch.cat([p[:n].roll(k, 0) for p, n, k in zip(turned, kept, turns, strict=True)])
    return shuffled, kept


def streamed(
    recognisers: Mapping[str, Recogniser],
    batches: Iterable[Batch],
    *,
    layers: Mapping[str, Sequence[Layer]] | None,
    grid: Seconds | None,
    inputs: bool,
    shuffled: bool,
) -> Iterator[Views]:
    """`views_of`, with `shuffled` each beside views whose utterances were shuffled (see `reduce`)."""
    generator = torch.Generator().manual_seed(0)  # the same baseline every time
    for views, lengths in views_of(recognisers, batches, layers=layers, grid=grid, inputs=inputs):
        yield shuffle_utterances(views, lengths, generator) if shuffled else (views, lengths)


def reduce(
    recognisers: Mapping[str, Recogniser],
    batches: Iterable[Batch],
    *,
    pairs: Sequence[tuple[str, str]] | None = None,
    layers: Mapping[str, Sequence[Layer]] | None = None,
    grid: Seconds | None = None,
    inputs: bool = False,
    shuffled: bool = False,
    progress: Callable[[int], None] | None = None,
) -> Moments:
    """The moments of every layer of the recognisers over the batches; activations are forgotten batch by batch.

    `pairs` of view names says which layers will be compared (default: all with all). With `shuffled`, each view is
    paired with views whose utterances were shuffled instead, and pairs name the second as `~<recogniser>:<layer>`.
    `progress` is called with the number of utterances done. See `views_of` for the rest, and `gather` for frames
    and blocks of speech beside the moments.
    """
    total: Accumulator | None = None
    done = 0
    for views, lengths in streamed(recognisers, batches, layers=layers, grid=grid, inputs=inputs, shuffled=shuffled):
        if total is None:
            total = Accumulator({name: x.shape[1] for name, x in views.items()}, pairs=pairs)
        total.update(views, lengths)
        done += len(lengths)
        if progress is not None:
            progress(done)
    if total is None:
        raise CaptureError("there was no speech to look at: the batches are empty")
    return total.take()
