"""What is wrong with a study's folder."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Fault", "named"]

MOST_NAMED = 5


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault: where it is (a path in the study's folder), what it is, and what to do about it.

    >>> print(Fault("results.nc", "is cut off", "run `otoscope study` on the folder again"))
    results.nc: is cut off. To mend it: run `otoscope study` on the folder again
    """

    path: str
    what: str
    mend: str

    def __str__(self) -> str:
        return f"{self.path}: {self.what}. To mend it: {self.mend}"


def named(what: list[str]) -> str:
    """The first few of many things by name, and how many more there are.

    >>> named(["a", "b", "c", "d", "e", "f", "g"])
    'a, b, c, d, e and 2 more'
    """
    more = len(what) - MOST_NAMED
    return ", ".join(what[:MOST_NAMED]) + (f" and {more} more" if more > 0 else "")
