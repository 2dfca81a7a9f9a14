"""The measures there are, as typed objects by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from otoscope.errors import MeasureError
from otoscope.measures.gradient import Gradient
from otoscope.measures.result import Similarity

__all__ = ["Invariance", "Measure", "get", "names", "register", "unregister"]


Invariance = Literal["scale", "permutation", "rotation", "invertible"]
"""What may be done to a layer without changing the value, each with all before it.

"scale" is a factor for the whole layer and a shift of all its units alike, "permutation" an exchange of units, each
of which may also be shifted by a constant of its own, "rotation" an orthogonal map, "invertible" any invertible
linear map.
"""


@dataclass(frozen=True, slots=True)
class Measure:
    """A comparison of two layers, from their moments or from samples of their frames.

    Arguments:
        name: what users call it.
        compute: from the moments (or the samples) and two of their layers' names to the result.
        symmetric: whether exchanging the layers leaves the value as it is.
        needs: the least data it takes, in words.
        invariance: what may be done to the first and to the second layer without changing the value.
        distance: whether a larger value means less alike; a layer is then 0 from itself, and otherwise 1.
        source: "moments" for what follows from one pass over any amount of speech, "samples" for what needs the
            frames themselves.
        given: a third layer that it takes besides the two, by name.
        inner: whether `Moments.inner` of its pairs is all it takes, and no covariances.
        rough: whether it is built on singular values themselves, not on their squares. A singular value that is truly
            0 is estimated as about 1/√n, so its bias falls only as 1/√n where layers share nothing in some directions,
            and as 1/n where they share something in all; data do not tell which.
        gradient: how the value changes with the covariances, from the moments and two layers' names. An interval then
            needs no evaluation without each block.
        directions: whether it takes canonical directions. They give the correlations too, at several times their cost,
            so that of one pair it is worked out before measures that take only these.
        alone: the value and nothing beside it, where null level and ranks cost more than the value.
    """

    name: str
    compute: Callable[[Any, str, str], Similarity]
    symmetric: bool = True
    needs: str = ""
    invariance: tuple[Invariance, Invariance] = ("rotation", "rotation")
    distance: bool = False
    source: Literal["moments", "samples"] = "moments"
    given: str | None = None
    inner: bool = False
    rough: bool = False
    gradient: Callable[[Any, str, str], Gradient] | None = None
    directions: bool = False
    alone: Callable[[Any, str, str], float] | None = None

    @property
    def lean(self) -> bool:
        """Whether means and covariances are all that its value takes."""
        return self.gradient is not None or self.alone is not None


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
