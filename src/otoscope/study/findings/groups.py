"""What a question is put to: runs looked at together, and what they show, read once for all questions."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence

from otoscope.study.findings.evidence import Entry, Runs, Values, gather_values, recogniser_of, seed_of
from otoscope.study.findings.question import Question, Scope
from otoscope.study.findings.reading import READERS, VARYING
from otoscope.study.results import Results

__all__ = ["LACKING", "Group", "Reading", "groups_of"]

Group = tuple[Runs, bool]
"""Runs that are looked at together, and whether they are what the question is about."""


def groups_of(runs: Sequence[str], scope: Scope) -> Iterator[tuple[str, list[Group]]]:
    """What a question is put to: its name, and the runs that tell of it.

    >>> runs = ["cnn/seed0", "cnn/seed1", "lstm/seed0"]
    >>> dict(groups_of(runs, "seeds"))["cnn"]
    [(('cnn/seed0', 'cnn/seed1'), True)]
    >>> dict(groups_of(runs, "pair"))
    {'cnn × lstm': [(('cnn/seed0', 'lstm/seed0'), True)]}
    """
    of: dict[str, list[str]] = {}
    for run in runs:
        of.setdefault(recogniser_of(run), []).append(run)
    if scope == "study":
        yield "all recognisers", [((run,), True) for run in runs]
    elif scope == "pair":
        for x, y in itertools.combinations(of, 2):
            # A seed means nothing from one recogniser to another, but so each run is in one pair.
            both = [(a, b) for a in of[x] for b in of[y] if seed_of(a) == seed_of(b)]
            yield f"{x} × {y}", [(pair, True) for pair in both]
    else:
        for recogniser, own in of.items():
            if scope == "seeds":
                yield recogniser, [(pair, True) for pair in itertools.combinations(own, 2)]
            else:
                others = [run for run in runs if run not in own and scope == "against others"]
                yield recogniser, [((run,), run in own) for run in (*own, *others)]


def _enough(groups: Sequence[Group]) -> str:
    return ""


def _no_pairs(groups: Sequence[Group]) -> str:
    return "" if groups else "one seed, and agreement takes at least two: train with more seeds"


def _no_seed(groups: Sequence[Group]) -> str:
    return "" if groups else "no run of the one has the seed of a run of the other, and only such are compared"


def _no_others(groups: Sequence[Group]) -> str:
    return "" if any(not own for _, own in groups) else "there is no other recogniser in this study to compare with"


LACKING: Mapping[Scope, Callable[[Sequence[Group]], str]] = {
    "recogniser": _enough,
    "study": _enough,
    "pair": _no_seed,
    "seeds": _no_pairs,
    "against others": _no_others,
}
"""Why there is nothing to put a question to; "" where there is."""


class Reading:
    """Arrays of one study, each read once."""

    def __init__(self, results: Results) -> None:
        self.results = results
        self.parts = [results.without(block) for block in range(results.blocks)]
        self.known: dict[tuple[Runs, str, str], Values] = {}

    def __call__(self, runs: Runs, name: str, measure: str) -> Values:
        """What runs show to one of `READERS`, by a measure. Raises StudyError for what the study did not compare."""
        key = runs, name, measure
        if key not in self.known:
            parts = self.parts if name in VARYING else []
            self.known[key] = gather_values(self.results, parts, runs, READERS[name], measure)
        return self.known[key]

    def entries(self, question: Question, groups: Sequence[Group], measure: str) -> list[Entry]:
        """All that a question reads of each group, its baselines among it."""
        arrays = question.arrays()
        return [
            Entry(runs, {as_: self(runs, name, measure) for as_, name in arrays.items()}, own) for runs, own in groups
        ]
