"""`otoscope validate`."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path

from otoscope.cli.options import Json
from otoscope.study.validation import validate as faults_of

__all__ = ["validate"]

FAULTY = 1


def validate(folder: Path, *, json_: Json = False) -> None:
    """Check that a study's folder is whole: settings, runs, results, findings, and that they belong together.

    Every fault is told with what to do about it. The exit code is 1 where there is one. Nothing is changed.
    """
    faults = faults_of(folder)
    if json_:
        about = {"folder": str(folder), "valid": not faults, "faults": [asdict(fault) for fault in faults]}
        print(json.dumps(about, indent=1, ensure_ascii=False))
    else:
        print("\n".join(map(str, faults)) or f"{folder}: no faults")
    if faults:
        sys.exit(FAULTY)
