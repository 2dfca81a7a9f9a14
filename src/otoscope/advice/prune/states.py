"""What blocks hand on to one another: what goes into each of them, and what comes out of the last."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from torch import Tensor, nn

from otoscope.adapters.padding import joined
from otoscope.capture import Batch, Layer, Prunes, Seconds, Speech, TorchRecogniser
from otoscope.errors import StudyError

__all__ = ["States"]

OUT = "out"


class States:
    """The states between the B blocks of a recogniser as B + 1 layers, a recogniser to be measured.

    A block that is left out hands on what went into it, so that is compared with what comes out of it: of most models
    it is not what the block before put out, but has positions or predictions added.
    """

    def __init__(self, recogniser: TorchRecogniser) -> None:
        if not isinstance(recogniser, Prunes):
            raise StudyError(f"{type(recogniser).__name__} has no blocks that it could do without")
        self.inner = recogniser
        self.frame_shift: Seconds = recogniser.frame_shift
        self.name = str(getattr(recogniser, "name", type(recogniser).__name__))
        self.source = str(getattr(recogniser, "source", self.name))
        self.blocks = list(recogniser.blocks())

    @property
    def padded_seconds(self) -> Seconds | None:
        """As of the recogniser."""
        return getattr(self.inner, "padded_seconds", None)

    def prepare(self, speech: Sequence[Speech]) -> Batch:
        """As of the recogniser."""
        return self.inner.prepare(speech)

    def layers(self) -> list[Layer]:
        """`into <block>` for each block, and `out`."""
        known = {layer.name: layer for layer in self.inner.layers()}
        own = [known[name] for name in self.blocks]
        return [replace(layer, name=f"into {layer.name}") for layer in own] + [replace(own[-1], name=OUT)]

    def outputs(self, batch: Batch, layers: Sequence[str]) -> Mapping[str, Tensor]:
        """One look at a batch, and the states that are asked for."""
        with _inputs(self.inner.module, self.blocks) as seen:
            last = self.inner.outputs(batch, [self.blocks[-1]])[self.blocks[-1]]
        states = {f"into {name}": joined(parts) for name, parts in seen.items()} | {OUT: last}
        return {name: states[name] for name in layers}


@contextmanager
def _inputs(module: nn.Module, names: Sequence[str]) -> Iterator[dict[str, list[Tensor]]]:
    """By name the first tensor that each submodule is called with, one for each forward pass."""
    seen: dict[str, list[Tensor]] = {name: [] for name in names}
    handles = []

    def watch(name: str) -> None:
        def hook(_module: nn.Module, given: tuple[Any, ...], named: dict[str, Any]) -> None:
            state = next(x for x in (*given, *named.values()) if isinstance(x, Tensor))
            seen[name].append(state.detach().clone())

        handles.append(module.get_submodule(name).register_forward_pre_hook(hook, with_kwargs=True))

    try:
        for name in names:
            watch(name)
        yield seen
    finally:
        for handle in handles:
            handle.remove()
