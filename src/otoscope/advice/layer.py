"""Which layer to take features from, checked by a probe on speakers that it was not chosen on."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from otoscope.capture import INPUT
from otoscope.corpora import Corpus
from otoscope.errors import StudyError
from otoscope.study.content import content
from otoscope.study.looking import Model, loaded, source_of, spread
from otoscope.study.plain import plain

__all__ = ["CHOOSING", "LayerAdvice", "LayerChoice", "advise_layer"]

CHOOSING = ("cca-held-out", "cka", "probe")
"""What a layer can be chosen by: two similarities with the labels, and the probe itself."""

PROBE = "probe"


@dataclass(frozen=True)
class LayerChoice:
    """The layer for one label, chosen in one way.

    Speakers are halved, and each half chooses for the other: `layers` are the two choices. All values are what a probe
    reads on the half that did not choose (accuracy, or R² of numbers), mean over both: `value` off the chosen layer,
    `last` off the last, `best` off the layer that is best there, `input` off the log-mel features. `gain` has value −
    last for each half: where the two differ in sign, the choice does not matter, or there is too little speech.
    """

    label: str
    chosen_by: str
    layers: tuple[str, str]
    value: float
    last: float
    best: float
    input: float
    gain: tuple[float, float]


@dataclass(frozen=True)
class LayerAdvice:
    """Advice on layers, with its evidence: what each half of the speech reads off every layer is in `table`.

    `notes` says what could not be read.
    """

    recogniser: str
    corpus: str
    utterances: int
    speakers: int
    choices: tuple[LayerChoice, ...]
    table: pd.DataFrame
    notes: tuple[str, ...]

    def best(self, label: str, chosen_by: str = PROBE) -> LayerChoice:
        """The choice for a label. Raises StudyError where there is none."""
        for choice in self.choices:
            if (choice.label, choice.chosen_by) == (label, chosen_by):
                return choice
        there = ", ".join(f"{c.label} by {c.chosen_by}" for c in self.choices) or "none"
        raise StudyError(f"there is no layer for {label!r} by {chosen_by!r}; there are choices for {there}")

    def to_dict(self) -> dict[str, Any]:
        """Plain values, null for what is not known."""
        fields = {name: getattr(self, name) for name in ("recogniser", "corpus", "utterances", "speakers")}
        rows = json.loads(self.table.to_json(orient="records"))
        choices = [plain(asdict(choice)) for choice in self.choices]
        return {**fields, "choices": choices, "table": rows, "notes": list(self.notes)}


def advise_layer(
    model: Model,
    *,
    corpus: Corpus,
    labels: Sequence[str] = ("phones", "words", "speaker"),
    layers: Sequence[str] | None = None,
    utterances: int = 300,
    chosen_by: Sequence[str] = CHOOSING,
    progress: Callable[[str, int, int], None] | None = None,
) -> LayerAdvice:
    """Which layer of a recogniser to take features from for phones, words, the speaker, …

    What is best on some speech is so by chance too. So speakers are halved: on one half a layer is chosen, by how well
    a probe reads the label off it, or by its similarity to the label, which takes no training; and a probe on the other
    half says what the choice is worth, beside the last layer, which is what is commonly taken. Then the halves change
    places.

    Arguments:
        model: a recogniser, or its name or path, see `load_recogniser`.
        corpus: speech of at least four speakers, with alignments where labels need them (see `with_alignments`).
        labels: as for `content`.
        layers: names or globs (default: one layer a block of the encoder).
        utterances: at most so many, spread over the corpus.
        chosen_by: "probe", "cca-held-out", "cka".
        progress: called with what is being done, how much is done and how much there is.

    Raises:
        StudyError: fewer than four speakers; what `content` refuses.

    Source: Pasad, Chou & Livescu 2021 (arXiv 2107.04734) choose layers by similarity with labels.
    """
    if unknown := [name for name in chosen_by if name not in CHOOSING]:
        raise StudyError(f"layers are chosen by {', '.join(CHOOSING)}; got {', '.join(unknown)}")
    recogniser = loaded(model)
    chosen = spread(corpus.utterances, utterances)
    halves = _halves({u.id: u.speaker for u in chosen}, {u.id: u.duration for u in chosen})
    methods = tuple(dict.fromkeys([PROBE, *chosen_by]))
    found = []
    for i, half in enumerate(halves):

        def show(what: str, done: int, total: int, half: int = i) -> None:
            if progress is not None:
                progress(f"{what}, half {half + 1} of 2", done, total)

        found.append(
            content(
                recogniser,
                corpus=corpus.keep([u for u in chosen if u.speaker in half]),
                labels=labels,
                layers=layers,
                utterances=len(chosen),
                methods=methods,
                progress=show,
            )
        )
    both = found[0], found[1]
    notes = [note for one in both for told in ("left_out", "notes") for note in one.attrs[told]]
    return LayerAdvice(
        source_of(recogniser),
        corpus.name,
        len(chosen),
        len({u.speaker for u in chosen}),
        tuple(_choice(label, way, both) for label in labels for way in chosen_by),
        pd.concat([_table(one, i + 1) for i, one in enumerate(both)], ignore_index=True),
        tuple(dict.fromkeys(notes)),
    )


def _halves(speakers: Mapping[str, str], seconds: Mapping[str, float]) -> tuple[set[str], set[str]]:
    """Speakers in two halves of about as much speech, the longest first to where there is less."""
    spoken: dict[str, float] = {}
    for utterance, speaker in speakers.items():
        spoken[speaker] = spoken.get(speaker, 0.0) + seconds[utterance]
    if len(spoken) < 4:
        raise StudyError(
            f"a layer is chosen on half of the speakers and checked on the others, which takes at least 4; there are "
            f"{len(spoken)} in {len(speakers)} utterances"
        )
    halves: tuple[set[str], set[str]] = (set(), set())
    held = [0.0, 0.0]
    for speaker in sorted(spoken, key=lambda s: (-spoken[s], s)):
        least = held.index(min(held))
        halves[least].add(speaker)
        held[least] += spoken[speaker]
    return halves


def _choice(label: str, way: str, found: tuple[xr.Dataset, xr.Dataset]) -> LayerChoice:
    layers, values, lasts, bests, inputs = [], [], [], [], []
    for here, there in (found, found[::-1]):
        read = there["value"].sel({"label": label, "method": PROBE}).to_series()
        layer = _largest(here["value"].sel({"label": label, "method": way}).to_series().drop(INPUT))
        own = read.drop(INPUT)
        layers.append(layer)
        values.append(float(own.get(layer, math.nan)))
        lasts.append(float(own.iloc[-1]))
        bests.append(float(own.max()))
        inputs.append(float(read[INPUT]))
    gain = values[0] - lasts[0], values[1] - lasts[1]
    value, last, best, plain = (float(np.mean(column)) for column in (values, lasts, bests, inputs))
    return LayerChoice(label, way, (layers[0], layers[1]), value, last, best, plain, gain)


def _largest(values: pd.Series[float]) -> str:
    """The layer with the largest value; "" where none is known."""
    return "" if values.isna().all() else str(values.idxmax())


def _table(found: xr.Dataset, half: int) -> pd.DataFrame:
    rows = found[["value", "low", "high"]].to_dataframe().reset_index()
    rows.insert(0, "half", half)
    return rows[["half", "layer", "label", "method", "value", "low", "high"]]
