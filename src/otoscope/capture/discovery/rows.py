"""What was found of one submodule."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from otoscope.capture.types import Layer

__all__ = ["Row"]


@dataclass(frozen=True)
class Row:
    """One submodule: what it is, what it put out, and whether it can be captured.

    `shapes` are those of its outputs in one forward pass, batch axis and all, each once; `calls` how often it was
    called; `own_parameters` its own weights, `parameters` those of the modules in it too. `layer` is there where it can
    be captured, and has units, stride and window; else `problem` says why not. `note` is worth knowing of one that can.
    """

    name: str
    kind: str
    shapes: tuple[tuple[int, ...], ...] = ()
    calls: int = 1
    own_parameters: int = 0
    parameters: int = 0
    layer: Layer | None = None
    problem: str = ""
    note: str = ""

    def to_dict(self) -> dict[str, Any]:
        """As JSON has it."""
        layer = None if self.layer is None else asdict(self.layer)
        return {**asdict(self), "shapes": [list(shape) for shape in self.shapes], "layer": layer}
