"""`otoscope study new` and `study schema`: a configuration to begin with, and what it may hold."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

from cyclopts import App, Parameter

from otoscope.cli.asking import config_of
from otoscope.cli.options import Architecture, Many, Size
from otoscope.cli.study import study
from otoscope.errors import StudyError
from otoscope.files import write_text
from otoscope.study.schema import study_schema
from otoscope.study.template import study_template

__all__ = ["app"]

app = App(name="study")
app.default(study)


@app.command
def new(
    file: Annotated[Path, Parameter(help="The file to write.")] = Path("study.toml"),
    *,
    corpus: Annotated[str | None, Parameter(help='A corpus folder, a fetched corpus, or "default".')] = None,
    recognisers: Annotated[
        tuple[Architecture, ...] | None, Many, Parameter(help="Which to train [cnn lstm transformer].")
    ] = None,
    size: Annotated[Size | None, Parameter(help="small for the embedded corpus, base elsewhere.")] = None,
    seeds: Annotated[tuple[int, ...] | None, Many, Parameter(help="Each recogniser is trained with each [0].")] = None,
) -> None:
    """Write a study.toml that says what every setting means. Prints its path; a file that is there is not replaced."""
    given: dict[str, Any] = {"corpus": corpus, "recognisers": recognisers, "size": size, "seeds": seeds}
    config = config_of(given)
    if file.exists():
        raise StudyError(f"{file} is there already, and is not replaced: name another file, or move it away")
    write_text(file, study_template(config))
    print(file)


@app.command
def schema() -> None:
    """Print the JSON schema of study.toml, for editors that check and complete it."""
    print(json.dumps(study_schema(), indent=2, ensure_ascii=False))
