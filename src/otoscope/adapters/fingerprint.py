"""What tells a recogniser from others that its weights would fit: structure, settings and features, as a hash."""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Iterator, Mapping
from types import CodeType, FunctionType, MethodType
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from otoscope.capture import TorchRecogniser
from otoscope.capture.discovery.looking import noise

__all__ = ["described", "fingerprint"]

MODULE = frozenset(vars(nn.Module()))
"""What every module has: parameters and parts, which are looked at by themselves, hooks, the mode."""

VERSIONED = ("otoscope", "torch", "transformers", "numpy", "tokenizers", "builtins", "functools")
"""Packages whose code is told by its name: another release of them is another matter than other settings."""

DEEPEST = 12

WRITTEN = ("to_str", "serialized_model_proto")
"""By which methods tokenisers that are no Python give all that they are."""


def fingerprint(recogniser: TorchRecogniser) -> str:
    """A hash of all that a recogniser's numbers depend on but the weights that its module saves.

    That is the tree of modules with their classes and settings, such as the number of heads, shapes of parameters,
    buffers that are in no state dict, the recogniser's own settings and code, and what it makes of two
    seconds of noise.

    >>> class Own(TorchRecogniser):
    ...     frame_shift = 0.01
    ...     def __init__(self, heads):
    ...         self.module = nn.MultiheadAttention(8, heads)
    ...     def prepare(self, speech):
    ...         return torch.zeros(1, 8), torch.ones(1)
    >>> fingerprint(Own(2)) == fingerprint(Own(2)), fingerprint(Own(2)) == fingerprint(Own(4))
    (True, False)
    """
    told = [described(recogniser), [_felt(x) for x in tree_leaves(recogniser.prepare([noise()]))]]
    return hashlib.sha256(json.dumps(told).encode()).hexdigest()


def described(value: object) -> object:
    """A value in plain lists, strings and numbers: the same in every process, another where it does something else."""
    return _Description().of(value)


def _felt(x: object) -> object:
    """Features by their statistics: their last bits differ from machine to machine."""
    if not isinstance(x, Tensor | np.ndarray):
        return str(type(x))
    values = torch.as_tensor(x).double().flatten()
    spread = float(values.std(correction=0)) if len(values) else 0.0
    middle, steps = (
        float(part.mean()) / spread if len(part) and spread else 0.0 for part in (values, values.diff().abs())
    )
    return [list(x.shape), str(x.dtype), f"{spread:.4g}", f"{middle + 0.0:.3f}", f"{steps:.3f}"]


class _Description:
    """Describes values, those that contain themselves among them."""

    def __init__(self) -> None:
        self._seen: dict[int, object] = {}  # values are kept, for numbers of forgotten ones are given anew

    def of(self, value: Any, depth: int = 0) -> object:
        if value is None or isinstance(value, bool | int | str):
            return value
        if isinstance(value, float | complex | bytes | torch.dtype | torch.device | np.generic):
            return repr(value)
        if id(value) in self._seen or depth > DEEPEST:
            return f"{type(value).__qualname__} as before"
        self._seen[id(value)] = value
        parts = list(self._parts(value, depth + 1))
        if isinstance(value, Mapping | list | tuple | set | frozenset):
            del self._seen[id(value)]  # equal ones may be one object or two, and that says nothing
        return parts

    def _parts(self, value: Any, depth: int) -> Iterator[object]:
        yield _name(type(value))
        if isinstance(value, Tensor | np.ndarray):
            yield from _array(value)
        elif isinstance(value, Mapping):
            yield from ([self.of(k, depth), self.of(v, depth)] for k, v in value.items())
        elif isinstance(value, list | tuple):
            yield from (self.of(one, depth) for one in value)
        elif isinstance(value, set | frozenset):
            yield from sorted(json.dumps(self.of(one, depth)) for one in value)
        elif isinstance(value, type):
            yield from (_name(value), self._methods(value, depth))
        elif isinstance(value, FunctionType):
            yield self._function(value, depth)
        elif isinstance(value, MethodType):
            yield from (self.of(value.__func__, depth), self.of(value.__self__, depth))
        elif isinstance(value, functools.partial):
            yield from (self.of(part, depth) for part in (value.func, value.args, value.keywords))
        elif isinstance(value, CodeType):
            yield from (value.co_code.hex(), list(value.co_names), [self.of(one, depth) for one in value.co_consts])
        elif isinstance(value, nn.Module):
            yield from self._module(value, depth)
        elif write := next((getattr(value, name) for name in WRITTEN if hasattr(value, name)), None):
            written = write()
            yield hashlib.sha256(written if isinstance(written, bytes) else written.encode()).hexdigest()
        else:
            yield self._methods(type(value), depth)
            yield self._settings(value, frozenset(), depth)

    def _module(self, module: nn.Module, depth: int) -> Iterator[object]:
        for name, part in module.named_modules():
            kind = type(part)
            yield [name, _name(kind), self._methods(kind, depth), self._settings(part, MODULE, depth)]
            saved = part._buffers.keys() - part._non_persistent_buffers_set
            for key, tensor in (*part._parameters.items(), *part._buffers.items()):
                if tensor is not None:
                    learned = key in part._parameters or key in saved
                    yield [key, *(_shape(tensor) if learned else _array(tensor))]

    def _settings(self, value: Any, without: frozenset[str], depth: int) -> object:
        """Attributes, but those that are worked out when they are first asked for."""
        own = {**{name: getattr(value, name, None) for name in _slots(type(value))}, **getattr(value, "__dict__", {})}
        lazy = {name for name in own if isinstance(getattr(type(value), name, None), functools.cached_property)}
        return [[name, self.of(own[name], depth)] for name in sorted(own) if name not in without | lazy]

    def _methods(self, kind: type, depth: int) -> object:
        """The code of a user's own class, and of those that it is made from."""
        own = [one for one in kind.__mro__ if not _is_versioned(one)]
        every = [(name, value) for one in own for name, value in sorted(vars(one).items())]
        return [[name, self.of(value, depth)] for name, value in every if isinstance(value, FunctionType)]

    def _function(self, function: FunctionType, depth: int) -> object:
        name = _name(function)
        if _is_versioned(function):
            return name
        cells = [cell.cell_contents for cell in function.__closure__ or () if _filled(cell)]
        parts = (function.__code__, function.__defaults__, function.__kwdefaults__, cells)
        return [name, *(self.of(part, depth) for part in parts)]


def _name(kind: Any) -> str:
    # A user's module may be called __main__, or anything else: its code is looked at.
    return f"{kind.__module__}.{kind.__qualname__}" if _is_versioned(kind) else str(kind.__qualname__)


def _is_versioned(kind: Any) -> bool:
    return str(kind.__module__).partition(".")[0] in VERSIONED


def _slots(kind: type) -> list[str]:
    slots = [getattr(one, "__slots__", ()) for one in kind.__mro__]
    return [name for own in slots for name in ([own] if isinstance(own, str) else own) if not name.startswith("__")]


def _filled(cell: Any) -> bool:
    try:
        cell.cell_contents  # noqa: B018
    except ValueError:  # of a function that is still being made
        return False
    return True


def _shape(tensor: Any) -> list[object]:
    return [list(tensor.shape), str(tensor.dtype)]


def _array(array: Any) -> list[object]:
    """An array by its content; what is learned, by its shape, since a checkpoint has it."""
    if isinstance(array, Tensor):
        if array.requires_grad or array.is_meta:
            return _shape(array)
        content = (
            array.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes() if array.numel() else b""
        )
    else:
        content = array.tobytes() if array.dtype != object else repr(array.tolist()).encode()
    return [*_shape(array), hashlib.sha256(content).hexdigest()]
