"""Whether each run of a study has what it should: settings, a whole log, checkpoints, scores of these very weights."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from otoscope.asr.recogniser import FORMAT, KEY
from otoscope.errors import StudyError
from otoscope.files import file_hash
from otoscope.study.config import RecogniserConfig, StudyConfig
from otoscope.study.folder import StudyFolder, read_json
from otoscope.study.runs import run_names
from otoscope.study.validation.asked import AGAIN
from otoscope.study.validation.fault import Fault, named

__all__ = ["check_run", "logged_checkpoints"]

LOG = "log.jsonl"

Row = dict[str, Any]


def check_run(place: StudyFolder, config: StudyConfig, run: str) -> list[Fault]:
    """The faults of one run; paths are told from the study's folder."""
    folder = place.run(run)
    at = f"recognisers/{run}"
    if not folder.is_dir():
        return [Fault(at, "the run is missing", f"{AGAIN}, or copy its folder back")]
    name, seed = run_names(config)[run]
    rows, faults = _read_log(folder, at)
    by_log = [*_check_log(rows, at), *_check_checkpoints(folder, at, rows)] if (folder / LOG).exists() else []
    settings = _check_settings(folder, at, config.recognisers[name], seed)
    return [*settings, *faults, *by_log, *_check_scores(folder, at)]


def logged_checkpoints(place: StudyFolder, run: str) -> list[int]:
    """The steps of the checkpoints that a run's log knows of, in order."""
    rows, _ = _read_log(place.run(run), "")
    return [row["step"] for row in rows if row["kind"] == "checkpoint"]


def _read_log(folder: Path, at: str) -> tuple[list[Row], list[Fault]]:
    """The rows that can be read, and the lines that cannot."""
    path = f"{at}/{LOG}"
    try:
        lines = (folder / LOG).read_text(encoding="utf-8", errors="replace").split("\n")
    except FileNotFoundError:
        return [], [Fault(path, "is missing", f"copy it back; or delete the run's folder and {AGAIN}")]
    rows, bad = [], []
    for i, line in enumerate(lines[:-1], start=1):
        row = _row(line)
        if row is None:
            bad.append(f"line {i}")
        else:
            rows.append(row)
    faults = []
    if bad:
        mend = f"copy the file back; or delete the run's folder and {AGAIN}"
        faults.append(Fault(path, f"{named(bad)}: no row of a training", mend))
    if lines[-1]:
        faults.append(Fault(path, "its last line is cut short", AGAIN))
    return rows, faults


def _row(line: str) -> Row | None:
    try:
        row = json.loads(line)
    except ValueError:
        return None
    known = isinstance(row, dict) and row.get("kind") in ("step", "checkpoint") and isinstance(row.get("step"), int)
    return row if known else None


def _check_settings(folder: Path, at: str, recogniser: RecogniserConfig, seed: int) -> Iterator[Fault]:
    """Whether the run was begun with what is asked for now; settings that it does not know came later."""
    try:
        there = read_json(folder / "run.json")
    except StudyError as error:
        yield Fault(f"{at}/run.json", f"cannot be read ({error})", "copy it back")
        return
    if there is None:
        yield Fault(f"{at}/run.json", "is missing", f"copy it back, or {AGAIN}")
        return
    decoder = recogniser.attention()
    asked = {
        "model": asdict(recogniser.model()),
        "training": asdict(recogniser.train()),
        "decoder": None if decoder is None else asdict(decoder),
        "pieces": recogniser.pieces,
        "seed": seed,
    }
    for name, value in json.loads(json.dumps(asked)).items():
        before = there.get(name)
        if isinstance(value, dict) and isinstance(before, dict):
            changed = [key for key in before if before[key] != value.get(key)]
        else:
            changed = [name] if before != value else []
        if changed:
            what = f"the run was begun with other settings than study.toml asks for ({name}: {named(changed)})"
            yield Fault(f"{at}/run.json", what, "undo the change of study.toml, or make a new study in another folder")


def _check_log(rows: Sequence[Row], at: str) -> Iterator[Fault]:
    """Whether a log goes from an untrained recogniser to the end of its training, without holes."""
    path = f"{at}/{LOG}"
    checkpoints = [row for row in rows if row["kind"] == "checkpoint"]
    if not checkpoints:
        yield Fault(path, "knows of no checkpoint", AGAIN)
        return
    if checkpoints[0]["step"] != 0:
        yield Fault(path, "does not begin with the untrained recogniser, at step 0", "copy the file back")
    steps = [row["step"] for row in rows if row["kind"] == "step"]
    if gaps := [str(b) for a, b in zip([0, *steps], steps, strict=False) if b != a + 1]:
        yield Fault(path, f"updates are missing or out of order before step {named(gaps)}", "copy the file back")
    last = checkpoints[-1]
    if "final" not in last and last["step"] != last.get("total"):
        what = f"ends at step {last['step']} of {last.get('total')}: the training has not come to its end"
        yield Fault(path, what, AGAIN)


def _check_checkpoints(folder: Path, at: str, rows: Sequence[Row]) -> Iterator[Fault]:
    """Whether each checkpoint of the log is there, whole, and of its step, and whether there are others."""
    logged: dict[str, int | None] = {}
    for row in rows:
        if row["kind"] == "checkpoint":
            logged[f"step-{row['step']:06d}.safetensors"] = row["step"]
            if "final" in row:
                logged.setdefault(row["final"], None)
    for name, step in logged.items():
        yield from _check_checkpoint(folder / "checkpoints" / name, f"{at}/checkpoints/{name}", step)
    unknown = sorted({p.name for p in (folder / "checkpoints").glob("*.safetensors")} - set(logged))
    if unknown:
        what = f"does not know of {named(unknown)}, which {'are' if len(unknown) > 1 else 'is'} in checkpoints/"
        yield Fault(f"{at}/{LOG}", what, "copy the whole log back, or delete these files if they are another run's")


def _check_checkpoint(path: Path, at: str, step: int | None) -> Iterator[Fault]:
    """From the header alone, which has the sizes of all tensors: a file cut short does not fit it."""
    mend = f"copy it back; or delete the run's folder and {AGAIN}"
    if not path.is_file():
        yield Fault(at, "the checkpoint is missing", mend)
        return
    try:
        with safe_open(str(path), framework="pt") as file:
            about = json.loads((file.metadata() or {}).get(KEY, "{}"))
    except (OSError, SafetensorError, ValueError) as error:
        yield Fault(at, f"cannot be read ({error})", mend)
        return
    if about.get("format") != FORMAT:
        yield Fault(at, "is a safetensors file, but no checkpoint of an Otoscope recogniser", mend)
    elif step is not None and about.get("step") != step:
        yield Fault(at, f"is of step {about.get('step')}, and not of step {step}", mend)


def _check_scores(folder: Path, at: str) -> Iterator[Fault]:
    """Whether the scores on test are of the weights that are there."""
    path = f"{at}/test.json"
    try:
        test = read_json(folder / "test.json")
    except StudyError as error:
        yield Fault(path, f"cannot be read ({error})", f"delete it, then {AGAIN}")
        return
    if test is None:
        yield Fault(path, "is missing: the run was not scored on test", AGAIN)
        return
    final = folder / "checkpoints" / str(test.get("checkpoint"))
    if final.is_file() and file_hash(final) != test.get("weights"):
        what = f"was scored with other weights than those of checkpoints/{final.name}"
        yield Fault(path, what, f"copy back the checkpoint, or delete test.json and {AGAIN}")
