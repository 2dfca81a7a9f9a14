"""The command line: a thin layer over the Python API, same names, same defaults."""

from otoscope.cli.entry import main

__all__ = ["main"]
