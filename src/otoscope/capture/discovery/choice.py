"""The layers worth looking at, where nobody says which: one for each block, and the front end before them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from torch import nn

from otoscope.capture.discovery.axes import Over
from otoscope.capture.discovery.passes import Pass
from otoscope.capture.discovery.rows import Row

__all__ = ["choose"]


def choose(module: nn.Module, rows: Sequence[Row], whole: Pass) -> tuple[str, ...]:
    """The names of one layer a block: the front end and the encoder's blocks, then the decoder's.

    Blocks are the members of the longest list (`nn.ModuleList`, `nn.Sequential`) of one class that can all be captured,
    and of further lists of this class; lists whose members are all of one stride and width come first, since a stack
    of convolutions that shortens its input is a front end. Without such a list, the outermost modules with weights.
    """
    known = {row.name: row for row in rows if row.layer is not None}
    encoder = _blocks(module, known, "frames")
    if encoder:
        front = _front_end(encoder[0], known, whole)
        encoder = [*([front] if front is not None else []), *encoder]
    decoder = _blocks(module, known, "tokens")
    chosen = {*(encoder or _outermost(module, known)), *decoder}
    return tuple(row.name for row in rows if row.name in chosen)


def _blocks(module: nn.Module, known: Mapping[str, Row], over: Over) -> list[str]:
    """The members of the best list of blocks, and of other lists of the same class."""
    lists = [(name, members) for name, members in _lists(module) if _all(members, known, over)]
    if not lists:
        return []

    def rank(members: Sequence[str]) -> tuple[bool, int, int]:
        layers = [layer for m in members if (layer := known[m].layer) is not None]
        even = len({(layer.stride, layer.units) for layer in layers}) == 1
        return even, len(members), sum(known[m].parameters for m in members)

    _, best = max(lists, key=lambda pair: rank(pair[1]))
    kind = type(module.get_submodule(best[0]))
    alike = [members for _, members in lists if type(module.get_submodule(members[0])) is kind]
    # A block within a block of the same class belongs to the outer one.
    return [m for members in alike for m in members if not any(m.startswith(f"{o}.") for own in alike for o in own)]


def _lists(module: nn.Module) -> Iterator[tuple[str, list[str]]]:
    """Lists of two or more modules of one class, with the names of their members."""
    for name, part in module.named_modules():
        children = dict(part.named_children())
        alike = len(children) > 1 and len({type(child) for child in children.values()}) == 1
        if alike and isinstance(part, nn.ModuleList | nn.Sequential):
            yield name, [f"{name}.{key}".lstrip(".") for key in children]


def _all(members: Sequence[str], known: Mapping[str, Row], over: Over) -> bool:
    layers = [known[m].layer for m in members if m in known]
    weights = sum(known[m].parameters for m in members if m in known)
    return len(layers) == len(members) and weights > 0 and all(x is not None and x.over == over for x in layers)


def _front_end(block: str, known: Mapping[str, Row], whole: Pass) -> str | None:
    """The first module before the blocks that has their stride: the outermost that ends with it."""
    of_block = known[block].layer
    begins = whole.calls[block][0].began
    before = [
        (whole.calls[name][0].ended, name)
        for name, row in known.items()
        if whole.calls[name][0].ended < begins and row.layer is not None and of_block is not None
        if row.layer.over == "frames" and abs(row.layer.stride - of_block.stride) < 1e-9 and row.parameters
    ]
    if not before:
        return None
    front = min(before)[1]
    outer = [name for _, name in before if front.startswith(f"{name}.")]
    return min(outer, key=len, default=front)


def _outermost(module: nn.Module, known: Mapping[str, Row]) -> list[str]:
    """Where there are no lists: modules with weights that can be captured and are in no other such."""
    names: list[str] = []
    for name, _ in module.named_modules():
        inside = any(name.startswith(f"{outer}.") for outer in names)
        if name in known and not inside and known[name].parameters and _over(known[name]) == "frames":
            names.append(name)
    return names


def _over(row: Row) -> Over | None:
    return None if row.layer is None else row.layer.over
