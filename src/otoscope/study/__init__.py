"""The questions: within a recogniser, through training, across recognisers; from a configuration to results."""

from otoscope.study.config import ProbeConfig, RecogniserConfig, StudyConfig
from otoscope.study.folder import StudyFolder
from otoscope.study.manifest import host, versions
from otoscope.study.matching import Matching, match_layers
from otoscope.study.measure import MeasurePlan, measure, plan_measure
from otoscope.study.pipeline import run_study
from otoscope.study.plan import Plan, plan_study
from otoscope.study.recognisers import train_recognisers
from otoscope.study.results import Results
from otoscope.study.series import measure_series
from otoscope.study.transcribing import Transcribed, transcribe

__all__ = [
    "Matching",
    "MeasurePlan",
    "Plan",
    "ProbeConfig",
    "RecogniserConfig",
    "Results",
    "StudyConfig",
    "StudyFolder",
    "Transcribed",
    "host",
    "match_layers",
    "measure",
    "measure_series",
    "plan_measure",
    "plan_study",
    "run_study",
    "train_recognisers",
    "transcribe",
    "versions",
]
