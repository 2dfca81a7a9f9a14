"""Warnings of what hides layers from hooks, and of what was turned off for it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from torch import nn

from otoscope.capture.discovery.rows import Row
from otoscope.capture.unfused import compiled

__all__ = ["warnings"]

FUSED = (nn.TransformerEncoder, nn.TransformerEncoderLayer)
"""What PyTorch runs as one function in eval mode, where nothing hinders it."""


def warnings(module: nn.Module, rows: Sequence[Row], *, attended: bool) -> Iterator[str]:
    """What a user should know before choosing layers; `attended` says that attention ran as one function."""
    fused = [name for name, part in module.named_modules() if isinstance(part, FUSED)]
    if "" in fused:
        fused = [""]
    if outer := [name or "the model" for name in fused if not any(name.startswith(f"{o}.") for o in fused)]:
        yield (
            f"PyTorch's fused Transformer path runs layers of {_some(outer)} in eval mode without calling the modules "
            "in them: it is turned off while layers are captured"
        )
    if names := compiled(module):
        what = _some([name or "the model" for name in names])
        yield (
            f"torch.compile hides hooks in {what}: compiled code does not run while layers are captured. Names of "
            "modules inside what torch.compile returned have `_orig_mod` in them"
        )
    if direct := [row.name for row in rows if not row.calls and row.problem.startswith("its weights")]:
        yield f"hooks of {_some(direct)} would not fire: their weights are used without calling them"
    for row in rows:
        part = module.get_submodule(row.name)
        if isinstance(part, nn.RNNBase) and part.num_layers > 1:
            yield (
                f"{row.name} is {part.num_layers} layers in one {row.kind}, and its inner layers are hidden: to see "
                f"each, stack {part.num_layers} of one layer with its weights (weight_ih_l0, weight_ih_l1, …)"
            )
    if attended:
        yield (
            "attention runs in one fused function: outputs of attention modules can be captured, its maps cannot. In "
            'models of transformers, attn_implementation="eager" computes them'
        )


def _some(names: Sequence[str]) -> str:
    """The first names, and how many there are.

    >>> _some(["a", "b", "c", "d", "e"])
    'a, b, c and 2 more'
    """
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
