"""The names by which a graph's layers are asked for: blocks and modules, nodes, tensors."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from functools import cached_property
from typing import Any

from otoscope.adapters.onnx.blocks import Block, Blocks
from otoscope.adapters.onnx.graph import Graph, within
from otoscope.errors import CaptureError

__all__ = ["Names"]


class Names:
    """What can be asked for of a graph, and which tensor each name stands for.

    Blocks and the modules that nodes were exported from come first, with the tensor that leaves them last; then nodes,
    with their first output; then tensors.
    """

    def __init__(self, graph: Graph, blocks: Blocks) -> None:
        self._graph = graph
        self._blocks = {block.name: block for block in blocks.blocks}

    def find(self, pattern: str) -> list[Block]:
        """What a name or a glob stands for: modules, or if none matches nodes, or if none matches tensors.

        `*` crosses neither a dot nor a slash. Raises CaptureError where nothing matches.
        """
        for kind in (self._modules, self._nodes, self._tensors):
            if pattern in kind:  # also a name that reads as a glob, such as onnx::Conv[0]
                return [kind[pattern]]
            found = [block for name, block in kind.items() if _matches(name, pattern)]
            if found:
                return found
        shown = ", ".join(list(self._modules)[:12])
        raise CaptureError(
            f"no layer matches {pattern!r}. The graph has the modules {shown or '(none that its names tell)'}"
            f"{', …' if len(self._modules) > 12 else ''} ({len(self._modules)} in all), {len(self._nodes)} nodes and "
            f"{len(self._tensors)} tensors"
        )

    def modules(self) -> list[str]:
        """Every module and block, from input to output, each before what is in it."""
        return list(self._modules)

    def parameters(self, name: str, *, recurse: bool = True) -> int:
        """How many numbers the weights of a module have, or those of the node that makes a tensor.

        Without `recurse`, those of its own nodes only and not of the modules in it.
        """
        graph, tensor = self._graph, self.find(name)[0].tensor
        inside, order = graph.in_scope(name), list(self._blocks)
        if inside:
            return graph.parameters(i for i in inside if recurse or graph.scopes[i] == name)
        if name not in order:
            return graph.parameters([graph.maker[tensor]])
        # A block that is no module: all that feeds it, but not the block before it.
        before = graph.maker[self._blocks[order[order.index(name) - 1]].tensor] if order[0] != name else None
        return graph.parameters(graph.between(before, graph.maker[tensor]))

    @cached_property
    def _modules(self) -> Mapping[str, Block]:
        graph, found = self._graph, dict(self._blocks)
        scopes = graph.all_scopes()
        for scope in scopes:
            leaving = graph.leaving(graph.in_scope(scope))
            if leaving and scope not in found:
                # A module without others in it is named by what it does.
                inner = any(other != scope and within(other, scope) for other in scopes)
                found[scope] = Block(scope, leaving[-1], "module" if inner else self._operator(scope, leaving[-1]))
        return {name: found[name] for name in sorted(found, key=self._place)}

    def _operator(self, scope: str, tensor: str) -> str:
        inside = self._graph.in_scope(scope)
        last = self._graph.maker[tensor]
        return self._graph.nodes[next((i for i in inside if self._graph.is_weighted(i)), last)].op_type

    def _place(self, name: str) -> tuple[tuple[int, str], ...]:
        """Sorts as a tree, outer modules before what is in them: for each of the modules around it, where it begins."""
        parts, graph = name.split("."), self._graph
        inside = graph.in_scope(name)
        if not inside:
            return ((graph.depth[graph.maker[self._blocks[name].tensor]], name),)
        outer = [".".join(parts[: k + 1]) for k in range(len(parts))]
        return tuple((min(graph.depth[i] for i in graph.in_scope(o) if graph.live[i]), o) for o in outer)

    @cached_property
    def _nodes(self) -> Mapping[str, Block]:
        return {
            node.name: Block(node.name, node.output[0], node.op_type)
            for node in self._live()
            if node.name and node.output[0]
        }

    @cached_property
    def _tensors(self) -> Mapping[str, Block]:
        return {name: Block(name, name, node.op_type) for node in self._live() for name in node.output if name}

    def _live(self) -> Iterator[Any]:
        return (node for node, live in zip(self._graph.nodes, self._graph.live, strict=True) if live)


def _matches(name: str, pattern: str) -> bool:
    own, asked = re.split("([./])", name), re.split("([./])", pattern)
    return len(own) == len(asked) and all(map(fnmatchcase, own, asked))
