"""Similarity while a recogniser trains: a fixed probe set looked at again at every checkpoint."""

from otoscope.watching.log import read_watch, through_training
from otoscope.watching.probing import undisturbed
from otoscope.watching.watch import SimilarityWatch

__all__ = ["SimilarityWatch", "read_watch", "through_training", "undisturbed"]
