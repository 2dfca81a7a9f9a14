"""Peers' CCA family and Procrustes."""

from __future__ import annotations

import importlib
import logging

import numpy as np
import torch
from benchmarks.peers import stubs
from benchmarks.peers.method import Layer, Method


def _torch(x: Layer) -> torch.Tensor:
    return torch.from_numpy(x)


def anatome_cca(x: Layer, y: Layer) -> float:
    logging.getLogger().setLevel(logging.ERROR)
    return float(stubs.anatome().cca(_torch(x), _torch(y), backend="svd")[2].mean())


def anatome_svcca(x: Layer, y: Layer) -> float:
    return 1 - float(stubs.anatome().svcca_distance(_torch(x), _torch(y), accept_rate=0.99, backend="svd"))


def anatome_pwcca(x: Layer, y: Layer) -> float:
    choose = stubs.anatome().pwcca_distance_choose_best_layer_matrix
    return 1 - float(choose(_torch(x), _torch(y), backend="svd"))


def anatome_procrustes(x: Layer, y: Layer) -> float:
    return 1 - float(stubs.anatome().orthogonal_procrustes_distance(_torch(x), _torch(y)))


def cca_zoo(x: Layer, y: Layer) -> float:
    """The mean over all components of the correlations on the frames that it was fitted to."""
    linear = importlib.import_module("cca_zoo.linear")
    units = min(x.shape[1], y.shape[1])
    u, v = linear.CCA(n_components=units).fit_transform([x.astype(np.float64), y.astype(np.float64)])
    u, v = u - u.mean(0), v - v.mean(0)
    return float(((u * v).sum(0) / np.sqrt((u**2).sum(0) * (v**2).sum(0))).mean())


JACOBI_FRAMES, JACOBI_ORDER = 1000, 0.78  # 7 s a pair there, 72 s at 20,000 frames


def repsim_cca(x: Layer, y: Layer) -> float:
    return float(importlib.import_module("repsim").cca([x, y], summary_type="pillai")[0, 1])


def repsim_svcca(x: Layer, y: Layer) -> float:
    return float(importlib.import_module("repsim").svcca([x, y], summary_type="pillai")[0, 1])


def repsim_pwcca(x: Layer, y: Layer) -> float:
    return float(importlib.import_module("repsim").pwcca([x, y])[0, 1])


def deep_reps_cca(x: Layer, y: Layer) -> float:
    return float(stubs.deep_reps("cca_measures").compute_standard_cca(_torch(x), _torch(y)))


def deep_reps_svcca(x: Layer, y: Layer) -> float:
    return float(stubs.deep_reps("cca_measures").compute_standard_svcca(_torch(x), _torch(y)))


def deep_reps_pwcca(x: Layer, y: Layer) -> float:
    return float(stubs.deep_reps("cca_measures").compute_wvcca(_torch(x), _torch(y)))


def deep_reps_procrustes(x: Layer, y: Layer) -> float:
    """The cosine that its distance stands for."""
    measures = stubs.deep_reps("alignment_measures")
    a, b = _torch(x), _torch(y)
    squares = float((a**2).sum()), float((b**2).sum())
    return (sum(squares) - measures.orthogonal_procrustes(a, b) ** 2) / (2 * float(np.sqrt(squares[0] * squares[1])))


METHODS = [
    Method("ultimate-anatome", "cca", "two SVDs of n × p", "float32", needs="ultimate-anatome", pair=anatome_cca),
    Method(
        "ultimate-anatome",
        "svcca",
        "four SVDs of n × p",
        "float32",
        wrong="cuts at 99 % of the sum of σ, not of σ², and before centring",
        needs="ultimate-anatome",
        pair=anatome_svcca,
    ),
    Method(
        "ultimate-anatome",
        "pwcca",
        "two SVDs and a QR of n × p",
        "float32",
        wrong="the narrower layer weighs, whichever is first; and it calls a function of an older torch",
        needs="ultimate-anatome",
        pair=anatome_pwcca,
    ),
    Method("ultimate-anatome", "bures", "nuclear norm", "float32", needs="ultimate-anatome", pair=anatome_procrustes),
    Method("cca-zoo", "cca", "`CCA` with all components", "float64", needs="cca-zoo", pair=cca_zoo),
    Method(
        "repsim",
        "cca",
        '`summary_type="pillai"`: Jacobi SVDs',
        "float64",
        needs="repsim",
        pair=repsim_cca,
        most_frames=JACOBI_FRAMES,
        order=JACOBI_ORDER,
    ),
    Method(
        "repsim",
        "svcca",
        '`summary_type="pillai"`: Jacobi SVDs',
        "float64",
        wrong="divides by the rank before the cut, not by the components kept",
        needs="repsim",
        pair=repsim_svcca,
        most_frames=JACOBI_FRAMES,
        order=JACOBI_ORDER,
    ),
    Method(
        "repsim",
        "pwcca",
        "the mean of both directions; Jacobi SVDs",
        "float64",
        wrong="not the first layer's weights but the mean of both directions; correlations clamped",
        needs="repsim",
        pair=repsim_pwcca,
        most_frames=JACOBI_FRAMES,
        order=JACOBI_ORDER,
    ),
    Method(
        "deep-reps",
        "cca",
        "covariances, absolute floor of 1e-10",
        "float32",
        wrong="divides by the first layer's width, not by the number of correlations",
        needs="deep-reps",
        pair=deep_reps_cca,
    ),
    Method(
        "deep-reps",
        "svcca",
        "the same, after PCA",
        "float32",
        wrong="divides by the width before the cut, not by the components kept",
        needs="deep-reps",
        pair=deep_reps_svcca,
    ),
    Method(
        "deep-reps",
        "bures",
        "nuclear norm",
        "float32",
        wrong="does not centre",
        needs="deep-reps",
        pair=deep_reps_procrustes,
    ),
]
