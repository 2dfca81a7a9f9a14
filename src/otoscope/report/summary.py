"""The sentences at the head of the report, each made from the study's numbers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from otoscope.report.payload import Payload, default_runs
from otoscope.report.text import duration, plain, rate

__all__ = ["Finding", "off_diagonal", "summarise"]


@dataclass(frozen=True, slots=True)
class Finding:
    """A heading and the sentences under it."""

    heading: str
    sentences: tuple[str, ...]


def summarise(payload: Payload) -> list[Finding]:
    """What the numbers say: error rates, alike neighbours, movement from the untrained state, shuffled baseline.

    Layers are spoken of under the study's first measure and for the first seed of each recogniser.
    """
    if not payload["measures"]:
        return [_error_rates(payload)]
    measure = str(payload["measures"][0])
    runs = default_runs(payload)
    return [
        _error_rates(payload),
        Finding(f"Neighbouring layers ({measure})", tuple(_neighbours(payload, run, measure) for run in runs)),
        Finding(f"Moved from untrained ({measure})", tuple(_movement(payload, run, measure) for run in runs)),
        Finding("Shuffled utterances (0 where nothing is shared)", tuple(_shuffled(payload))),
    ]


def off_diagonal(table: Sequence[Any] | None, *, nulls: bool = False) -> list[float]:
    """The computed values (or null levels) of a matrix between different layers."""
    if table is None:
        return []
    lines = table[1 if nulls else 0]
    return [v for i, line in enumerate(lines) for j, v in enumerate(line) if i != j and v is not None]


def _error_rates(payload: Payload) -> Finding:
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
    return Finding("Word error rate", tuple(sentences))


def _neighbours(payload: Payload, run: str, measure: str) -> str:
    about = payload["runs"][run]
    name, layers = about["recogniser"], about["labels"]
    table = payload["within"].get(run, {}).get(str(about["steps"][-1]), {}).get(measure)
    pairs = [] if table is None else [(table[0][i][i + 1], layers[i], layers[i + 1]) for i in range(len(layers) - 1)]
    pairs = [pair for pair in pairs if pair[0] is not None]
    if not pairs:
        return f"{name}: no neighbouring layers compared at the final checkpoint."
    most, least = max(pairs), min(pairs)
    if len(pairs) == 1:
        return f"{name}: {most[1]} and {most[2]} read {plain(most[0])}."
    alike, unlike = (f"{x} and {y} ({plain(value)})" for value, x, y in (most, least))
    return f"{name}: most alike are {alike}, least {unlike}."


def _movement(payload: Payload, run: str, measure: str) -> str:
    about = payload["runs"][run]
    name = about["recogniser"]
    table = payload["to_final"].get(run, {}).get(measure)
    known = [] if table is None else [(v[0], layer) for v, layer in zip(table[0], about["labels"], strict=True)]
    moved = sorted(pair for pair in known if pair[0] is not None)
    if not moved or len(about["steps"]) < 2:
        return f"{name}: the untrained and the final state were not compared."
    (low, furthest), (high, least) = moved[0], moved[-1]
    if len(moved) == 1:
        return f"{name}: {furthest} reads {plain(low)} against its untrained state."
    return f"{name}: furthest from its untrained state is {furthest} ({plain(low)}), nearest {least} ({plain(high)})."


def _shuffled(payload: Payload) -> list[str]:
    sentences = []
    for measure in payload["measures"]:
        tables = [at[measure] for steps in payload["shuffled"].values() for at in steps.values()]
        values = [v for table in tables for line in table[0] for v in line if v is not None]
        if values:
            worst = max(values, key=abs)
            sentences.append(f"{measure}: {plain(fmean(values), 3)} on average, {plain(worst, 3)} at the furthest.")
    return sentences or ["No shuffled baseline was computed."]


def _last(values: Sequence[float | None]) -> float | None:
    return next((v for v in reversed(values) if v is not None and math.isfinite(v)), None)
