"""The runs of a study: their names, their checkpoints, and what is said where some fail."""

from __future__ import annotations

from collections.abc import Sequence

from otoscope.asr import read_log
from otoscope.engines import Failure
from otoscope.errors import StudyError
from otoscope.study.config import StudyConfig
from otoscope.study.folder import StudyFolder
from otoscope.study.measuring import Checkpoint

__all__ = ["checkpoints_of", "raise_failures", "run_names"]


def run_names(config: StudyConfig) -> dict[str, tuple[str, int]]:
    """Run name (`<recogniser>/seed<k>`) → recogniser and seed, in the order of the configuration."""
    return {f"{name}/seed{seed}": (name, seed) for name in config.recognisers for seed in config.seeds}


def checkpoints_of(place: StudyFolder, run: str) -> list[Checkpoint]:
    """The checkpoints of a run that its log knows of, in order of steps."""
    steps = [row["step"] for row in read_log(place.run(run)) if row["kind"] == "checkpoint"]
    return [Checkpoint(run, step, place.run(run) / "checkpoints" / f"step-{step:06d}.safetensors") for step in steps]


def raise_failures(failures: Sequence[Failure], doing: str, place: StudyFolder) -> None:
    """Raises StudyError naming the tasks that failed, if any did."""
    if not failures:
        return
    kept = f"What is finished stays in {place.path}: run the same command again to go on"
    named = "\n  ".join(f"{f.task}: {type(f.error).__name__}: {f.error}" for f in failures)
    raise StudyError(f"{doing} failed for {len(failures)}:\n  {named}\n{kept}") from failures[0].error
