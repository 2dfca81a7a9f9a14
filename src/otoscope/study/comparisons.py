"""Which comparisons each finding reads: a study computes the pairs that its questions ask for, and no others."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

__all__ = ["EVERYTHING", "FINDINGS", "MATRICES", "Ask", "At", "Between", "asked_by", "asked_of_further_sets"]

At = Literal["first", "final", "every"]
Between = Literal["seeds", "recognisers"]


@dataclass(frozen=True, slots=True)
class Ask:
    """Comparisons of one `kind` (see `otoscope.study.results.KINDS`) at the first, the final or every checkpoint.

    `between` says of the kind `across` which runs: those of one recogniser with every two "seeds", or those of every
    two "recognisers" with the same seed. A seed means nothing from one architecture to another, so that pairs of other
    seeds would be more of the same.
    """

    kind: str
    at: At
    between: Between | None = None


_ENDS = (Ask("within", "first"), Ask("within", "final"))
_HIERARCHY = (*_ENDS, Ask("shuffled", "final"))
_TO_FINAL = (Ask("to_final", "every"),)

FINDINGS: Mapping[str, tuple[Ask, ...]] = {
    "F1": _HIERARCHY,  # depth hierarchy
    "F2": _TO_FINAL,  # bottom-up convergence
    "F3": _HIERARCHY,  # irregularity in depth
    "F4": _HIERARCHY,  # block structure
    "F5": (*_TO_FINAL, Ask("shuffled", "final")),  # change from the untrained state
    "F6": (Ask("to_previous", "every"),),  # pace
    "F7": (Ask("across", "first", "seeds"), Ask("across", "final", "seeds")),  # agreement across seeds
    "F8": (Ask("across", "first", "recognisers"), Ask("across", "final", "recognisers")),  # across architectures
    "F9": (*_TO_FINAL, Ask("within", "final"), Ask("across", "final", "seeds")),  # relation to word error rate
    "F10": (),  # robustness: what the others ask for, by every measure and on every probe set
}
"""What each finding reads, by its id."""

MATRICES: Mapping[str, tuple[Ask, ...]] = {
    "ends": (*_ENDS, Ask("shuffled", "first"), Ask("shuffled", "final")),
    "every": (Ask("within", "every"), Ask("shuffled", "first"), Ask("shuffled", "final")),
}
"""What the report's layer × layer figures show, by the setting `matrices`."""

ON_FURTHER_SETS = frozenset(
    {Ask("within", "final"), *_TO_FINAL, Ask("across", "final", "seeds"), Ask("across", "final", "recognisers")}
)
"""What is compared on other speech than the main probe set: whether a finding holds there too, not its baselines."""

_OF_FURTHER_SETS = ("F1", "F2", "F3", "F4", "F5", "F7", "F8")


def asked_by(findings: Sequence[str], matrices: str) -> dict[str, tuple[Ask, ...]]:
    """What each finding, and the setting `matrices`, asks for on the main probe set.

    >>> asked_by(["F2"], "ends")["F2"]
    (Ask(kind='to_final', at='every', between=None),)
    """
    return {"matrices": MATRICES[matrices], **{id_: FINDINGS[id_] for id_ in findings}}


def asked_of_further_sets(findings: Collection[str]) -> frozenset[Ask]:
    """What is asked for on each further probe set.

    >>> asked_of_further_sets(["F1", "F6"])
    frozenset({Ask(kind='within', at='final', between=None)})
    """
    return frozenset(ask for id_ in _OF_FURTHER_SETS if id_ in findings for ask in FINDINGS[id_]) & ON_FURTHER_SETS


EVERYTHING = frozenset(ask for asks in asked_by(list(FINDINGS), "every").values() for ask in asks)
"""Of a study that asks for all findings and all matrices."""
