"""Constructed studies with and without the pattern of each question."""

from tests.study.findings import patterns, patterns_depth_and_pace, patterns_robustness, patterns_seeds_and_errors

__all__ = ["PATTERNS"]

PATTERNS = (
    patterns.PATTERNS
    | patterns_depth_and_pace.PATTERNS
    | patterns_seeds_and_errors.PATTERNS
    | patterns_robustness.PATTERNS
)
