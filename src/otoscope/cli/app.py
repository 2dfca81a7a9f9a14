"""The `otoscope` command: its subcommands."""

from __future__ import annotations

import json
from typing import Any

from cyclopts import App

from otoscope.cli import advise, content, corpus, design, measure, runs, series, study, train, validate
from otoscope.cli.entry import main
from otoscope.cli.options import Json
from otoscope.study import host, versions

__all__ = ["app", "main"]

app = App(
    name="otoscope",
    help="See what goes on inside end-to-end speech recognisers. Results go to stdout, progress to stderr.",
    version=lambda: f"otoscope {versions()['otoscope']}",
)
app.command(design.app)
app.command(train.train)
app.command(study.report)
app.command(runs.runs)
app.command(validate.validate)
app.command(measure.measure)
app.command(measure.layers)
app.command(measure.transcribe)
app.command(content.content)
app.command(series.series)
app.command(advise.app)
app.command(corpus.app)


@app.command(name="show-versions")
def show_versions(*, json_: Json = False) -> None:
    """Versions of everything that can change a number, and the machine: paste it into bug reports."""
    about: dict[str, Any] = {**versions(), **host()}
    print(json.dumps(about, indent=1) if json_ else "\n".join(f"{k:20} {v}" for k, v in about.items()))
