"""What a study finds: claims about layers with effects, intervals and verdicts."""

from otoscope.study.findings.finding import Effect, Finding, Verdict
from otoscope.study.findings.finding_all import QUESTIONS, find_all
from otoscope.study.findings.question import Question

__all__ = ["QUESTIONS", "Effect", "Finding", "Question", "Verdict", "find_all"]
