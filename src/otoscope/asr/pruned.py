"""A reference recogniser without some of its blocks."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Any

from torch import Tensor

from otoscope.asr.models import LstmConfig, ModelConfig

__all__ = ["needed", "smaller", "weights_left"]

BLOCKS = "blocks."


def needed(config: ModelConfig) -> dict[str, str]:
    """Every block by name: "", or why it cannot be left out."""
    blocks = {f"{BLOCKS}{i}": "" for i in range(config.blocks)}
    if isinstance(config, LstmConfig) and config.bidirectional:
        blocks[f"{BLOCKS}0"] = "it takes the units of one direction and gives those of two"
    return blocks


def smaller(config: ModelConfig, stay: Sequence[int]) -> ModelConfig:
    """The sizes of the network of these blocks.

    What a block predicts on the way is predicted by the last block before it that stays; by none where there is none,
    and where that is the last block of all, which has the output itself.
    """
    before = {block: sum(i <= block for i in stay) - 1 for block in config.intermediate_ctc}
    on_the_way = tuple(sorted({at for at in before.values() if 0 <= at < len(stay) - 1}))
    changed: Any = {"blocks": len(stay), "intermediate_ctc": on_the_way}
    if not on_the_way:
        changed["self_conditioning"] = False
    return replace(config, **changed)


def weights_left(weights: dict[str, Tensor], stay: Sequence[int], names: Collection[str]) -> dict[str, Tensor]:
    """The weights of the blocks that stay, under their new numbers, and all others that the network still has."""
    place = {old: new for new, old in enumerate(stay)}
    left = {}
    for name, weight in weights.items():
        new = name
        if name.startswith(BLOCKS):
            number, _, rest = name.removeprefix(BLOCKS).partition(".")
            if int(number) not in place:
                continue
            new = f"{BLOCKS}{place[int(number)]}.{rest}"
        if new in names:
            left[new] = weight
    return left
