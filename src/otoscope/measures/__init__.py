"""Similarity of layers, from arrays of frames × units or from mergeable moments."""

from otoscope.measures import registry
from otoscope.measures.accumulator import Accumulator
from otoscope.measures.bures import bures
from otoscope.measures.cca import cca
from otoscope.measures.cka import cka
from otoscope.measures.describe import LayerDescription, describe
from otoscope.measures.distance_correlation import distance_correlation
from otoscope.measures.folds import Folds
from otoscope.measures.held_out_cca import held_out_cca
from otoscope.measures.kernel_cka import kernel_cka
from otoscope.measures.kernels import RBF, Kernel, Laplace, Linear, Polynomial
from otoscope.measures.minibatch_cka import minibatch_cka
from otoscope.measures.moments import Moments
from otoscope.measures.neighbours import mutual_knn
from otoscope.measures.paper import paper_cca, paper_cka
from otoscope.measures.partial_cka import partial_cka
from otoscope.measures.pc_removed_cka import pc_removed_cka
from otoscope.measures.procrustes import procrustes
from otoscope.measures.pwcca import pwcca
from otoscope.measures.r2_cca import r2_cca
from otoscope.measures.random_features import RandomFeatures, random_features
from otoscope.measures.registry import Measure, get, names, register
from otoscope.measures.regression import regression
from otoscope.measures.result import Similarity
from otoscope.measures.ridge_cca import ridge_cca
from otoscope.measures.rsa import rsa
from otoscope.measures.samples import Samples
from otoscope.measures.shape_distance import shape_distance
from otoscope.measures.svcca import svcca

__all__ = [
    "RBF",
    "Accumulator",
    "Folds",
    "Kernel",
    "Laplace",
    "LayerDescription",
    "Linear",
    "Measure",
    "Moments",
    "Polynomial",
    "RandomFeatures",
    "Samples",
    "Similarity",
    "bures",
    "cca",
    "cka",
    "describe",
    "distance_correlation",
    "get",
    "held_out_cca",
    "kernel_cka",
    "minibatch_cka",
    "mutual_knn",
    "names",
    "paper_cca",
    "paper_cka",
    "partial_cka",
    "pc_removed_cka",
    "procrustes",
    "pwcca",
    "r2_cca",
    "random_features",
    "register",
    "registry",
    "regression",
    "ridge_cca",
    "rsa",
    "shape_distance",
    "svcca",
]
