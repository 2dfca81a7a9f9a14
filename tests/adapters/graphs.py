"""Small ONNX graphs, made node by node."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

FLOAT, FLOAT16, INT64 = TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.INT64


@dataclass
class Drawn:
    """A graph being drawn: `node` adds a node and returns the name of its output, `weight` a random constant."""

    inputs: Sequence[tuple[str, int, Sequence[int | str | None]]] = (("audio", FLOAT, ("batch", "samples")),)
    seed: int = 0
    nodes: list[Any] = field(default_factory=list)
    constants: list[Any] = field(default_factory=list)

    def node(self, op: str, *inputs: str, name: str = "", scopes: str = "", domain: str = "", **attributes: Any) -> str:
        output = f"{name or op.lower()}_{len(self.nodes)}"
        made = helper.make_node(op, list(inputs), [output], name=name, domain=domain, **attributes)
        if scopes:
            made.metadata_props.add(key="pkg.torch.onnx.name_scopes", value=scopes)
        self.nodes.append(made)
        return output

    def weight(self, *shape: int, name: str = "") -> str:
        random = np.random.default_rng([self.seed, len(self.constants)])
        scale = np.sqrt(np.prod(shape[1:]) if len(shape) > 2 else shape[0])
        return self.constant((random.standard_normal(shape) / scale).astype(np.float32), name=name)

    def constant(self, value: Any, *, name: str = "") -> str:
        name = name or f"const_{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(value), name))
        return name

    def model(self, *outputs: str) -> onnx.ModelProto:
        graph = helper.make_graph(
            self.nodes,
            "graph",
            [helper.make_tensor_value_info(*given) for given in self.inputs],
            [helper.make_empty_tensor_value_info(name) for name in outputs],
            self.constants,
        )
        domains = {node.domain for node in self.nodes} - {""}
        opsets = [helper.make_opsetid("", 17), *(helper.make_opsetid(domain, 1) for domain in sorted(domains))]
        return helper.make_model(graph, ir_version=8, opset_imports=opsets)

    def saved(self, path: Path, *outputs: str) -> Path:
        onnx.save(self.model(*outputs), path)
        return path

    # What several graphs have in common

    def front(self, units: int = 8, *, kernel: int = 400, stride: int = 160) -> str:
        """Audio (batch, samples) to frames × units, (batch, frames, units), by one convolution without padding."""
        audio = self.node("Unsqueeze", self.inputs[0][0], self.constant(np.array([1])))
        wide = self.node("Conv", audio, self.weight(units, 1, kernel), strides=[stride])
        return self.node("Transpose", wide, perm=[0, 2, 1])

    def residual(self, x: str, units: int = 8, *, name: str = "", weights: str = "", products: int = 2) -> str:
        """x + W₂ tanh(W₁ x), or with three products, named as a module's nodes or by the module's weights."""
        y = x
        for k in range(products):
            own = self.weight(units, units, name=f"{weights}.fc{k}.weight" if weights else "")
            y = self.node("MatMul", y, own, name=f"{name}/fc{k}/MatMul" if name else "")
            y = self.node("Tanh", y, name=f"{name}/Tanh_{k}" if name else "")
        return self.node("Add", x, y, name=f"{name}/Add" if name else "")
