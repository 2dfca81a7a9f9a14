"""What a comparison of one or two checkpoints is to do: its layers, utterances, pairs and the way to their sums."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from functools import cached_property
from pathlib import Path
from typing import Literal

from otoscope.asr import FRAME_SHIFT_SECONDS, MEL_BINS
from otoscope.asr.batching import batches_by_length
from otoscope.capture import (
    INPUT,
    Clusters,
    Decodes,
    Finds,
    Layer,
    Recogniser,
    Seconds,
    Speech,
    TokenGrid,
    Tokenises,
    Transcribes,
    common_grid,
    view_name,
)
from otoscope.corpora import Corpus, Utterance, read_audio
from otoscope.errors import StudyError
from otoscope.loading import load_recogniser
from otoscope.measures import Measure, path, registry
from otoscope.measures.inference.grouping import BLOCKS
from otoscope.study.clusters import clusters_of
from otoscope.study.measuring import BATCH_FRAMES
from otoscope.study.needs import Needs, needs_of, on_grid

__all__ = [
    "BLOCKS",
    "Asked",
    "Model",
    "Transcripts",
    "chosen_layers",
    "heard_by",
    "loaded",
    "spread",
    "sums_bytes",
    "way_to_sums",
]


Transcripts = Literal["reference", "own"]
"""What a decoder is fed: what was said, or what the recogniser itself writes."""

Model = str | Path | Recogniser
"""A recogniser, or its name or path, see `load_recogniser`."""


@dataclass(frozen=True)
class Asked:
    """A comparison before it runs. Views are named `x:<layer>`, those of a second recogniser `y:<layer>`."""

    recognisers: Mapping[str, Recogniser]
    layers: Mapping[str, Sequence[Layer]]
    speech: Sequence[Utterance]
    measures: Sequence[Measure]
    samples: int
    intervals: bool
    texts: Mapping[str, str]

    @classmethod
    def of(
        cls,
        model: Model,
        other: Model | None,
        *,
        corpus: Corpus,
        measures: Sequence[str],
        layers: Sequence[str] | None,
        decoder: bool,
        transcripts: Transcripts,
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
        models = {"x": model, **({"y": other} if other is not None else {})}
        recognisers = {role: loaded(model) for role, model in models.items()}
        asked = cls(
            recognisers,
            {role: chosen_layers(recogniser, layers, decoder=decoder) for role, recogniser in recognisers.items()},
            spread(corpus.utterances, utterances),
            [registry.get(name) for name in measures],
            samples,
            intervals,
            {},
        )
        return replace(asked, texts=asked.transcripts(transcripts))

    @cached_property
    def over(self) -> str:
        """What the layers' steps are: "frames" or "tokens"."""
        every = [layer for own in self.layers.values() for layer in own]
        kinds = {layer.over: layer.name for layer in every}
        if len(kinds) > 1:
            raise StudyError(
                f"{kinds['frames']} runs over frames and {kinds['tokens']} over tokens, and they have no steps in "
                "common: compare layers of encoders and layers of decoders in two runs"
            )
        return every[0].over

    @cached_property
    def grid(self) -> Seconds | TokenGrid:
        """Seconds from one frame that is compared to the next; for decoders "token", or "word" where tokens differ."""
        if self.over == "frames":
            return common_grid([layer for own in self.layers.values() for layer in own])
        first, *others = [self._tokens(role) for role in self.recognisers]
        return "token" if all(tokens == first for tokens in others) else "word"

    def transcripts(self, which: Transcripts) -> dict[str, str]:
        """Utterance → what decoders are fed, where there is one among the layers."""
        if self.over == "frames":
            return {}
        if which == "reference":
            return {u.id: u.text for u in self.speech}
        if len(self.recognisers) > 1:
            raise StudyError(
                "two recognisers write different transcripts, and their decoders would be compared on different words: "
                'take transcripts="reference", or look at one of them'
            )
        recogniser = self.recognisers["x"]
        if not isinstance(recogniser, Transcribes):
            raise StudyError(f"{type(recogniser).__name__} writes no transcript of its own: take the reference")
        return heard_by(recogniser, self.speech)

    def read(self, batch: Sequence[str]) -> list[Speech]:
        """The audio of some utterances, and what decoders are fed of them."""
        return [Speech(read_audio(self._by_id[u]), self.texts.get(u, self._by_id[u].text)) for u in batch]

    @cached_property
    def tens(self) -> dict[str, int]:
        """Utterance → how long it is, in hundredths of a second: what batches are cut by."""
        return lengths_of(self.speech)

    @cached_property
    def steps(self) -> dict[str, int]:
        """Utterance → its frames, tokens or words on the grid, as far as durations and transcripts tell."""
        if isinstance(self.grid, float):
            return on_grid({u: n * FRAME_SHIFT_SECONDS for u, n in self.tens.items()}, self.grid)
        if self.grid == "token":
            return {u: len(tokens) + 1 for u, tokens in self._tokens("x").items()}
        return {u: max(1, len(text.split())) for u, text in self.texts.items()}

    @cached_property
    def _by_id(self) -> dict[str, Utterance]:
        return {u.id: u for u in self.speech}

    def _tokens(self, role: str) -> dict[str, list[int]]:
        recogniser = self.recognisers[role]
        assert isinstance(recogniser, Tokenises)  # it has layers over tokens
        return {u: list(recogniser.tokenise(text)) for u, text in self.texts.items()}

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
        return needs_of(self.measures, self.pairs, self.steps, grid=self.grid, samples=self.samples)

    @cached_property
    def clusters(self) -> Clusters | None:
        """What intervals leave out in turn. Raises StudyError where there is too little of it."""
        return clusters_of({u.id: u.speaker for u in self.speech}, self.tens) if self.intervals else None

    @cached_property
    def way(self) -> path.Path | None:
        """How the sums of all pairs are made; None where no measure needs them."""
        return way_to_sums(
            sum(self.steps.values()),
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


def loaded(model: Model) -> Recogniser:
    """The recogniser itself, loaded where it is a name or a path."""
    return load_recogniser(model) if isinstance(model, str | Path) else model


def lengths_of(speech: Sequence[Utterance]) -> dict[str, int]:
    """Utterance → how long it is, in hundredths of a second."""
    return {u.id: max(1, round(u.duration / FRAME_SHIFT_SECONDS)) for u in speech}


def heard_by(
    recogniser: Transcribes, speech: Sequence[Utterance], progress: Callable[[int], None] | None = None
) -> dict[str, str]:
    """What a recogniser hears of each utterance, a minute of speech at a time."""
    by_id = {u.id: u for u in speech}
    heard: dict[str, str] = {}
    for batch in batches_by_length(lengths_of(speech), frames=BATCH_FRAMES):
        texts = recogniser.transcribe([Speech(read_audio(by_id[u]), by_id[u].text) for u in batch])
        heard |= zip(batch, texts, strict=True)
        if progress is not None:
            progress(len(heard))
    return heard


def chosen_layers(recogniser: Recogniser, patterns: Sequence[str] | None, *, decoder: bool) -> list[Layer]:
    """The layers that are asked for: one a block of the encoder or the decoder, or those of some names or globs."""
    if patterns is not None:
        if isinstance(recogniser, Finds):
            return list(recogniser.find(patterns))
        known = {layer.name: layer for layer in recogniser.layers()}
        chosen = {name for name in known for pattern in patterns if fnmatchcase(name, pattern)}
        if not chosen:
            raise StudyError(f"no layer matches {', '.join(patterns)}; those of this recogniser are {', '.join(known)}")
        return [layer for name, layer in known.items() if name in chosen]
    if not decoder:
        return list(recogniser.layers())
    own = list(recogniser.decoder_layers()) if isinstance(recogniser, Decodes) else []
    if not own:
        raise StudyError(f"{type(recogniser).__name__} has no decoder whose layers could be compared")
    return own


def spread(utterances: Sequence[Utterance], count: int) -> list[Utterance]:
    """At most so many utterances, spread evenly."""
    every = max(1, len(utterances) / count)
    return [utterances[int(i * every)] for i in range(min(count, len(utterances)))]
