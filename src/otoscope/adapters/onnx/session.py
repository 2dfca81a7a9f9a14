"""Graphs read from files and run by onnxruntime, any of their tensors with them."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy.typing as npt
import torch

from otoscope.adapters.onnx.extra import needed
from otoscope.adapters.onnx.ort_format import read_ort
from otoscope.errors import CaptureError

if TYPE_CHECKING:
    from onnx import ModelProto

__all__ = ["Runner", "read_model"]

LONGEST_REASON = 200
"""Letters of onnxruntime's message that an error repeats."""

MOST_AXES = 64
"""A constant of no more numbers than this may be a shape."""

UNSUPPORTED = (
    r"No Op registered for (?P<op>\S+)",
    r"implementation for (?P<op>\S+?)(?:\(|\s)",
    r"(?P<op>\S+?)\(-?\d+\) is not a registered function/op",
)
"""How onnxruntime names an operator that it does not have, or not for these types."""


def read_model(path: str | Path) -> ModelProto:
    """The graph in a `.onnx` or `.ort` file. Weights kept in other files stay there.

    Raises:
        CaptureError: onnx is not installed; no such file; not a graph, or a damaged one.
    """
    path = Path(path)
    if path.suffix == ".ort":
        return read_ort(path)
    onnx = needed("onnx")
    try:
        model: ModelProto = onnx.load(path, load_external_data=False)
    except OSError as error:
        raise CaptureError(f"{path} cannot be read ({error.strerror})") from error
    except needed("google.protobuf.message").DecodeError as error:
        raise CaptureError(f"{path} is no ONNX graph, or a damaged one: fetch or export it again") from error
    if not model.graph.node:
        raise CaptureError(f"{path} is no ONNX graph, or a damaged one: there is not one node in it")
    _read_shapes(model, path)
    if model.functions:
        # Nodes inside of functions have no tensors that could be read: their bodies take the place of the calls.
        model = needed("onnx.inliner").inline_local_functions(model)
    return model


def _read_shapes(model: ModelProto, path: Path) -> None:
    """Takes in what is small of weights in other files: axes and shapes, which onnxruntime needs before it runs."""
    helper = needed("onnx.external_data_helper")
    for tensor in model.graph.initializer:
        if helper.uses_external_data(tensor) and math.prod(tensor.dims) <= MOST_AXES:
            try:
                helper.load_external_data_for_tensor(tensor, str(path.parent))
            except Exception as error:  # of several kinds: no such file, one outside of the folder, too short
                raise CaptureError(f"weights of {path} that lie in another file cannot be read: {error}") from error
            tensor.data_location = tensor.DEFAULT
            del tensor.external_data[:]


class Runner:
    """A graph that gives any of its tensors, by adding them to its outputs.

    Arguments:
        model: the graph.
        path: where it was read; weights kept in other files are looked for beside it.

    Raises:
        CaptureError: onnxruntime is not installed, or cannot run the graph.
    """

    def __init__(self, model: ModelProto, path: Path) -> None:
        self._model, self._path = model, path
        self.outputs = [value.name for value in model.graph.output]
        self._exposed: frozenset[str] = frozenset()
        self._session = self._started([])

    def run(self, feeds: Mapping[str, npt.NDArray[Any]], tensors: Sequence[str]) -> dict[str, Any]:
        """The named tensors of one forward pass; what is no tensor (a sequence, a map) comes as it is.

        Raises CaptureError where onnxruntime refuses the inputs.
        """
        wanted = frozenset(tensors) - frozenset(self.outputs)
        if not wanted <= self._exposed:
            # One session at a time: each holds all weights.
            self._session, self._exposed = self._started(sorted(wanted)), wanted
        try:
            found = self._session.run(list(tensors), dict(feeds))
        except Exception as error:  # onnxruntime's own types, which have no common base
            shapes = ", ".join(f"{name} {x.dtype} {x.shape}" for name, x in feeds.items())
            raise CaptureError(f"onnxruntime could not run {self._path} on {shapes}: {_reason(error)}") from error
        return dict(zip(tensors, found, strict=True))

    def _started(self, extra: Sequence[str]) -> Any:
        runtime, onnx = needed("onnxruntime"), needed("onnx")
        options = runtime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        options.log_severity_level = 4  # what it prints of errors is raised as well
        options.add_session_config_entry(
            "session.model_external_initializers_file_folder_path", str(self._path.resolve().parent)
        )
        shown = onnx.ModelProto()
        shown.CopyFrom(self._model)
        shown.graph.output.extend(onnx.ValueInfoProto(name=name) for name in extra)
        try:
            return runtime.InferenceSession(shown.SerializeToString(), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # as above
            raise CaptureError(f"onnxruntime cannot run {self._path}: {_reason(error)}") from error


def _reason(error: Exception) -> str:
    """onnxruntime's message in short, with the operator's name first where that is the matter."""
    said = " ".join(str(error).split())
    message = re.sub(r"^\[ONNXRuntimeError\] : \d+ : (\w+) : ", "", said)
    short = message if len(message) <= LONGEST_REASON else message[:LONGEST_REASON] + " …"
    for pattern in UNSUPPORTED:
        found = re.search(pattern, message)
        if found:
            return f"it has no operator {found['op']} ({short})"
    return short
