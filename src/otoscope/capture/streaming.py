"""From recognisers and batches of speech to moments, without keeping an activation."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from otoscope.capture.frames import to_frames
from otoscope.capture.grid import common_grid, to_grid
from otoscope.capture.recogniser import TorchRecogniser
from otoscope.capture.tokens import TokenGrid, token_views
from otoscope.capture.types import Batch, Fed, Layer, Recogniser, Seconds
from otoscope.errors import CaptureError
from otoscope.measures import Accumulator, Moments

__all__ = ["INPUT", "SHUFFLED", "reduce", "streamed", "view_name", "views_of"]

Views = tuple[dict[str, Tensor], list[int]]

Batches = Iterable[Batch | tuple[Any, Tensor] | Mapping[str, Batch]]
"""Batch by batch, inputs and true lengths for all recognisers alike, or a `Batch` for each by its name."""

SHUFFLED = "~"
"""Stands before the name of a view whose utterances were shuffled."""

INPUT = "input"
"""The view of what the recognisers are given: features, on the grid of the comparison."""

INPUT_SHIFT: Seconds = 0.01
"""Between the features that stand for the input where each recogniser has an input of its own."""


def view_name(model: str, layer: str) -> str:
    """The name of a layer among the views of several models."""
    return f"{model}:{layer}"


@torch.inference_mode()
def views_of(
    recognisers: Mapping[str, Recogniser],
    batches: Batches,
    *,
    layers: Mapping[str, Sequence[Layer]] | None = None,
    grid: Seconds | TokenGrid | None = None,
    inputs: bool = False,
) -> Iterator[Views]:
    """Batch by batch, every layer of every recogniser as frames × units on one grid, and the utterances' lengths.

    `batches` yields padded features (batch, frames, bins) and true lengths, the same for all recognisers, or what each
    of them made of the same utterances with `prepare`, by name, and with `inputs` features every 10 ms as `input`.
    `layers` chooses layers (default: each recogniser's own choice, `recogniser.layers()`); `grid` in seconds (default:
    the coarsest stride), or "token" or "word" for layers of decoders (default: by token). Views are named
    `<recogniser>:<layer>`; with `inputs`, the features are one more, named `input`.

    Raises CaptureError for layers over frames beside layers over tokens, which have no grid in common.
    """
    chosen = {name: list((layers or {}).get(name) or r.layers()) for name, r in recognisers.items()}
    every = [layer for own in chosen.values() for layer in own]
    over = {layer.over for layer in every}
    if len(over) > 1:
        first = {kind: next(layer.name for layer in every if layer.over == kind) for kind in sorted(over)}
        raise CaptureError(
            f"{first['frames']} runs over frames and {first['tokens']} over tokens: compare layers of encoders and "
            "layers of decoders in two runs"
        )
    for batch in batches:
        seen = {name: _seen(r, _own(batch, name), chosen[name]) for name, r in recognisers.items()}
        if over == {"tokens"}:
            yield token_views(dict(_steps(seen, chosen)), _token_grid(grid))
        else:
            shifts = {name: r.frame_shift for name, r in recognisers.items()}
            yield _on_grid(shifts, seen, chosen, grid, _input(batch, shifts) if inputs else None)


_Seen = tuple[Batch, Mapping[str, Tensor]]


def _own(batch: Batch | tuple[Any, Tensor] | Mapping[str, Batch], name: str) -> Batch:
    return batch[name] if isinstance(batch, Mapping) else Batch(*batch)


def _seen(recogniser: Recogniser, batch: Batch, layers: Sequence[Layer]) -> _Seen:
    # One recogniser at a time: two names may stand for one module, and hooks see whoever calls it.
    names = [layer.name for layer in layers]
    if not isinstance(recogniser, TorchRecogniser):
        return batch, recogniser.outputs(batch, names)
    modes = [(part, part.training) for part in recogniser.module.modules()]
    recogniser.module.eval()
    try:
        return batch, recogniser.outputs(batch, names)
    finally:
        for part, training in modes:
            part.training = training


def _steps(
    seen: Mapping[str, _Seen], chosen: Mapping[str, Sequence[Layer]]
) -> Iterator[tuple[str, tuple[Tensor, Layer, Fed]]]:
    for model, (batch, outputs) in seen.items():
        if batch.fed is None:
            raise CaptureError(f"the decoder of {model} was given nothing: its batches have no `fed`")
        for layer in chosen[model]:
            yield view_name(model, layer.name), (outputs[layer.name], layer, batch.fed)


def _token_grid(grid: Seconds | TokenGrid | None) -> TokenGrid:
    if grid is None or isinstance(grid, str):
        return grid or "token"
    raise CaptureError(f'layers of decoders are compared by "token" or by "word", got a grid of {grid} s')


_Input = tuple[Batch, Seconds]


def _input(batch: Batch | tuple[Any, Tensor] | Mapping[str, Batch], shifts: Mapping[str, Seconds]) -> _Input:
    """The features that stand for the input, and the seconds from one to the next."""
    if isinstance(batch, Mapping):
        return batch[INPUT], INPUT_SHIFT
    return Batch(*batch), next(iter(shifts.values()))


def _on_grid(
    shifts: Mapping[str, Seconds],
    seen: Mapping[str, _Seen],
    chosen: Mapping[str, Sequence[Layer]],
    grid: Seconds | TokenGrid | None,
    given: _Input | None,
) -> Views:
    if isinstance(grid, str):
        raise CaptureError(f'layers over frames are compared on a grid in seconds, got "{grid}"')
    outputs: dict[str, tuple[Tensor, Sequence[int]]] = {}
    timed: dict[str, Layer] = {}
    for model, (batch, own) in seen.items():
        for layer in chosen[model]:
            view = view_name(model, layer.name)
            outputs[view] = to_frames(own[layer.name], layer, batch.lengths, shifts[model])
            timed[view] = layer
    if given is not None:
        (features, lengths, _), shift = given
        timed[INPUT] = Layer(INPUT, features.shape[2], shift, 1, "features")
        counts = [int(n) for n in lengths]
        outputs[INPUT] = torch.cat([row[:n] for row, n in zip(features, counts, strict=True)]), counts
    every = [layer for own in chosen.values() for layer in own]
    return to_grid(outputs, timed, grid=grid or common_grid(every))


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
    batches: Batches,
    *,
    layers: Mapping[str, Sequence[Layer]] | None,
    grid: Seconds | TokenGrid | None,
    inputs: bool,
    shuffled: bool,
) -> Iterator[Views]:
    """`views_of`, with `shuffled` each beside views whose utterances were shuffled (see `reduce`)."""
    generator = torch.Generator().manual_seed(0)  # the same baseline every time
    for views, lengths in views_of(recognisers, batches, layers=layers, grid=grid, inputs=inputs):
        yield shuffle_utterances(views, lengths, generator) if shuffled else (views, lengths)


def reduce(
    recognisers: Mapping[str, Recogniser],
    batches: Batches,
    *,
    pairs: Sequence[tuple[str, str]] | None = None,
    layers: Mapping[str, Sequence[Layer]] | None = None,
    grid: Seconds | TokenGrid | None = None,
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
