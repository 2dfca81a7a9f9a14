"""Who looks at a recogniser while it trains."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from otoscope.asr.recogniser import ReferenceRecogniser

__all__ = ["Watcher"]


class Watcher(Protocol):
    """Is called at each checkpoint, step 0 and the last included.

    Nothing that a watcher does to torch's random generators reaches the training, which seeds them at every step. A
    run that was killed goes on from its last state, which can lie before a checkpoint that was seen already: the same
    step may come twice, with the same weights.
    """

    def at_checkpoint(self, recogniser: ReferenceRecogniser, step: int, total: int, row: Mapping[str, Any]) -> None:
        """Looks at the recogniser, which must be left as it is.

        Args:
            recogniser: in evaluation mode, on the device that it trains on; called in `torch.inference_mode`.
            step: updates done so far.
            total: updates of the whole plan; early stopping may end it before.
            row: what the log says of this checkpoint (`dev_wer`, `dev_loss`, `epoch`, `seconds`, …).
        """
