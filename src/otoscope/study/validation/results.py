"""Whether `results.nc` is there, can be read, and has all that was asked for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from otoscope.errors import StudyError
from otoscope.study.config import StudyConfig
from otoscope.study.folder import StudyFolder
from otoscope.study.parquet import about_parquet
from otoscope.study.results import Results
from otoscope.study.runs import run_names
from otoscope.study.units import ROLES, Checkpoint, by_role, units_of
from otoscope.study.validation.asked import AGAIN
from otoscope.study.validation.fault import Fault, named
from otoscope.study.validation.runs import logged_checkpoints

__all__ = ["PARQUET", "check_complete", "check_parquet", "check_speech", "read_results"]

PARQUET = "results.parquet"

Key = tuple[str, str, str, int, str, int]
"""Probe set, kind, and both checkpoints."""


def read_results(place: StudyFolder) -> tuple[Results | None, list[Fault]]:
    """What was measured, None where that cannot be read."""
    try:
        return Results.load(place.results), []
    except StudyError as error:
        return None, [Fault(place.results.name, str(error), AGAIN)]


def check_speech(results: Results, manifest: dict[str, Any]) -> Iterator[Fault]:
    """Whether results and manifest are of the same speech, by its hash."""
    ran, measured = manifest["corpus"]["hash"], results.dataset.attrs["corpus_hash"]
    if ran != measured:
        what = f"was measured on other speech (hash {measured[:12]}) than manifest.json tells of ({ran[:12]})"
        yield Fault("results.nc", what, "copy back the file that belongs to this folder, or " + AGAIN)


def check_complete(place: StudyFolder, config: StudyConfig, results: Results) -> Iterator[Fault]:
    """Whether all runs, checkpoints, measures, probe sets and comparisons that study.toml asks for are there."""
    for missing in results.missing:
        what = f"{missing.run}{', ' + missing.part if missing.part else ''}: {missing.stage} failed: {missing.reason}"
        yield Fault("results.nc", what, AGAIN)
    failed = {missing.run for missing in results.missing if not missing.part}
    asked = [run for run in run_names(config) if run not in failed]
    wanted = {
        "measures": (config.measures, results.measures),
        "runs": (asked, results.runs),
        "probe sets": (list(config.probes), results.probes),
    }
    for what, (all_, there) in wanted.items():
        if gone := [name for name in all_ if name not in there]:
            yield Fault("results.nc", f"has not the {what} {named(gone)} that study.toml asks for", AGAIN)
        if more := [name for name in there if name not in all_]:
            yield Fault("results.nc", f"has the {what} {named(more)} that study.toml does not ask for", AGAIN)
    steps = {run: logged_checkpoints(place, run) for run in asked if run in results.runs}
    for run, logged in steps.items():
        if gone := [str(step) for step in logged if step not in results.steps(run)]:
            yield Fault("results.nc", f"has not the checkpoints of {run} at step {named(gone)}", AGAIN)
    yield from _check_pairs(config, results, {run: logged for run, logged in steps.items() if logged})


def _check_pairs(config: StudyConfig, results: Results, steps: dict[str, list[int]]) -> Iterator[Fault]:
    """Whether every pair of layers was compared, and where there is no value, that it is said why."""
    there = _counted(results)
    short = [_told(key) for key, pairs in _wanted(config, results, steps).items() if there[key] < pairs]
    if short:
        yield Fault("results.nc", f"lacks comparisons of layers: {named(short)}", AGAIN)
    if results.missing:
        return  # whose values are not there either
    empty, told = Counter[str](), Counter[str]()
    for probe in ("", *results.probes):
        on = results.of_probe(probe)
        for k in range(1 if probe else len(results.measures)):  # further sets are compared on by the first measure
            empty[results.measures[k]] += int(np.isnan(on.dataset["similarity"].values[k]).sum())
        for refusal in on.refusals:
            told[refusal.measure] += refusal.count
    for measure in results.measures:
        if empty[measure] > told[measure]:
            what = f"{empty[measure]} values of {measure} were not computed, and it is said why of {told[measure]}"
            yield Fault("results.nc", what, AGAIN)


def _wanted(config: StudyConfig, results: Results, steps: dict[str, list[int]]) -> dict[Key, int]:
    """How many pairs of layers each comparison of two checkpoints has."""
    runs = {run: [Checkpoint(run, step, Path()) for step in own] for run, own in steps.items()}
    wanted: dict[Key, int] = {}
    for unit in units_of(config, runs):
        checkpoints = by_role(unit)
        for kind in unit.kinds:
            own = [checkpoints[role] for role in ROLES[kind]]
            x, y = own[0], own[-1]
            layers_x, layers_y = len(results.layers(x.run)), len(results.layers(y.run))
            pairs = layers_x if kind in ("to_final", "to_previous") else layers_x * layers_y
            wanted[unit.probe, kind, x.run, x.step, y.run, y.step] = pairs
    return wanted


def _counted(results: Results) -> Counter[Key]:
    """How many pairs of layers are there."""
    frame = results.to_frame()
    frame = frame[frame["measure"] == results.measures[0]]
    columns = (frame[name].tolist() for name in ("probe", "kind", "run_x", "step_x", "run_y", "step_y"))
    return Counter(zip(*columns, strict=True))


def _told(key: Key) -> str:
    probe, kind, run_x, step_x, run_y, step_y = key
    return f"{kind} of {run_x} at step {step_x} with {run_y} at step {step_y}" + (f" on {probe}" if probe else "")


def check_parquet(place: StudyFolder, results: Results) -> Iterator[Fault]:
    """Whether the long table is there and of the same results."""
    try:
        about, rows = about_parquet(place.path / PARQUET)
    except StudyError as error:
        yield Fault(PARQUET, str(error), AGAIN)
        return
    expected = results.dataset.sizes["pair"] * len(results.measures)
    if about.get("created") != results.dataset.attrs["created"] or rows != expected:
        yield Fault(PARQUET, "is of other results than results.nc", AGAIN)
