"""A run that fails: told at once, recorded in its folder, forgotten when it is tried again."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from otoscope.asr import read_log
from otoscope.errors import StudyError
from otoscope.study.folder import StudyFolder, read_json, write_json
from otoscope.study.missing import Missing

__all__ = ["failure_of", "forget_failure", "raise_missing", "record_failure", "tell", "without"]

FAILURE = "failure.json"
NAMED = 20


def record_failure(
    place: StudyFolder, run: str, stage: Literal["training", "scoring", "comparing"], error: BaseException
) -> Missing:
    """Says that a run has failed, and writes why into its folder."""
    folder = place.run(run)
    rows = read_log(folder)
    kept = [row["step"] for row in rows if row["kind"] == "checkpoint"]
    content = {
        "stage": stage,
        "when": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        "error": type(error).__name__,
        "message": str(error),
        "step": rows[-1]["step"] if rows else None,
        "checkpoint": f"checkpoints/step-{kept[-1]:06d}.safetensors" if kept else None,
    }
    write_json(folder / FAILURE, content)
    found = Missing(run, stage, _reason(content))
    tell(f"{stage} {run} failed, the others go on: {found.reason}")
    return found


def failure_of(folder: Path) -> Missing | None:
    """How the run in this folder has failed, None where it has not."""
    content = read_json(folder / FAILURE)
    return (
        None if content is None else Missing(f"{folder.parent.name}/{folder.name}", content["stage"], _reason(content))
    )


def forget_failure(folder: Path) -> None:
    """The run in this folder is tried again, or is whole."""
    (folder / FAILURE).unlink(missing_ok=True)


def raise_missing(missing: Sequence[Missing], place: StudyFolder) -> None:
    """Raises StudyError with the reasons, for a study of which nothing is left."""
    named = "\n  ".join(f"{m.run}, {m.stage}: {m.reason}" for m in missing[:NAMED])
    more = f"\n  and {len(missing) - NAMED} more" if len(missing) > NAMED else ""
    raise StudyError(
        f"nothing is left of this study, all of it failed:\n  {named}{more}\nThe same command in "
        f"{place.path} tries again; "
        "settings of a recogniser none of whose runs has ended may be changed before"
    )


def without(runs: Sequence[str], missing: Sequence[Missing]) -> list[str]:
    """The runs of which nothing is missing."""
    gone = {m.run for m in missing}
    return [run for run in runs if run not in gone]


def tell(text: str) -> None:
    """Says something at once: on stderr, or where the caller has sent the warnings of `logging`."""
    logging.getLogger("otoscope").warning(text)


def _reason(content: dict[str, Any]) -> str:
    return f"{content['error']}: {content['message']}"
