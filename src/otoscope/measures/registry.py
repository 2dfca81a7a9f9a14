"""The measures there are, as typed objects by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from otoscope.errors import MeasureError
from otoscope.measures.moments import Moments
from otoscope.measures.result import Similarity

__all__ = ["Measure", "get", "names", "register", "unregister"]


@dataclass(frozen=True, slots=True)
class Measure:
    """A similarity between two layers that follows from their moments.

    Arguments:
        name: what users call it.
        compute: from the moments and two of its layers' names to the result.
        symmetric: whether exchanging the layers leaves the value as it is.
        needs: the least data it takes, in words.
    """

    name: str
    compute: Callable[[Moments, str, str], Similarity]
    symmetric: bool = True
    needs: str = ""


_measures: dict[str, Measure] = {}


def register(measure: Measure) -> Measure:
    """Make a measure known by its name, which must be new.

    >>> from functools import partial
    >>> from otoscope.measures import registry
    >>> from otoscope.measures.svcca import compute
    >>> made = register(Measure("svcca-90", partial(compute, variance=0.9)))
    >>> "svcca-90" in registry.names()
    True
    >>> registry.unregister("svcca-90")
    """
    if measure.name in _measures:
        raise MeasureError(f"a measure named '{measure.name}' is registered already; choose another name")
    _measures[measure.name] = measure
    return measure


def unregister(name: str) -> None:
    """Forget a measure."""
    get(name)
    del _measures[name]


def get(name: str) -> Measure:
    """The measure of this name."""
    if name not in _measures:
        raise MeasureError(f"no measure named '{name}'; there are {', '.join(names())}")
    return _measures[name]


def names() -> tuple[str, ...]:
    """The names of all measures, in order of registration."""
    return tuple(_measures)
