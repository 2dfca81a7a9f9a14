"""What attention looks at: statistics of the self-attention maps of an encoder, by layer and head."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import pandas as pd
import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from otoscope.adapters.huggingface.recogniser import HuggingFaceRecogniser
from otoscope.capture import Layer, Speech
from otoscope.errors import CaptureError

__all__ = ["attention_statistics"]

BESIDE = 1
"""Frames to each side of a frame's own that still count as the diagonal."""


@torch.inference_mode()
def attention_statistics(recogniser: HuggingFaceRecogniser, speech: Sequence[Speech]) -> pd.DataFrame:
    """Statistics of an encoder's self-attention maps over the true frames of some utterances.

    While it runs, the model computes attention openly (`attn_implementation="eager"`), for fused kernels do not give
    the maps away; afterwards as before. Maps are reduced as they appear: memory holds one layer's at a time.

    Arguments:
        recogniser: of a known family, or of another with one attention module in each block.
        speech: utterances; they go through the model together, as far as it takes them together.

    Returns:
        A row for each layer and head, means over the true frames that look:

        | column | what it says |
        |---|---|
        | `layer`, `head` | the block's name; heads counted from 0 |
        | `entropy` | −Σ p log p of the weights of one frame, nats: 0 for one frame looked at alone |
        | `entropy_share` | as a share of log(frames): 1 for all frames of the utterance looked at evenly |
        | `distance` | Σ p |i − j| × stride, seconds: how far away what is looked at lies |
        | `diagonal` | weight on the frame itself and one to each side |
        | `outside` | weight on what lies beyond the utterance's end: 0 unless all speech is padded, as for Whisper |
        | `frames` | how many frames looked |

        p are weights on true frames, made to sum to 1 over them.

    Raises:
        CaptureError: a block whose attention gives no weights.
    """
    layers = {layer.name: layer for layer in recogniser.layers() if layer.name in set(recogniser.structure.blocks)}
    sums: dict[str, _Sums] = {name: _Sums() for name in layers}
    batch = recogniser.prepare(list(speech))
    lengths = iter(batch.lengths.tolist())
    with _eager(recogniser.module), _EachHead():
        for arguments in batch.inputs:
            here = [next(lengths) for _ in range(len(next(iter(arguments.values()))))]
            frames = {name: layer.frames(here, recogniser.frame_shift) for name, layer in layers.items()}
            with _watched(recogniser.module, layers, frames, sums):
                recogniser.encode(arguments)
    silent = [name for name, own in sums.items() if own.totals is None]
    if silent:
        raise CaptureError(
            f"the attention of {silent[0]} gave no weights: it has none, or computes them in one fused operation only"
        )
    return pd.DataFrame([row for name, own in sums.items() for row in own.rows(name)])


STATISTICS = ("entropy", "entropy_share", "distance", "diagonal", "outside")


@dataclass(slots=True)
class _Sums:
    """Sums over frames of one layer: (statistics, heads)."""

    totals: Tensor | None = None
    frames: int = 0
    shared: int = 0

    def add(self, weights: Tensor, layer: Layer) -> None:
        """One utterance's map (heads, frames, all frames), the first of which are the utterance's own."""
        frames = weights.shape[1]
        own = weights[:, :, :frames].double()
        inside = own.sum(-1, keepdim=True)
        p = own / inside.clamp_min(torch.finfo(torch.float64).tiny)
        places = torch.arange(frames, device=p.device)
        apart = (places[:, None] - places).abs()
        entropy = torch.special.entr(p).sum((-1, -2))
        share = entropy / math.log(frames) if frames > 1 else torch.zeros_like(entropy)
        distance = (p * apart).sum((-1, -2)) * layer.stride
        diagonal = p[:, apart <= BESIDE].sum(-1)
        outside = (1 - inside).clamp_min(0).sum((-1, -2))
        found = torch.stack([entropy, share, distance, diagonal, outside]).cpu()
        self.totals = found if self.totals is None else self.totals + found
        self.frames += frames
        self.shared += frames if frames > 1 else 0

    def rows(self, name: str) -> Iterator[dict[str, Any]]:
        assert self.totals is not None
        counts = [self.shared if one == "entropy_share" else self.frames for one in STATISTICS]
        for head, values in enumerate(self.totals.T.tolist()):
            means = (value / max(1, n) for value, n in zip(values, counts, strict=True))
            yield {"layer": name, "head": head, **dict(zip(STATISTICS, means, strict=True)), "frames": self.frames}


@contextmanager
def _watched(
    module: nn.Module, layers: Mapping[str, Layer], frames: Mapping[str, list[int]], sums: Mapping[str, _Sums]
) -> Iterator[None]:
    """Adds up what the attention modules of the blocks put out in one forward pass."""
    with ExitStack() as hooks:
        for name, layer in layers.items():
            seen: list[bool] = []

            def add(
                _m: nn.Module, _i: Any, output: Any, *, name: str = name, layer: Layer = layer, seen: list[bool] = seen
            ) -> None:
                weights = _weights(output)
                if weights is None or seen:
                    return
                seen.append(True)
                for row, n in zip(weights, frames[name], strict=True):
                    sums[name].add(row[:, :n], layer)

            for part in module.get_submodule(name).modules():
                if "attention" in type(part).__name__.lower():
                    hooks.callback(part.register_forward_hook(add).remove)
        yield


def _weights(output: Any) -> Tensor | None:
    """The map (batch, heads, frames, frames) in what an attention module put out, None where there is none."""
    if not isinstance(output, tuple):
        return None
    found = next((x for x in output[1:] if isinstance(x, Tensor) and x.dim() in (4, 5)), None)
    if found is not None and found.dim() == 5:  # see _EachHead: heads, spread once more over as many heads
        found = found[:, 0]
    return found if found is not None and found.shape[-1] == found.shape[-2] else None


class _EachHead(TorchFunctionMode):
    """Makes torch's own attention give the map of each head, where WavLM asks it for their mean."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        settings = dict(kwargs or {})
        if func is nn.functional.multi_head_attention_forward:
            settings["average_attn_weights"] = False
        return func(*args, **settings)


@contextmanager
def _eager(module: nn.Module) -> Iterator[None]:
    """Attention computed openly in every part of a model, and as before afterwards."""
    parts: list[Any] = [part for part in module.modules() if hasattr(part, "set_attn_implementation")]
    before = [part.config._attn_implementation for part in parts]
    try:
        for part, was in zip(parts, before, strict=True):
            if was != "eager":
                part.set_attn_implementation("eager")
        yield
    finally:
        for part, was in zip(parts, before, strict=True):
            if part.config._attn_implementation != was:
                part.set_attn_implementation(was)
