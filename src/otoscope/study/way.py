"""How the sums of all pairs are made, and what memory they take."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from otoscope.measures import Measure, path
from otoscope.measures.inference.grouping import BLOCKS

__all__ = ["BLOCKS", "sums_bytes", "way_to_sums"]


def way_to_sums(
    frames: int,
    widths: Mapping[str, int],
    pairs: Sequence[tuple[str, str]],
    measures: Sequence[Measure],
    *,
    intervals: bool,
    streams: bool = False,
) -> path.Path | None:
    """The cheaper path that can be taken: Gram matrices take all frames at hand, and have no blocks to leave out."""
    names = [m.name for m in measures if m.source == "moments"]
    if not names:
        return None
    chosen = path.choose(frames, widths, pairs, names)
    if chosen.name == "covariance":
        return chosen
    beside = [m.name for m in measures if m.source == "samples"]
    why = (
        "intervals are worked out from covariances by block"
        if intervals
        else f"frames are kept of some utterances only, for {beside[0]}"
        if beside
        else "the speech streams"
        if streams
        else ""
    )
    if not why:
        return chosen
    return replace(path.choose(frames, widths, pairs, [*names, "cca"]), reason=why)


def sums_bytes(widths: Mapping[str, int], pairs: Sequence[tuple[str, str]], *, intervals: bool) -> int:
    """The memory of the moments of these pairs and of each layer with itself, by block where intervals are wanted."""
    kept = {frozenset(pair): pair for pair in [*pairs, *((name, name) for name in widths)]}
    return 16 * sum(widths[x] * widths[y] for x, y in kept.values()) * (BLOCKS if intervals else 1)
