"""Any torch module as a recogniser to be watched, on a probe set of its own inputs."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from otoscope.capture import Layer, TorchRecogniser, capture, select
from otoscope.errors import CaptureError
from otoscope.watching import undisturbed

__all__ = ["Inputs", "LengthsOf", "ModuleProbe", "ModuleRecogniser"]

LengthsOf = Callable[[Tensor], Tensor]
"""From true lengths in input steps (samples or feature frames) to those of the layers, in frames."""

Inputs = Tensor | Mapping[str, Any] | Sequence[Any]
"""A batch that a module is called with: one argument, arguments by name, or several."""


class ModuleProbe:
    """Padded inputs of some utterances with their true lengths, in batches.

    Arguments:
        inputs: as for calling the module; tensors with the utterances on their first axis are cut into batches.
        lengths: true lengths in input steps. Where not given, an `attention_mask` among the inputs tells them.
        lengths_of: from these to frames of the layers, for front ends without padding such as wav2vec 2.0's: all
            layers are to have so many. Where not given, a layer has ⌈length / stride⌉ frames for a whole stride.
        size: utterances in a batch.

    Raises:
        CaptureError: no lengths, and no attention mask.
    """

    def __init__(self, inputs: Inputs, lengths: Tensor | None, *, lengths_of: LengthsOf | None, size: int) -> None:
        mask = inputs.get("attention_mask") if isinstance(inputs, Mapping) else None
        if lengths is None and mask is None:
            raise CaptureError(
                "the probe set has no lengths, and without them padding would enter the similarities: give lengths in "
                "input steps, or an attention_mask among the inputs"
            )
        true = torch.as_tensor(mask.sum(-1) if lengths is None and mask is not None else lengths).cpu()
        frames = true if lengths_of is None else torch.as_tensor(lengths_of(true)).cpu()
        rows = [slice(i, i + size) for i in range(0, len(true), size)]
        self.batches = [(_rows(inputs, len(true), some), frames[some]) for some in rows]
        self.lengths_of = lengths_of
        self.padded = _padded(inputs, int(true.max()))

    def expected(self) -> list[int]:
        """The padded frames that a layer can have, where `lengths_of` says so."""
        assert self.lengths_of is not None
        return [int(frames) for frames in torch.as_tensor(self.lengths_of(torch.tensor(self.padded)))]


class ModuleRecogniser(TorchRecogniser):
    """A module whose layers are watched: frames are counted in input steps in place of seconds.

    Units, strides and axes of the layers are read off a forward pass.

    Arguments:
        module: the module that is called, its submodules hooked.
        patterns: names or globs of layers, see `otoscope.select`, or `Layer`s with strides in input steps.
        probe: whose first batch is used for reading them off.

    Raises:
        CaptureError: no such layer, or one whose frames cannot be told: none of its axes, or two, fit.

    >>> probe = ModuleProbe(torch.zeros(2, 50, 8), torch.tensor([50, 41]), lengths_of=None, size=2)
    >>> ModuleRecogniser(nn.Sequential(nn.Linear(8, 16), nn.ReLU()), ["0"], probe).layers()
    [Layer(name='0', units=16, stride=1, time_axis=1, kind='Linear', window=0.0, over='frames')]
    """

    frame_shift = 1.0

    def __init__(self, module: nn.Module, patterns: Sequence[str | Layer], probe: ModuleProbe) -> None:
        self.module = module
        named = [pattern for pattern in patterns if isinstance(pattern, str)]
        given = {layer.name: layer for layer in patterns if isinstance(layer, Layer)}
        names = [name for name in select(module, [*named, *given]) if name not in given]
        found = {layer.name: layer for layer in self._read_off(names, probe)} if names else {}
        self._layers = [{**found, **given}[name] for name in select(module, [*found, *given])]

    def forward(self, features: Any, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Calls the module with inputs of the probe set, on its own device; lengths stay as they are."""
        inputs = _moved(features, next(self.module.parameters()).device)
        if isinstance(inputs, Mapping):
            return self.module(**inputs), lengths
        return self.module(inputs) if isinstance(inputs, Tensor) else self.module(*inputs), lengths

    def layers(self) -> list[Layer]:
        """The layers that were asked for, in the order of the module tree."""
        return self._layers

    def _read_off(self, names: Sequence[str], probe: ModuleProbe) -> Iterator[Layer]:
        inputs, lengths = probe.batches[0]
        seen = self._outputs(names, inputs)
        fits = {name: list(_axes(tuple(seen[name].shape), len(lengths), probe)) for name in names}
        if any(len(axes) > 1 for axes in fits.values()):
            fits = self._told_apart(fits, seen, probe)
        for name in names:
            shape = tuple(seen[name].shape)
            if len(fits[name]) != 1:
                steps, number = " or ".join(map(str, probe.padded)), "more than one" if fits[name] else "none"
                raise CaptureError(
                    f"layer {name} put out a tensor of shape {shape} for {len(lengths)} utterances of {steps} input "
                    f"steps: {number} of its axes can be that of its frames. Give this layer as a Layer(name, units, "
                    "stride in input steps, time_axis, kind), or choose layers for which lengths_of is right"
                )
            axis, stride = fits[name][0]
            units = math.prod(size for i, size in enumerate(shape) if i not in (axis, 1 if axis == 0 else 0))
            yield Layer(name, units, stride, axis, type(self.module.get_submodule(name)).__name__)

    def _outputs(self, names: Sequence[str], inputs: Any) -> dict[str, Tensor]:
        with undisturbed(self.module), capture(self.module, names) as captured:
            self.forward(inputs, torch.empty(0))
            return captured.take()

    def _told_apart(
        self, fits: dict[str, list[tuple[int, float]]], seen: Mapping[str, Tensor], probe: ModuleProbe
    ) -> dict[str, list[tuple[int, float]]]:
        """Of each layer's axes those that shorten with the input: 16 units can pass for 490 steps at stride 31."""
        try:
            shorter = self._outputs(list(fits), _halved(probe.batches[0][0], probe.padded))
        except Exception:  # the module's own, of any type: it may take inputs of one length only
            return fits
        return {
            name: [(axis, stride) for axis, stride in axes if shorter[name].shape[axis] < seen[name].shape[axis]]
            for name, axes in fits.items()
        }


def _axes(shape: Sequence[int], utterances: int, probe: ModuleProbe) -> Iterator[tuple[int, float]]:
    """Each axis that can be that of the frames, and its stride."""
    if len(shape) not in (3, 4):
        return
    for axis, batch in ((1, 0), (2, 0), (0, 1)) if len(shape) == 3 else ((2, 0),):
        frames = shape[axis]
        if shape[batch] != utterances or not frames:
            continue
        if probe.lengths_of is not None:
            if frames in probe.expected():
                yield axis, 1
            continue
        strides = [max(1, round(steps / frames)) for steps in probe.padded]
        fitting = [s for s, steps in zip(strides, probe.padded, strict=True) if math.ceil(steps / s) == frames]
        if fitting:
            yield axis, fitting[0]


def _padded(inputs: Inputs, longest: int) -> list[int]:
    """What can be the inputs' padded length: the longest utterance's, or the axes that have room for it."""
    values = [inputs] if isinstance(inputs, Tensor) else inputs.values() if isinstance(inputs, Mapping) else inputs
    sizes = {n for x in values if isinstance(x, Tensor) and x.is_floating_point() for n in x.shape[1:] if n >= longest}
    return [longest] if longest in sizes or not sizes else sorted(sizes)


def _moved(inputs: Any, device: torch.device) -> Any:
    """The inputs with every tensor on this device."""
    if isinstance(inputs, Tensor):
        return inputs.to(device)
    if isinstance(inputs, Mapping):
        return {key: _moved(value, device) for key, value in inputs.items()}
    return [_moved(value, device) for value in inputs] if isinstance(inputs, list | tuple) else inputs


def _rows(inputs: Any, utterances: int, rows: slice) -> Any:
    """Some utterances of the inputs."""
    if isinstance(inputs, Tensor):
        return inputs[rows] if inputs.dim() and inputs.shape[0] == utterances else inputs
    if isinstance(inputs, Mapping):
        return {key: _rows(value, utterances, rows) for key, value in inputs.items()}
    return [_rows(value, utterances, rows) for value in inputs] if isinstance(inputs, list | tuple) else inputs


def _halved(inputs: Any, padded: Sequence[int]) -> Any:
    """The inputs cut to half their padded length, and true lengths among them to no more than that."""
    if isinstance(inputs, Mapping):
        return {key: _halved(value, padded) for key, value in inputs.items()}
    if isinstance(inputs, list | tuple):
        return [_halved(value, padded) for value in inputs]
    if not isinstance(inputs, Tensor):
        return inputs
    if inputs.dim() == 1 and not inputs.is_floating_point():
        return inputs.clamp(max=padded[0] // 2)
    for axis in range(1, inputs.dim()):
        if inputs.shape[axis] in padded:
            inputs = inputs.narrow(axis, 0, inputs.shape[axis] // 2)
    return inputs
