"""A reference recogniser: network, features and tokens together, saved and loaded as one safetensors file."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any, Self

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from otoscope.asr.decoding import greedy
from otoscope.asr.features import FRAME_SHIFT_SECONDS, MEL_BINS, log_mel
from otoscope.asr.models import (
    ARCHITECTURES,
    DECODERS,
    STRIDE,
    DecoderConfig,
    Encoded,
    ModelConfig,
    Network,
    architecture,
    decoder_name,
    sizes,
)
from otoscope.asr.pruned import needed, smaller, weights_left
from otoscope.asr.store import pad
from otoscope.asr.tokens import Tokens, tokens_from
from otoscope.capture import Batch, Layer, Speech, TorchRecogniser, select
from otoscope.capture.discovery import infer_layers
from otoscope.capture.pruning import staying
from otoscope.errors import TrainingError
from otoscope.files import save_tensors

__all__ = ["ReferenceRecogniser"]

FORMAT = "otoscope-recogniser-1"

KEY = "recogniser"
"""The one key of the metadata: with several, safetensors writes them in random order, and equal files would differ."""


class ReferenceRecogniser(TorchRecogniser):
    """A CNN, LSTM, Transformer or Conformer with its tokens and, where it has one, an attention decoder.

    `frame_shift` is that of the log-mel features, 10 ms.
    """

    frame_shift = FRAME_SHIFT_SECONDS

    def __init__(
        self, config: ModelConfig, tokens: Tokens, *, decoder: DecoderConfig | None = None, step: int = 0
    ) -> None:
        """Fresh weights from torch's global generator."""
        self.config = config
        self.decoder = decoder
        self.tokens = tokens
        self.step = step
        self.architecture = architecture(config)
        self.source = f"{self.architecture}, step {step}"
        self.module: Network = ARCHITECTURES[self.architecture].build(MEL_BINS, len(tokens), config, decoder)

    @property
    def parameters(self) -> int:
        """The number of weights."""
        return sum(p.numel() for p in self.module.parameters())

    def forward(self, features: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Padded features (batch, frames, bins) and lengths to CTC log-probabilities and their lengths."""
        log_probs, out_lengths = self.module(features, lengths)
        return log_probs, out_lengths

    def prepare(self, speech: Sequence[Speech]) -> Batch:
        """Log-mel features of some utterances, padded, and their lengths."""
        return Batch(*pad([log_mel(one.audio) for one in speech]))

    def encode(self, features: Tensor, lengths: Tensor) -> Encoded:
        """Padded features (batch, frames, bins) and lengths to hidden frames, which a decoder attends to."""
        return self.module.encode(features, lengths)

    @torch.inference_mode()
    def transcribe(self, speech: Sequence[Speech]) -> list[str]:
        """What the CTC output makes of some utterances, greedily."""
        self.module.eval()
        batch = self.prepare(speech)
        return greedy(*self.forward(batch.inputs, batch.lengths), self.tokens)

    def layers(self) -> list[Layer]:
        """The front end and every block of the encoder, from input to output.

        A decoder's layers have no place here: they run over tokens, and cannot be laid beside frames.
        """
        stride = STRIDE * self.frame_shift
        time_axis = ARCHITECTURES[self.architecture].time_axis
        units = self.module.width
        names = [name for name, _ in self.module.named_modules() if name.rpartition(".")[0] == "blocks"]
        first = Layer("subsample", self.config.units, stride, 1, "convolution")
        return [first] + [Layer(name, units, stride, time_axis, self.architecture) for name in names]

    def blocks(self) -> dict[str, str]:
        """The encoder's blocks by name, and why one cannot be left out; see `otoscope.capture.Prunes`."""
        return needed(self.config)

    def without(self, blocks: Collection[str]) -> Self:
        """A smaller recogniser in which what went into these blocks is handed on.

        What one of them predicted on the way is then predicted by the block before it. Raises CaptureError for blocks
        that cannot be left out.
        """
        stay = staying(self.blocks(), blocks)
        with torch.random.fork_rng():
            made = type(self)(smaller(self.config, stay), self.tokens, decoder=self.decoder, step=self.step)
        made.module.load_state_dict(weights_left(self.module.state_dict(), stay, made.module.state_dict()))
        made.module.eval()
        made.source = f"{self.source} without {', '.join(blocks)}" if blocks else self.source
        return made

    def write(self, folder: Path) -> Path:
        """Saves the recogniser as `recogniser.safetensors` in a folder, and says where."""
        folder.mkdir(parents=True, exist_ok=True)
        self.save(folder / "recogniser.safetensors")
        return folder / "recogniser.safetensors"

    def find(self, patterns: Sequence[str]) -> list[Layer]:
        """Layers by names or globs, those inside blocks too: their units, strides and axes are found out by running.

        Raises CaptureError for a pattern that matches nothing, or a module that cannot be captured.
        """
        known = {layer.name: layer for layer in self.layers()}
        names = select(self.module, patterns)
        inside = [name for name in names if name not in known]
        known |= {layer.name: layer for layer in (infer_layers(self, inside) if inside else ())}
        return [known[name] for name in names]

    def save(self, path: Path) -> None:
        """Writes weights, sizes, tokens and step to `path`, whole or not at all."""
        about = {
            "format": FORMAT,
            "architecture": self.architecture,
            "config": sizes(self.config),
            "decoder": None if self.decoder is None else [decoder_name(self.decoder), sizes(self.decoder)],
            "tokens": self.tokens.to_dict(),
            "step": self.step,
        }
        save_tensors(
            path,
            {k: v.detach().cpu().contiguous() for k, v in self.module.state_dict().items()},
            {KEY: json.dumps(about)},
        )

    @classmethod
    def load(cls, path: Path) -> ReferenceRecogniser:
        """Reads what `save` wrote. Raises TrainingError for anything else."""
        try:
            with safe_open(str(path), framework="pt") as file:
                about: dict[str, Any] = json.loads((file.metadata() or {}).get(KEY, "{}"))
                weights = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 (no mapping)
        except (OSError, SafetensorError) as error:
            raise TrainingError(f"{path} cannot be read as a safetensors checkpoint: {error}") from error
        if about.get("format") != FORMAT:
            raise TrainingError(
                f"{path} is a safetensors file, but not a checkpoint of an Otoscope recogniser: its metadata says "
                f"format {about.get('format')!r}, expected {FORMAT!r}"
            )
        config = ARCHITECTURES[about["architecture"]].config(**about["config"])
        kind, settings = about.get("decoder") or (None, {})  # checkpoints of the first version do not speak of one
        decoder = None if kind is None else DECODERS[kind].config(**settings)
        with torch.random.fork_rng():  # building draws weights that are replaced at once: leave the generator alone
            recogniser = cls(config, tokens_from(about["tokens"]), decoder=decoder, step=about["step"])
        recogniser.source = str(path)
        recogniser.module.load_state_dict(weights)
        recogniser.module.eval()
        return recogniser
