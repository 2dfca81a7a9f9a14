"""The optimiser: AdamW, without weight decay on biases and norms."""

from __future__ import annotations

import torch
from torch import nn

__all__ = ["adamw"]


def adamw(module: nn.Module, *, weight_decay: float) -> torch.optim.AdamW:
    """AdamW with β = (0.9, 0.98) over a module's parameters (Loshchilov & Hutter 2019; β as in Vaswani et al. 2017).

    Weight decay pulls matrices towards zero; on biases and norms' gains it would only do harm. The learning rate
    starts at 0: the loop sets it at each step.
    """
    matrices = [p for p in module.parameters() if p.dim() > 1]
    others = [p for p in module.parameters() if p.dim() <= 1]
    groups = [{"params": matrices, "weight_decay": weight_decay}, {"params": others, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=0.0, betas=(0.9, 0.98))
