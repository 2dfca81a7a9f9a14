"""Intervals, p-values and effective sample sizes of similarities: by utterance or speaker, never by frame."""

from otoscope.measures.inference.block_accumulator import BlockAccumulator
from otoscope.measures.inference.block_moments import BlockMoments
from otoscope.measures.inference.block_samples import BlockSamples
from otoscope.measures.inference.bootstrap import bootstrap, bootstrap_all
from otoscope.measures.inference.grouping import assign
from otoscope.measures.inference.jackknife import jackknife, jackknife_all
from otoscope.measures.inference.permutation import permutation_test

__all__ = [
    "BlockAccumulator",
    "BlockMoments",
    "BlockSamples",
    "assign",
    "bootstrap",
    "bootstrap_all",
    "jackknife",
    "jackknife_all",
    "permutation_test",
]
