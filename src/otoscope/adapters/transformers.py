"""Similarity while the Trainer of transformers trains: `SimilarityCallback`. Needs the extra `transformers`."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from otoscope.adapters.module import Inputs, LengthsOf
from otoscope.adapters.watched import WatchedModule
from otoscope.capture import Layer

try:
    from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments
except ImportError as error:
    raise ImportError(
        "otoscope.adapters.transformers needs the package transformers with its Trainer, which is not installed. "
        "Install it: pip install 'otoscope[transformers]'"
    ) from error

__all__ = ["SimilarityCallback", "encoder_lengths"]

METHODS = ("_get_feat_extract_output_lengths", "_get_subsampling_output_length")
"""By what name a speech model says how many frames its front end makes: wav2vec 2.0 and its kin, Whisper; Parakeet."""


class SimilarityCallback(TrainerCallback):
    """Compares a model's layers at each checkpoint of transformers' Trainer: see `otoscope.watching.SimilarityWatch`.

    It looks when training begins, whenever a checkpoint is saved (or every so many steps) and when training ends, in
    the first process only. Weights after training are the same, bit by bit, as without it.

    Arguments:
        folder: gets `watch.jsonl` and the probe set's frames.
        inputs: the probe set as a padded batch by name, as the feature extractor makes it with
            `padding=True, return_attention_mask=True, return_tensors="pt"`. It is moved to the model's device.
        layers: names or globs of layers, such as `"wav2vec2.encoder.layers.*"`, or `Layer`s with strides in input
            steps (in frames where `lengths_of` is used).
        lengths: true lengths in input steps, (utterances,). Where not given, the `attention_mask` tells them.
        lengths_of: from these to the layers' frames. Where not given, the model is asked
            (`_get_feat_extract_output_lengths` and the like); where it does not know, ⌈length / stride⌉ for a whole
            stride.
        every: look every so many steps instead of whenever a checkpoint is saved.
        batch_size: utterances of the probe set in one forward pass.
        measures, budget, most_kept, tensorboard: as for `SimilarityWatch`.

    Raises (when training begins):
        CaptureError: a layer that is not there or whose frames cannot be told; no lengths; FSDP.
        MeasureError, StudyError: as `SimilarityWatch`.

    >>> import torch
    >>> probe = {"input_values": torch.randn(2, 16_000), "attention_mask": torch.ones(2, 16_000, dtype=torch.long)}
    >>> callback = SimilarityCallback("watch", probe, ["wav2vec2.encoder.layers.*"])
    """

    def __init__(
        self,
        folder: str | Path,
        inputs: Inputs,
        layers: Sequence[str | Layer],
        *,
        lengths: Tensor | None = None,
        lengths_of: LengthsOf | None = None,
        every: int | None = None,
        batch_size: int = 8,
        measures: Sequence[str] = ("cka",),
        budget: float | None = 0.05,
        most_kept: int = 16,
        tensorboard: str | Path | None = None,
    ) -> None:
        self.every = every
        self._asks_model = lengths_of is None
        self._watched = WatchedModule(
            folder,
            dict(inputs) if hasattr(inputs, "keys") else inputs,  # a BatchFeature is no Mapping
            layers,
            lengths=lengths,
            lengths_of=lengths_of,
            batch_size=batch_size,
            measures=measures,
            budget=budget,
            most_kept=most_kept,
            tensorboard=tensorboard,
        )

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """The weights that training begins with."""
        self._look(state, kwargs["model"])

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Every so many steps, where that was asked for."""
        if self.every is not None and state.global_step % self.every == 0:
            self._look(state, kwargs["model"])

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """The weights that were saved."""
        if self.every is None:
            self._look(state, kwargs["model"])

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """The final weights, unless `load_best_model_at_end` has put those of an earlier step in their place."""
        if not (args.load_best_model_at_end and state.best_model_checkpoint):
            self._look(state, kwargs["model"])
        self._watched.close()

    def _look(self, state: TrainerState, model: nn.Module) -> None:
        if not state.is_world_process_zero:
            return
        if self._asks_model:
            self._watched.lengths_of = encoder_lengths(model)
        said = state.log_history[-1] if state.log_history else {}
        row = said if said.get("step") == state.global_step else {}
        self._watched.look(model, state.global_step, state.max_steps or None, row)


def encoder_lengths(model: nn.Module) -> LengthsOf | None:
    """The model's own rule from true input lengths to the frames of its encoder, `None` where it has none."""
    for part in (model, *model.modules()):
        for method in METHODS:
            rule = getattr(part, method, None)
            if rule is not None:
                # Frames of the encoder's layers: an adapter, where there is one, shortens them afterwards.
                own: LengthsOf = (
                    partial(rule, add_adapter=False) if "add_adapter" in inspect.signature(rule).parameters else rule
                )
                return own
    return None
