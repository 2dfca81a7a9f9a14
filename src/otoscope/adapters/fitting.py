"""Weights laid into a module, whatever their names were wrapped in."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from torch import Tensor, nn

from otoscope.errors import CaptureError

__all__ = ["fit"]

COMPILED = "_orig_mod"
"""What torch.compile puts into the names."""


def fit(module: nn.Module, weights: Mapping[str, Tensor], source: str) -> str:
    """Load weights into a module, all of them and into all of it.

    Trainers wrap models, and their weights are then called `model.…` or `module.…`: such a prefix is taken away where
    that makes all names fit. A weight that the module uses twice may be given once.

    Arguments:
        module: is changed.
        weights: by name.
        source: where they come from, for errors.

    Returns:
        What was done to the names, empty where nothing was.

    Raises:
        CaptureError: weights that are missing, left over or of other shapes, counted, the first of them named.

    >>> import torch
    >>> fit(nn.Linear(2, 1), {"model.weight": torch.ones(1, 2), "model.bias": torch.ones(1)}, "step=10.ckpt")
    "the prefix 'model.' was taken off the names of the weights"
    """
    wanted = module.state_dict(keep_vars=True)
    names, note = max(_renamed(weights, wanted), key=lambda way: len(way[0].keys() & wanted.keys()))
    tensors = {new: weights[old] for new, old in names.items()}
    for new, twin in _twins(wanted).items():
        if new not in tensors and twin in tensors:
            tensors[new] = tensors[twin]
    shapes = [n for n, tensor in tensors.items() if n in wanted and tensor.shape != wanted[n].shape]
    if shapes:
        first, wrong, right = shapes[0], tuple(tensors[shapes[0]].shape), tuple(wanted[shapes[0]].shape)
        raise CaptureError(
            f"{len(shapes)} of the {len(tensors)} weights in {source} are of another shape than the model's: {first} "
            f"is {wrong}, the model has {right}. Give a base of the same sizes"
        )
    # What fits is for torch to say: modules may know older names of their weights.
    told = module.load_state_dict(tensors, strict=False)
    if told.missing_keys or told.unexpected_keys:
        raise CaptureError(
            f"the weights in {source} are not those of the model: {_counted(told.missing_keys, 'missing')}, "
            f"{_counted(told.unexpected_keys, 'left over')}, of {len(wanted)} that it has. Give a base of the same "
            "architecture, or weights under the names of its state_dict()"
        )
    return note


def _renamed(weights: Mapping[str, Tensor], wanted: Mapping[str, Tensor]) -> Iterator[tuple[dict[str, str], str]]:
    """Ways to rename: new name → name in the file, and a word on it."""
    for drop in (False, True):
        plain = {_without_compiled(name) if drop else name: name for name in weights}
        done = [f"{COMPILED!r} was taken out of the names of the weights"] if drop else []
        yield plain, "; ".join(done)
        for prefix in _prefixes(list(plain)):
            note = f"the prefix {prefix!r} was taken off the names of the weights"
            yield {name.removeprefix(prefix): old for name, old in plain.items()}, "; ".join([*done, note])
        for prefix in _prefixes(list(wanted)):
            note = f"the prefix {prefix!r} was put before the names of the weights"
            yield {prefix + name: old for name, old in plain.items()}, "; ".join([*done, note])


def _without_compiled(name: str) -> str:
    return ".".join(part for part in name.split(".") if part != COMPILED)


def _prefixes(names: Sequence[str]) -> Iterator[str]:
    """The dotted beginnings that all names share, the shortest first."""
    if not names:
        return
    prefix = ""
    for part in names[0].split(".")[:-1]:
        prefix += f"{part}."
        if not all(name.startswith(prefix) for name in names):
            return
        yield prefix


def _twins(wanted: Mapping[str, Tensor]) -> dict[str, str]:
    """Names of weights that are one and the same, each with another of its names."""
    by_tensor: dict[int, list[str]] = {}
    for name, tensor in wanted.items():
        by_tensor.setdefault(id(tensor), []).append(name)
    return {
        name: other for same in by_tensor.values() if len(same) > 1 for name in same for other in same if other != name
    }


def _counted(names: Sequence[str], what: str) -> str:
    return f"{len(names)} {what}" + (f" (such as {', '.join(names[:3])})" if names else "")
