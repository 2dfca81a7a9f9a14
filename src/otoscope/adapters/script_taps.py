"""What the submodules of a TorchScript program put out: operators written into its graphs around every call.

Python's forward hooks do not fire inside a compiled forward: the interpreter of TorchScript runs a submodule's graph
without coming back to Python. So each call of a submodule is put between two operators of our own, `otoscope::enter`
and `otoscope::leave`, which do come back. The calls nest, because submodules of one class share one graph: only from
the calls around it is it known which of them runs.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

__all__ = ["ScriptCall", "instrument", "recorded"]

UNKNOWN = "?"
"""In a name, a submodule that does not come from an attribute: nothing below it can be named."""


@dataclass
class ScriptCall:
    """One call of a submodule: its dotted name, the tensors it put out, and the calls made in it.

    `ordered` says whether the tensors' order is that of the program that was scripted. `forward` is false for calls of
    other methods.
    """

    name: str
    output: list[Tensor] = field(default_factory=list)
    ordered: bool = True
    forward: bool = True
    inner: list[ScriptCall] = field(default_factory=list)


class _Recording(threading.local):
    """What is under way in this thread: the calls that have begun and not ended, and which outputs are wanted."""

    calls: list[ScriptCall] | None = None
    wanted: Callable[[str], bool]


_RECORDING = _Recording()


@contextmanager
def recorded(wanted: Callable[[str], bool]) -> Iterator[ScriptCall]:
    """The calls that instrumented programs make in this block, outputs copied where their name is wanted."""
    top = ScriptCall("")
    before = _RECORDING.calls, getattr(_RECORDING, "wanted", wanted)
    _RECORDING.calls, _RECORDING.wanted = [top], wanted
    try:
        yield top
    finally:
        _RECORDING.calls, _RECORDING.wanted = before


def _enter(name: str) -> None:
    if _RECORDING.calls is not None:
        around = _RECORDING.calls[-1]
        call = ScriptCall(".".join(part for part in (around.name, name) if part))
        around.inner.append(call)
        _RECORDING.calls.append(call)


def _leave(output: list[Tensor], forward: bool, ordered: bool) -> None:
    if _RECORDING.calls is not None:
        call = _RECORDING.calls.pop()
        call.forward, call.ordered = forward, ordered
        if forward and _RECORDING.wanted(call.name):
            call.output = [x.clone() for x in output]  # now: the program may go on to overwrite them


_LIBRARY: Any = torch.library.Library("otoscope", "FRAGMENT")  # type: ignore[no-untyped-call]
# Conservative: an operator that may do anything is neither removed as unused nor moved past another of its kind.
_LIBRARY.define("enter(str name) -> ()", alias_analysis="CONSERVATIVE")
_LIBRARY.define("leave(Tensor[] output, bool forward, bool ordered) -> ()", alias_analysis="CONSERVATIVE")
_LIBRARY.impl("enter", _enter, "CompositeExplicitAutograd")
_LIBRARY.impl("leave", _leave, "CompositeExplicitAutograd")


def instrument(script: torch.jit.ScriptModule) -> None:
    """Writes the operators around every submodule call of a program that was just loaded and has not run yet.

    A graph is compiled when it first runs and not looked at again: later changes would have no effect. What the program
    computes stays the same.
    """
    done: set[tuple[str, str]] = set()
    for _, module in script.named_modules():
        own = module._c
        for method in own._method_names():
            key = str(own._type()), method
            if key not in done and not method.startswith("__"):
                done.add(key)
                _instrument(own._get_method(method).graph)


def _instrument(graph: Any) -> None:
    this = next(graph.inputs())
    for call in [node for node in _nodes(graph) if node.kind() == "prim::CallMethod"]:
        graph.setInsertPoint(call)
        path = _path(next(call.inputs()), this)
        enter = graph.create("otoscope::enter", [graph.insertConstant(path)], 0)
        enter.insertBefore(call)
        last, tensors = _tensors(graph, call.output(), call)
        listed = graph.create("prim::ListConstruct", tensors, 1)
        listed.output().setType(torch._C.ListType.ofTensors())
        listed.insertAfter(last)
        # Names of overloads and of further traced calls begin so too; what a module calls on itself is no submodule.
        forward = graph.insertConstant(bool(path) and call.s("name").startswith("forward"))
        # Tracing turns what a submodule returns into what is used of it outside, in an order of its own. The source of
        # its calls is what was written into the archive.
        ordered = graph.insertConstant(len(tensors) < 2 or not call.sourceRange().startswith("Serialized"))
        graph.create("otoscope::leave", [listed.output(), forward, ordered], 0).insertAfter(listed)
    graph.lint()


def _nodes(block: Any) -> Iterator[Any]:
    """All nodes, those inside of conditions and loops too."""
    for node in block.nodes():
        for inner in node.blocks():
            yield from _nodes(inner)
        yield node


def _path(module: Any, this: Any) -> str:
    """The dotted name under which a graph finds a module in its own, "" for itself."""
    parts: list[str] = []
    while module.debugName() != this.debugName():
        node = module.node()
        if node.kind() != "prim::GetAttr":
            return UNKNOWN
        parts.append(node.s("name"))
        module = next(node.inputs())
    return ".".join(reversed(parts))


def _tensors(graph: Any, value: Any, after: Any) -> tuple[Any, list[Any]]:
    """The tensors of a value that may be a tuple, and the last node that it took to get them."""
    kind = value.type()
    if kind.kind() == "TensorType":
        return after, [value]
    if kind.kind() != "TupleType":
        return after, []
    found: list[Any] = []
    for i, element in enumerate(kind.elements()):
        if element.kind() not in ("TensorType", "TupleType"):
            continue
        take = graph.create("prim::TupleIndex", [value, graph.insertConstant(i)], 1)
        take.output().setType(element)
        take.insertAfter(after)
        after, inner = _tensors(graph, take.output(), take)
        found += inner
    return after, found
