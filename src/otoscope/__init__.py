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
from otoscope.measures import Moments, Similarity, cca, cka, pwcca, svcca
from otoscope.report import write_report
from otoscope.study import Results, StudyConfig, measure, plan_study, run_study, train_recognisers

__all__ = [
    "CaptureError",
    "Corpus",
    "CorpusError",
    "Layer",
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
    "capture",
    "cca",
    "check",
    "cka",
    "default_corpus",
    "fetch",
    "load",
    "measure",
    "plan_study",
    "pwcca",
    "reduce",
    "run_study",
    "select",
    "similarity",
    "svcca",
    "train_recognisers",
    "write_report",
]
