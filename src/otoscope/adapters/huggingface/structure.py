"""Where things are in a speech model of transformers: encoder, blocks, front end, decoder."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

from torch import nn

from otoscope.adapters.huggingface.families import FAMILIES, Family
from otoscope.capture import SAMPLE_RATE_HZ, Layer
from otoscope.errors import CaptureError

__all__ = ["Structure", "structure_of"]

AUDIO_INPUTS = ("input_values", "input_features", "inputs")
"""What models that take speech call their input."""

DECODERS = ("decoder", "text_decoder")
"""What models call their decoder."""


@dataclass(frozen=True, slots=True)
class Structure:
    """The parts of a model by module name.

    `encoder` is the part that speech goes through ("" for the whole model), `decoder` None where there is none. `front`
    and `blocks` are the encoder's, `decoder_blocks` the decoder's. `family` is None for a model of no known family.
    """

    family: Family | None
    config: Any
    encoder: str
    front: str | None
    blocks: list[str]
    decoder: str | None
    decoder_blocks: list[str]

    @property
    def padding_proof(self) -> bool:
        """Whether utterances may run together: padding then changes none of their true frames."""
        return self.family is not None and self.family.padding_proof(self.config)

    def layers(self, module: nn.Module) -> list[Layer] | None:
        """Front end and encoder blocks of a known family, None of another."""
        if self.family is None:
            return None
        frames = self.family.frames(self.config)
        stride, window = frames.stride / SAMPLE_RATE_HZ, frames.window / SAMPLE_RATE_HZ
        units = int(self.config.hidden_size)
        front = [Layer(self.front, units, stride, self.family.front_axis, "front end", window)] if self.front else []
        return front + [Layer(name, units, stride, 1, kind_of(module, name), window) for name in self.blocks]

    def as_known(self, layer: Layer) -> Layer:
        """A layer that was seen running, with the window of its family where it has its stride.

        What it put out may be longer than it is true: features padded to whole strides, positions convolved with an
        even kernel. The family's rule is that of the library's own masks.
        """
        if self.family is None or layer.over == "tokens":
            return layer
        frames = self.family.frames(self.config)
        same = math.isclose(layer.stride, frames.stride / SAMPLE_RATE_HZ)
        return replace(layer, window=frames.window / SAMPLE_RATE_HZ) if same else layer

    def decoder_layers(self, module: nn.Module) -> list[Layer]:
        """The decoder's blocks."""
        if self.decoder is None:
            return []
        decoder: Any = module.get_submodule(self.decoder)
        units = int(decoder.config.hidden_size)
        return [Layer(name, units, 1.0, 1, kind_of(module, name), over="tokens") for name in self.decoder_blocks]


def kind_of(module: nn.Module, name: str) -> str:
    """The class of a submodule."""
    return type(module.get_submodule(name)).__name__


def structure_of(module: nn.Module) -> Structure:
    """Finds the parts of a model.

    Raises CaptureError for a model that takes no speech, or in which no blocks can be found.
    """
    takes = getattr(module, "main_input_name", None)
    if takes not in AUDIO_INPUTS:
        raise CaptureError(
            f"{type(module).__name__} takes {takes or 'no input that is known'}, not speech: expected a model whose "
            f"main input is one of {', '.join(AUDIO_INPUTS)}. Where only a part of it hears speech, give that part: "
            "HuggingFaceRecogniser(model.audio_tower, feature_extractor=...)"
        )
    names = dict(module.named_modules())
    decoder = next((n for n in names if n.rpartition(".")[2] in DECODERS and _blocks(module, n)), None)
    for name in names:
        part = names[name]
        config = getattr(part, "config", None)
        family = FAMILIES.get(getattr(config, "model_type", ""))
        if family is None or (decoder is not None and _below(name, decoder)):
            continue
        front, blocks = _join(name, family.front), _join(name, family.blocks)
        if front in names and blocks in names:
            own = [_join(blocks, child) for child, _ in names[blocks].named_children()]
            return Structure(family, config, name, front, own, decoder, _blocks(module, decoder))
    own = _blocks(module, "", without=decoder)
    if not own:
        raise CaptureError(
            f"{type(module).__name__} has no list of like modules that could be the blocks of a speech encoder: name "
            "its layers yourself with globs"
        )
    config = getattr(module, "config", None)
    heard: Any = module
    encoder = next(n for n in names if names[n] is (heard.get_encoder() if decoder is not None else module))
    return Structure(None, config, encoder, None, own, decoder, _blocks(module, decoder))


def _blocks(module: nn.Module, name: str | None, without: str | None = None) -> list[str]:
    """The names of the modules of the list of like modules that holds the most weights."""
    if name is None:
        return []
    found: dict[str, int] = {}
    for child, part in module.get_submodule(name).named_modules():
        path = _join(name, child) if child else name
        members = list(part.children())
        alike = isinstance(part, nn.ModuleList | nn.Sequential) and len({type(m) for m in members}) == 1
        if alike and not (without is not None and _below(path, without)):
            found[path] = sum(p.numel() for p in part.parameters())
    if not found:
        return []
    best = max(found, key=found.__getitem__)
    return [_join(best, child) for child, _ in module.get_submodule(best).named_children()]


def _join(parent: str, child: str) -> str:
    return f"{parent}.{child}" if parent else child


def _below(name: str, parent: str) -> bool:
    return name == parent or name.startswith(f"{parent}.")
