"""Fast paths of PyTorch that run modules without calling them, turned off so that hooks see every one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

import torch
from torch import nn

__all__ = ["compiled", "unfused"]


def compiled(module: nn.Module) -> list[str]:
    """The submodules that `torch.compile` or `module.compile()` has put compiled code in front of; "" is the module.

    >>> compiled(nn.Sequential(nn.Linear(2, 2), nn.ReLU()))
    []
    """
    return [
        name
        for name, part in module.named_modules()
        if hasattr(part, "_orig_mod") or getattr(part, "_compiled_call_impl", None) is not None
    ]


@contextmanager
def unfused(module: nn.Module) -> Iterator[None]:
    """A block in which the module runs submodule by submodule, and every hook fires.

    The fused Transformer path of `nn.TransformerEncoder` is off: in eval mode it skips submodules and hands out nested
    tensors. Compiled parts run uncompiled: code compiled before knows nothing of hooks that came later.

    >>> with unfused(nn.Linear(2, 2)):
    ...     torch.backends.mha.get_fastpath_enabled()
    False
    """
    # Only where there is something compiled: the compiler takes a second to import.
    eager = torch.compiler.set_stance("force_eager") if compiled(module) else nullcontext()
    fast = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with eager:
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)
