"""The blocks of a graph: by the names of modules or weights, by residual additions, or operator by operator."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from otoscope.adapters.onnx.graph import RECURRENT, Graph, within

__all__ = ["Block", "Blocks", "find_blocks"]

LONGEST_PERIOD = 8
"""Residual additions that a block has at most; a Conformer's has four or five."""


@dataclass(frozen=True)
class Block:
    """A part of the graph, and the tensor that is its output. `kind` is "block" or "front end"."""

    name: str
    tensor: str
    kind: str = "block"


@dataclass(frozen=True)
class Blocks:
    """The blocks from input to output, the front end before them, and what they were told by."""

    blocks: tuple[Block, ...]
    told_by: str


def find_blocks(graph: Graph) -> Blocks:
    """Groups nodes into blocks by the first of these that finds at least one.

    1. The modules that nodes were exported from, which their names or notes tell: the outermost ones that are numbered
       and alike, such as `encoder.layers.0`, and have several weights or a recurrent layer each.
    2. The names of weights, for exporters that keep these only.
    3. Additions of a part's input to its output, as residual networks and Transformers have them. Where the parts
       between them repeat by twos (attention, feed-forward) or more, so many make a block.
    4. Otherwise every operator that has weights is a block.
    """
    named = _by_scopes(graph, graph.scopes)
    if named:
        return Blocks(_with_front(graph, named, graph.scopes), "the modules in the names of nodes")
    borrowed = _scopes_of_weights(graph)
    named = _by_scopes(graph, borrowed)
    if named:
        return Blocks(_with_front(graph, named, borrowed), "the names of weights")
    residual = _by_additions(graph)
    if residual:
        return Blocks(tuple(residual), "residual additions, for names tell nothing")
    return Blocks(tuple(_by_operators(graph)), "operators with weights, for neither names nor additions tell more")


def _by_scopes(graph: Graph, scopes: Sequence[str]) -> list[tuple[str, list[int]]]:
    """Blocks as module names with their nodes, from input to output."""
    members: dict[str, dict[str, list[int]]] = {}
    for i, scope in enumerate(scopes):
        parts = scope.split(".")
        for k, part in enumerate(parts):
            numbered = re.fullmatch(r"(.*?)\d+", part)
            if numbered:
                key = ".".join([*parts[:k], numbered[1]])
                members.setdefault(key, {}).setdefault(".".join(parts[: k + 1]), []).append(i)
    for fewest in (2, 1):
        alike = {key: found for key, own in members.items() if (found := _alike(graph, own, fewest))}
        outermost = {
            key: own
            for key, own in alike.items()
            if not any(within(next(iter(own)), outer) for k, other in alike.items() if k != key for outer in other)
        }
        blocks = [(name, nodes) for own in outermost.values() for name, nodes in own.items()]
        if blocks:
            return sorted(blocks, key=lambda block: max(graph.depth[i] for i in block[1]))
    return []


def _alike(graph: Graph, members: dict[str, list[int]], fewest: int) -> dict[str, list[int]]:
    """Those of the numbered modules that have the same weighted operators as most, if they are the greater part."""
    made = {name: graph.weighted(nodes) for name, nodes in members.items()}
    kinds = Counter(frozenset(ops) for ops in made.values() if ops)
    if not kinds:
        return {}
    usual, count = kinds.most_common(1)[0]
    own = {
        name: members[name]
        for name, ops in made.items()
        if frozenset(ops) == usual and (ops.total() >= fewest or usual & RECURRENT) and graph.leaving(members[name])
    }
    return own if len(own) > 1 and 2 * count > kinds.total() else {}


def _scopes_of_weights(graph: Graph) -> list[str]:
    """For each node the module that its weights' names tell; those without weights go with what comes before them."""
    scopes = [""] * len(graph.nodes)
    for i, node in enumerate(graph.nodes):
        own = [name.rpartition(".")[0] for name in node.input if name in graph.weights and "." in name]
        if own:
            scopes[i] = own[-1]
        elif graph.live[i]:
            before = [graph.maker[name] for name in node.input if name in graph.maker]
            # The deepest that tells: what is added last to a residual stream was made last.
            scopes[i] = max(((graph.depth[j], scopes[j]) for j in before if scopes[j]), default=(0, ""))[1]
    return scopes


def _with_front(graph: Graph, named: list[tuple[str, list[int]]], scopes: Sequence[str]) -> tuple[Block, ...]:
    """The blocks with their outputs, and before them what feeds the first one."""
    borrowed = scopes is not graph.scopes
    blocks = [Block(name, _output(graph, nodes, borrowed=borrowed)) for name, nodes in named]
    first = set(named[0][1])
    feeding = [
        (graph.depth[graph.maker[name]], name)
        for i in first
        for name in graph.nodes[i].input
        if name in graph.maker and graph.maker[name] not in first and graph.live[graph.maker[name]]
    ]
    if not feeding:
        return tuple(blocks)
    tensor = max(feeding)[1]
    return Block(_name_of(graph, tensor), tensor, "front end"), *blocks


def _output(graph: Graph, nodes: Iterable[int], *, borrowed: bool) -> str:
    """A block's output: the deepest tensor that others use.

    Where scopes are borrowed from weights, a block's last nodes may be the next one's first, those before its first
    weight. There the output is the deepest tensor used by several, as that of a residual addition.
    """
    leaving = graph.leaving(nodes)
    shared = [name for name in leaving if len(graph.users.get(name, ())) > 1] if borrowed else []
    return (shared or leaving)[-1]


def _name_of(graph: Graph, tensor: str) -> str:
    """The outermost module that has this tensor as its output, or the tensor's own name."""
    parts = graph.scopes[graph.maker[tensor]].split(".")
    for k in range(len(parts)):
        scope = ".".join(parts[: k + 1])
        if scope and graph.leaving(graph.in_scope(scope))[-1:] == [tensor]:
            return scope
    return tensor


def _by_additions(graph: Graph) -> list[Block]:
    chain: list[int] = []
    for i in sorted((i for i in range(len(graph.nodes)) if _is_residual(graph, i)), key=lambda i: graph.depth[i]):
        if not chain or graph.ancestors[i] >> chain[-1] & 1:
            chain.append(i)
    if len(chain) < 2:
        return []
    parts = [graph.between(chain[k - 1] if k else None, i) for k, i in enumerate(chain)]
    made = [frozenset(graph.weighted(part).items()) for part in parts]
    period = _period(made)
    ends = chain[::-1][::period][::-1]
    return [Block(f"block.{k}", graph.nodes[i].output[0]) for k, i in enumerate(ends)]


def _is_residual(graph: Graph, i: int) -> bool:
    """Whether a node adds to a tensor something with weights that was made of it."""
    node = graph.nodes[i]
    if node.op_type != "Add" or not graph.live[i]:
        return False
    sides = [graph.maker.get(name) for name in node.input]
    if len(sides) != 2 or sides[0] is None or sides[1] is None or sides[0] == sides[1]:
        return False
    early, late = sorted((sides[0], sides[1]), key=lambda j: graph.depth[j])
    if not (graph.live[early] and graph.ancestors[late] >> early & 1):
        return False
    return bool(graph.weighted(graph.between(early, late)))


def _period(made: Sequence[frozenset[tuple[str, int]]]) -> int:
    """After how many additions the parts repeat; 1 where they do not."""
    for period in range(1, min(LONGEST_PERIOD, len(made) // 2) + 1):
        # The first part has the front end in it and is left out.
        pairs = list(zip(made[1:], made[1 + period :], strict=False))
        if pairs and all(a == b for a, b in pairs):
            return period
    return 1


def _by_operators(graph: Graph) -> list[Block]:
    counts: Counter[str] = Counter()
    blocks = []
    for i in sorted((i for i in range(len(graph.nodes)) if graph.is_weighted(i)), key=lambda i: graph.depth[i]):
        kind = graph.nodes[i].op_type
        blocks.append(Block(f"{kind}.{counts[kind]}", graph.nodes[i].output[0]))
        counts[kind] += 1
    return blocks
