"""What a comparison of one or two recognisers is to do: its layers, utterances, pairs and the way to their sums."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal

from otoscope.asr import FRAME_SHIFT_SECONDS, MEL_BINS
from otoscope.capture import (
    INPUT,
    Clusters,
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
from otoscope.measures import Measure, path, registry
from otoscope.study.clusters import clusters_of
from otoscope.study.looking import Model, chosen_layers, costs, hearable, heard_by, loaded, name_of, spread
from otoscope.study.needs import Needs, needs_of, on_grid
from otoscope.study.way import way_to_sums

__all__ = ["Asked", "Transcripts"]

Transcripts = Literal["reference", "own"]
"""What decoders are fed: what was said, or what the recogniser itself writes."""


@dataclass(frozen=True)
class Asked:
    """A comparison before it runs. Views are named `x:<layer>`, those of a second recogniser `y:<layer>`.

    `texts` are what decoders are fed, by utterance, and `fed` says in words what that is; empty where none runs.
    `left_out` has the utterances that cannot be looked at, each with the reason.
    """

    recognisers: Mapping[str, Recogniser]
    layers: Mapping[str, Sequence[Layer]]
    speech: Sequence[Utterance]
    left_out: Sequence[str]
    measures: Sequence[Measure]
    samples: int
    intervals: bool
    texts: Mapping[str, str]
    fed: str = ""

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
        utterances: int,
        samples: int,
        intervals: bool,
    ) -> Asked:
        """Arguments and errors as for `measure`. Decoders are fed the reference."""
        if utterances < 1:
            raise StudyError(f"layers are compared on at least 1 utterance, got utterances={utterances}")
        if not corpus.utterances:
            raise StudyError(f"the corpus {corpus.name!r} has no utterance to compare layers on: check --split")
        if not measures or len(set(measures)) < len(measures):
            raise StudyError(f"expected one or more different measures, got {list(measures)}")
        models = {"x": model, **({"y": other} if other is not None else {})}
        recognisers = {role: loaded(model) for role, model in models.items()}
        chosen = chosen_layers(recognisers, layers, decoder=decoder)
        over = _over(chosen)
        speech, left_out = hearable(spread(corpus.utterances, utterances), recognisers, chosen)
        if not speech:
            raise StudyError(f"no utterance of the corpus {corpus.name!r} can be looked at: {left_out[0]}")
        texts, fed = _reference(speech, recognisers) if over == "tokens" else ({}, "")
        found = [registry.get(name) for name in measures]
        if over == "tokens" and (given := [m.name for m in found if m.given == INPUT]):
            raise StudyError(f"{given[0]} takes the input's frames out, and decoders have none: leave it out")
        return cls(recognisers, chosen, speech, left_out, found, samples, intervals, texts, fed)

    def with_own_transcripts(self, progress: Callable[[int], None] | None = None) -> Asked:
        """The same with the decoder fed what the recogniser itself writes, which it is run for."""
        if _over(self.layers) == "frames":
            return self
        if len(self.recognisers) > 1:
            raise StudyError(
                "two recognisers write different transcripts, and their decoders would be compared on different words: "
                'take transcripts="reference", or look at one of them'
            )
        recogniser = self.recognisers["x"]
        if not isinstance(recogniser, Transcribes):
            raise StudyError(f"{name_of(recogniser)} writes no transcript of its own: take the reference")
        heard = heard_by(recogniser, self.speech, progress)
        spoken = [u for u in self.speech if heard[u.id].split()]
        silent = [f"{u.id}: nothing was written of it" for u in self.speech if not heard[u.id].split()]
        if not spoken:
            raise StudyError(f"{name_of(recogniser)} writes nothing for any of {len(self.speech)} utterances")
        return replace(self, speech=spoken, left_out=[*self.left_out, *silent], texts=heard, fed="its own transcripts")

    @cached_property
    def grid(self) -> Seconds | TokenGrid:
        """Seconds from one frame that is compared to the next; for decoders "token", or "word" where tokens differ."""
        if _over(self.layers) == "frames":
            return common_grid([layer for own in self.layers.values() for layer in own])
        first, *others = [self._tokens(role) for role in self.recognisers]
        return "token" if all(tokens == first for tokens in others) else "word"

    def read(self, batch: Sequence[str]) -> list[Speech]:
        """The audio of some utterances, and what decoders are fed of them."""
        return [Speech(read_audio(self._by_id[u]), self.texts.get(u, "")) for u in batch]

    @cached_property
    def costs(self) -> dict[str, int]:
        """Utterance → what it costs a batch, in hundredths of a second of speech."""
        return costs(self.speech, self.recognisers.values())

    @cached_property
    def steps(self) -> dict[str, int]:
        """Utterance → its frames, tokens or words on the grid, as far as durations and transcripts tell."""
        if isinstance(self.grid, float):
            seconds = {u.id: max(1, round(u.duration / FRAME_SHIFT_SECONDS)) * FRAME_SHIFT_SECONDS for u in self.speech}
            return on_grid(seconds, self.grid)
        if self.grid == "token":
            return {u: len(tokens) + 1 for u, tokens in self._tokens("x").items()}
        return {u.id: len(self.texts[u.id].split()) for u in self.speech}

    @cached_property
    def _by_id(self) -> dict[str, Utterance]:
        return {u.id: u for u in self.speech}

    def _tokens(self, role: str) -> dict[str, list[int]]:
        recogniser = self.recognisers[role]
        assert isinstance(recogniser, Tokenises)  # it has layers over tokens
        return {u.id: list(recogniser.tokenise(self.texts[u.id])) for u in self.speech}

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
        return clusters_of({u.id: u.speaker for u in self.speech}, self.costs) if self.intervals else None

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


def _over(layers: Mapping[str, Sequence[Layer]]) -> str:
    """What the layers' steps are: "frames" or "tokens"."""
    every = [layer for own in layers.values() for layer in own]
    kinds = {layer.over: layer.name for layer in every}
    if len(kinds) > 1:
        raise StudyError(
            f"{kinds['frames']} runs over frames and {kinds['tokens']} over tokens, and they have no steps in "
            "common: compare layers of encoders and layers of decoders in two runs"
        )
    return every[0].over


def _reference(speech: Sequence[Utterance], recognisers: Mapping[str, Recogniser]) -> tuple[dict[str, str], str]:
    """What was said, in lower case where the whole corpus is in capitals and no decoder is made for these."""
    texts = {u.id: u.text for u in speech}
    lower = all(getattr(recogniser, "writes_lower_case", False) for recogniser in recognisers.values())
    if lower and all(text.upper() == text for text in texts.values()):
        return {u: text.lower() for u, text in texts.items()}, "the reference, in lower case"
    return texts, "the reference"
