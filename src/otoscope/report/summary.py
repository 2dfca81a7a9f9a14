"""The sentences at the head of the report, each made from the study's numbers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from otoscope.report.payload import Payload, default_runs
from otoscope.report.text import duration, plain, rate

__all__ = ["Passage", "off_diagonal", "summarise"]


@dataclass(frozen=True, slots=True)
class Passage:
    """A heading and the sentences under it."""

    heading: str
    sentences: tuple[str, ...]


def summarise(payload: Payload) -> list[Passage]:
    """What the numbers say: error rates, alike neighbours, movement from the untrained state, shuffled baseline.

    Layers are spoken of under the study's first measure and for the first seed of each recogniser.
    """
    if not payload["measures"]:
        return [_error_rates(payload)]
    measure = str(payload["measures"][0])
    runs = default_runs(payload)
    return [
        _error_rates(payload),
        Passage(f"Neighbouring layers ({measure})", tuple(_neighbours(payload, run, measure) for run in runs)),
        Passage(f"Moved from untrained ({measure})", tuple(_movement(payload, run, measure) for run in runs)),
        Passage("Shuffled utterances (0 where nothing is shared)", tuple(_shuffled(payload))),
    ]


def off_diagonal(table: Sequence[Any] | None, *, nulls: bool = False) -> list[float]:
    """The computed values (or null levels) of a matrix between different layers."""
    if table is None:
        return []
    lines = table[1 if nulls else 0]
    return [v for i, line in enumerate(lines) for j, v in enumerate(line) if i != j and v is not None]


def _error_rates(payload: Payload) -> Passage:
    sentences = []
    for recogniser in payload["recognisers"]:
        runs = [payload["runs"][run] for run in recogniser["runs"]]
        parts = []
        for split in ("test", "dev"):
            finals = [v for v in (_last(run[f"{split}_wer"]) for run in runs) if v is not None]
            if finals:
                low, high = rate(min(finals)), rate(max(finals))
                spread = f" (mean of {len(finals)} seeds, {low} to {high})" if len(finals) > 1 else ""
                parts.append(f"{rate(fmean(finals))} {split} WER{spread}")
        seconds = [v for v in (_last(run["seconds"]) for run in runs) if v is not None]
        after = f"{max(run['steps'][-1] for run in runs):,} steps"
        spent = f" and {duration(fmean(seconds))} of training" if seconds else ""
        scores = " and ".join(parts) if parts else "no error rate scored"
        sentences.append(f"{recogniser['name']}: {scores}, after {after}{spent}.")
    return Passage("Word error rate", tuple(sentences))


def _neighbours(payload: Payload, run: str, measure: str) -> str:
    about = payload["runs"][run]
    name, layers = about["recogniser"], about["labels"]
    table = payload["within"].get(run, {}).get(str(about["steps"][-1]), {}).get(measure)
    at = [] if table is None else [i for i in range(len(layers) - 1) if table[0][i][i + 1] is not None]
    if table is None or not at:
        return f"{name}: no neighbouring layers compared at the final checkpoint."
    ranked = sorted(at, key=lambda i: _alike(payload, measure, table[0][i][i + 1]))
    least, most = ranked[0], ranked[-1]
    read = {i: _with_interval(table, i, i + 1) for i in at}
    if len(at) == 1:
        return f"{name}: {layers[most]} and {layers[most + 1]} read {read[most]}."
    alike, unlike = (f"{layers[i]} and {layers[i + 1]} ({read[i]})" for i in (most, least))
    return f"{name}: most alike are {alike}, least {unlike}."


def _movement(payload: Payload, run: str, measure: str) -> str:
    about = payload["runs"][run]
    name = about["recogniser"]
    table = payload["to_final"].get(run, {}).get(measure)
    labels = about["labels"]
    known = [] if table is None else [i for i in range(len(labels)) if table[0][i][0] is not None]
    if table is None or not known or len(about["steps"]) < 2:
        return f"{name}: the untrained and the final state were not compared."
    moved = sorted(known, key=lambda i: _alike(payload, measure, table[0][i][0]))
    far, near = (f"{labels[i]} ({_with_interval(table, i, 0)})" for i in (moved[0], moved[-1]))
    if len(moved) == 1:
        return f"{name}: {labels[moved[0]]} reads {_with_interval(table, moved[0], 0)} against its untrained state."
    return f"{name}: furthest from its untrained state is {far}, nearest {near}."


def _shuffled(payload: Payload) -> list[str]:
    sentences = []
    for measure in payload["measures"]:
        tables = [at[measure] for steps in payload["shuffled"].values() for at in steps.values()]
        values = [v for table in tables for line in table[0] for v in line if v is not None]
        if values and measure in payload["distances"]:
            sentences.append(
                f"{measure} (a distance: 0 is alike): {plain(fmean(values), 3)} on average, {plain(min(values), 3)} at "
                "the nearest."
            )
        elif values:
            worst = max(values, key=abs)
            sentences.append(f"{measure}: {plain(fmean(values), 3)} on average, {plain(worst, 3)} at the furthest.")
    return sentences or ["No shuffled baseline was computed."]


def _alike(payload: Payload, measure: str, value: float) -> float:
    """The value, turned round for a distance: more is more alike."""
    return -value if measure in payload["distances"] else value


def _with_interval(table: Sequence[Any], i: int, j: int) -> str:
    """A value as a sentence has it, with its interval where there is one."""
    value, ends = plain(table[0][i][j]), [part[i][j] for part in table[2:]]
    return f"{value}, {plain(ends[0])} to {plain(ends[1])}" if ends and None not in ends else value


def _last(values: Sequence[float | None]) -> float | None:
    return next((v for v in reversed(values) if v is not None and math.isfinite(v)), None)
