"""A speech model of transformers without some of its encoder's blocks, and on the disk."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import nn

from otoscope.adapters.huggingface.structure import Structure, structure_of

if TYPE_CHECKING:
    from otoscope.adapters.huggingface.recogniser import HuggingFaceRecogniser

__all__ = ["needed", "smaller", "write"]

SHARED = "it computes the positions that all others use"
UNKNOWN = "this family of models is not known well enough to leave out blocks"


def needed(structure: Structure) -> dict[str, str]:
    """Every block of the encoder by name: "", or why it cannot be left out."""
    if structure.family is None:
        return dict.fromkeys(structure.blocks, UNKNOWN)
    first = SHARED if structure.family.first_shares else ""
    return {name: first if i == 0 else "" for i, name in enumerate(structure.blocks)}


def smaller(module: nn.Module, structure: Structure, stay: Sequence[int]) -> nn.Module:
    """The model with these blocks of its encoder, its weights shared with the whole one."""
    assert structure.family is not None
    tensors: dict[int, Any] = {id(t): t for t in chain(module.parameters(), module.buffers())}
    made = copy.deepcopy(module, tensors)
    path = structure.blocks[0].rpartition(".")[0]
    blocks = made.get_submodule(path)
    parent, _, name = path.rpartition(".")
    setattr(made.get_submodule(parent), name, nn.ModuleList(list(blocks.children())[i] for i in stay))
    setattr(structure_of(made).config, structure.family.depth, len(stay))
    return made


def write(recogniser: HuggingFaceRecogniser, folder: Path) -> Path:
    """Model, features and tokens in the layout of transformers."""
    parts: list[Any] = [recogniser.module, recogniser.feature_extractor, recogniser.tokeniser]
    for part in parts:
        if part is not None:
            part.save_pretrained(folder)
    return folder
