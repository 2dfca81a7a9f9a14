"""What comes in: arrays of frames × units and the utterances they belong to, checked and named."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from otoscope.errors import MeasureError

__all__ = [
    "Array",
    "Utterances",
    "as_tensor",
    "by_utterance",
    "check_lengths",
    "check_values",
    "check_views",
    "exact_mean",
    "float64",
    "group_utterances",
    "resolution",
]

LARGEST = 1e70  # fourth powers of this still sum within float64

Array = torch.Tensor | npt.NDArray[Any]
Utterances = Sequence[int] | Sequence[str] | Array


def check_views(views: Mapping[str, Array], widths: Mapping[str, int] | None = None) -> int:
    """The number of frames of `views`, once each is floating frames × units and all have the same frames.

    With `widths`, the names and the numbers of units must be those.
    """
    if not isinstance(views, Mapping) or not views:
        raise MeasureError(f"expected a mapping of layer name to frames × units, got {_kind(views)}")
    for name, x in views.items():
        _check_view(name, x)
    frames = {name: int(x.shape[0]) for name, x in views.items()}
    if len(set(frames.values())) > 1:
        shapes = ", ".join(f"'{name}' is {_shape(x)}" for name, x in views.items())
        raise MeasureError(
            f"layers have different numbers of frames: {shapes}. All layers need the same frames, one row each; "
            "bring them to one common frame grid first"
        )
    if widths is not None:
        _check_widths(views, widths)
    return next(iter(frames.values()))


def _check_view(name: str, x: object) -> None:
    if not isinstance(x, (torch.Tensor, np.ndarray)):
        raise MeasureError(f"layer '{name}' is a {_kind(x)}; expected a numpy array or torch tensor, frames × units")
    if x.ndim != 2:
        hint = "; a single unit is x[:, None]" if x.ndim == 1 else "; flatten it to one row for each frame"
        raise MeasureError(f"layer '{name}' has shape {_shape(x)}; expected two axes, frames × units{hint}")
    if 0 in x.shape:
        raise MeasureError(f"layer '{name}' is empty: shape {_shape(x)}; expected at least one frame and one unit")
    floating = x.dtype.is_floating_point if isinstance(x, torch.Tensor) else x.dtype.kind == "f"
    if not floating:
        raise MeasureError(
            f"layer '{name}' has dtype {x.dtype}; expected floating point. Convert it first, e.g. to float32"
        )


def _check_widths(views: Mapping[str, Array], widths: Mapping[str, int]) -> None:
    missing, unknown = sorted(set(widths) - set(views)), sorted(set(views) - set(widths))
    if missing or unknown:
        raise MeasureError(
            f"layers do not match the moments: missing {missing or 'none'}, unknown {unknown or 'none'}; "
            "every update brings every layer"
        )
    for name, x in views.items():
        if x.shape[1] != widths[name]:
            raise MeasureError(f"layer '{name}' has {x.shape[1]} units, the moments have {widths[name]}")


def check_lengths(lengths: Sequence[int], frames: int) -> list[int]:
    """The lengths as positive integers that sum to `frames`."""
    counts = [int(n) for n in lengths]
    if not counts or min(counts) < 1 or any(n != m for n, m in zip(counts, lengths, strict=True)):
        raise MeasureError(f"utterance lengths must be whole numbers of at least 1 frame, got {_few(lengths)}")
    if sum(counts) != frames:
        raise MeasureError(
            f"{len(counts)} utterance lengths sum to {sum(counts)} frames, but the layers have {frames}; "
            "give the true lengths after pooling, without padding"
        )
    return counts


def check_values(views: Mapping[str, Array]) -> None:
    """Refuse values that are not finite, or so large that sums of their fourth powers overflow."""
    for name, x in views.items():
        if isinstance(x, torch.Tensor):
            low, high = (float(v) for v in x.detach().aminmax())
        else:
            with np.errstate(invalid="ignore"):
                low, high = float(x.min()), float(x.max())
        largest = max(-low, high)
        if largest < LARGEST:  # false for NaN too, which minimum and maximum pass on
            continue
        values = float64(x, torch.device("cpu"))
        bad = values.numel() - int(values.isfinite().sum())
        if bad:
            raise MeasureError(
                f"layer '{name}' holds {bad} values of {values.numel()} that are NaN or infinite "
                f"({int(values.isnan().sum())} NaN); look for a diverged checkpoint or half-precision overflow"
            )
        raise MeasureError(f"layer '{name}' holds magnitudes up to {largest:.3g}, too large for float64; scale it down")


def group_utterances(utterances: Utterances, frames: int) -> tuple[npt.NDArray[np.intp] | None, list[int]]:
    """The order that brings each utterance's frames together (`None`: they are already), and the lengths.

    `utterances` is either one label for each frame (whole numbers or strings, in any order) or the list of lengths.
    """
    given = utterances.detach().cpu().numpy() if isinstance(utterances, torch.Tensor) else np.asarray(utterances)
    if given.ndim != 1 or given.dtype.kind not in "iuUS":
        raise MeasureError(
            f"utterances has shape {given.shape} and dtype {given.dtype}; expected one axis of whole numbers: "
            "each frame's utterance index, or the list of utterance lengths"
        )
    if len(given) != frames:
        if given.dtype.kind in "US" or given.sum() != frames:
            total = "" if given.dtype.kind in "US" else f" and sum to {given.sum()}"
            raise MeasureError(
                f"utterances has {len(given)} entries{total}, the layers have {frames} frames; expected either "
                f"{frames} utterance indices, one for each frame, or lengths that sum to {frames}"
            )
        return None, check_lengths(given.tolist(), frames)
    if frames > 1 and given.dtype.kind in "iu" and (given == 1).all():
        raise MeasureError(
            f"utterances holds {frames} ones for {frames} frames: either one utterance or {frames} of one frame "
            f"each. Give [{frames}] for the first, range({frames}) for the second"
        )
    _, index, counts = np.unique(given, return_inverse=True, return_counts=True)
    contiguous = bool((np.diff(index) >= 0).all())
    return (None if contiguous else np.argsort(index, kind="stable")), counts.tolist()


def by_utterance(
    views: Mapping[str, Array], utterances: Utterances | None
) -> tuple[Mapping[str, Array], list[int] | None]:
    """The views with each utterance's frames together, and the utterances' lengths; `None` where they are not known."""
    if utterances is None:
        return views, None
    order, lengths = group_utterances(utterances, len(next(iter(views.values()))))
    return (views if order is None else {name: x[order] for name, x in views.items()}), lengths


def exact_mean(x: Array) -> torch.Tensor:
    """The mean of each unit: sums of a few thousand frames about the first one, added up in float64."""
    first = as_tensor(x[:1])
    first = first if first.dtype == torch.float64 else first.float()
    total = torch.zeros(first.shape[1], dtype=torch.float64, device=first.device)
    for start in range(0, len(x), 4096):
        total += (as_tensor(x[start : start + 4096]).to(first.dtype) - first).sum(0)
    return first[0].double() + total / len(x)


def as_tensor(x: Array) -> torch.Tensor:
    """`x` as a tensor, sharing its memory where that can be done."""
    if isinstance(x, torch.Tensor):
        return x.detach()
    native = x.astype(x.dtype.newbyteorder("=") if x.dtype.itemsize <= 8 else np.float64, copy=False)
    if not native.flags.writeable or any(stride < 0 for stride in native.strides):
        native = native.copy()  # torch shares neither
    return torch.from_numpy(native)


def float64(x: Array, device: torch.device) -> torch.Tensor:
    """A float64 copy of `x` on `device`; a copy always, so that nothing the caller holds is changed."""
    if isinstance(x, torch.Tensor):
        return x.detach().to(device=device, dtype=torch.float64, copy=True)
    return torch.from_numpy(np.array(x, dtype=np.float64)).to(device)


def resolution(x: Array) -> float:
    """The relative spacing of the numbers in which `x` came."""
    return float(torch.finfo(x.dtype).eps if isinstance(x, torch.Tensor) else np.finfo(x.dtype).eps)


def _shape(x: Array) -> str:
    return " × ".join(str(n) for n in x.shape)


def _kind(x: object) -> str:
    return "empty mapping" if isinstance(x, Mapping) else type(x).__name__


def _few(values: Sequence[int]) -> str:
    return str(list(values[:8]))[:-1] + (", …]" if len(values) > 8 else "]")
