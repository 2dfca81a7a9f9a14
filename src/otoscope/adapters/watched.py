"""What the callbacks for trainers share: a watch over a module, begun once the module is there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from otoscope.adapters.module import Inputs, LengthsOf, ModuleProbe, ModuleRecogniser
from otoscope.capture import Layer
from otoscope.errors import CaptureError
from otoscope.watching import SimilarityWatch

__all__ = ["WatchedModule"]


class WatchedModule:
    """A `SimilarityWatch` over a module that a trainer holds. Arguments: as for the callbacks."""

    def __init__(
        self,
        folder: str | Path,
        inputs: Inputs,
        layers: Sequence[str | Layer],
        *,
        lengths: Tensor | None,
        lengths_of: LengthsOf | None,
        batch_size: int,
        measures: Sequence[str],
        budget: float | None,
        most_kept: int,
        tensorboard: str | Path | None,
    ) -> None:
        self.layers, self.lengths_of = layers, lengths_of
        self._inputs, self._lengths, self._size = inputs, lengths, batch_size
        self._folder = Path(folder)
        self._settings: dict[str, Any] = {
            "measures": measures,
            "budget": budget,
            "most_kept": most_kept,
            "tensorboard": Path(tensorboard) if tensorboard is not None else None,
        }
        self._watch: SimilarityWatch | None = None
        self._recogniser: ModuleRecogniser | None = None
        self._last: int | None = None

    def look(self, module: nn.Module, step: int, total: int | None, row: Mapping[str, Any]) -> None:
        """Looks at the module once for each step, however often a trainer tells of it."""
        if step == self._last:
            return
        module = unwrapped(module)
        if self._watch is None or self._recogniser is None or self._recogniser.module is not module:
            probe = ModuleProbe(self._inputs, self._lengths, lengths_of=self.lengths_of, size=self._size)
            self._recogniser = ModuleRecogniser(module, self.layers, probe)
            layers = self._recogniser.layers()
            self._watch = SimilarityWatch(self._folder, probe.batches, layers=layers, **self._settings)
        self._watch.at_checkpoint(self._recogniser, step, total, row)
        self._last = step

    def close(self) -> None:
        """Ends what the watch has open. A training that begins again begins it again."""
        if self._watch is not None:
            self._watch.close()
        self._watch = self._recogniser = self._last = None


def unwrapped(module: nn.Module) -> nn.Module:
    """The module inside DistributedDataParallel and torch.compile, which have the same weights.

    Raises CaptureError for weights that are spread over processes (FSDP): one process alone cannot run them.
    """
    while isinstance(module, nn.parallel.DistributedDataParallel) or hasattr(module, "_orig_mod"):
        inner = module.module if isinstance(module, nn.parallel.DistributedDataParallel) else module._orig_mod
        assert isinstance(inner, nn.Module)
        module = inner
    kinds = {kind.__name__ for part in module.modules() for kind in type(part).__mro__}
    if kinds & {"FullyShardedDataParallel", "FSDPModule"}:
        raise CaptureError("the weights are spread over processes (FSDP), and one process alone watches: not supported")
    return module
