"""What models of other toolkits have in common: how they are told, and how one becomes a recogniser."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from typing import Any

from torch import nn

from otoscope.adapters.plain import Forward, PlainRecogniser
from otoscope.capture import SAMPLE_RATE_HZ, Layer, Speech
from otoscope.errors import CaptureError

__all__ = ["for_16_khz", "instance_of", "recogniser_of"]


def instance_of(model: object, module: str, kind: str, package: str) -> Any:
    """The model, if it is of this class of a toolkit. Raises CaptureError where not, or where the toolkit is absent.

    >>> instance_of(3, "no_such_toolkit.models", "Model", "no-such-toolkit")
    Traceback (most recent call last):
    otoscope.errors.CaptureError: no_such_toolkit.models cannot be imported (No module named 'no_such_toolkit'): ...
    """
    try:
        wanted = getattr(importlib.import_module(module), kind)
    except ImportError as error:
        raise CaptureError(f"{module} cannot be imported ({error}): pip install {package}") from error
    if not isinstance(model, wanted):
        raise CaptureError(
            f"expected a {module}.{kind}, got {type(model).__name__}: load the model with {package} first, and give it"
        )
    return model


def for_16_khz(toolkit: str, rate: int) -> None:
    """Raises CaptureError for a model that takes speech of another sample rate."""
    if rate != SAMPLE_RATE_HZ:
        raise CaptureError(f"the model of {toolkit} is for speech at {rate} Hz, and speech here is at 16000 Hz")


def recogniser_of(
    toolkit: str,
    model: Any,
    module: nn.Module,
    *,
    name: str | None = None,
    forward: Forward,
    transcribe: Callable[[Sequence[Speech]], list[str]],
    layers: Sequence[str | Layer] | None,
    alone: bool,
) -> PlainRecogniser:
    """A toolkit's model as a recogniser, looked into by the names in its module."""
    kind = type(model).__name__
    return PlainRecogniser(
        module,
        forward=forward,
        alone=alone,
        layers=layers,
        transcribe=transcribe,
        name=name or kind,
        source=f"{toolkit} {kind}",
    )
