"""Intervals, p-values and effective sample sizes of similarities: by utterance or speaker, never by frame."""

from otoscope.measures.inference.block_accumulator import BlockAccumulator
from otoscope.measures.inference.block_moments import BlockMoments
from otoscope.measures.inference.grouping import assign

__all__ = ["BlockAccumulator", "BlockMoments", "assign"]
