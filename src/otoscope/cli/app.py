"""The `otoscope` command: what every subcommand shares, and the exit codes."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from typing import Any

from cyclopts import App, CycloptsError
from rich.console import Console

from otoscope.cli import corpus, measure, study
from otoscope.errors import OtoscopeError
from otoscope.study import host, versions

__all__ = ["app", "main"]

FAILED, MISUSED, INTERRUPTED = 1, 2, 130

app = App(
    name="otoscope",
    help="See what goes on inside end-to-end speech recognisers. Results go to stdout, progress to stderr.",
    version=lambda: f"otoscope {versions()['otoscope']}",
)
app.command(study.study)
app.command(study.train)
app.command(study.report)
app.command(measure.measure)
app.command(measure.layers)
app.command(corpus.app)


@app.command(name="show-versions")
def show_versions(*, json_: study.Json = False) -> None:
    """Versions of everything that can change a number, and the machine: paste it into bug reports."""
    about: dict[str, Any] = {**versions(), **host()}
    print(json.dumps(about, indent=1) if json_ else "\n".join(f"{k:20} {v}" for k, v in about.items()))


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the command line and exits: 0 on success, 1 on an error, 2 on misuse, 130 when interrupted."""
    errors = Console(stderr=True, highlight=False, soft_wrap=True)
    try:
        app(
            list(arguments) if arguments is not None else None,
            exit_on_error=False,
            print_error=False,
            result_action="return_none",
        )
    except CycloptsError as error:
        errors.print(f"error: {error}\nTry `otoscope --help`.", markup=False)
        sys.exit(MISUSED)
    except OtoscopeError as error:
        errors.print(f"error: {error}", markup=False)
        sys.exit(FAILED)
    except KeyboardInterrupt:
        errors.print("interrupted. What is finished is kept: the same command goes on from there.", markup=False)
        sys.exit(INTERRUPTED)
    except BrokenPipeError:
        sys.stderr.close()  # the reader of stdout has gone, as in `otoscope … | head`
        sys.exit(FAILED)
    sys.exit(0)
