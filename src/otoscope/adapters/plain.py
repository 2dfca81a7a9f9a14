"""Any torch module as a recogniser: its user says how audio becomes its input and how it is called."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from otoscope.adapters.padding import joined
from otoscope.capture import SAMPLE_RATE_HZ, Batch, Layer, Seconds, Speech, TorchRecogniser, capture, select
from otoscope.capture.discovery import choose_layers, infer_layers
from otoscope.capture.discovery.looking import noise
from otoscope.errors import CaptureError

__all__ = ["Decode", "Features", "Forward", "PlainRecogniser"]

Features = Callable[[npt.NDArray[np.float32]], Tensor]
"""From samples at 16 kHz to features (frames, bins), or to samples (samples,) where the module takes audio."""

Forward = Callable[[nn.Module, Tensor, Tensor], Any]
"""One forward pass: the module, padded inputs (batch, longest, …), true lengths (batch,)."""

Decode = Callable[[Any, Tensor], list[str]]
"""From what a forward pass returns, and the true lengths of its inputs, to transcripts."""

BATCH = 8
"""Utterances in one forward pass of `transcribe`."""


class PlainRecogniser(TorchRecogniser):
    """Any `torch.nn.Module` as a recogniser, from two or three functions: the protocol `otoscope.Recogniser`.

    Use it where a model is at hand in Python and no adapter knows it. Strides, axes and windows of the layers are found
    out by running the module. [A page of examples](../../../docs/adapters/own-models.md).

    Arguments:
        module: the model. It is put into evaluation mode.
        features: from samples (samples,) at 16 kHz to features (frames, bins); where not given, the module takes the
            samples themselves.
        forward: one forward pass of padded inputs with their true lengths, for instance
            `lambda module, inputs, lengths: module(inputs, lengths)`. Where not given, `module(inputs)` of one
            utterance without padding: slower, and right for modules that know nothing of lengths.
        alone: whether `forward` too gets each utterance by itself, because padding would change what it computes.
        frame_shift: seconds from one feature frame to the next, needed with `features`.
        layers: names or globs of submodules, or `Layer`s where something is to be said otherwise. Default: one a block.
        decode: from what `forward` returned, and the true input lengths, to transcripts.
        transcribe: from utterances to transcripts, for a model that has a function of its own for this. Without it or
            `decode` the recogniser has no `transcribe`.
        example: samples (samples,) that layers are read off with. Default: two seconds of noise.
        name: what it is called in results. Default: the module's class.
        source: where the weights come from, for the record.

    Raises:
        CaptureError: no frame shift; no such layer; a layer whose frames cannot be told; features of another shape.

    >>> encoder = nn.Sequential(nn.Linear(80, 16), nn.ReLU(), nn.Linear(16, 8))
    >>> energies = lambda samples: torch.from_numpy(samples[: len(samples) // 160 * 160]).reshape(-1, 160)[:, :80].abs()
    >>> own = PlainRecogniser(encoder, features=energies, frame_shift=0.01, layers=["0", "2"])
    >>> own.layers()[1]
    Layer(name='2', units=8, stride=0.01, time_axis=1, kind='Linear', window=0.0, over='frames')
    >>> own.outputs(own.prepare([Speech(np.zeros(16_000, np.float32))]), ["2"])["2"].shape
    torch.Size([1, 100, 8])
    """

    transcribe: Callable[[Sequence[Speech]], list[str]]
    """Transcripts of utterances; there only where `decode` or `transcribe` was given."""

    def __init__(
        self,
        module: nn.Module,
        *,
        features: Features | None = None,
        forward: Forward | None = None,
        alone: bool = False,
        frame_shift: Seconds | None = None,
        layers: Sequence[str | Layer] | None = None,
        decode: Decode | None = None,
        transcribe: Callable[[Sequence[Speech]], list[str]] | None = None,
        example: npt.NDArray[np.float32] | None = None,
        name: str | None = None,
        source: str | None = None,
    ) -> None:
        if features is not None and frame_shift is None:
            raise CaptureError(
                "features were given without frame_shift: say how many seconds lie between one feature frame and the "
                "next, such as frame_shift=0.01"
            )
        self.module = module.eval()
        self.frame_shift = 1 / SAMPLE_RATE_HZ if frame_shift is None else frame_shift
        self.name = name or type(module).__name__
        self.source = source or f"{type(module).__module__}.{type(module).__qualname__}"
        self._features, self._decode = features, decode
        self._forward = forward or (lambda module, inputs, lengths: module(inputs))
        self._alone = alone or forward is None
        self._example = noise() if example is None else Speech(example)
        self._given = {layer.name: layer for layer in layers or () if isinstance(layer, Layer)}
        self._patterns = None if layers is None else [x if isinstance(x, str) else x.name for x in layers]
        self._known: dict[str, Layer] = dict(self._given)
        select(module, self._patterns or [])  # a wrong name is an error now, not when the corpus has been read
        if transcribe is not None or decode is not None:
            self.transcribe = transcribe or self._transcribe

    def prepare(self, speech: Sequence[Speech]) -> Batch:
        """Utterances as padded inputs (batch, longest[, bins]) with true lengths."""
        rows = [self._input(one.audio) for one in speech]
        return Batch(pad_sequence(rows, batch_first=True), torch.tensor([len(row) for row in rows]))

    def layers(self) -> list[Layer]:
        """The layers that were asked for, or one a block."""
        if self._patterns is None:
            chosen = choose_layers(self, self._example)
            self._known |= {layer.name: layer for layer in chosen}
            self._patterns = [layer.name for layer in chosen]
        return self.find(self._patterns)

    def find(self, patterns: Sequence[str]) -> list[Layer]:
        """Layers by names or globs, units, strides and axes found out by running the module."""
        names = select(self.module, patterns)
        unknown = [name for name in names if name not in self._known]
        if unknown:
            self._known |= {layer.name: layer for layer in infer_layers(self, unknown, self._example)}
        return [self._known[name] for name in names]

    def forward(self, inputs: Any, lengths: Tensor) -> Any:
        """One forward pass on the module's own device; where utterances go through alone, a list with one for each."""
        if not self._alone:
            return self._pass(inputs, lengths)
        return [self._pass(*one) for one in _singly(inputs, lengths)]

    def outputs(self, batch: Batch, layers: Sequence[str]) -> Mapping[str, Tensor]:
        """One forward pass, and what the named layers put out in it. Raises CaptureError for one that did not fire."""
        if not self._alone or len(batch.lengths) == 1:
            return super().outputs(batch, layers)
        axes = {layer.name: 1 if layer.time_axis == 0 else 0 for layer in self.find(layers)}
        with capture(self.module, layers) as captured:
            rows = []
            for one in _singly(batch.inputs, batch.lengths):
                self._pass(*one)
                rows.append(captured.take())
        return {name: joined([row[name] for row in rows], axis) for name, axis in axes.items()}

    def _pass(self, inputs: Tensor, lengths: Tensor) -> Any:
        first = next(self.module.parameters(), None)
        device = torch.device("cpu") if first is None else first.device
        return self._forward(self.module, inputs.to(device), lengths.to(device))

    @torch.inference_mode()
    def _transcribe(self, speech: Sequence[Speech]) -> list[str]:
        assert self._decode is not None
        self.module.eval()
        transcripts: list[str] = []
        size = 1 if self._alone else BATCH
        for i in range(0, len(speech), size):
            batch = self.prepare(speech[i : i + size])
            transcripts += self._decode(self._pass(batch.inputs, batch.lengths), batch.lengths)
        return transcripts

    def _input(self, audio: npt.NDArray[np.float32]) -> Tensor:
        row = torch.as_tensor(audio if self._features is None else self._features(audio))
        if row.dim() not in (1, 2) or not len(row):
            raise CaptureError(
                f"features made a tensor of shape {tuple(row.shape)} of {len(audio)} samples; expected (frames, bins) "
                "or (samples,) of one utterance, not empty"
            )
        return row


def _singly(inputs: Tensor, lengths: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """Each utterance of a padded batch as a batch of its own, without padding."""
    for row, length in zip(inputs, lengths, strict=True):
        yield row[None, : int(length)], length[None]
