"""Where the command line begins: what is caught, what is said of it, the exit codes.

Loads the commands inside `main`, where Ctrl-C is heard. What `import otoscope` itself loads comes before it.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

__all__ = ["main"]

FAILED, MISUSED, INTERRUPTED = 1, 2, 130


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the command line and exits: 0 on success, 1 on an error, 2 on misuse, 3 in part, 130 when interrupted."""
    try:
        _run(arguments)
    except KeyboardInterrupt:
        _say("interrupted. What is finished is kept: the same command goes on from there.")
        sys.exit(INTERRUPTED)
    except BrokenPipeError:
        sys.stderr.close()  # the reader of stdout has gone, as in `otoscope … | head`
        sys.exit(FAILED)
    except OSError as error:
        _say(f"error: {_reason(error)}. Look at the path, the rights to it and the space left, then run it again")
        sys.exit(FAILED)
    sys.exit(0)


def _run(arguments: Sequence[str] | None) -> None:
    from cyclopts import CycloptsError

    from otoscope.cli.app import app
    from otoscope.errors import OtoscopeError

    try:
        app(
            list(arguments) if arguments is not None else None,
            exit_on_error=False,
            print_error=False,
            result_action="return_none",
        )
    except CycloptsError as error:
        _say(f"error: {error}\nTry `otoscope --help`.")
        sys.exit(MISUSED)
    except OtoscopeError as error:
        _say(f"error: {error}")
        sys.exit(FAILED)


def _reason(error: OSError) -> str:
    if error.strerror is None or error.filename is None:
        return str(error)
    return f"{error.filename}: {error.strerror}"


def _say(text: str) -> None:
    print(text, file=sys.stderr)
