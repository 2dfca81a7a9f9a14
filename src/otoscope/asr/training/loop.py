"""Training a reference recogniser with CTC: one readable loop that can be killed and goes on to the same numbers."""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from otoscope.asr.augment import spec_augment
from otoscope.asr.batching import batches_by_length, shuffled_batches
from otoscope.asr.decoding import greedy
from otoscope.asr.models import STRIDE, ModelConfig
from otoscope.asr.recogniser import ReferenceRecogniser
from otoscope.asr.schedule import checkpoint_steps, learning_rate
from otoscope.asr.scoring import ErrorRates, score
from otoscope.asr.settings import expect, is_number, is_whole
from otoscope.asr.store import FeatureStore, pad
from otoscope.asr.tokens import BLANK, CharacterTokens
from otoscope.asr.training.watcher import Watcher
from otoscope.corpora import ctc_frames
from otoscope.errors import TrainingError
from otoscope.files import save_tensors, write_text

__all__ = ["Training", "TrainingConfig", "ctc_loss", "evaluate", "is_finished", "read_log"]

STATE_EVERY_SECONDS = 60.0
"""How much training a kill can cost. When the state is saved does not change the numbers."""


@dataclass(frozen=True)
class TrainingConfig:
    """How to train. Durations in seconds of speech; `warmup` is a share of all steps; `speeds` multiply the data."""

    epochs: int = 40
    batch_seconds: float = 60.0
    peak_learning_rate: float = 1e-3
    warmup: float = 0.1
    weight_decay: float = 1e-2
    clip: float = 1.0
    speeds: tuple[float, ...] = (0.9, 1.0, 1.1)
    checkpoints: int = 14

    def __post_init__(self) -> None:
        expect(is_whole(self.epochs, 1), "epochs", self.epochs, "a whole number of at least 1")
        expect(is_whole(self.checkpoints, 2), "checkpoints", self.checkpoints, "a whole number of at least 2")
        for name in ("batch_seconds", "peak_learning_rate", "clip"):
            value = getattr(self, name)
            expect(is_number(value) and value > 0, name, value, "a number above 0")
        expect(is_number(self.warmup) and 0 <= self.warmup <= 1, "warmup", self.warmup, "a share of 0 to 1")
        decays = is_number(self.weight_decay) and self.weight_decay >= 0
        expect(decays, "weight_decay", self.weight_decay, "a number of at least 0")
        speeds = tuple(self.speeds) if isinstance(self.speeds, tuple | list) else ()
        usable = bool(speeds) and all(is_number(s) and s > 0 for s in speeds)
        expect(usable, "speeds", self.speeds, "one or more numbers above 0, such as [0.9, 1.0, 1.1]")
        # Features are stored under their speed: 1 and 1.0 must not be two.
        object.__setattr__(self, "speeds", tuple(map(float, speeds)))


def ctc_loss(log_probs: Tensor, lengths: Tensor, targets: Sequence[Sequence[int]]) -> Tensor:
    """The CTC loss of each utterance, (batch,), in nats (Graves et al. 2006)."""
    flat = torch.tensor([t for target in targets for t in target])
    sizes = torch.tensor([len(target) for target in targets])
    return torch.nn.functional.ctc_loss(log_probs.transpose(0, 1), flat, lengths, sizes, blank=BLANK, reduction="none")


@torch.inference_mode()
def evaluate(
    recogniser: ReferenceRecogniser,
    store: FeatureStore,
    texts: Mapping[str, str],
    *,
    batch_frames: int = 12_000,
) -> tuple[ErrorRates, float, dict[str, str]]:
    """Greedy error rates over the utterances of `texts`, mean CTC loss an utterance, and the transcripts."""
    recogniser.module.eval()
    transcripts: dict[str, str] = {}
    loss = 0.0
    for batch in batches_by_length({u: store.frames(u) for u in texts}, frames=batch_frames):
        log_probs, lengths = recogniser.forward(*pad([store.get(u) for u in batch]))
        targets = [recogniser.tokens.encode(texts[u]) for u in batch]
        loss += float(ctc_loss(log_probs, lengths, targets).double().sum())
        transcripts.update(zip(batch, greedy(log_probs, lengths, recogniser.tokens), strict=True))
    ids = list(texts)
    rates = score([texts[u] for u in ids], [transcripts[u] for u in ids])
    return rates, loss / len(ids), {u: transcripts[u] for u in ids}


def read_log(folder: Path) -> list[dict[str, Any]]:
    """The rows of a run's `log.jsonl`; a last line cut short by a kill is left out."""
    path = folder / "log.jsonl"
    lines = path.read_text(encoding="utf-8").split("\n")[:-1] if path.exists() else []
    return [json.loads(line) for line in lines]


def is_finished(folder: Path) -> bool:
    """Whether the run in this folder has the last checkpoint of its plan."""
    rows = [row for row in read_log(folder) if row["kind"] == "checkpoint"]
    return bool(rows) and rows[-1]["step"] == rows[-1]["total"]


@dataclass
class Training:
    """One run: a recogniser being trained in a folder of its own.

    `train_texts` and `dev_texts` map utterance ids to transcripts; `store` has their features, those of the training
    utterances at every speed of `config`. The folder gets `checkpoints/step-<n>.safetensors`, `log.jsonl` (a row
    `{"kind": "step"}` for each update, `{"kind": "checkpoint"}` for each checkpoint) and `state.safetensors`.
    """

    folder: Path
    model: ModelConfig
    tokens: CharacterTokens
    store: FeatureStore
    train_texts: Mapping[str, str]
    dev_texts: Mapping[str, str]
    config: TrainingConfig
    seed: int = 0
    watchers: Sequence[Watcher] = ()

    def run(self) -> None:
        """Trains to the end, from where an earlier run in this folder stopped.

        Every step draws from a generator seeded by (seed, step), so a run that was killed and goes on gives the same
        numbers as one that was not. Raises TrainingError where the loss is not finite; the last good checkpoint
        stays.
        """
        torch.manual_seed(self.seed)
        recogniser = ReferenceRecogniser(self.model, self.tokens)
        optimiser = self._optimiser(recogniser)
        epochs = [self._epoch(e) for e in range(self.config.epochs)]
        total = sum(map(len, epochs))
        checkpoints = set(checkpoint_steps(total, self.config.checkpoints))
        step, seconds = self._resume(recogniser, optimiser, checkpoints)
        started = time.monotonic() - seconds
        saved = time.monotonic()
        log = (self.folder / "log.jsonl").open("a", encoding="utf-8")

        def write(row: dict[str, Any]) -> None:
            log.write(json.dumps(row) + "\n")
            log.flush()

        with log:
            if step < 0:
                step = 0
                self._checkpoint(recogniser, 0, 0.0, total, write, started)
                self._save_state(recogniser, optimiser, 0, time.monotonic() - started)
            plan = [(e, batch) for e, batches in enumerate(epochs) for batch in batches]
            for epoch, batch in plan[step:]:
                row = self._update(recogniser, optimiser, step, total, epoch, batch)
                step += 1
                write({"kind": "step", "step": step, **row, "seconds": round(time.monotonic() - started, 3)})
                if step in checkpoints:
                    passed = epoch + (step - sum(map(len, epochs[:epoch]))) / len(epochs[epoch])
                    self._checkpoint(recogniser, step, passed, total, write, started)
                if step in checkpoints or time.monotonic() - saved > STATE_EVERY_SECONDS:
                    os.fsync(log.fileno())  # a state must not outlive its log
                    self._save_state(recogniser, optimiser, step, time.monotonic() - started)
                    saved = time.monotonic()

    def _epoch(self, epoch: int) -> list[list[tuple[str, float]]]:
        """The batches of one epoch: (utterance, speed), each utterance once, at a speed drawn for this epoch."""
        draw = torch.Generator().manual_seed(self.seed * 1_000_003 + epoch)
        speeds = self.config.speeds
        choice = torch.randint(len(speeds), (len(self.train_texts),), generator=draw).tolist()
        pairs: dict[str, float] = {}
        for utterance, c in zip(self.train_texts, choice, strict=True):
            speed = speeds[c]
            if self.store.frames(utterance, speed) < STRIDE * ctc_frames(self.train_texts[utterance]):
                speed = min(speeds)  # said too fast for its transcript at the speed drawn
            pairs[utterance] = speed
        lengths = {u: self.store.frames(u, s) for u, s in pairs.items()}
        frames = round(self.config.batch_seconds / ReferenceRecogniser.frame_shift)
        batches = shuffled_batches(lengths, frames=frames, seed=(self.seed, epoch))
        return [[(u, pairs[u]) for u in batch] for batch in batches]

    def _optimiser(self, recogniser: ReferenceRecogniser) -> torch.optim.AdamW:
        # Weight decay pulls matrices towards zero; on biases and norms' gains it would only do harm.
        matrices = [p for p in recogniser.module.parameters() if p.dim() > 1]
        others = [p for p in recogniser.module.parameters() if p.dim() <= 1]
        groups = [
            {"params": matrices, "weight_decay": self.config.weight_decay},
            {"params": others, "weight_decay": 0.0},
        ]
        return torch.optim.AdamW(groups, lr=0.0, betas=(0.9, 0.98))

    def _update(
        self,
        recogniser: ReferenceRecogniser,
        optimiser: torch.optim.AdamW,
        step: int,
        total: int,
        epoch: int,
        batch: Sequence[tuple[str, float]],
    ) -> dict[str, Any]:
        """One optimiser step; returns what the log says of it."""
        torch.manual_seed((self.seed + 1) * 1_000_003 + step)
        warmup = max(1, round(self.config.warmup * total))
        rate = learning_rate(step + 1, peak=self.config.peak_learning_rate, warmup=warmup, total=total)
        for group in optimiser.param_groups:
            group["lr"] = rate
        recogniser.module.train()
        features, lengths = pad([self.store.get(u, s) for u, s in batch])
        log_probs, out_lengths = recogniser.forward(spec_augment(features, lengths), lengths)
        targets = [self.tokens.encode(self.train_texts[u]) for u, _ in batch]
        losses = ctc_loss(log_probs, out_lengths, targets)
        loss = losses.mean()
        if not math.isfinite(loss.item()):
            bad = [u for (u, _), value in zip(batch, losses.tolist(), strict=True) if not math.isfinite(value)]
            raise TrainingError(
                f"the loss at step {step + 1} is {loss.item()} (not finite on: {', '.join(bad)}). The last checkpoint "
                f"in {self.folder / 'checkpoints'} is good. A lower peak_learning_rate or clip often helps; an "
                "infinite loss on single utterances means transcripts longer than their speech allows"
            )
        optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        norm = torch.nn.utils.clip_grad_norm_(recogniser.module.parameters(), self.config.clip)
        optimiser.step()
        return {
            "epoch": epoch,
            "loss": round(loss.item(), 5),
            "learning_rate": rate,
            "gradient_norm": round(float(norm), 4),
            "utterances": len(batch),
        }

    def _checkpoint(
        self,
        recogniser: ReferenceRecogniser,
        step: int,
        epoch: float,
        total: int,
        write: Callable[[dict[str, Any]], None],
        started: float,
    ) -> None:
        recogniser.step = step
        recogniser.save(self.folder / "checkpoints" / f"step-{step:06d}.safetensors")
        rates, loss, _ = evaluate(recogniser, self.store, self.dev_texts)
        row = {
            "kind": "checkpoint",
            "step": step,
            "total": total,
            "epoch": round(epoch, 3),
            "dev_loss": round(loss, 5),
            "dev_wer": rates.wer,
            "dev_cer": rates.cer,
            "seconds": round(time.monotonic() - started, 3),
        }
        if self.watchers:
            row["watching_seconds"] = self._watch(recogniser, step, total, row)
        write(row)

    @torch.inference_mode()
    def _watch(self, recogniser: ReferenceRecogniser, step: int, total: int, row: Mapping[str, Any]) -> float:
        started = time.monotonic()
        for watcher in self.watchers:
            recogniser.module.eval()
            watcher.at_checkpoint(recogniser, step, total, row)
        return round(time.monotonic() - started, 3)

    def _save_state(
        self, recogniser: ReferenceRecogniser, optimiser: torch.optim.AdamW, step: int, seconds: float
    ) -> None:
        """Weights and optimiser moments, whole or not at all."""
        tensors: dict[str, Tensor] = {}
        for name, parameter in recogniser.module.named_parameters():
            tensors[f"weight/{name}"] = parameter.detach()
            for key, value in optimiser.state.get(parameter, {}).items():
                tensors[f"{key}/{name}"] = value
        save_tensors(self.folder / "state.safetensors", tensors, {"step": str(step), "seconds": str(seconds)})

    def _resume(
        self, recogniser: ReferenceRecogniser, optimiser: torch.optim.AdamW, planned: Set[int]
    ) -> tuple[int, float]:
        """Takes up the saved state, if any: its step (−1 for none) and the seconds spent to get there.

        Rows of the log beyond that step were written by work that the state does not have: they are dropped, and
        come again with the same numbers. A state that cannot be read, or whose log or checkpoints have been lost, is
        left aside: training begins anew, to the same numbers.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        step, seconds = self._take_up(recogniser, optimiser, planned)
        rows = [row for row in read_log(self.folder) if row["step"] <= step]
        write_text(self.folder / "log.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
        return step, seconds

    def _take_up(
        self, recogniser: ReferenceRecogniser, optimiser: torch.optim.AdamW, planned: Set[int]
    ) -> tuple[int, float]:
        path = self.folder / "state.safetensors"
        try:
            with safe_open(str(path), framework="pt") as file:
                about = file.metadata()
                tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 (no mapping)
        except (OSError, SafetensorError):
            return -1, 0.0
        step = int(about["step"])
        if not self._kept_until(step, planned):
            return -1, 0.0
        for name, parameter in recogniser.module.named_parameters():
            parameter.data.copy_(tensors.pop(f"weight/{name}"))
            state = {k.partition("/")[0]: v for k, v in tensors.items() if k.partition("/")[2] == name}
            if state:
                optimiser.state[parameter] = state
        return step, float(about["seconds"])

    def _kept_until(self, step: int, planned: Set[int]) -> bool:
        """Whether log and folder have every step and every planned checkpoint up to this step."""
        rows = [row for row in read_log(self.folder) if row["step"] <= step]
        steps = [row["step"] for row in rows if row["kind"] == "step"]
        kept = [row["step"] for row in rows if row["kind"] == "checkpoint"]
        complete = steps == list(range(1, step + 1)) and kept == sorted(s for s in planned if s <= step)
        return complete and all(map(self._has_checkpoint, kept))

    def _has_checkpoint(self, step: int) -> bool:
        return (self.folder / "checkpoints" / f"step-{step:06d}.safetensors").is_file()
