"""The questions: within a recogniser, through training, across recognisers; from a configuration to results."""

from otoscope.study.config import ProbeConfig, RecogniserConfig, StudyConfig
from otoscope.study.findings import Findings, find_all, load_findings
from otoscope.study.folder import StudyFolder
from otoscope.study.manifest import host, versions
from otoscope.study.matching import Matching, match_layers
from otoscope.study.measure import MeasurePlan, measure, plan_measure
from otoscope.study.pipeline import run_study
from otoscope.study.plan import Plan, plan_study
from otoscope.study.recognisers import train_recognisers
from otoscope.study.results import Results
from otoscope.study.series import measure_series
from otoscope.study.table import runs
from otoscope.study.transcribing import Transcribed, transcribe
from otoscope.study.validation import validate

__all__ = [
    "Findings",
    "Matching",
    "MeasurePlan",
    "Plan",
    "ProbeConfig",
    "RecogniserConfig",
    "Results",
    "StudyConfig",
    "StudyFolder",
    "Transcribed",
    "find_all",
    "host",
    "load_findings",
    "match_layers",
    "measure",
    "measure_series",
    "plan_measure",
    "plan_study",
    "run_study",
    "runs",
    "train_recognisers",
    "transcribe",
    "validate",
    "versions",
]
