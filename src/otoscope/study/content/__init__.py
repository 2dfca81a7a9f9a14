"""What each layer carries: phones, words, speakers, … read off layers, with intervals and baselines."""

from otoscope.study.content.carried import DEFAULT_LABELS, DEFAULT_METHODS, content
from otoscope.study.content.label import Label
from otoscope.study.content.labels import LABELS
from otoscope.study.content.methods import METHODS
from otoscope.study.content.rows import ContentRow
from otoscope.study.content.units import (
    ContentUnit,
    content_of_run,
    plan_content,
    read_content,
    read_content_unit,
    run_content_unit,
)

__all__ = [
    "DEFAULT_LABELS",
    "DEFAULT_METHODS",
    "LABELS",
    "METHODS",
    "ContentRow",
    "ContentUnit",
    "Label",
    "content",
    "content_of_run",
    "plan_content",
    "read_content",
    "read_content_unit",
    "run_content_unit",
]
