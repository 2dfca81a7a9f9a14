"""The errors a user can meet. Each says what came, what was expected and what to do next."""

from __future__ import annotations


class OtoscopeError(Exception):
    """Base of every error that Otoscope raises on purpose; the command line prints it without a traceback."""


class MeasureError(OtoscopeError, ValueError):
    """The data cannot carry the measure: shapes, NaN, too few frames or utterances, zero variance."""


class CorpusError(OtoscopeError, ValueError):
    """A corpus, its transcripts or its audio cannot be read or used."""


class CaptureError(OtoscopeError, ValueError):
    """A requested layer does not exist, did not fire, or gave something that is not frames × units."""


class TrainingError(OtoscopeError, RuntimeError):
    """Training cannot go on: a loss that is not finite, a checkpoint that does not fit its model."""


class StudyError(OtoscopeError, ValueError):
    """A study's configuration or folder cannot be used."""
