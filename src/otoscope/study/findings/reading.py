"""What findings read from results, by name, and when there is too little of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal

import numpy as np
import numpy.typing as npt

from otoscope.measures import registry
from otoscope.study.findings.error_rate_by_speech import agreement_of_blocks, blocks_that_count, errors_of_blocks
from otoscope.study.findings.evidence import Reader, Runs, Seen
from otoscope.study.results import Results

__all__ = ["BASELINES", "FEWEST_LAYERS", "READERS", "TO_FINAL", "VARYING", "WITHIN", "few_layers"]

Floats = npt.NDArray[np.float64]

FEWEST_LAYERS = 5
"""Ten pairs and ten triples of layers: fewer can hardly be out of order."""


def _within(at: int) -> Reader:
    """(layers, layers) of a run at its first (0) or last (−1) checkpoint."""
    return lambda results, runs, measure: results.within(runs[0], results.steps(runs[0])[at], measure)


def _shuffled(results: Results, runs: Runs, measure: str) -> npt.ArrayLike:
    """(layers, layers) of a run at its last checkpoint, utterances shuffled."""
    return results.shuffled(runs[0], results.steps(runs[0])[-1], measure)


def _curve(kind: Literal["to_final", "to_previous"]) -> Reader:
    """(layers, steps): each layer with itself at the last, or the previous, checkpoint."""
    return lambda results, runs, measure: results.curve(kind, runs[0], measure)


def _across(step: Literal["first", "final"]) -> Reader:
    """(layers of the first run, layers of the second)."""
    return lambda results, runs, measure: results.across(runs[0], runs[1], measure, step)


def _training(name: str) -> Reader:
    """(steps,) of what the training log says."""
    return lambda results, runs, measure: results.training(runs[0])[name]


def _learning_rate(results: Results, runs: Runs, measure: str) -> npt.ArrayLike:
    """(steps,), NaN in files of before it was kept."""
    return results.training(runs[0]).get("learning_rate", np.full(len(results.steps(runs[0])), np.nan))


def _wer(results: Results, runs: Runs, measure: str) -> npt.ArrayLike:
    """(steps,): the word error rate on the development split."""
    return results.wer(runs[0])["dev_wer"]


def _steps(results: Results, runs: Runs, measure: str) -> npt.ArrayLike:
    return results.steps(runs[0])


def _similarity(read: Reader) -> Reader:
    """Larger is more alike, by every measure: 1 − value of those that are distances."""

    def reader(results: Results, runs: Runs, measure: str) -> npt.ArrayLike:
        values = np.asarray(read(results, runs, measure), dtype=np.float64)
        turned: Floats = 1 - values if measure in DISTANCES else values
        return turned

    return reader


DISTANCES = frozenset(name for name in registry.names() if registry.get(name).distance)

_SIMILARITIES: Mapping[str, Reader] = {
    "within": _within(-1),
    "within_first": _within(0),
    "shuffled": _shuffled,
    "to_final": _curve("to_final"),
    "to_previous": _curve("to_previous"),
    "across": _across("final"),
    "across_first": _across("first"),
    "successive": lambda results, runs, measure: results.curve("to_previous", runs[0], measure)[:, 1:],
    "kept": lambda results, runs, measure: results.curve("to_final", runs[0], measure)[:, 0],
    "kept_shuffled": lambda results, runs, measure: np.diagonal(_shuffled(results, runs, measure)),
}

VARYING = frozenset(_SIMILARITIES)
"""What is another value without a block of speech."""

READERS: Mapping[str, Reader] = {
    **{name: _similarity(read) for name, read in _SIMILARITIES.items()},
    "block_agreement": _similarity(agreement_of_blocks),
    "steps": _steps,
    "dev_loss": _training("dev_loss"),
    "learning_rate": _learning_rate,
    "dev_wer": _wer,
    "block_wer": errors_of_blocks,
    "block_weights": blocks_that_count,
}
"""What arrays are called, and how they are read."""

WITHIN: Mapping[str, str] = {"within": "within"}
TO_FINAL: Mapping[str, str] = {"to_final": "to_final", "steps": "steps"}
BASELINES: Mapping[str, Mapping[str, str]] = {
    "untrained": {"within": "within_first"},
    "shuffled": {"within": "shuffled"},
}
"""Of what is read from layer × layer matrices: the untrained recogniser, and shuffled utterances."""


def few_layers(fewest: int) -> Callable[[Seen], str]:
    """Refuses matrices of fewer layers, or with values that the measure did not give."""

    def refusal(seen: Seen) -> str:
        similarity = seen["within"]
        if len(similarity) < fewest:
            return f"{len(similarity)} layers, and the order in depth takes at least {fewest}"
        if not np.isfinite(similarity).all():
            return f"{int((~np.isfinite(similarity)).sum())} similarities were not computed"
        return ""

    return refusal
