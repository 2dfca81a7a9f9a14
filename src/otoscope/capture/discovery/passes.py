"""Forward passes that note what every submodule puts out: shapes only, nothing kept."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence
from torch.utils._pytree import tree_leaves

from otoscope.capture.hooks import main_tensor
from otoscope.capture.recogniser import TorchRecogniser
from otoscope.capture.types import Speech
from otoscope.capture.unfused import unfused
from otoscope.errors import CaptureError

__all__ = ["Call", "Pass", "forward_pass"]

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Call:
    """One call of a submodule: its output's shape, or what it put out in place of a tensor; when it began and ended."""

    shape: Shape | None
    output: str
    began: int
    ended: int


@dataclass(frozen=True)
class Pass:
    """One forward pass: how long each utterance was in input steps, the inputs' shapes, and every submodule's calls.

    `tokens` counts what the decoder was given, None where there is none.
    """

    utterances: int
    length: int
    inputs: tuple[Shape, ...]
    tokens: int | None
    calls: Mapping[str, Sequence[Call]]

    def shape(self, name: str) -> Shape | None:
        """The shape of what a submodule put out, if it was called once and put out one tensor."""
        calls = self.calls.get(name, ())
        return calls[0].shape if len(calls) == 1 else None


def forward_pass(recogniser: TorchRecogniser, speech: Sequence[Speech], names: Sequence[str]) -> Pass:
    """One forward pass of utterances of one length, with hooks on the named submodules for as long as it takes."""
    batch = recogniser.prepare(speech)
    shapes = [tuple(x.shape) for x in tree_leaves(batch.inputs) if isinstance(x, Tensor) and x.is_floating_point()]
    calls: dict[str, list[Call]] = {name: [] for name in names}
    with unfused(recogniser.module), _noted(recogniser.module, calls):
        recogniser.run(batch)
    fed = None if batch.fed is None else len(batch.fed.tokens[0])
    return Pass(len(speech), int(batch.lengths.max()), tuple(shapes), fed, calls)


@contextmanager
def _noted(module: nn.Module, calls: dict[str, list[Call]]) -> Iterator[None]:
    clock = itertools.count()
    under_way: dict[str, list[int]] = {name: [] for name in calls}
    handles = []
    try:
        for name in calls:
            part = module.get_submodule(name)
            if isinstance(part, torch.jit.ScriptModule):  # takes no hooks
                continue

            def before(_module: nn.Module, _inputs: Any, name: str = name) -> None:
                under_way[name].append(next(clock))

            def after(_module: nn.Module, _inputs: Any, output: Any, name: str = name) -> None:
                shape, kind = _described(name, output)
                calls[name].append(Call(shape, kind, under_way[name].pop(), next(clock)))

            handles += [part.register_forward_pre_hook(before), part.register_forward_hook(after)]
        yield
    finally:
        for handle in handles:
            handle.remove()


def _described(name: str, output: Any) -> tuple[Shape | None, str]:
    """The shape that capture would see, and the kind of what was put out."""
    first = output
    while isinstance(first, tuple | list) and first and not isinstance(first, PackedSequence):
        first = first[0]
    kind = type(first).__name__
    try:
        tensor = main_tensor(name, output)  # as capture takes it, so that what is promised here holds there
    except CaptureError:
        return None, kind
    if tensor.is_quantized or not tensor.is_floating_point():
        return None, str(tensor.dtype).removeprefix("torch.")
    return tuple(tensor.shape), kind
