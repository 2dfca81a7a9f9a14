"""All that was found of a recogniser's layers: `Discovery`."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from otoscope.capture.discovery.rows import Row
from otoscope.capture.discovery.tree import tree
from otoscope.capture.types import Layer, Seconds

__all__ = ["Discovery"]


@dataclass(frozen=True)
class Discovery:
    """What can be captured of a recogniser, found on one utterance.

    `rows` are its submodules in the order of the module tree, `default` the names of those that are captured where no
    others are asked for, `warnings` what hides layers. `kind` is the class of the whole, `seconds` the utterance's
    length.
    """

    kind: str
    parameters: int
    seconds: Seconds
    rows: tuple[Row, ...]
    default: tuple[str, ...]
    warnings: tuple[str, ...] = ()

    def __getitem__(self, name: str) -> Row:
        """The row of a submodule. Raises KeyError for a name that is not there."""
        return {row.name: row for row in self.rows}[name]

    def layers(self) -> list[Layer]:
        """The default ones as layers."""
        return [row.layer for row in self.rows if row.name in self.default and row.layer is not None]

    def to_dict(self) -> dict[str, Any]:
        """As JSON has it."""
        return {**asdict(self), "rows": [row.to_dict() for row in self.rows]}

    def as_tree(self, *, verbose: bool = False) -> str:
        """The tree as text, with `*` at what is captured by default; blocks alike once, unless `verbose`."""
        return tree(self.rows, self.default, verbose=verbose)
