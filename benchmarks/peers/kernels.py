"""Peers' CKA of whole layers: in feature space, or through n × n Gram matrices."""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np
import torch
from benchmarks.peers import stubs
from benchmarks.peers.method import Layer, Method

GRAM_FRAMES = 4000  # an n × n float64 Gram matrix of this many is 128 MB; peers hold four to eight of them at a time


def anatome_cka(x: Layer, y: Layer) -> float:
    return 1 - float(stubs.anatome().linear_cka_distance(torch.from_numpy(x), torch.from_numpy(y), reduce_bias=False))


def anatome_debiased(x: Layer, y: Layer) -> float:
    return 1 - float(stubs.anatome().linear_cka_distance(torch.from_numpy(x), torch.from_numpy(y), reduce_bias=True))


def ckatorch_base(x: Layer, y: Layer) -> float:
    core = importlib.import_module("ckatorch.core")
    return float(core.cka_base(torch.from_numpy(x), torch.from_numpy(y)))


def ckatorch_unbiased(x: Layer, y: Layer) -> float:
    core = importlib.import_module("ckatorch.core")
    return float(core.cka_base(torch.from_numpy(x), torch.from_numpy(y), unbiased=True))


def thingsvision_cka(x: Layer, y: Layer) -> float:
    return float(stubs.thingsvision("cka_numpy").CKANumPy(m=len(x), kernel="linear").compare(X=x, Y=y))


def thingsvision_unbiased(x: Layer, y: Layer) -> float:
    cka = stubs.thingsvision("cka_numpy").CKANumPy(m=len(x), kernel="linear", unbiased=True)
    return float(cka.compare(X=x, Y=y))


def pytorch_cka_features(x: Layer, y: Layer) -> float:
    cka = importlib.import_module("cka")
    return float(cka.cka_from_features(torch.from_numpy(x), torch.from_numpy(y)))


def repsim_cka(x: Layer, y: Layer) -> float:
    return float(importlib.import_module("repsim").cka([x, y], kernel_type="linear")[0, 1])


def repsim_song(x: Layer, y: Layer) -> float:
    return float(importlib.import_module("repsim").cka([x, y], kernel_type="linear", estimator="song")[0, 1])


def deep_reps_cka(x: Layer, y: Layer) -> float:
    measures = stubs.deep_reps("rsm_measures")
    return float(measures.centered_kernel_alignment(torch.from_numpy(x), torch.from_numpy(y)))


def rsatoolbox_layer(x: Layer) -> Any:
    toolbox = importlib.import_module("rsatoolbox")
    return toolbox.rdm.calc_rdm(toolbox.data.Dataset(x.astype(np.float64)), method="euclidean")


def rsatoolbox_pair(x: Any, y: Any) -> float:
    return float(importlib.import_module("rsatoolbox").rdm.compare(x, y, method="cosine_cov")[0, 0])


METHODS = [
    Method(
        "ultimate-anatome",
        "cka-biased",
        "‖XᵀY‖² of centred layers, a pair at a time",
        "float32",
        needs="ultimate-anatome",
        pair=anatome_cka,
    ),
    Method(
        "ultimate-anatome",
        "cka-debiased",
        "the same, `reduce_bias=True`",
        "float32",
        wrong="takes y's norms for x's own term, and no square root",
        needs="ultimate-anatome",
        pair=anatome_debiased,
    ),
    Method(
        "ckatorch",
        "cka-biased",
        "`cka_base`: n × n Gram matrices",
        "float64",
        needs="ckatorch",
        pair=ckatorch_base,
        most_frames=GRAM_FRAMES,
        order=2,
    ),
    Method(
        "ckatorch",
        "cka-debiased",
        "`cka_base(unbiased=True)`: n × n Gram matrices",
        "float64",
        needs="ckatorch",
        pair=ckatorch_unbiased,
        most_frames=GRAM_FRAMES,
        order=2,
    ),
    Method(
        "thingsvision",
        "cka-biased",
        "`CKANumPy`: six n × n Gram matrices a pair",
        "float32",
        needs="thingsvision",
        pair=thingsvision_cka,
        most_frames=GRAM_FRAMES,
        order=2,
    ),
    Method(
        "thingsvision",
        "cka-debiased",
        "`CKANumPy(unbiased=True)`",
        "float32",
        needs="thingsvision",
        pair=thingsvision_unbiased,
        most_frames=GRAM_FRAMES,
        order=2,
    ),
    Method(
        "pytorch-cka",
        "cka-debiased",
        "`cka_from_features`: n × n Gram matrices, clamped to [0, 1]",
        "float32",
        needs="pytorch-cka",
        pair=pytorch_cka_features,
        most_frames=GRAM_FRAMES,
        order=2,
    ),
    Method(
        "repsim",
        "cka-biased",
        "products of n × n matrices",
        "float64",
        needs="repsim",
        pair=repsim_cka,
        most_frames=400,
        order=3,
    ),
    Method(
        "repsim",
        "cka-debiased",
        '`estimator="song"`',
        "float64",
        wrong="divides the unbiased estimate by biased ones",
        needs="repsim",
        pair=repsim_song,
        most_frames=1000,
        order=3,
    ),
    Method(
        "deep-reps",
        "cka-biased",
        "n² calls of a Python function",
        "float32",
        wrong="its centring matrix is I − 11ᵀ",
        needs="deep-reps",
        pair=deep_reps_cka,
        most_frames=200,
        order=2,
    ),
    Method(
        "rsatoolbox",
        "cka-biased",
        '`compare(method="cosine_cov")` of squared distances',
        "float64",
        needs="rsatoolbox",
        prepare=rsatoolbox_layer,
        pair=rsatoolbox_pair,
        most_frames=400,
        order=2,
    ),
]
