"""An ONNX graph as a recogniser: the protocol `otoscope.Recogniser` without a torch module."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from otoscope.adapters.onnx.blocks import Block, find_blocks
from otoscope.adapters.onnx.discovering import discovered
from otoscope.adapters.onnx.feeding import AudioInputs, Prepare, audio_inputs, speech_inputs
from otoscope.adapters.onnx.graph import Graph
from otoscope.adapters.onnx.naming import Names
from otoscope.adapters.onnx.session import Runner, read_model
from otoscope.adapters.onnx.steps import Shape, Steps, find_steps
from otoscope.capture import SAMPLE_RATE_HZ, Batch, Layer, Speech
from otoscope.capture.discovery.found import Discovery
from otoscope.errors import CaptureError

__all__ = ["Decode", "OnnxRecogniser", "load_onnx"]

Decode = Callable[[Mapping[str, npt.NDArray[Any]]], str]
"""From the graph's outputs by name, for a batch of one utterance, to a transcript."""


class OnnxRecogniser:
    """An ONNX graph (`.onnx`, `.ort`) whose inner tensors are exposed as layers. Needs the extra `onnx`.

    Every utterance runs alone, and what comes out is padded afterwards: few graphs keep padding out of what they
    compute, and on a processor batches are no faster.

    A layer is a block or module of the exported model, which nodes' names tell, a node or a tensor. `blocks_from` says
    what the blocks were told by; `left_out` names what a glob matched that is no layer, and why. Outputs come as
    (batch, frames, units) float32, channels and frequencies flattened into units. Tensors inside of a graph's
    branches and loops (If, Loop, Scan) cannot be reached.

    Arguments:
        path: the graph.
        prepare: the graph's inputs by name, as a batch of one, from the samples (samples,) of one utterance. Where not
            given, inputs for audio, its length, a mask and the sample rate are recognised.
        decode: a transcript from the graph's outputs by name; `ctc_text` helps. Without, there is no `transcribe`.
        layers: names or globs of the layers to look at, or `Layer`s where a stride cannot be found out. Default: the
            front end and one for each block.

    Raises:
        CaptureError: onnx or onnxruntime is not installed; no such file, or not a graph; an operator that onnxruntime
            does not have; no input that looks like audio, and no `prepare`; a layer that is not there.
    """

    transcribe: Callable[[Sequence[Speech]], list[str]]
    """Transcripts of utterances; there only where `decode` was given."""

    frame_shift = 1 / SAMPLE_RATE_HZ

    def __init__(
        self,
        path: str | Path,
        *,
        prepare: Prepare | None = None,
        decode: Decode | None = None,
        layers: Sequence[str | Layer] | None = None,
    ) -> None:
        path = Path(path)
        model = read_model(path)
        self.name, self.source = path.stem, str(path)
        self._runner = Runner(model, path)
        self._prepare: Prepare = prepare or audio_inputs(model, path)
        speech = speech_inputs(model, self._prepare)
        self._decode = decode
        self.graph = Graph(model, speech)
        grouped = find_blocks(self.graph)
        self.blocks, self.blocks_from = grouped.blocks, grouped.told_by
        self.names = Names(self.graph, grouped)
        self.left_out: dict[str, str] = {}
        self._steps: dict[str, Steps | str] = {}
        self._given = {layer.name: layer for layer in layers or () if isinstance(layer, Layer)}
        self.given = None if layers is None else [x if isinstance(x, str) else x.name for x in layers]
        for pattern in self.given or ():
            self.names.find(pattern)  # a wrong name is an error now, not when the corpus has been read
        if decode is not None:
            self.transcribe = self._transcribe

    def prepare(self, speech: Sequence[Speech]) -> Batch:
        """Utterances as the graph takes them: the feeds of each, and its samples."""
        return Batch([self._prepare(one.audio) for one in speech], torch.tensor([len(one.audio) for one in speech]))

    def layers(self) -> list[Layer]:
        """The layers that were asked for, else the front end and one for each block.

        Raises CaptureError where no block runs over frames.
        """
        if self.given is not None:
            return self.find(self.given)
        found = self._layers(self.blocks)
        if not found:
            said = "; ".join(f"{name}: {why}" for name, why in list(self.left_out.items())[:3])
            raise CaptureError(
                f"none of the {len(self.blocks)} blocks of {self.source} runs over frames "
                f"({said or 'it has no weights'}). Choose layers by name, see OnnxRecogniser.names.modules()"
            )
        return found

    def find(self, patterns: Sequence[str]) -> list[Layer]:
        """Layers by names or globs of modules, nodes or tensors, from input to output.

        Units, strides and windows are found out by running the graph on noise of several lengths. What a glob matches
        besides layers goes to `left_out`.

        Raises:
            CaptureError: nothing matches, or nothing that runs over frames; a single name that is no layer.
        """
        chosen: dict[str, Block] = {}
        for pattern in patterns:
            blocks = self.names.find(pattern)
            if not self._layers(blocks):
                reasons = "; ".join(f"{block.name}: {self.left_out[block.name]}" for block in blocks[:3])
                raise CaptureError(f"{pattern!r} matches no layer that runs over frames ({reasons})")
            chosen |= {block.name: block for block in blocks}
        depth = {name: self.graph.depth[self.graph.maker[block.tensor]] for name, block in chosen.items()}
        return self._layers([chosen[name] for name in sorted(chosen, key=lambda name: depth[name])])

    def discover(self, speech: Speech, *, patterns: Sequence[str] | None = None) -> Discovery:
        """Every module of the graph with its shape on one utterance, stride and weights, or why it is no layer.

        As `otoscope.capture.discover`, which calls it.
        """
        return discovered(self, speech, patterns)

    def steps(self, name: str) -> Layer | str:
        """A module, node or tensor as a layer, or why it is none."""
        block = self.names.find(name)[0]
        found = self._layers([block])
        return found[0] if found else self.left_out[block.name]

    def run(self, speech: Speech, tensors: Sequence[str]) -> dict[str, Any]:
        """The named tensors of one utterance, as the graph has them."""
        return self._runner.run(self._prepare(speech.audio), tensors)

    def outputs(self, batch: Batch, layers: Sequence[str]) -> Mapping[str, Tensor]:
        """The named layers of every utterance, (batch, frames, units), zeros behind the last frame of each."""
        tensors = {layer.name: self._tensor(layer.name) for layer in self.find(layers)}
        rows: dict[str, list[Tensor]] = {name: [] for name in layers}
        for feeds in batch.inputs:
            made = self._runner.run(feeds, sorted(set(tensors.values())))
            for name in layers:
                rows[name].append(self._frames(name, made[tensors[name]]))
        return {name: pad_sequence(own, batch_first=True) for name, own in rows.items()}

    def _transcribe(self, speech: Sequence[Speech]) -> list[str]:
        assert self._decode is not None
        return [self._decode(self._runner.run(self._prepare(one.audio), self._runner.outputs)) for one in speech]

    def _tensor(self, name: str) -> str:
        return self.names.find(name)[0].tensor

    def _frames(self, name: str, value: npt.NDArray[Any]) -> Tensor:
        """One utterance's tensor as (frames, units)."""
        given = self._given.get(name)
        if given is not None:
            axis = given.time_axis
        else:
            steps = self._steps[self._tensor(name)]
            assert isinstance(steps, Steps)
            axis = steps.axis
        x = np.moveaxis(value, axis, 0).astype(np.float32)
        return torch.from_numpy(x.reshape(x.shape[0], -1))

    def _layers(self, blocks: Sequence[Block]) -> list[Layer]:
        self._find_steps([block for block in blocks if block.name not in self._given])
        found = []
        for block in blocks:
            steps = self._steps.get(block.tensor)
            if block.name in self._given:
                # What is handed out has its frames on axis 1, whatever the graph's own axis is.
                given = self._given[block.name]
                found.append(Layer(given.name, given.units, given.stride, 1, given.kind, given.window, given.over))
            elif isinstance(steps, Steps):
                stride, window = steps.stride / SAMPLE_RATE_HZ, steps.window / SAMPLE_RATE_HZ
                found.append(Layer(block.name, steps.units, stride, 1, block.kind, window))
            else:
                self.left_out[block.name] = str(steps)
        return found

    def _find_steps(self, blocks: Sequence[Block]) -> None:
        unknown = sorted({block.tensor for block in blocks} - self._steps.keys())
        if not unknown:
            return
        if isinstance(self._prepare, AudioInputs) and self._prepare.fixed is not None:
            raise CaptureError(
                f"{self.source} takes exactly {self._prepare.fixed} samples, so strides cannot be found out by running "
                "it on others. Give the layers with theirs: OnnxRecogniser(path, layers=[Layer(name, units, stride, "
                "time_axis, kind), …])"
            )
        try:
            self._steps |= find_steps(self._shapes, unknown)
        except CaptureError as error:
            raise CaptureError(
                f"strides are found out by running a graph on noise of several lengths, and that failed. {error}. If "
                "it was exported for one length, export it for any, or give layers as Layer(name, units, stride, …)"
            ) from error

    def _shapes(self, samples: int, tensors: Sequence[str]) -> dict[str, Shape]:
        noise = np.random.default_rng(0).normal(scale=0.1, size=samples).astype(np.float32)
        made = self._runner.run(self._prepare(noise), tensors)
        return {
            name: tuple(x.shape) if isinstance(x, np.ndarray) and _is_activation(x.dtype) else None
            for name, x in made.items()
        }


def _is_activation(kind: np.dtype[Any]) -> bool:
    # int8 and uint8 are quantised activations: as good as what they stand for, up to an offset and a scale.
    return kind.kind == "f" or kind in (np.int8, np.uint8)


def load_onnx(path: str | Path) -> OnnxRecogniser:
    """The graph in a `.onnx` or `.ort` file as a recogniser, see `OnnxRecogniser`.

    Raises:
        CaptureError: as `OnnxRecogniser`.
    """
    return OnnxRecogniser(path)
