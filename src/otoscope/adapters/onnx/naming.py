"""The names by which a graph's layers are asked for: blocks and modules, nodes, tensors."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from functools import cached_property
from typing import Any

from otoscope.adapters.onnx.blocks import Block, Blocks
from otoscope.adapters.onnx.graph import Graph
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
        """Every module and block, in the order of the graph."""
        return list(self._modules)

    @cached_property
    def _modules(self) -> Mapping[str, Block]:
        graph, found = self._graph, dict(self._blocks)
        for scope in graph.all_scopes():
            leaving = graph.leaving(graph.in_scope(scope))
            if leaving and scope not in found:
                found[scope] = Block(scope, leaving[-1], "module")
        order = {block.name: graph.depth[graph.maker[block.tensor]] for block in found.values()}
        return {name: found[name] for name in sorted(found, key=lambda name: (order[name], -len(name)))}

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
