"""The ways of reading a label off a layer, by name."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from torch import Tensor

from otoscope.errors import StudyError
from otoscope.study.content.classes_probe import classes_probe
from otoscope.study.content.correlation import correlation
from otoscope.study.content.kernel import kernel
from otoscope.study.content.numbers_probe import numbers_probe
from otoscope.study.content.score import Score
from otoscope.study.content.target import Target

__all__ = ["METHODS", "check_methods"]

Method = Callable[[Tensor, Target], Score]


def _probe(x: Tensor, target: Target) -> Score:
    """Logistic regression of classes, ridge regression of numbers."""
    return classes_probe(x, target) if target.classes else numbers_probe(x, target)


METHODS: dict[str, Method] = {
    "probe": _probe,
    "cca-held-out": correlation,
    "cka": kernel,
    "cka-debiased": partial(kernel, measure="cka-debiased"),
}


def check_methods(names: Sequence[str]) -> None:
    """Raises StudyError for a method that there is not, or that is named twice."""
    if unknown := [name for name in names if name not in METHODS]:
        raise StudyError(f"no method named {unknown[0]!r} of reading a label; there are {', '.join(METHODS)}")
    if not names or len(set(names)) < len(names):
        raise StudyError(f"expected one or more different methods, got {list(names)}")
