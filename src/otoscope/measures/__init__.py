"""Similarity of layers, from arrays of frames × units or from mergeable moments."""

from otoscope.measures import registry
from otoscope.measures.accumulator import Accumulator
from otoscope.measures.bures import bures
from otoscope.measures.cca import cca
from otoscope.measures.cka import cka
from otoscope.measures.describe import LayerDescription, describe
from otoscope.measures.folds import Folds
from otoscope.measures.held_out_cca import held_out_cca
from otoscope.measures.moments import Moments
from otoscope.measures.paper import paper_cca, paper_cka
from otoscope.measures.partial_cka import partial_cka
from otoscope.measures.pc_removed_cka import pc_removed_cka
from otoscope.measures.procrustes import procrustes
from otoscope.measures.pwcca import pwcca
from otoscope.measures.r2_cca import r2_cca
from otoscope.measures.registry import Measure, get, names, register
from otoscope.measures.regression import regression
from otoscope.measures.result import Similarity
from otoscope.measures.ridge_cca import ridge_cca
from otoscope.measures.samples import Samples
from otoscope.measures.shape_distance import shape_distance
from otoscope.measures.svcca import svcca

__all__ = [
    "Accumulator",
    "Folds",
    "LayerDescription",
    "Measure",
    "Moments",
    "Samples",
    "Similarity",
    "bures",
    "cca",
    "cka",
    "describe",
    "get",
    "held_out_cca",
    "names",
    "paper_cca",
    "paper_cka",
    "partial_cka",
    "pc_removed_cka",
    "procrustes",
    "pwcca",
    "r2_cca",
    "register",
    "registry",
    "regression",
    "ridge_cca",
    "shape_distance",
    "svcca",
]
