"""Checkpoints: written, scored on dev, shown to the watchers; and the model that a run ends with."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from otoscope.asr.recogniser import ReferenceRecogniser
from otoscope.asr.store import FeatureStore
from otoscope.asr.training.averaging import MovingAverage
from otoscope.asr.training.config import TrainingConfig
from otoscope.asr.training.evaluation import evaluate
from otoscope.asr.training.final import AVERAGED, averaged_model, chosen, ended_early
from otoscope.asr.training.log import CHECKPOINTS, checkpoint_name
from otoscope.asr.training.watcher import Watcher

__all__ = ["Keeper"]


@dataclass(frozen=True)
class Keeper:
    """Keeps the checkpoints of one run of `total` updates in its `folder`."""

    folder: Path
    recogniser: ReferenceRecogniser
    moving: MovingAverage | None
    store: FeatureStore
    dev_texts: Mapping[str, str]
    config: TrainingConfig
    watchers: Sequence[Watcher]
    total: int

    def keep(self, step: int, before: Sequence[Mapping[str, Any]], about: Mapping[str, Any]) -> dict[str, Any]:
        """Writes and scores the weights after `step`; returns what the log says of it.

        `before` are the rows of earlier checkpoints, `about` is what else this one's is to hold. Where training ends
        here, the row names the final model and has its scores.
        """
        self.recogniser.step = step
        self.recogniser.save(self._path(checkpoint_name(step)))
        row = {"kind": "checkpoint", "step": step, "total": self.total, **about, **self._scores(self.recogniser, "dev")}
        if self.watchers:
            row["watching_seconds"] = self._watch(step, row)
        rows = [*before, row]
        if step == self.total or ended_early(rows, patience=self.config.patience, total=self.total):
            row |= self._final(rows)
        return row

    def _final(self, rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        """The name and the scores of the model that the run ends with."""
        averaged = averaged_model(self.folder / CHECKPOINTS, rows, self.config, self.moving)
        if averaged is not None:
            averaged.save(self._path(AVERAGED))
            averaged.module.to(next(self.recogniser.module.parameters()).device)
            return {"final": AVERAGED, **self._scores(averaged, "final_dev")}
        own = chosen(rows, self.config)[-1]
        scores = {f"final_{name}": own[name] for name in ("dev_loss", "dev_wer", "dev_cer")}
        return {"final": checkpoint_name(own["step"]), **scores}

    def _scores(self, recogniser: ReferenceRecogniser, name: str) -> dict[str, float]:
        rates, loss, _ = evaluate(recogniser, self.store, self.dev_texts, ctc_weight=self.config.ctc_weight)
        return {f"{name}_loss": round(loss, 5), f"{name}_wer": rates.wer, f"{name}_cer": rates.cer}

    @torch.inference_mode()
    def _watch(self, step: int, row: Mapping[str, Any]) -> float:
        """Calls the watchers; returns the seconds that they took."""
        started = time.monotonic()
        for watcher in self.watchers:
            self.recogniser.module.eval()
            watcher.at_checkpoint(self.recogniser, step, self.total, row)
        return round(time.monotonic() - started, 3)

    def _path(self, name: str) -> Path:
        return self.folder / CHECKPOINTS / name
