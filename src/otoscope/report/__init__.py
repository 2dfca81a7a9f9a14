"""The report: one self-contained HTML page and the figures as files."""

from otoscope.report.page import write_report

__all__ = ["write_report"]
