"""What the layers of a study's runs carry, at every checkpoint; what fails is named, the rest is kept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from otoscope.asr import FeatureStore
from otoscope.engines import Failure, run_all
from otoscope.study.config import StudyConfig
from otoscope.study.content.rows import ContentRow
from otoscope.study.content.units import plan_content, read_content, run_content_unit
from otoscope.study.failing import tell
from otoscope.study.folder import StudyFolder
from otoscope.study.missing import Missing
from otoscope.study.preparation import Progress, Speech
from otoscope.study.units import Checkpoint

__all__ = ["read_off"]

FRAMES = 5_000
"""Read at the most at a checkpoint: half of what `content` reads, since a study has many checkpoints."""


def read_off(
    place: StudyFolder,
    config: StudyConfig,
    speech: Speech,
    store: FeatureStore,
    runs: Mapping[str, Sequence[Checkpoint]],
    workers: int,
    show: Progress,
) -> tuple[list[ContentRow], list[Missing]]:
    """Reads the labels that the study asks for off every layer, at every checkpoint of `runs` or at their ends.

    Returns the rows, and the checkpoints at which that failed. Raises StudyError for an unknown label.
    """
    if not config.content:
        return [], []
    chosen = set(speech.probe)
    heard = [utterance for utterance in speech.corpus if utterance.id in chosen]
    units = {unit.name: unit for unit in plan_content(runs, config.content, at=config.content_at, frames=FRAMES)}
    missing: list[Missing] = []

    def failed(failure: Failure) -> None:
        at = units.pop(failure.task).checkpoint
        reason = f"{type(failure.error).__name__}: {failure.error}"
        missing.append(Missing(at.run, "content", reason, f"content at step {at.step}"))
        tell(f"reading content off {at.run} at step {at.step} failed, the others go on: {reason}")

    tasks = {name: (run_content_unit, (unit, store.path, heard, place.measured)) for name, unit in units.items()}
    run_all(tasks, workers=workers, poll=lambda done: show("reading content", done, len(tasks)), failed=failed)
    return read_content(list(units.values()), place.measured), missing
