"""Toolkits that are imported only when one of their models is looked into."""

from __future__ import annotations

import importlib
from typing import Any

from otoscope.errors import CaptureError

__all__ = ["instance_of"]


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
