"""A study's reading of content, cut into units of work: one for each checkpoint, which leaves a JSON file."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, astuple, dataclass, replace
from pathlib import Path
from typing import Literal

from otoscope.asr import FeatureStore, ReferenceRecogniser, batches_by_length, pad
from otoscope.capture import INPUT, Batch, view_name
from otoscope.corpora import Utterance
from otoscope.errors import StudyError
from otoscope.files import file_hash
from otoscope.study.content.carried import DEFAULT_LABELS, aligned
from otoscope.study.content.label import Parted
from otoscope.study.content.labels import labels_of
from otoscope.study.content.methods import check_methods
from otoscope.study.content.reading import FRAMES, Asking, read_layers
from otoscope.study.content.rows import ContentRow
from otoscope.study.content.score import Score
from otoscope.study.folder import read_json, write_json
from otoscope.study.measuring import BATCH_FRAMES, Checkpoint

__all__ = [
    "REVISION",
    "STUDY_METHODS",
    "ContentUnit",
    "content_of_run",
    "plan_content",
    "read_content",
    "read_content_unit",
    "run_content_unit",
]

REVISION = 1
"""Raised whenever a change of the code changes a number that a unit gives: units of another revision are done anew."""

STUDY_METHODS = ("probe", "cca-held-out")

MODEL = "x"


@dataclass(frozen=True)
class ContentUnit:
    """The labels that are read off one checkpoint.

    `labels` and `methods` are names. `inputs` adds the log-mel features as a layer (once a run is enough: they do not
    change), `shuffled` the baseline of shuffled labels.
    """

    checkpoint: Checkpoint
    labels: tuple[str, ...]
    methods: tuple[str, ...]
    by: Parted = "speaker"
    frames: int = FRAMES
    seed: int = 0
    inputs: bool = False
    shuffled: bool = False

    @property
    def name(self) -> str:
        """A file name for the unit, unique within a study."""
        return f"content-{self.checkpoint.run.replace('/', '.')}@{self.checkpoint.step}"


def plan_content(
    runs: Mapping[str, Sequence[Checkpoint]],
    labels: Sequence[str] = DEFAULT_LABELS,
    methods: Sequence[str] = STUDY_METHODS,
    *,
    at: Literal["every", "ends"] = "every",
    by: Parted = "speaker",
    frames: int = FRAMES,
    seed: int = 0,
) -> list[ContentUnit]:
    """A unit for every checkpoint, or for those `at` the ends: `runs` maps run names to theirs in order of steps.

    The first and last of each run get the shuffled baseline, the first the input too. Raises StudyError for an unknown
    label or method.
    """
    labels_of(labels)
    check_methods(methods)
    units = []
    for checkpoints in runs.values():
        ends = (0, len(checkpoints) - 1)
        for i, checkpoint in enumerate(checkpoints):
            if at == "every" or i in ends:
                unit = ContentUnit(checkpoint, tuple(labels), tuple(methods), by, frames, seed)
                units.append(replace(unit, inputs=i == 0, shuffled=i in ends))
    return units


def run_content_unit(unit: ContentUnit, store_path: Path, speech: Sequence[Utterance], folder: Path) -> None:
    """Does one unit and writes `<folder>/<unit.name>.json`; nothing where it is there for the same input.

    `speech` is the probe set, utterances with alignments; their features are in the store. Raises StudyError where a
    label cannot be read on it.
    """
    path = folder / f"{unit.name}.json"
    key = _key(unit, store_path, speech)
    if _is_done(path, key):
        return
    labels = labels_of(unit.labels)
    heard, without = aligned(speech, labels, "of the study")
    store, recogniser = FeatureStore(store_path), ReferenceRecogniser.load(unit.checkpoint.path)
    by_id = {u.id: u for u in heard}

    def prepare(batch: Sequence[Utterance]) -> dict[str, Batch]:
        features = Batch(*pad([store.get(u.id) for u in batch]))
        return {MODEL: features, INPUT: features}

    found = read_layers(
        {MODEL: recogniser},
        {MODEL: recogniser.layers()},
        [
            [by_id[u] for u in batch]
            for batch in batches_by_length({u: store.frames(u) for u in by_id}, frames=BATCH_FRAMES)
        ],
        prepare,
        Asking(tuple(labels), unit.methods, unit.by, unit.frames, unit.seed),
        shuffled=None if unit.shuffled else (),
        leave=() if unit.inputs else (INPUT,),
    )
    counts = {name: (len(target.rows), target.group_count) for name, target in found.targets.items()}
    unread = Score(math.nan)
    rows = [
        ContentRow(
            unit.checkpoint.run,
            unit.checkpoint.step,
            view.removeprefix(view_name(MODEL, "")),
            label,
            method,
            score.value,
            score.low,
            score.high,
            score.chance,
            found.shuffled.get((view, label, method), unread).value,
            math.nan,
            *counts[label],
            score.note,
        )
        for (view, label, method), score in found.scores.items()
    ]
    about = {name: dict(target.left_out) for name, target in found.targets.items()}
    write_json(path, {"key": key, "rows": [asdict(row) for row in rows], "left_out": without, "rows_left_out": about})


def read_content_unit(unit: ContentUnit, folder: Path) -> list[ContentRow]:
    """What `run_content_unit` wrote; `untrained` is not known to a single unit, see `read_content`."""
    found = read_json(folder / f"{unit.name}.json")
    if found is None:
        raise StudyError(f"{unit.name} has not been read yet: run the same study again")
    return [ContentRow(**row) for row in found["rows"]]


def read_content(units: Sequence[ContentUnit], folder: Path) -> list[ContentRow]:
    """The rows of all units, each beside what the same layer of the same run read at step 0, where there is that."""
    rows = [row for unit in units for row in read_content_unit(unit, folder)]
    before = {(row.run, row.layer, row.label, row.method): row.value for row in rows if row.step == 0}
    return [replace(row, untrained=before.get((row.run, row.layer, row.label, row.method), math.nan)) for row in rows]


def content_of_run(
    checkpoints: Sequence[Checkpoint],
    *,
    store_path: Path,
    speech: Sequence[Utterance],
    folder: Path,
    labels: Sequence[str] = DEFAULT_LABELS,
    methods: Sequence[str] = STUDY_METHODS,
    by: Parted = "speaker",
    frames: int = FRAMES,
    seed: int = 0,
) -> list[ContentRow]:
    """Labels read off every layer at every checkpoint of one run, depth × training; what is done is not done again.

    Arguments:
        checkpoints: of one run, in order of steps.
        store_path: the study's `FeatureStore`, with the features of `speech`.
        speech: utterances with alignments that the recogniser was not trained on.
        folder: where each checkpoint's rows are kept.
        labels, methods, by, frames, seed: as for `content`.

    Raises:
        StudyError: as for `content`.
    """
    units = plan_content({checkpoints[0].run: checkpoints}, labels, methods, by=by, frames=frames, seed=seed)
    for unit in units:
        run_content_unit(unit, store_path, speech, folder)
    return read_content(units, folder)


def _is_done(path: Path, key: str) -> bool:
    """Whether the unit's file is there, whole, and from the same input."""
    try:
        return bool(read_json(path)["key"] == key)
    except (StudyError, TypeError, KeyError):
        return False


def _key(unit: ContentUnit, store_path: Path, speech: Sequence[Utterance]) -> str:
    """A hash of everything the unit's numbers depend on."""
    asked = [unit.labels, unit.methods, unit.by, unit.frames, unit.seed, unit.inputs, unit.shuffled]
    heard = [
        [u.id, u.speaker, u.duration, [astuple(i) for i in u.words], [astuple(i) for i in u.phones]] for u in speech
    ]
    parts = [REVISION, asked, file_hash(unit.checkpoint.path), store_path.name, heard]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()
