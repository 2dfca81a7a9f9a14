"""Where work runs: worker processes of one thread each."""

from otoscope.engines.processes import Failure, parent_alive, run_all

__all__ = ["Failure", "parent_alive", "run_all"]
