"""What a study finds: claims about layers with effects, intervals and verdicts."""

from otoscope.study.findings.finding import Effect, Finding, Verdict
from otoscope.study.findings.finding_all import QUESTIONS, find_all
from otoscope.study.findings.question import Question
from otoscope.study.findings.view import Findings
from otoscope.study.findings.writing import load as load_findings

__all__ = ["QUESTIONS", "Effect", "Finding", "Findings", "Question", "Verdict", "find_all", "load_findings"]
