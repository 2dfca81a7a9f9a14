"""Forward hooks by layer name, as a context manager that never leaves one behind."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from fnmatch import fnmatchcase
from typing import Any

from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence, pad_packed_sequence

from otoscope.capture.unfused import unfused
from otoscope.errors import CaptureError

__all__ = ["Captured", "capture", "main_tensor", "select"]


def select(module: nn.Module, patterns: Sequence[str]) -> list[str]:
    """The names of the submodules that match any of the patterns, in the order of the module tree.

    A pattern is a dotted module name or a glob (`*`, `?`, `[…]`) in which `*` does not cross a dot, so that
    `blocks.*` means the blocks and not what is in them. Raises CaptureError for a pattern that matches nothing.

    >>> select(nn.Sequential(nn.Linear(2, 2), nn.GELU()), ["*"])
    ['0', '1']
    """
    names = [name for name, _ in module.named_modules() if name]
    chosen: set[str] = set()
    for pattern in patterns:
        parts = pattern.split(".")
        matches = [
            name
            for name in names
            if len(name.split(".")) == len(parts) and all(map(fnmatchcase, name.split("."), parts))
        ]
        if not matches:
            shown = ", ".join(names[:12]) + (f", … ({len(names)} in all)" if len(names) > 12 else "")
            raise CaptureError(f"no layer matches {pattern!r}. The model has: {shown}")
        chosen.update(matches)
    return [name for name in names if name in chosen]


class Captured:
    """What the hooks of one `capture` saw. `take` hands it out after each forward pass."""

    def __init__(self, names: Sequence[str]) -> None:
        """Expects one output of each of these layers per forward pass."""
        self._outputs: dict[str, list[Tensor]] = {name: [] for name in names}

    def record(self, name: str, output: Any) -> None:
        """Stores one layer's output. Called by the hooks."""
        # A copy, because a later in-place operation (x += residual) would otherwise overwrite what was seen.
        self._outputs[name].append(main_tensor(name, output).detach().clone())

    def take(self) -> dict[str, Tensor]:
        """Each layer's output of the forward pass just made, and forgets them.

        Raises CaptureError naming the layers that did not fire, or fired more than once.
        """
        seen = {name: list(outputs) for name, outputs in self._outputs.items()}
        for outputs in self._outputs.values():
            outputs.clear()
        silent = [name for name, outputs in seen.items() if not outputs]
        if silent:
            raise CaptureError(
                f"the forward pass did not call {', '.join(silent)}. A module whose weights are used directly (such "
                "as self_attn.out_proj of nn.TransformerEncoderLayer) never fires a hook: take the module around it"
            )
        several = [f"{name} ({len(outputs)} times)" for name, outputs in seen.items() if len(outputs) > 1]
        if several:
            raise CaptureError(
                f"one forward pass called {', '.join(several)}: which output is meant is not clear. Take the modules "
                "around the calls instead, and call take() after every pass"
            )
        return {name: outputs[0] for name, outputs in seen.items()}


def main_tensor(name: str, output: Any) -> Tensor:
    """The layer's main output as a padded tensor."""
    if isinstance(output, PackedSequence):
        return pad_packed_sequence(output, batch_first=True)[0]
    if isinstance(output, tuple | list) and output:
        return main_tensor(name, output[0])  # such as nn.LSTM's (output, state): the output comes first
    if isinstance(output, Mapping) and "last_hidden_state" in output:
        return main_tensor(name, output["last_hidden_state"])  # encoders and decoders of transformers
    if not isinstance(output, Tensor):
        raise CaptureError(f"layer {name} put out {type(output).__name__}, expected a tensor or a tuple with one first")
    if output.is_nested:
        raise CaptureError(f"layer {name} put out a nested tensor: run the model inside `capture`, which turns it off")
    return output


@contextmanager
def capture(module: nn.Module, layers: Sequence[str]) -> Iterator[Captured]:
    """Watches the named layers (names or globs, see `select`) while the block runs; hooks are gone afterwards.

    Inside, PyTorch's fused Transformer path is off, which skips submodules and hands out nested tensors, and what is
    compiled runs uncompiled: hooks would not fire.
    Raises CaptureError for a name that matches nothing.

    >>> import torch
    >>> model = nn.Sequential(nn.Linear(3, 4), nn.ReLU())
    >>> with capture(model, ["0"]) as captured:
    ...     _ = model(torch.zeros(1, 2, 3))
    ...     captured.take()["0"].shape
    torch.Size([1, 2, 4])
    """
    names = select(module, layers)
    captured = Captured(names)
    handles = []
    with unfused(module):
        try:
            for name in names:

                def hook(_module: nn.Module, _inputs: Any, output: Any, name: str = name) -> None:
                    captured.record(name, output)

                handles.append(module.get_submodule(name).register_forward_hook(hook))
            yield captured
        finally:
            for handle in handles:
                handle.remove()
