"""What a comparison of one or two checkpoints is to do: its layers, utterances, pairs and the way to their sums."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from otoscope.asr import FRAME_SHIFT_SECONDS, MEL_BINS, ReferenceRecogniser
from otoscope.capture import INPUT, Clusters, Layer, Seconds, common_grid, select, view_name
from otoscope.corpora import Corpus, Utterance
from otoscope.errors import StudyError
from otoscope.measures import Measure, path, registry
from otoscope.measures.inference.grouping import BLOCKS
from otoscope.study.clusters import clusters_of
from otoscope.study.needs import Needs, needs_of

__all__ = ["BLOCKS", "Asked", "sums_bytes", "way_to_sums"]


@dataclass(frozen=True)
class Asked:
    """A comparison before it runs. Views are named `x:<layer>`, those of a second checkpoint `y:<layer>`."""

    recognisers: Mapping[str, ReferenceRecogniser]
    layers: Mapping[str, Sequence[Layer]]
    speech: Sequence[Utterance]
    measures: Sequence[Measure]
    samples: int
    intervals: bool

    @classmethod
    def of(
        cls,
        checkpoint: Path,
        other: Path | None,
        *,
        corpus: Corpus,
        measures: Sequence[str],
        layers: Sequence[str] | None,
        utterances: int,
        samples: int,
        intervals: bool,
    ) -> Asked:
        """Arguments and errors as for `measure`."""
        if utterances < 1:
            raise StudyError(f"layers are compared on at least 1 utterance, got utterances={utterances}")
        if not corpus.utterances:
            raise StudyError(f"the corpus {corpus.name!r} has no utterance to compare layers on: check --split")
        if not measures or len(set(measures)) < len(measures):
            raise StudyError(f"expected one or more different measures, got {list(measures)}")
        paths = {"x": checkpoint, **({"y": other} if other is not None else {})}
        recognisers = {role: ReferenceRecogniser.load(path) for role, path in paths.items()}
        return cls(
            recognisers,
            {role: _layers(recogniser, layers) for role, recogniser in recognisers.items()},
            _spread(corpus.utterances, utterances),
            [registry.get(name) for name in measures],
            samples,
            intervals,
        )

    @cached_property
    def grid(self) -> Seconds:
        """Seconds from one frame that is compared to the next."""
        return common_grid([layer for own in self.layers.values() for layer in own])

    @cached_property
    def frames(self) -> dict[str, int]:
        """Utterance → its input frames."""
        return {u.id: max(1, round(u.duration / FRAME_SHIFT_SECONDS)) for u in self.speech}

    @cached_property
    def pooled(self) -> dict[str, int]:
        """Utterance → its frames on the grid."""
        return {u: math.ceil(round(n * FRAME_SHIFT_SECONDS / self.grid, 6)) for u, n in self.frames.items()}

    @property
    def rows(self) -> list[str]:
        """The views on the first axis."""
        return self._views("x")

    @property
    def columns(self) -> list[str]:
        """The views on the second axis."""
        return self._views("y" if "y" in self.layers else "x")

    @property
    def pairs(self) -> list[tuple[str, str]]:
        """Every pair of views that is asked for, in the order of rows and columns."""
        return [(x, y) for x in self.rows for y in self.columns]

    @cached_property
    def widths(self) -> dict[str, int]:
        """View → units, the input's among them where a measure takes it."""
        own = {view_name(role, layer.name): layer.units for role, layers in self.layers.items() for layer in layers}
        return own | ({INPUT: MEL_BINS} if self.needs["inputs"] else {})

    @cached_property
    def needs(self) -> Needs:
        """What the measures need of the pass over the speech. Raises StudyError where `samples` is too small."""
        return needs_of(self.measures, self.pairs, self.frames, grid=self.grid, samples=self.samples)

    @cached_property
    def clusters(self) -> Clusters | None:
        """What intervals leave out in turn. Raises StudyError where there is too little of it."""
        return clusters_of({u.id: u.speaker for u in self.speech}, self.frames) if self.intervals else None

    @cached_property
    def way(self) -> path.Path | None:
        """How the sums of all pairs are made; None where no measure needs them."""
        return way_to_sums(
            sum(self.pooled.values()),
            self.widths,
            self.needs["pairs"],
            self.measures,
            intervals=self.intervals,
        )

    def _views(self, role: str) -> list[str]:
        return [view_name(role, layer.name) for layer in self.layers[role]]


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


def _layers(recogniser: ReferenceRecogniser, patterns: Sequence[str] | None) -> list[Layer]:
    own = recogniser.layers()
    if patterns is None:
        return own
    wanted = set(select(recogniser.module, patterns))
    known = {layer.name for layer in own}
    if unknown := sorted(wanted - known):
        raise StudyError(
            f"the layers {', '.join(unknown)} have no known stride; those of this recogniser are: "
            f"{', '.join(layer.name for layer in own)}"
        )
    return [layer for layer in own if layer.name in wanted]


def _spread(utterances: Sequence[Utterance], count: int) -> list[Utterance]:
    every = max(1, len(utterances) / count)
    return [utterances[int(i * every)] for i in range(min(count, len(utterances)))]
