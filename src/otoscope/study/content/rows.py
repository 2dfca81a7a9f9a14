"""One row of a study's table of content: what one layer of one checkpoint says of one label."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["ContentRow"]


@dataclass(frozen=True, slots=True)
class ContentRow:
    """What a label reads off a layer (or off the `input`) of a run's checkpoint, by one method.

    `low` and `high` are the ends of the 95 % interval, `chance` what always saying the most frequent class reads,
    `shuffled` what labels of other utterances read, `untrained` what the run's checkpoint of step 0 reads; NaN where
    that was not read, or was refused (`note` says why). `rows` counts the frames, words or utterances, `groups` the
    speakers or utterances that folds keep together.
    """

    run: str
    step: int
    layer: str
    label: str
    method: str
    value: float
    low: float
    high: float
    chance: float
    shuffled: float
    untrained: float
    rows: int
    groups: int
    note: str
