"""Otoscope: what goes on inside end-to-end speech recognisers.

Train reference recognisers or take a trained one, capture every layer, measure how the representations relate, and
read it in a report. The names here are the public interface; the rest may move.
"""

from otoscope.asr import ReferenceRecogniser
from otoscope.capture import Layer, Recogniser, capture, reduce, select
from otoscope.corpora import Corpus, Utterance, check, default_corpus, fetch, load
from otoscope.errors import (
    CaptureError,
    CorpusError,
    MeasureError,
    OtoscopeError,
    StudyError,
    TrainingError,
)
from otoscope.labelled import similarity
from otoscope.measures import (
    Folds,
    LayerDescription,
    Moments,
    Similarity,
    bures,
    cca,
    cka,
    describe,
    held_out_cca,
    paper_cca,
    paper_cka,
    partial_cka,
    pc_removed_cka,
    procrustes,
    pwcca,
    r2_cca,
    regression,
    ridge_cca,
    shape_distance,
    svcca,
)
from otoscope.report import write_report
from otoscope.study import Results, StudyConfig, measure, plan_study, run_study, train_recognisers

__all__ = [
    "CaptureError",
    "Corpus",
    "CorpusError",
    "Folds",
    "Layer",
    "LayerDescription",
    "MeasureError",
    "Moments",
    "OtoscopeError",
    "Recogniser",
    "ReferenceRecogniser",
    "Results",
    "Similarity",
    "StudyConfig",
    "StudyError",
    "TrainingError",
    "Utterance",
    "bures",
    "capture",
    "cca",
    "check",
    "cka",
    "default_corpus",
    "describe",
    "fetch",
    "held_out_cca",
    "load",
    "measure",
    "paper_cca",
    "paper_cka",
    "partial_cka",
    "pc_removed_cka",
    "plan_study",
    "procrustes",
    "pwcca",
    "r2_cca",
    "reduce",
    "regression",
    "ridge_cca",
    "run_study",
    "select",
    "shape_distance",
    "similarity",
    "svcca",
    "train_recognisers",
    "write_report",
]
