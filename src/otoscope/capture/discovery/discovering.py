"""Everything that can be captured of a recogniser, with a reason for everything that cannot: `discover`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import nn

from otoscope.capture.discovery.choice import choose
from otoscope.capture.discovery.direct import Functions
from otoscope.capture.discovery.found import Discovery
from otoscope.capture.discovery.hiding import warnings
from otoscope.capture.discovery.looking import Looked, looked_at
from otoscope.capture.discovery.passes import forward_pass
from otoscope.capture.discovery.rows import Row
from otoscope.capture.hooks import select
from otoscope.capture.recogniser import TorchRecogniser
from otoscope.capture.types import SAMPLE_RATE_HZ, Layer, Recogniser, Speech
from otoscope.capture.undisturbed import undisturbed

__all__ = ["choose_layers", "discover"]


def discover(recogniser: Recogniser, speech: Speech, *, patterns: Sequence[str] | None = None) -> Discovery:
    """What can be captured of a recogniser: every submodule with shapes, stride and weights, or why it cannot be.

    Found by running it on one utterance and on pieces of it; it is left as it was. A recogniser that is not made of
    torch modules lists what its own `find` gives, or its `layers`.

    Arguments:
        recogniser: with `prepare`.
        speech: a real utterance, with its text where there is a decoder.
        patterns: names or globs of submodules to list, see `select` (default: all).

    Returns:
        A `Discovery`; its `default` are the recogniser's own `layers()` and `decoder_layers()`, where it has these,
        else one layer a block.

    Raises:
        CaptureError: a pattern that matches nothing.
    """
    if not isinstance(recogniser, TorchRecogniser):
        return _of_others(recogniser, speech, patterns)
    module = recogniser.module
    names = [name for name, _ in module.named_modules() if name]
    listed = set(names if patterns is None else select(module, patterns))
    own = _own_choice(recogniser)
    with undisturbed(module), Functions() as functions:
        forward_pass(recogniser, [speech], names)
    looked = looked_at(recogniser, names, speech)
    rows = tuple(_row(name, module.get_submodule(name), looked, functions) for name in names)
    doubts = tuple(_doubts(looked, speech, rows, own or ()))
    rows = tuple(_as_said(row, own or ()) for row in rows)
    default = choose(module, rows, looked.whole) if own is None else tuple(layer.name for layer in own)
    known = {row.name for row in rows if row.layer is not None} & listed
    return Discovery(
        kind=type(module).__name__,
        parameters=_weights(module),
        seconds=len(speech.audio) / SAMPLE_RATE_HZ,
        rows=tuple(row for row in rows if row.name in listed),
        default=tuple(name for name in default if name in known),
        warnings=(
            *warnings(module, rows, attended=functions.attended),
            *doubts,
        ),
    )


def choose_layers(recogniser: TorchRecogniser, speech: Speech) -> list[Layer]:
    """One layer a block, front end first, found by running: for a recogniser that has no `layers` of its own.

    Where there are no lists of blocks, the outermost modules with weights. Arguments as for `discover`.
    """
    module = recogniser.module
    names = [name for name, _ in module.named_modules() if name]
    looked = looked_at(recogniser, names, speech)
    rows = [_row(name, module.get_submodule(name), looked, None) for name in names]
    chosen = choose(module, rows, looked.whole)
    return [row.layer for row in rows if row.name in chosen and row.layer is not None]


def _own_choice(recogniser: Any) -> list[Layer] | None:
    """What the recogniser captures by default, None where it does not say."""
    try:
        layers = list(recogniser.layers())
    except NotImplementedError:
        return None
    return [*layers, *(recogniser.decoder_layers() if hasattr(recogniser, "decoder_layers") else ())]


def _of_others(recogniser: Recogniser, speech: Speech, patterns: Sequence[str] | None) -> Discovery:
    own = getattr(recogniser, "discover", None)
    if own is not None:
        found: Discovery = own(speech, patterns=patterns)
        return found
    default = _own_choice(recogniser) or []
    find = getattr(recogniser, "find", None)
    layers = default if find is None else find(patterns or ["*"])
    rows = tuple(Row(layer.name, layer.kind, layer=layer) for layer in layers)
    names = {row.name for row in rows}
    return Discovery(
        kind=type(recogniser).__name__,
        parameters=0,
        seconds=len(speech.audio) / SAMPLE_RATE_HZ,
        rows=rows,
        default=tuple(layer.name for layer in default if layer.name in names),
    )


def _row(name: str, part: nn.Module, looked: Looked, functions: Functions | None) -> Row:
    kind, calls = type(part).__name__, looked.whole.calls[name]
    layer = looked.layer(name, kind)
    problem = layer if isinstance(layer, str) else ""
    if isinstance(part, torch.jit.ScriptModule):
        kind, problem = str(part.original_name), "TorchScript takes no hooks: see otoscope.adapters.torchscript"
    elif not calls and functions is not None and functions.used(part):
        problem = "its weights are used without calling it: take the module around it"
    shapes = tuple(dict.fromkeys(call.shape for call in calls if call.shape is not None))
    return Row(
        name=name,
        kind=kind,
        shapes=shapes,
        calls=len(calls),
        own_parameters=_weights(part, recurse=False),
        parameters=_weights(part),
        layer=layer if isinstance(layer, Layer) else None,
        problem=problem,
        note=_note(part, calls[0].output if calls else "") if isinstance(layer, Layer) else "",
    )


def _weights(part: nn.Module, *, recurse: bool = True) -> int:
    return sum(parameter.numel() for parameter in part.parameters(recurse))


def _note(part: nn.Module, output: str) -> str:
    if isinstance(part, nn.RNNBase) and part.num_layers > 1:
        return f"{part.num_layers} layers in one module, of which the last is seen"
    return "puts out a packed sequence, captured padded" if output == "PackedSequence" else ""


def _doubts(looked: Looked, speech: Speech, rows: Sequence[Row], own: Sequence[Layer]) -> Iterator[str]:
    """Where the utterance was not enough, and where running shows something else than the recogniser says."""
    if looked.whole.tokens is not None and not speech.text.strip():
        yield "the utterance has no text, so that layers over tokens cannot be told: give one with a transcript"
    found = {row.name: row for row in rows}
    for layer in own:
        row = found.get(layer.name)
        if row is None or row.layer is None:
            reason = "there is no such module" if row is None else row.problem
            yield f"the recogniser lists {layer.name} among its layers, but it cannot be captured: {reason}"
        elif _differ(layer, row.layer):
            yield f"the recogniser says {layer}, but running it shows {row.layer}"


def _as_said(row: Row, own: Sequence[Layer]) -> Row:
    """A row with the window that the recogniser says it has: its last frames may be of padding that it made itself."""
    said = next((layer for layer in own if layer.name == row.name), None)
    if said is None or row.layer is None or _differ(said, row.layer):
        return row
    return replace(row, layer=replace(row.layer, window=said.window))


def _differ(one: Layer, other: Layer) -> bool:
    same = (one.units, one.time_axis, one.over) == (other.units, other.time_axis, other.over)
    return not same or abs(one.stride - other.stride) > 1e-9
