"""The rows that a study's results are built from, and the dataset built from them."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import xarray as xr

from otoscope.errors import StudyError

__all__ = [
    "KINDS",
    "SCHEMA_VERSION",
    "CheckpointRow",
    "Comparison",
    "LayerRow",
    "Refusal",
    "UtteranceRow",
    "to_dataset",
]

SCHEMA_VERSION = 1
KINDS = ("within", "to_final", "to_previous", "across", "shuffled")
ERROR_RATES = ("dev_wer", "dev_cer", "test_wer", "test_cer")
INTERVAL = ("low", "high")
TRAINING = ("epoch", "seconds", "train_loss", "dev_loss")
LEARNING_RATE = "learning_rate"  # beside `TRAINING` in files of since there is one
PAIR = ("kind", "run_x", "step_x", "layer_x", "run_y", "step_y", "layer_y")
PROBE = "probe"  # beside `PAIR` where there are further probe sets
_DTYPES: dict[str, type] = {
    **dict.fromkeys(("kind", "run", "run_x", "run_y", "layer", "layer_x", "layer_y", PROBE), str),
    **dict.fromkeys(("step", "step_x", "step_y", "units"), np.int64),
}
# Those that every file has; `low` and `high` are there where the study asked for intervals.
VARIABLES = {
    *("similarity", "null", "measure", *PAIR, "run_c", "step_c", *ERROR_RATES, *TRAINING),
    *("run_l", "layer_l", "index", "units", "stride", "layer_kind"),
}


@dataclass(frozen=True, slots=True)
class Comparison:
    """One compared pair of views: what it is for, both views, and what each measure gave.

    A view is a layer of a run at a training step; a run is `"<recogniser>/seed<k>"`. `similarity` and `null`
    map measure names to values between the two views and to their null levels; NaN, or a name that is not given, is a
    pair that the measure refused (say why with a `Refusal`). `low` and `high` are the ends of the values' intervals,
    where there are any, and `left_out` the values without each block of speech in turn. `kind` is one of
    `otoscope.study.results.KINDS`, `probe` the name of a further probe set, empty for the main one.

    >>> Comparison("within", "cnn/seed0", 0, "conv0", "cnn/seed0", 0, "conv1", {"cka": 0.5}).similarity["cka"]
    0.5
    """

    kind: str
    run_x: str
    step_x: int
    layer_x: str
    run_y: str
    step_y: int
    layer_y: str
    similarity: Mapping[str, float]
    null: Mapping[str, float] = field(default_factory=dict)
    low: Mapping[str, float] = field(default_factory=dict)
    high: Mapping[str, float] = field(default_factory=dict)
    left_out: Mapping[str, Sequence[float]] = field(default_factory=dict)
    probe: str = ""


@dataclass(frozen=True, slots=True)
class CheckpointRow:
    """One checkpoint of one run: error rates (1.0 is 100 %), losses (nats an utterance), training time.

    NaN where something was not scored at this checkpoint. `seconds` is the wall time of training so far,
    `learning_rate` that of the last update before the checkpoint: NaN before the first.

    >>> CheckpointRow("cnn/seed0", 0, dev_wer=1.0).dev_wer
    1.0
    """

    run: str
    step: int
    epoch: float = math.nan
    seconds: float = math.nan
    train_loss: float = math.nan
    dev_loss: float = math.nan
    dev_wer: float = math.nan
    dev_cer: float = math.nan
    test_wer: float = math.nan
    test_cer: float = math.nan
    learning_rate: float = math.nan


@dataclass(frozen=True, slots=True)
class UtteranceRow:
    """How many words the final model of one run gets wrong in one utterance: substitutions, deletions and insertions.

    `words` are those of the transcript, `split` is the utterance's, `block` the block of speech that it belongs to
    where intervals leave blocks out, else −1.

    >>> UtteranceRow("cnn/seed0", "an251-fash-b", errors=1, words=4, split="test").block
    -1
    """

    run: str
    utterance: str
    errors: int
    words: int
    split: str = ""
    block: int = -1


@dataclass(frozen=True, slots=True)
class LayerRow:
    """One compared layer of one run: its units, stride (seconds per frame) and kind (`"conv"`, `"lstm"` …).

    Rows stand in the order of depth, the input side first.

    >>> LayerRow("cnn/seed0", "blocks.0", units=256, stride=0.02, kind="conv").units
    256
    """

    run: str
    layer: str
    units: int
    stride: float
    kind: str = ""


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a measure gave no value for pairs with this layer; `step` is None where it holds at every step.

    >>> Refusal("cca", "cnn/seed0", "blocks.0", "fewer frames than units").count
    1
    """

    measure: str
    run: str
    layer: str
    reason: str
    step: int | None = None
    count: int = 1
    probe: str = ""


def to_dataset(
    pairs: Sequence[Comparison],
    points: Sequence[CheckpointRow],
    depth: Sequence[LayerRow],
    measures: Sequence[str] | None,
    attrs: Mapping[str, object],
) -> xr.Dataset:
    """The rows as one dataset with dimensions pair, measure, checkpoint and layer."""
    found = dict.fromkeys(m for p in pairs for m in p.similarity)
    names = list(found if measures is None else measures)
    _check(pairs, points, depth, names)

    def table(kind: str) -> tuple[tuple[str, str], np.ndarray[Any, Any]]:
        rows = [[getattr(p, kind).get(m, np.nan) for p in pairs] for m in names]
        return ("measure", "pair"), np.array(rows, dtype=np.float64).reshape(len(names), len(pairs))

    def column(dim: str, rows: Sequence[object], name: str) -> tuple[str, np.ndarray[Any, Any]]:
        return dim, np.array([getattr(row, name) for row in rows], dtype=_DTYPES.get(name, np.float64))

    dataset = xr.Dataset(
        {
            "similarity": table("similarity"),
            "null": table("null"),
            **({end: table(end) for end in INTERVAL} if any(p.low or p.high for p in pairs) else {}),
            **_left_out(pairs, names),
            **{name: column("checkpoint", points, name) for name in (*ERROR_RATES, *TRAINING, LEARNING_RATE)},
            **{name: column("layer", depth, name) for name in ("units", "stride")},
            "layer_kind": column("layer", depth, "kind"),
        },
        coords={
            "measure": np.array(names, dtype=str),
            **{name: column("pair", pairs, name) for name in PAIR},
            **({PROBE: column("pair", pairs, PROBE)} if any(p.probe for p in pairs) else {}),
            **{f"{name}_c": column("checkpoint", points, name) for name in ("run", "step")},
            **{f"{name}_l": column("layer", depth, name) for name in ("run", "layer")},
            "index": (
                "layer",
                [sum(other.run == row.run for other in depth[:i]) for i, row in enumerate(depth)],
            ),
        },
        attrs={"schema_version": SCHEMA_VERSION, **attrs},
    )
    for name in ("stride", "seconds"):
        dataset[name].attrs["units"] = "s"
    return dataset


def _left_out(
    pairs: Sequence[Comparison], names: Sequence[str]
) -> dict[str, tuple[tuple[str, str, str], np.ndarray[Any, Any]]]:
    """Values without each block, measure × pair × block, where there are any; NaN where a pair has none or fewer."""
    blocks = max((len(values) for p in pairs for values in p.left_out.values()), default=0)
    if not blocks:
        return {}
    # Half the digits: their differences count, and these are 1e-3 and above.
    table = np.full((len(names), len(pairs), blocks), np.nan, dtype=np.float32)
    for k, name in enumerate(names):
        for i, pair in enumerate(pairs):
            if values := pair.left_out.get(name, ()):
                table[k, i, : len(values)] = values
    return {"left_out": (("measure", "pair", "block"), table)}


def _check(
    pairs: Sequence[Comparison],
    points: Sequence[CheckpointRow],
    depth: Sequence[LayerRow],
    names: Sequence[str],
) -> None:
    """Refuse rows that contradict each other, before they become a file."""
    for what, keys in (
        ("checkpoint", [(c.run, c.step) for c in points]),
        ("layer", [(row.run, row.layer) for row in depth]),
    ):
        twice = [key for key, count in Counter(keys).items() if count > 1]
        if twice:
            raise StudyError(f"The {what} {twice[0]} came twice; give each of a run's {what}s once.")
    steps, layers = {(c.run, c.step) for c in points}, {(row.run, row.layer) for row in depth}
    seen: set[tuple[str | int, ...]] = set()
    for pair in pairs:
        key = tuple(getattr(pair, name) for name in (*PAIR, PROBE))
        if pair.kind not in KINDS:
            raise StudyError(f"A comparison's kind is one of {', '.join(KINDS)}; {pair.kind!r} came.")
        if key in seen:
            raise StudyError(f"The comparison {key} came twice; give each pair of views once.")
        for name in (*pair.similarity, *pair.null, *pair.low, *pair.high, *pair.left_out):
            if name not in names:
                raise StudyError(f"The comparison {key} has {name!r}, which is not one of {list(names)}.")
        for run, step, layer in (key[1:4], key[4:7]):
            if (run, step) not in steps:
                raise StudyError(f"{run} step {step} is compared but has no CheckpointRow; add one.")
            if (run, layer) not in layers:
                raise StudyError(f"{run} layer {layer!r} is compared but has no LayerRow; add one.")
        seen.add(key)
