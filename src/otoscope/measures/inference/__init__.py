"""Intervals, p-values and effective sample sizes of similarities: by utterance or speaker, never by frame."""

from otoscope.measures.inference.block_accumulator import BlockAccumulator
from otoscope.measures.inference.block_moments import BlockMoments
from otoscope.measures.inference.block_samples import BlockSamples
from otoscope.measures.inference.bootstrap import bootstrap, bootstrap_all
from otoscope.measures.inference.effective_size import EffectiveSize, effective_null, effective_size
from otoscope.measures.inference.grouping import assign
from otoscope.measures.inference.jackknife import jackknife, jackknife_all
from otoscope.measures.inference.permutation import permutation_test

__all__ = [
    "BlockAccumulator",
    "BlockMoments",
    "BlockSamples",
    "EffectiveSize",
    "assign",
    "bootstrap",
    "bootstrap_all",
    "effective_null",
    "effective_size",
    "jackknife",
    "jackknife_all",
    "permutation_test",
]
