"""What each layer carries: phones, words, speakers, … read off layers, with intervals and baselines."""

from otoscope.study.content.carried import DEFAULT_LABELS, DEFAULT_METHODS, content
from otoscope.study.content.label import Label
from otoscope.study.content.labels import LABELS
from otoscope.study.content.methods import METHODS

__all__ = ["DEFAULT_LABELS", "DEFAULT_METHODS", "LABELS", "METHODS", "Label", "content"]
