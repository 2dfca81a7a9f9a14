"""Weights that a forward pass uses without calling their module, and attention that keeps its maps to itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves

__all__ = ["Functions"]


class Functions(TorchFunctionMode):
    """Notes which functions of torch run in a block, and on which tensors.

    >>> import torch
    >>> linear = nn.Linear(2, 3)
    >>> with Functions() as functions:
    ...     _ = nn.functional.linear(torch.zeros(1, 2), linear.weight)
    >>> functions.used(linear)
    True
    """

    def __init__(self) -> None:
        super().__init__()
        self._tensors: dict[int, Tensor] = {}
        self._called: set[Any] = set()

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Runs a function as it is, and notes parameters that a tensor was made from."""
        result = func(*args, **(kwargs or {}))
        self._called.add(func)
        # Reading a weight's shape or type is no use of it.
        if any(isinstance(leaf, Tensor) for leaf in tree_leaves(result)):
            given = tree_leaves([args, kwargs])
            self._tensors |= {id(leaf): leaf for leaf in given if isinstance(leaf, nn.Parameter)}
        return result

    def used(self, module: nn.Module) -> bool:
        """Whether a function was given a parameter of the module itself."""
        return any(id(parameter) in self._tensors for parameter in module.parameters(recurse=False))

    @property
    def attended(self) -> bool:
        """Whether attention ran as one function, scores and all."""
        whole = {nn.functional.scaled_dot_product_attention, nn.functional.multi_head_attention_forward}
        return bool(self._called & whole)
