"""Constructed studies with and without the pattern of each question."""

from tests.study.findings.patterns import PATTERNS

__all__ = ["PATTERNS"]
