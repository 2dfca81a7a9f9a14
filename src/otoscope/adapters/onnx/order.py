"""What a node takes, and nodes put behind what they take."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from onnx import GraphProto, NodeProto

__all__ = ["in_order", "subgraphs", "taken"]


def subgraphs(node: NodeProto) -> list[GraphProto]:
    """The graphs inside of a node: branches of If, bodies of Loop and Scan."""
    return [
        graph
        for attribute in node.attribute
        for graph in ([attribute.g, *attribute.graphs] if attribute.HasField("g") else attribute.graphs)
    ]


def taken(node: NodeProto) -> Iterator[str]:
    """The tensors that a node takes, with those that its subgraphs borrow from around them."""
    yield from (name for name in node.input if name)
    for graph in subgraphs(node):
        own = {name for inner in graph.node for name in inner.output}
        own |= {value.name for value in graph.input} | {tensor.name for tensor in graph.initializer}
        for inner in graph.node:
            yield from (name for name in taken(inner) if name not in own)
        yield from (value.name for value in graph.output if value.name not in own)


def in_order(nodes: Sequence[NodeProto]) -> list[NodeProto]:
    """Nodes behind those that they need, in the order they are in where it is one already.

    Raises ValueError where nodes wait for one another.
    """
    maker = {name: i for i, node in enumerate(nodes) for name in node.output if name}
    needs = [{maker[name] for name in taken(node) if name in maker} for node in nodes]
    if all(j < i for i, before in enumerate(needs) for j in before):
        return list(nodes)
    followers: list[list[int]] = [[] for _ in nodes]
    for i, before in enumerate(needs):
        for j in before:
            followers[j].append(i)
    waiting, order = [len(before) for before in needs], []
    ready = [i for i in reversed(range(len(nodes))) if not waiting[i]]
    while ready:
        i = ready.pop()
        order.append(nodes[i])
        for j in reversed(followers[i]):
            waiting[j] -= 1
            if not waiting[j]:
                ready.append(j)
    if len(order) < len(nodes):
        raise ValueError("its nodes wait for one another")
    return order
