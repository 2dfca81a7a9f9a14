"""What a table was made by: machine, versions, date, commit and command, as lines of its page."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

from otoscope.study.manifest import host, versions

__all__ = ["made_by"]

ROOT = Path(__file__).resolve().parents[1]


def made_by(command: str, *, seconds: float | None = None, threads: str = "one thread") -> list[str]:
    """The lines under "Made by"; `seconds` is how long it took, `threads` on what."""
    commit = ["git", "rev-parse", "--short", "HEAD"]
    took = "" if seconds is None else f"; {seconds / 60:.0f} minutes"
    return [
        "## Made by",
        "",
        f"- Machine: {host()['machine']}; {threads}{took}",
        f"- Versions: {', '.join(f'{k} {v}' for k, v in versions().items())}",
        f"- Date: {time.strftime('%Y-%m-%d')}; commit "
        + subprocess.run(commit, cwd=ROOT, capture_output=True, text=True).stdout.strip(),
        f"- Command: `{command}`",
    ]
