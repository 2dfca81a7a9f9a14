"""The labels there are, by name."""

from __future__ import annotations

from collections.abc import Sequence

from otoscope.errors import StudyError
from otoscope.study.content.duration import DURATION, WORD_DURATION
from otoscope.study.content.label import Label
from otoscope.study.content.log_mel import LOG_MEL
from otoscope.study.content.phones import PHONES
from otoscope.study.content.position import POSITION, RELATIVE_POSITION
from otoscope.study.content.speaker import SPEAKER
from otoscope.study.content.words import WORDS

__all__ = ["LABELS", "labels_of"]

LABELS: dict[str, Label] = {
    label.name: label
    for label in (LOG_MEL, PHONES, WORDS, SPEAKER, POSITION, RELATIVE_POSITION, DURATION, WORD_DURATION)
}


def labels_of(names: Sequence[str]) -> list[Label]:
    """The labels of these names. Raises StudyError for one that there is not, or that is named twice.

    >>> [label.unit for label in labels_of(["phones", "words"])]
    ['frame', 'word']
    """
    if unknown := [name for name in names if name not in LABELS]:
        raise StudyError(f"no label named {unknown[0]!r}; there are {', '.join(LABELS)}")
    if not names or len(set(names)) < len(names):
        raise StudyError(f"expected one or more different labels, got {list(names)}")
    return [LABELS[name] for name in names]
