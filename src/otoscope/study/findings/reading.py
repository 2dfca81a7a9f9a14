"""What findings read from results, by name, and what they cannot be read from."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import numpy.typing as npt

from otoscope.study.findings.evidence import Arrays
from otoscope.study.findings.question import Reader

__all__ = ["BASELINES", "FEWEST_LAYERS", "TO_FINAL", "WITHIN", "few_layers", "readers"]

Floats = npt.NDArray[np.float64]

FEWEST_LAYERS = 5
"""Ten pairs and ten triples of layers: fewer can hardly be out of order."""


def readers(measure: str) -> dict[str, Reader]:
    """How each array is read, by one measure."""
    return {
        "within": lambda results, run: results.within(run, results.steps(run)[-1], measure).to_numpy(),
        "untrained": lambda results, run: results.within(run, results.steps(run)[0], measure).to_numpy(),
        "shuffled": lambda results, run: results.shuffled(run, results.steps(run)[-1], measure).to_numpy(),
        "to_final": lambda results, run: results.curve("to_final", run, measure).to_numpy(),
        "steps": lambda results, run: np.array(results.steps(run), dtype=float),
    }


WITHIN: Mapping[str, str] = {"within": "within"}
TO_FINAL: Mapping[str, str] = {"to_final": "to_final", "steps": "steps"}
BASELINES: Mapping[str, Mapping[str, str]] = {
    "untrained": {"within": "untrained"},
    "shuffled": {"within": "shuffled"},
}
"""Of what is read from layer × layer matrices: the untrained recogniser, and shuffled utterances."""


def few_layers(fewest: int) -> Callable[[Arrays], str]:
    """Refuses matrices of fewer layers, or with values that the measure did not give."""

    def refusal(arrays: Arrays) -> str:
        similarity = arrays["within"]
        if len(similarity) < fewest:
            return f"{len(similarity)} layers, and the order in depth takes at least {fewest}"
        if not np.isfinite(similarity).all():
            return f"{int((~np.isfinite(similarity)).sum())} similarities were not computed"
        return ""

    return refusal
