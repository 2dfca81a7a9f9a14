"""Warnings of what hides layers from hooks, and of what was turned off for it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from torch import nn

from otoscope.capture.discovery.passes import forward_pass
from otoscope.capture.discovery.rows import Row
from otoscope.capture.recogniser import TorchRecogniser
from otoscope.capture.types import Speech
from otoscope.capture.unfused import compiled

__all__ = ["fused_away", "warnings"]

FUSED = (nn.TransformerEncoder, nn.TransformerEncoderLayer, nn.MultiheadAttention)
"""What PyTorch has a fused path for, in eval mode."""


def fused_away(recogniser: TorchRecogniser, speech: Speech, names: Sequence[str]) -> list[str]:
    """The submodules that PyTorch's fused Transformer path skips, by a pass with it and one without."""
    module = recogniser.module
    # What is compiled would be compiled anew for the hooks, which takes minutes and tells nothing.
    if compiled(module) or not any(isinstance(part, FUSED) for part in module.modules()):
        return []
    plain, fused = (forward_pass(recogniser, [speech], names, fused=on).calls for on in (False, True))
    return [name for name in names if plain[name] and not fused[name]]


def warnings(module: nn.Module, rows: Sequence[Row], *, skipped: Sequence[str], attended: bool) -> Iterator[str]:
    """What a user should know before choosing layers: `skipped` by the fused path, `attended` in one function."""
    if skipped:
        yield (
            f"PyTorch's fused Transformer path does not call {_some(skipped)} in eval mode: it is turned off while "
            "layers are captured"
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
