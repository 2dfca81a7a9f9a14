"""A study's results: compared pairs of views, checkpoints and their scores, layers, in one netCDF file."""

from __future__ import annotations

import datetime
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import xarray as xr

from otoscope.errors import StudyError
from otoscope.measures import registry
from otoscope.study.content.rows import ContentRow
from otoscope.study.content.stored import content_of, with_content
from otoscope.study.missing import Missing
from otoscope.study.netcdf import read_dataset, write_dataset
from otoscope.study.rows import (
    ERROR_RATES,
    INTERVAL,
    KINDS,
    LEARNING_RATE,
    PAIR,
    PROBE,
    SCHEMA_VERSION,
    TRAINING,
    CheckpointRow,
    Comparison,
    LayerRow,
    Refusal,
    UtteranceRow,
    to_dataset,
)
from otoscope.study.utterances import of_run, with_utterances

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "KINDS",
    "SCHEMA_VERSION",
    "CheckpointRow",
    "Comparison",
    "LayerRow",
    "Missing",
    "Refusal",
    "Results",
    "UtteranceRow",
]


@dataclass(frozen=True, eq=False)
class Results:
    """What a study measured, as one labelled dataset (`docs/results-format.md` has its schema).

    Similarities are stored as rows, one per compared pair of views, since recognisers differ in layers and
    checkpoints; the readers below give them back as labelled matrices and curves. NaN is a value that was not
    computed; `refusals` says why.

    >>> run, cka = "cnn/seed0", {("conv0", "conv0"): 1.0, ("conv0", "conv1"): 0.3}
    >>> rows = [Comparison("within", run, 0, x, run, 0, y, {"cka": v}) for (x, y), v in cka.items()]
    >>> layers = [LayerRow(run, name, units=64, stride=0.02) for name in ("conv0", "conv1")]
    >>> results = Results.from_rows(rows, [CheckpointRow(run, 0, dev_wer=1.0)], layers)
    >>> float(results.within(run, 0, "cka").sel(layer_x="conv0", layer_y="conv1"))
    0.3
    """

    dataset: xr.Dataset
    probe: str = ""
    """The probe set that is read: the main one, or that of `of_probe`."""

    @classmethod
    def from_rows(
        cls,
        comparisons: Iterable[Comparison],
        checkpoints: Iterable[CheckpointRow],
        layers: Iterable[LayerRow],
        *,
        measures: Sequence[str] | None = None,
        refusals: Iterable[Refusal] = (),
        no_intervals: Iterable[Refusal] = (),
        missing: Iterable[Missing] = (),
        utterance_rows: Iterable[UtteranceRow] = (),
        content_rows: Iterable[ContentRow] = (),
        intervals: str = "",
        sample_frames: int = 0,
        sample_utterances: int = 0,
        title: str = "",
        frames: int = 0,
        utterances: int = 0,
        grid: float = float("nan"),
        corpus: str = "",
        corpus_hash: str = "",
        probe_split: str = "",
        probes: Mapping[str, Mapping[str, object]] | None = None,
        host: str = "",
        versions: Mapping[str, str] | None = None,
    ) -> Results:
        """Build results from rows.

        `measures` names the measures and their order (default: as they first appear in the rows). `frames`
        and `utterances` count the probe set that was compared, `grid` is its frame rate in seconds per frame,
        `probe_split` the corpus split it comes from, `sample_frames` and `sample_utterances` what of it was kept for
        measures that need frames; `probes` says of each further probe set what it is. `intervals` says how the ends
        `low` and `high` of the rows were found, and `no_intervals` why some values have none. `missing` names runs and
        comparisons that failed, `utterance_rows` have word errors utterance by utterance, `content_rows` what layers
        carry. Raises `StudyError` for a pair given twice, an unknown kind, a layer or checkpoint of a pair that has no
        row of its own.
        """
        attrs = {
            "title": title,
            "frames": frames,
            "utterances": utterances,
            "grid": grid,
            "corpus": corpus,
            "corpus_hash": corpus_hash,
            "probe_split": probe_split,
            "probes": json.dumps(dict(probes or {}), ensure_ascii=False),
            "host": host,
            "versions": json.dumps(dict(versions or {}), ensure_ascii=False, sort_keys=True),
            "refusals": json.dumps([asdict(r) for r in refusals], ensure_ascii=False),
            "no_intervals": json.dumps([asdict(r) for r in no_intervals], ensure_ascii=False),
            "missing": json.dumps([asdict(m) for m in missing], ensure_ascii=False),
            "intervals": intervals,
            "sample_frames": sample_frames,
            "sample_utterances": sample_utterances,
            "created": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        }
        dataset = to_dataset(list(comparisons), list(checkpoints), list(layers), measures, attrs)
        return cls(with_content(with_utterances(dataset, list(utterance_rows)), list(content_rows)))

    @cached_property
    def runs(self) -> tuple[str, ...]:
        """The runs (`"<recogniser>/seed<k>"`), in the order in which they were given."""
        return tuple(dict.fromkeys(str(run) for run in self.dataset["run_c"].values))

    @cached_property
    def measures(self) -> tuple[str, ...]:
        """The measures' names."""
        return tuple(str(name) for name in self.dataset["measure"].values)

    @property
    def refusals(self) -> tuple[Refusal, ...]:
        """Which measure refused which layer of which run, and why."""
        return self._refusals("refusals")

    @property
    def intervals(self) -> str:
        """How the intervals were found, such as "95 %, jackknife over blocks of speakers"; empty where none were."""
        return str(self.dataset.attrs.get("intervals", ""))

    @property
    def no_intervals(self) -> tuple[Refusal, ...]:
        """Which values, of which layer of which run, have no interval, and why; empty where none were asked for."""
        return self._refusals("no_intervals")

    @property
    def missing(self) -> tuple[Missing, ...]:
        """Which runs failed and are not in these results, and which comparisons could not be made; mostly none."""
        return tuple(Missing(**row) for row in json.loads(self.dataset.attrs.get("missing", "[]")))

    def steps(self, run: str) -> tuple[int, ...]:
        """The training steps of a run's checkpoints, in order."""
        self._known(run, self.runs, "run")
        mask = self.dataset["run_c"].values == run
        return tuple(sorted(int(step) for step in self.dataset["step_c"].values[mask]))

    def layers(self, run: str) -> tuple[str, ...]:
        """A run's compared layers, in the order of depth."""
        self._known(run, self.runs, "run")
        mine = self.dataset["run_l"].values == run
        return tuple(str(name) for name in self.dataset["layer_l"].values[mine])

    def within(self, run: str, step: int, measure: str) -> xr.DataArray:
        """The similarity of every two layers of a run at one step: `layer_x` × `layer_y`.

        The null levels are the coordinate `null`, the intervals `low` and `high` where the study asked for them. For
        PWCCA, `layer_x` is the side that weighs, for regression the side that predicts.
        """
        return self._matrix("within", run, step, run, step, measure)

    def shuffled(self, run: str, step: int, measure: str) -> xr.DataArray:
        """As `within`, with `layer_y`'s utterances shuffled against `layer_x`'s: what should be zero."""
        return self._matrix("shuffled", run, step, run, step, measure)

    def across(self, run_x: str, run_y: str, measure: str, step: Literal["first", "final"] = "final") -> xr.DataArray:
        """The similarity of every layer of one run with every layer of another, at first or final steps.

        Two runs are stored in one order; a symmetric measure is given in either, another one (PWCCA is weighed by
        `layer_x`, regression predicts from it) only in the stored one: otherwise `StudyError` says so.
        """
        at = -1 if step == "final" else 0
        step_x, step_y = self.steps(run_x)[at], self.steps(run_y)[at]
        stored = self._select("across", run_x=run_x, step_x=step_x, run_y=run_y, step_y=step_y)
        turned = self._select("across", run_x=run_y, step_x=step_y, run_y=run_x, step_y=step_x)
        if not stored.any() and turned.any():
            # Of a measure that is not registered here nothing is known, so that it is not turned either.
            if measure not in registry.names() or not registry.get(measure).symmetric:
                raise StudyError(
                    f"{measure} depends on the order of the two sides and was measured as ({run_y!r}, {run_x!r}), "
                    f"not as ({run_x!r}, {run_y!r}): ask in the stored order, or for a symmetric measure."
                )
            matrix = self._matrix("across", run_y, step_y, run_x, step_x, measure)
            return matrix.rename(layer_x="layer_y", layer_y="layer_x").transpose("layer_x", "layer_y")
        return self._matrix("across", run_x, step_x, run_y, step_y, measure)

    def curve(self, kind: Literal["to_final", "to_previous"], run: str, measure: str) -> xr.DataArray:
        """Each layer's similarity with itself at the final or the previous checkpoint: `layer` × `step`."""
        self._known(measure, self.measures, "measure")
        layers, steps = self.layers(run), self.steps(run)
        mask = self._select(kind, run_x=run, run_y=run)
        return self._grid(mask, measure, ("layer", layers, "layer_x"), ("step", steps, "step_x"))

    def wer(self, run: str) -> xr.Dataset:
        """A run's word and character error rates by `step` (1.0 is 100 %; NaN where not scored)."""
        return self._checkpoints(run, ERROR_RATES)

    def training(self, run: str) -> xr.Dataset:
        """A run's epoch, seconds of training, losses on train and dev, and learning rate by `step`.

        The learning rate is that of the last update before a checkpoint; files of before it was kept have none.
        """
        return self._checkpoints(run, [*TRAINING, *(n for n in (LEARNING_RATE,) if n in self.dataset)])

    def utterances(self, run: str) -> xr.Dataset:
        """The word errors of a run's final model, greedily decoded, by `utterance` of the probe set.

        `errors` are substitutions + deletions + insertions, `words` those of the transcript, `split` the utterance's,
        `block` the block of speech that it belongs to among those that `without` leaves out (−1: no intervals).
        """
        self._known(run, self.runs, "run")
        return of_run(self.dataset, run)

    @property
    def content(self) -> pd.DataFrame:
        """What layers carry: a row for each run, step, layer, label and method, with the columns of `ContentRow`.

        Empty where the study did not ask for content.
        """
        return content_of(self.dataset)

    def compared(self, kind: str) -> tuple[tuple[str, int, str, int], ...]:
        """What was compared under a kind: each distinct (run_x, step_x, run_y, step_y), in the stored order."""
        mask = self._select(kind)
        columns = (self._pairs[name][mask].tolist() for name in ("run_x", "step_x", "run_y", "step_y"))
        return tuple(dict.fromkeys(zip(*columns, strict=True)))

    @property
    def probes(self) -> tuple[str, ...]:
        """The names of the further probe sets; `dataset.attrs["probes"]` says in JSON what they are."""
        return tuple(json.loads(self.dataset.attrs.get("probes", "{}")))

    def of_probe(self, name: str) -> Results:
        """What was measured on one further probe set, read as the main one is; "" is the main one alone.

        Error rates, losses and layers are the same. Raises StudyError for a probe set that is not there.
        """
        if name:
            self._known(name, self.probes, "probe set")
        return Results(self.dataset.isel(pair=self._of_probe == name), name)

    @cached_property
    def blocks(self) -> int:
        """How many blocks of speech were left out in turn for the intervals; 0 where there are none."""
        if "left_out" not in self.dataset:
            return 0
        known = np.isfinite(self.dataset["left_out"].values[:, self._of_probe == self.probe]).any(axis=(0, 1))
        return int(known.sum())

    def without(self, block: int) -> Results:
        """The results as they would be without one block of speech, the same for all pairs.

        From these follows the uncertainty of whatever is computed from several similarities. Intervals and null levels
        stay as they are; NaN where there is no such value. Raises StudyError for a block that is not there.
        """
        if not 0 <= block < self.blocks:
            raise StudyError(
                f"there is no block {block}: these results left out {self.blocks} blocks of speech"
                + ("" if self.blocks else "; a study with intervals = true does")
            )
        left = self.dataset["left_out"].isel(block=block).astype(np.float64)
        made = Results(self.dataset.assign(similarity=left).drop_vars("left_out"), self.probe)
        # The same runs, measures and pairs: not to be sorted again.
        vars(made).update(runs=self.runs, measures=self.measures, _pairs=self._pairs, _codes=self._codes)
        return made

    def to_frame(self) -> pd.DataFrame:
        """One row per pair and measure: kind, both views, measure, similarity, null; low and high where there are.

        The rows of all probe sets, with their names in `probe`, empty for the main one.
        """
        values = ["similarity", "null", *self._ends]
        rows = self.dataset.assign_coords({PROBE: ("pair", self._of_probe)})
        long = rows[values].reset_coords(drop=False)[[*values, *PAIR, PROBE]].to_dataframe()
        return long.reset_index()[[*PAIR, PROBE, "measure", *values]]

    def save(self, path: Path | str) -> Path:
        """Write the results as netCDF-4; a reader sees either the old file or the whole new one."""
        return write_dataset(self.dataset, path)

    @classmethod
    def load(cls, path: Path | str) -> Results:
        """Read what `save` wrote; `StudyError` for a missing, foreign or cut-off file, or another schema."""
        return cls(read_dataset(path))

    def _known(self, name: str, known: Sequence[str], what: str) -> None:
        if name not in known:
            there = ", ".join(known) or "none"
            raise StudyError(f"There is no {what} {name!r} in these results; there are: {there}.")

    @property
    def _ends(self) -> list[str]:
        """The ends of the intervals, where these results have them."""
        return [end for end in INTERVAL if end in self.dataset.variables]

    def _refusals(self, name: str) -> tuple[Refusal, ...]:
        rows = (Refusal(**row) for row in json.loads(self.dataset.attrs.get(name, "[]")))
        return tuple(row for row in rows if row.probe == self.probe)

    @cached_property
    def _of_probe(self) -> np.ndarray[Any, Any]:
        """Of each pair the name of its probe set."""
        if PROBE in self.dataset.variables:
            return self.dataset[PROBE].values.astype(str)
        return np.full(self.dataset.sizes["pair"], "", dtype="<U1")

    @cached_property
    def _pairs(self) -> dict[str, np.ndarray[Any, Any]]:
        return {**{name: self.dataset[name].values for name in PAIR}, PROBE: self._of_probe}

    @cached_property
    def _codes(self) -> dict[str, tuple[np.ndarray[Any, Any], dict[str | int, int]]]:
        """Each column of the pairs as integer codes: comparing strings would make reading slow."""
        coded = {}
        for name, values in self._pairs.items():
            labels, codes = np.unique(
                values.astype(values.dtype if values.dtype.kind == "i" else str), return_inverse=True
            )
            coded[name] = codes, {label: k for k, label in enumerate(labels.tolist())}
        return coded

    def _select(self, kind: str, **wanted: str | int) -> np.ndarray[Any, np.dtype[np.bool_]]:
        mask = np.ones(self.dataset.sizes["pair"], dtype=np.bool_)
        for name, value in {"kind": kind, PROBE: self.probe, **wanted}.items():
            codes, of = self._codes[name]
            mask &= codes == of.get(value, -1)
        return mask

    def _matrix(self, kind: str, run_x: str, step_x: int, run_y: str, step_y: int, measure: str) -> xr.DataArray:
        self._known(measure, self.measures, "measure")
        for run, step in ((run_x, step_x), (run_y, step_y)):
            if step not in self.steps(run):
                raise StudyError(f"{run} has no checkpoint at step {step}; it has {self.steps(run)}.")
        mask = self._select(kind, run_x=run_x, step_x=step_x, run_y=run_y, step_y=step_y)
        rows, columns = ("layer_x", self.layers(run_x), "layer_x"), ("layer_y", self.layers(run_y), "layer_y")
        return self._grid(mask, measure, rows, columns)

    def _grid(
        self,
        mask: np.ndarray[Any, np.dtype[np.bool_]],
        measure: str,
        rows: tuple[str, Sequence[object], str],
        columns: tuple[str, Sequence[object], str],
    ) -> xr.DataArray:
        """Lay the rows under `mask` over two axes, each given as (dimension, labels, coordinate of pairs)."""
        if not mask.any():
            raise StudyError(
                "These results hold no such comparison. `Results.to_frame()` lists what was compared; "
                "`otoscope study` with that comparison asked for adds it."
            )
        axes = [{label: i for i, label in enumerate(axis[1])} for axis in (rows, columns)]
        i, j = (
            [axis[label] for label in self._pairs[spec[2]][mask].tolist()]
            for axis, spec in zip(axes, (rows, columns), strict=True)
        )
        k = self.measures.index(measure)
        dims = (rows[0], columns[0])

        def laid(name: str) -> np.ndarray[Any, Any]:
            grid = np.full((len(axes[0]), len(axes[1])), np.nan)
            grid[i, j] = self.dataset[name].values[k, mask]
            return grid

        beside = {name: (dims, laid(name)) for name in ("null", *self._ends)}
        coords = {rows[0]: list(rows[1]), columns[0]: list(columns[1]), **beside}
        return xr.DataArray(laid("similarity"), dims=dims, coords=coords, name=measure)

    def _checkpoints(self, run: str, names: Sequence[str]) -> xr.Dataset:
        self._known(run, self.runs, "run")
        mine = self.dataset[list(names)].isel(checkpoint=self.dataset["run_c"].values == run)
        return mine.drop_vars("run_c").rename(step_c="step").swap_dims(checkpoint="step").sortby("step")

    def _repr_html_(self) -> str:
        title = escape(str(self.dataset.attrs.get("title", "")))
        runs, measures = escape(", ".join(self.runs)), escape(", ".join(self.measures))
        return (
            f"<p><b>Results</b> {title}<br>{self.dataset.sizes['pair']} pairs of views · runs: {runs} · "
            f"measures: {measures}</p>{self.dataset._repr_html_()}"
        )
