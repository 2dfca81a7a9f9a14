"""`otoscope train`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, get_args

from cyclopts import Parameter

from otoscope.cli.asking import command_line, config_of, default_folder, folder_of, read_config, tell_problems
from otoscope.cli.missing import end_incomplete
from otoscope.cli.options import Architecture, AtLeastOne, Json, Many, Size, Watch
from otoscope.cli.progress import showing_progress
from otoscope.errors import StudyError
from otoscope.study import train_recognisers

__all__ = ["train"]


def train(
    what: Annotated[Path, Parameter(help="cnn, lstm, transformer, conformer, or a study.toml, such as a recipe.")],
    *,
    corpus: Annotated[str | None, Parameter(help='A corpus folder, or "default".')] = None,
    format: Annotated[str | None, Parameter(help="The corpus layout, where it is not to be guessed.")] = None,
    out: Annotated[
        Path | None, Parameter(help="The folder [studies/CORPUS-RECOGNISER; of a study.toml as in study].")
    ] = None,
    run: Annotated[
        tuple[str, ...],
        Many,
        Parameter(show_default=False, help="Runs of the study.toml, such as cnn/seed0, or cnn for all seeds [all]."),
    ] = (),
    size: Annotated[Size | None, Parameter(help="small for the embedded corpus, base elsewhere.")] = None,
    seeds: Annotated[tuple[int, ...] | None, Many, Parameter(help="Trained with each [0].")] = None,
    epochs: Annotated[int | None, Parameter(help="Passes over the training split.")] = None,
    checkpoints: Annotated[int | None, Parameter(help="Checkpoints to keep of each run.")] = None,
    watch: Watch = False,
    workers: Annotated[
        int | None, AtLeastOne, Parameter(help="Processes of one thread each [the cores there are].")
    ] = None,
    json_: Json = False,
) -> None:
    """Train recognisers and score them on test; compare nothing.

    What is trained is one architecture, or the runs of a study.toml. `otoscope study --config FOLDER/study.toml` can
    go on from there. Under `torchrun … -m otoscope train`, all processes train one run after another together.
    """
    given: dict[str, Any] = {
        "corpus": corpus,
        "watch": watch or None,
        "format": format,
        "size": size,
        "seeds": seeds,
        "epochs": epochs,
        "checkpoints": checkpoints,
    }
    if str(what) in get_args(Architecture):
        asked = config_of({**given, "recognisers": (str(what),)})
        folder = out or Path(f"{default_folder(asked)}-{what}")
    else:
        asked = read_config(_file(what), given)
        folder = out or folder_of(what) or default_folder(asked)
    with showing_progress() as progress:
        scores = train_recognisers(asked, folder, runs=run, workers=workers, command=command_line(), progress=progress)
    if not scores:
        return  # process 0 of those that torchrun has started says it for all
    skipped = tell_problems(folder)
    if json_:
        print(json.dumps({"folder": str(folder), "skipped_utterances": skipped, "runs": scores}, indent=1))
    else:
        for name, score in scores.items():
            told = (
                f"{_rates(score)}\n{score['checkpoint']}" if "failure" not in score else f"failed: {score['failure']}"
            )
            print(f"{name}: {told}")
    end_incomplete(sum("failure" in score for score in scores.values()))


def _file(what: Path) -> Path:
    if not what.is_file():
        raise StudyError(
            f"there is nothing to train by the name {what}: expected {', '.join(get_args(Architecture))}, or a "
            "study.toml that is there"
        )
    return what


def _rates(score: Mapping[str, Any]) -> str:
    """Greedy error rates, then those of other ways of decoding, where there are any."""
    told = f"dev WER {score['dev_wer']:.1%}, test WER {score['test_wer']:.1%}, CER {score['test_cer']:.1%}"
    ways = {"ngram": "with the n-gram", "attention": "by attention"}
    also = [f"{words} {score[how]['test_wer']:.1%}" for how, words in ways.items() if how in score]
    return "; ".join([told, *also])
