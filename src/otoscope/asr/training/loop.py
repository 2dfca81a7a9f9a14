"""Training a reference recogniser: one readable loop that can be killed and goes on to the same numbers."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from otoscope.asr.models import DecoderConfig, ModelConfig
from otoscope.asr.objectives import losses
from otoscope.asr.recogniser import ReferenceRecogniser
from otoscope.asr.schedule import checkpoint_steps, learning_rate
from otoscope.asr.store import FeatureStore
from otoscope.asr.tokens import Tokens
from otoscope.asr.training.averaging import MovingAverage
from otoscope.asr.training.config import TrainingConfig
from otoscope.asr.training.data import Batch, Part, Preparation, ahead
from otoscope.asr.training.distributed import Group, join
from otoscope.asr.training.guard import Guard
from otoscope.asr.training.keeping import Keeper
from otoscope.asr.training.log import Log, read_log
from otoscope.asr.training.optimiser import adamw
from otoscope.asr.training.plan import Plan
from otoscope.asr.training.precision import in_bfloat16
from otoscope.asr.training.state import Trained
from otoscope.asr.training.watcher import Watcher
from otoscope.float32 import fast_float32

__all__ = ["Training"]

STATE_EVERY_SECONDS = 60.0
"""How much training a kill can cost. When the state is saved does not change the numbers."""


@dataclass
class Training:
    """One run: a recogniser being trained in a folder of its own.

    `train_texts` and `dev_texts` map utterance ids to transcripts; `store` has their features, those of the training
    utterances at every speed of `config`. `decoder` is that of attention, where there is one. `watchers` are called at
    each checkpoint. `workers` threads make batches ready (0 for none), which changes no number. The folder gets
    `checkpoints/step-<n>.safetensors`, `log.jsonl` (a row `{"kind": "step"}` for each update, `{"kind": "checkpoint"}`
    for each checkpoint) and `state.safetensors`.
    """

    folder: Path
    model: ModelConfig
    tokens: Tokens
    store: FeatureStore
    train_texts: Mapping[str, str]
    dev_texts: Mapping[str, str]
    config: TrainingConfig
    seed: int = 0
    watchers: Sequence[Watcher] = ()
    workers: int = 1
    decoder: DecoderConfig | None = None

    def run(self) -> None:
        """Trains to the end, from where an earlier run in this folder stopped.

        Every update draws from generators seeded by (seed, step), so a run that was killed and goes on gives the same
        numbers as one that was not. In processes that `torchrun` has started, each does its share of every batch.

        Raises:
            TrainingError: the loss or the gradient is not finite, or the loss explodes; the last good checkpoint
                stays and is named. Or there is no GPU where one was asked for.
        """
        _Run(self, join(self.config.device)).to_the_end()


class _Run:
    """A training while it goes on: its weights, its log, its step."""

    def __init__(self, training: Training, group: Group) -> None:
        self.training, self.config, self.group = training, training.config, group
        torch.manual_seed(training.seed)
        self.recogniser = ReferenceRecogniser(training.model, training.tokens, decoder=training.decoder)
        self.module = self.recogniser.module.to(group.device)
        self.mixed = in_bfloat16(self.config.precision, group.device)
        moving = MovingAverage(self.module, self.config.ema) if self.config.ema else None
        self.trained = Trained(self.module, adamw(self.module, weight_decay=self.config.weight_decay), moving)
        self.plan = Plan(training.store, training.train_texts, self.config, training.seed)
        self.planned = checkpoint_steps(self.plan.total, self.config.checkpoints)
        self.keeper = Keeper(
            training.folder,
            self.recogniser,
            moving,
            training.store,
            training.dev_texts,
            self.config,
            training.watchers,
            self.plan.total,
        )
        self.step, self.clock = self.trained.resume(training.folder, self.planned, group)
        self.log = Log(training.folder, writes=group.first)
        self.guard = Guard(training.folder)

    def to_the_end(self) -> None:
        """The loop."""
        t = self.training
        prepared = Preparation(self.plan, t.store, t.train_texts, t.tokens, self.config, t.seed, self.group)
        with self.log:
            for row in read_log(t.folder):
                self.guard.note(row)
            if self.step < 0:
                self.step = 0
                self.checkpoint(0.0)
                self.save()
            left = iter(()) if self.log.ended else self.plan.after(self.step)
            with fast_float32(), closing(ahead(prepared.batch, left, workers=t.workers)) as batches:
                self.follow(batches)

    def follow(self, batches: Iterator[Batch]) -> None:
        """Update after update, with a checkpoint where one is planned."""
        before = saved = time.monotonic()
        for batch in batches:
            loaded = time.monotonic()
            row = self.update(batch)
            self.step = batch.planned.step
            done = time.monotonic()
            row["speech_per_second"] = round(batch.speech_seconds / (done - before), 1)
            row["loading_seconds"] = round(loaded - before, 4)
            row["seconds"] = self.clock.shows()["seconds"]
            self.log.write(row)
            self.guard.note(row, batch.names)
            due = self.step in self.planned
            ended = due and self.checkpoint(batch.planned.passed)
            if due or time.monotonic() - saved > STATE_EVERY_SECONDS:
                self.save()
                saved = time.monotonic()
            if ended:
                return
            before = time.monotonic()

    def update(self, batch: Batch) -> dict[str, Any]:
        """One optimiser step; returns what the log says of it."""
        config, step = self.config, batch.planned.step
        torch.manual_seed(_mixed(self.training.seed, step, self.group.rank))
        rate = learning_rate(
            step,
            peak=config.peak_learning_rate,
            warmup=max(1, round(config.warmup * self.plan.total)),
            total=self.plan.total,
            schedule=config.schedule,
        )
        for settings in self.trained.optimiser.param_groups:
            settings["lr"] = rate
        self.module.train()
        self.trained.optimiser.zero_grad(set_to_none=True)
        found = []
        for part in batch.parts:
            each = self.losses(part)
            # Weighed by the whole batch's utterances: the parts' gradients add up to that of the batch's mean loss.
            (each.sum() / batch.utterances).backward()  # type: ignore[no-untyped-call]
            found.append(each.detach())
        mean = sum((each.sum() for each in found), torch.zeros((), device=self.group.device)) / batch.utterances
        self.group.add_gradients(self.module, mean)
        norm = torch.nn.utils.clip_grad_norm_(self.module.parameters(), config.clip)
        loss, gradient_norm = torch.stack([mean, norm]).tolist()
        if not (math.isfinite(loss) and math.isfinite(gradient_norm)):
            own = [value for each in found for value in each.tolist()]
            names = [utterance for part in batch.parts for utterance in part.utterances]
            bad = self.group.gather([u for u, value in zip(names, own, strict=True) if not math.isfinite(value)])
            self.guard.refuse(step, loss, gradient_norm, bad or batch.names)
        self.trained.optimiser.step()
        if self.trained.moving is not None:
            self.trained.moving.update(self.module, step)
        return {
            "kind": "step",
            "step": step,
            "epoch": batch.planned.epoch,
            "loss": round(loss, 5),
            "learning_rate": rate,
            "gradient_norm": round(gradient_norm, 4),
            "utterances": batch.utterances,
            "speech_seconds": round(batch.speech_seconds, 2),
        }

    def losses(self, part: Part) -> Tensor:
        """The loss of each utterance, (batch,), in float32."""
        config, device = self.config, self.group.device
        with torch.autocast(device.type, torch.bfloat16, enabled=self.mixed):
            return losses(
                self.recogniser,
                part.features.to(device, non_blocking=True),
                part.lengths.to(device, non_blocking=True),
                part.targets,
                ctc_weight=config.ctc_weight,
                label_smoothing=config.label_smoothing,
                intermediate_weight=config.intermediate_weight,
            ).total

    def checkpoint(self, passed: float) -> bool:
        """Keeps and scores the weights, after `passed` epochs; returns whether training ends here."""
        row: dict[str, Any] = {}
        if self.group.first:
            about = {"epoch": round(passed, 3)} | self.clock.shows()
            row = self.keeper.keep(self.step, self.log.checkpoints, about)
            self.log.write(row)
        row = self.group.agree(row)
        self.guard.note(row)
        return "final" in row

    def save(self) -> None:
        """Saves the state, and the log before it: a state must not outlive its log."""
        if self.group.first:
            self.log.sync()
            self.trained.save(self.training.folder, self.step, self.clock)


def _mixed(*numbers: int) -> int:
    """A seed from several numbers: other numbers, another seed."""
    return int(np.random.SeedSequence(list(numbers)).generate_state(1, np.uint64)[0])
