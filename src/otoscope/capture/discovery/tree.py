"""What was found as text: a line for each submodule, indented as the modules are nested."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby
from typing import Any

from otoscope.capture.discovery.rows import Row

__all__ = ["tree"]

CONTAINERS = ("ModuleList", "ModuleDict", "Sequential", "ParameterList", "ParameterDict")
"""Where they are not called themselves, their members are shown in their place."""


@dataclass
class _Node:
    row: Row
    name: str
    marked: bool
    inside: list[_Node] = field(default_factory=list)

    @property
    def silent(self) -> bool:
        """Whether neither the module nor anything in it is called."""
        return not self.row.calls and all(node.silent for node in self.inside)

    @property
    def like(self) -> Any:
        """Equal for modules that differ by name alone."""
        row, layer = self.row, self.row.layer
        own = replace(row, name="", layer=None if layer is None else replace(layer, name=""))
        return own, self.marked, [(node.name, node.like) for node in self.inside]


def tree(rows: Sequence[Row], default: Sequence[str], *, verbose: bool) -> str:
    """The lines, `*` before what is captured by default.

    Unless `verbose`, members of a list that are alike are shown once, and nothing inside a part that is never called.
    """
    lines = list(_lines(_nested(rows, set(default)), 0, verbose=verbose))
    widths = [max((len(line[i]) for line in lines if len(line) > 2), default=0) for i in range(5)]
    return "\n".join("  ".join(map(str.ljust, line, [*widths[: len(line) - 1], 0])).rstrip() for line in lines)


def _nested(rows: Sequence[Row], default: set[str]) -> list[_Node]:
    top: list[_Node] = []
    around: list[_Node] = []
    for row in rows:
        inside = f"{row.name}."
        if row.kind in CONTAINERS and not row.calls and any(o.calls for o in rows if o.name.startswith(inside)):
            continue
        while around and not row.name.startswith(f"{around[-1].row.name}."):
            around.pop()
        name = row.name.removeprefix(f"{around[-1].row.name}.") if around else row.name
        node = _Node(row, name, row.name in default)
        (around[-1].inside if around else top).append(node)
        around.append(node)
    return top


def _lines(nodes: Sequence[_Node], depth: int, *, verbose: bool) -> Iterator[list[str]]:
    if verbose:
        groups = [[node] for node in nodes]
    else:
        groups = [list(group) for _, group in groupby(nodes, key=lambda node: (_list_of(node), node.like))]
    for first, *others in groups:
        yield _cells(first, depth)
        if verbose or not first.silent:
            yield from _lines(first.inside, depth + 1, verbose=verbose)
        if others:
            names = others[0].name + (f" … {others[-1].name}" if len(others) > 1 else "")
            yield [_name(names, depth, marked=first.marked), f"like {first.name}"]


def _list_of(node: _Node) -> str:
    """The list that a module is in, by a number in its place; a module that is in none is its own."""
    above, _, last = node.name.rpartition(".")
    return f"{above}." if last.isdigit() else node.name


def _cells(node: _Node, depth: int) -> list[str]:
    row = node.row
    own = [row.kind, _shape(row), _step(row), _count(row.parameters), row.problem or row.note]
    return [_name(node.name, depth, marked=node.marked), *own]


def _name(name: str, depth: int, *, marked: bool) -> str:
    return ("* " if marked else "  ") + "  " * depth + name


def _shape(row: Row) -> str:
    """The output's shape: without the batch where it is known to be a layer's, else all of it."""
    if not row.shapes:
        return ""
    shape = list(row.shapes[0])
    if row.layer is not None:
        del shape[1 if row.layer.time_axis == 0 else 0]
    return " × ".join(map(str, shape)) + (" …" if len(row.shapes) > 1 else "")


def _step(row: Row) -> str:
    if row.layer is None:
        return ""
    if row.layer.over == "tokens":
        return "token"
    window = f" of {1000 * row.layer.window:g} ms" if row.layer.window else ""
    return f"{1000 * row.layer.stride:g} ms{window}"


def _count(parameters: int) -> str:
    """Weights in the usual units.

    >>> [_count(n) for n in (0, 312, 590_000, 7_632_384)]
    ['', '312', '590.0 k', '7.6 M']
    """
    if parameters >= 1_000_000:
        return f"{parameters / 1e6:.1f} M"
    return f"{parameters / 1e3:.1f} k" if parameters >= 1000 else str(parameters or "")
