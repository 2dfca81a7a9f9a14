"""The nodes of a graph: what feeds what, how deep, and in which module of the exported model each was made."""

from __future__ import annotations

import ast
import math
from collections import Counter
from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import TYPE_CHECKING

from otoscope.adapters.onnx.order import in_order, taken

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto

__all__ = ["RECURRENT", "WEIGHTED", "Graph", "within"]

RECURRENT = frozenset({"LSTM", "GRU", "RNN", "DynamicQuantizeLSTM"})

WEIGHTED = RECURRENT | {
    *("Conv", "ConvTranspose", "ConvInteger", "QLinearConv", "FusedConv", "NhwcFusedConv", "NhwcMaxPool"),
    *("MatMul", "Gemm", "MatMulInteger", "QLinearMatMul", "MatMulNBits", "FusedMatMul", "FusedGemm"),
    *("MatMulIntegerToFloat", "DynamicQuantizeMatMul", "Attention", "QAttention", "MultiHeadAttention"),
}
"""Operators that can carry weights, those of onnxruntime's fused forms included."""

NAME_SCOPES = "pkg.torch.onnx.name_scopes"
"""Where the newer exporter of PyTorch notes the modules of a node, from outside to inside, its own name last."""


SHAPES = frozenset({"Shape", "Size"})
"""Operators whose output tells nothing of their input but its axes."""

WHOLE = (6, 7, 9)
"""ONNX's numbers of the element types int32, int64 and bool: shapes and indices, not weights."""


def within(scope: str, outer: str) -> bool:
    """Whether a scope is another one or inside of it. Every scope is inside of ''."""
    return not outer or scope == outer or scope.startswith(outer + ".")


class Graph:
    """The nodes of a model by number, in an order in which each stands behind what feeds it.

    `live` are the nodes that the values of `inputs` reach; the others make constants, or masks and positions of the
    inputs' shapes and lengths. `depth` is the longest way from an input to a node; `scopes` are the dotted names of the
    modules that the nodes were exported from, '' where that is not known.

    Arguments:
        model: the graph.
        inputs: names of the inputs that carry speech.
    """

    def __init__(self, model: ModelProto, inputs: Sequence[str]) -> None:
        self.nodes: list[NodeProto] = in_order(model.graph.node)
        self.weights = {tensor.name: tuple(tensor.dims) for tensor in model.graph.initializer}
        # A number without axes is a setting, such as the ε of a normalisation.
        self._counted = {t.name for t in model.graph.initializer if t.dims and t.data_type not in WHOLE}
        self.inputs = list(inputs)
        self.outputs = [value.name for value in model.graph.output]
        self.maker = {name: i for i, node in enumerate(self.nodes) for name in node.output if name}
        self.users: dict[str, list[int]] = {}
        for i, node in enumerate(self.nodes):
            for name in taken(node):
                self.users.setdefault(name, []).append(i)
        self.depth, self.live = self._depths()
        self.scopes = [_scope(node) for node in self.nodes]

    def _depths(self) -> tuple[list[int], list[bool]]:
        depth, live = [0] * len(self.nodes), [False] * len(self.nodes)
        given = set(self.inputs)
        for i, node in enumerate(self.nodes):
            for name in taken(node):
                before = self.maker.get(name)
                if node.op_type not in SHAPES and (name in given or (before is not None and live[before])):
                    live[i] = True
                    depth[i] = max(depth[i], 1 + (depth[before] if before is not None else 0))
        return depth, live

    @cached_property
    def ancestors(self) -> list[int]:
        """For each node the set of the nodes that it depends on, as bits of a whole number, its own among them."""
        found: list[int] = []
        for i, node in enumerate(self.nodes):
            bits = 1 << i
            for name in taken(node):
                before = self.maker.get(name)
                bits |= found[before] if before is not None else 0
            found.append(bits)
        return found

    def between(self, before: int | None, i: int) -> list[int]:
        """The nodes that a node depends on, itself among them, without those that an earlier node depends on."""
        bits = self.ancestors[i] & ~(0 if before is None else self.ancestors[before])
        return [j for j, bit in enumerate(reversed(f"{bits:b}")) if bit == "1"]

    def weighted(self, nodes: Iterable[int]) -> Counter[str]:
        """How often each operator that carries weights stands among these nodes."""
        return Counter(self.nodes[i].op_type for i in nodes if self.is_weighted(i))

    def is_weighted(self, i: int) -> bool:
        """Whether the node has weights: a product with what speech does not reach, so not that of queries and keys."""
        node = self.nodes[i]
        if node.op_type not in WEIGHTED or not self.live[i]:
            return False
        return any(name and not self._is_live(name) for name in node.input)

    def _is_live(self, name: str) -> bool:
        maker = self.maker.get(name)
        return name in self.inputs if maker is None else self.live[maker]

    def leaving(self, nodes: Iterable[int]) -> list[str]:
        """The tensors that these nodes make and others use, or the graph puts out; the deepest last."""
        inside = set(nodes)
        ends = set(self.outputs)
        names = [
            (self.depth[i], i, name)
            for i in inside
            if self.live[i]
            for name in self.nodes[i].output
            if name and (name in ends or any(user not in inside for user in self.users.get(name, ())))
        ]
        return [name for _, _, name in sorted(names)]

    def in_scope(self, scope: str) -> list[int]:
        """The nodes of a module and of those inside of it."""
        return [i for i, own in enumerate(self.scopes) if within(own, scope)]

    def all_scopes(self) -> list[str]:
        """Every module's dotted name, outer ones too, in the order of the first node of each."""
        found: dict[str, None] = {}
        for i, scope in enumerate(self.scopes):
            parts = scope.split(".") if scope and self.live[i] else []
            found.update(dict.fromkeys(".".join(parts[: k + 1]) for k in range(len(parts))))
        return list(found)

    def parameters(self, nodes: Iterable[int]) -> int:
        """The weights that these nodes use, those behind constant nodes (dequantisation) too."""
        names: set[str] = set()
        waiting = [name for i in nodes for name in self.nodes[i].input]
        while waiting:
            name = waiting.pop()
            if name in self._counted:
                names.add(name)
            elif name in self.maker and not self.live[self.maker[name]]:
                waiting.extend(self.nodes[self.maker[name]].input)
        return sum(math.prod(self.weights[name]) for name in names)


def _scope(node: NodeProto) -> str:
    """The dotted name of the module that a node was exported from.

    From `/encoder/layers/layers.0/fc/MatMul` it is `encoder.layers.0.fc`: a container's name is repeated in its
    members'.
    """
    for entry in node.metadata_props:
        if entry.key == NAME_SCOPES:
            return _noted(entry.value)
    parts = [part for part in node.name.split("/") if part][:-1]
    following = [*parts[1:], ""]  # one more than needed where there are no parts
    return ".".join(part for part, inner in zip(parts, following, strict=False) if not inner.startswith(part + "."))


def _noted(value: str) -> str:
    try:
        scopes = ast.literal_eval(value)
    except (ValueError, SyntaxError):
        return ""
    return str(scopes[-2]) if isinstance(scopes, list) and len(scopes) > 1 else ""
