"""Where work runs: worker processes of one thread each."""

from otoscope.engines.processes import Failure, run_all

__all__ = ["Failure", "run_all"]
