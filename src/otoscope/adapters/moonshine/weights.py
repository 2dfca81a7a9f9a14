"""Moonshine's weights out of the graphs of its encoder and decoder, under the names that transformers gives them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from otoscope.adapters.onnx.ort_format import every_node, initialisers, read_ort
from otoscope.errors import CaptureError

__all__ = ["MoonshineGraph"]

Array = npt.NDArray[Any]

RENAMED = (
    (r"^(?!model\.)", "model.encoder."),  # the encoder's graph has names of its own
    (r"_merged_\d+$", ""),  # what its exporter hung on to weights that two branches share
    (r"_attn\.dense\b", "_attn.o_proj"),
    (r"\.mlp\.up_proj\b", ".mlp.fc1"),
    (r"\.mlp\.down_proj\b", ".mlp.fc2"),
)
"""From the names that Moonshine's graphs use to those of transformers."""


class MoonshineGraph:
    """One graph of a Moonshine, `.ort`, and the weights and sizes that can be read from it.

    Weights without a name of their own, such as `onnx::MatMul_1947`, get that of the node that uses them, which is
    the module's. Those stored as int8 × scale + offset are computed, so that they are what onnxruntime computes with.
    """

    def __init__(self, path: Path) -> None:
        """Reads the file. Raises CaptureError where it is damaged or none of onnxruntime's."""
        self.path = path
        graph = read_ort(path).graph
        self.constants = initialisers(graph)
        self.nodes = list(every_node(graph))
        self.makers = {name: node for node in self.nodes for name in node.output}

    def weights(self) -> dict[str, npt.NDArray[np.float32]]:
        """Every weight of this half of `transformers.MoonshineForConditionalGeneration`."""
        found = {
            _renamed(name): values
            for name, values in self.constants.items()
            if re.search(r"\.(weight|bias)(_merged_\d+)?$", name)
        }
        for node in self.nodes:
            module = node.name.strip("/").replace("/", ".").rpartition(".")[0]
            if node.op_type in ("MatMul", "Conv") and module != "proj_out" and self._fixed(node.input[1]):
                values = self.value(node.input[1])
                if node.op_type == "Conv":
                    found[_renamed(f"{module}.weight")] = values
                elif values.ndim == 2:  # products of attention have four axes
                    # MatMul multiplies from the right, nn.Linear's weight stands transposed.
                    found[_renamed(f"{module}.weight")] = values.T
            elif node.op_type == "Gather" and module.endswith("embed_tokens"):
                found[_renamed(f"{module}.weight")] = self.value(node.input[0])
            elif module == "groupnorm" and node.op_type in ("Mul", "Add"):
                fixed = [name for name in node.input if self._fixed(name)]
                kind = "weight" if node.op_type == "Mul" else "bias"
                found |= {_renamed(f"{module}.{kind}"): self.value(name).reshape(-1) for name in fixed}
        return {name: np.array(values, dtype=np.float32, order="C") for name, values in found.items()}

    def heads(self) -> tuple[int, int]:
        """How many heads attention has, and units in each: the shape that queries are brought into."""
        queries = next(self._named(r"layers\.0/self_attn/q_proj/MatMul$"), None)
        users = [n for n in self.nodes if queries and n.op_type == "Reshape" and n.input[0] == queries.output[0]]
        for node in users:
            parts = self.makers[node.input[1]].input if node.input[1] in self.makers else ()
            sizes = [int(self.value(name).reshape(-1)[0]) for name in parts if self._fixed(name)]
            if len(sizes) >= 2 and min(sizes[-2:]) > 0:
                return sizes[-2], sizes[-1]
        raise self._strange("how many heads its attention has is not found")

    def frequencies(self) -> Array:
        """The rotary embedding's angle from one position to the next, for each pair of units that turns."""
        for node in self._named(r"rotary_emb/MatMul$"):
            for name in node.input:
                if self._fixed(name):
                    return self.value(name).reshape(-1)
        raise self._strange("its rotary embedding is not found")

    def value(self, name: str) -> Array:
        """What a name stands for that depends on no input: a constant, or one that is computed from constants.

        Raises CaptureError where it takes an operation that weights are not stored with.
        """
        if name in self.constants:
            return self.constants[name]
        node = self.makers[name]
        given = [self.value(part) for part in node.input]
        match node.op_type:
            case "Cast":
                return given[0].astype(np.float32)
            case "Mul":
                return np.asarray(given[0] * given[1])
            case "Add":
                return np.asarray(given[0] + given[1])
        raise self._strange(f"{name} is made by {node.op_type}, and weights by Cast, Mul and Add only")

    def _fixed(self, name: str) -> bool:
        if name in self.constants:
            return True
        return name in self.makers and bool(self.makers[name].input) and all(map(self._fixed, self.makers[name].input))

    def _named(self, pattern: str) -> Any:
        return (node for node in self.nodes if re.search(pattern, node.name))

    def _strange(self, what: str) -> CaptureError:
        return CaptureError(
            f"{self.path} is no graph of Moonshine that can be read: {what}. Look into it as a graph instead: "
            "load_onnx(path)"
        )


def _renamed(name: str) -> str:
    for pattern, replacement in RENAMED:
        name = re.sub(pattern, replacement, name)
    return name
