"""`otoscope study`, `train` and `report`."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import Parameter
from cyclopts.validators import Number

from otoscope.cli.progress import showing_progress
from otoscope.corpora import Problem, summarise
from otoscope.errors import StudyError
from otoscope.report import write_report
from otoscope.study import Plan, Results, StudyConfig, StudyFolder, plan_study, run_study, train_recognisers

__all__ = ["report", "study", "train"]

Json = Annotated[bool, Parameter(name="--json", negative=(), show_default=False, help="Print the result as JSON.")]
Many = Parameter(consume_multiple=True, negative=())
AtLeastOne = Parameter(validator=Number(gte=1))
Architecture = Literal["cnn", "lstm", "transformer"]
Size = Literal["small", "base"]


def study(
    *,
    corpus: Annotated[str | None, Parameter(help='A corpus folder, or "default", the embedded one.')] = None,
    format: Annotated[str | None, Parameter(help="The corpus layout, where it is not to be guessed.")] = None,
    out: Annotated[
        Path | None, Parameter(help="The study's folder [studies/<corpus>; with --config of a study's folder, that].")
    ] = None,
    config: Annotated[Path | None, Parameter(help="A study.toml that says all of it.")] = None,
    recognisers: Annotated[tuple[Architecture, ...] | None, Many, Parameter(help="Which to train [all three].")] = None,
    size: Annotated[Size | None, Parameter(help="small for the embedded corpus, base elsewhere.")] = None,
    seeds: Annotated[tuple[int, ...] | None, Many, Parameter(help="Each recogniser is trained with each [0].")] = None,
    epochs: Annotated[int | None, Parameter(help="Passes over the training split.")] = None,
    checkpoints: Annotated[int | None, Parameter(help="Checkpoints to keep of each run.")] = None,
    measures: Annotated[tuple[str, ...] | None, Many, Parameter(help="Similarity measures.")] = None,
    intervals: Annotated[
        bool | None,
        Parameter(negative=(), show_default=False, help="Add 95 % intervals, by leaving out blocks of speakers."),
    ] = None,
    samples: Annotated[
        int | None, AtLeastOne, Parameter(help="Frames to keep for measures that need frames [5000].")
    ] = None,
    workers: Annotated[
        int | None, AtLeastOne, Parameter(help="Processes of one thread each [the cores there are].")
    ] = None,
    dry_run: Annotated[
        bool, Parameter(negative=(), show_default=False, help="Say what would run, with sizes and a time.")
    ] = False,
    json_: Json = False,
) -> None:
    """Train recognisers, look at every layer of every checkpoint, and write a report.

    A study that was stopped goes on when the same command is given again. The last line printed is the path of
    report.html.
    """
    given = {
        "corpus": corpus,
        "format": format,
        "recognisers": recognisers,
        "size": size,
        "seeds": seeds,
        "epochs": epochs,
        "checkpoints": checkpoints,
        "measures": measures,
        "intervals": intervals,
        "samples": samples,
    }
    asked = _read(config, given) if config is not None else _config(given)
    if dry_run:
        plan = plan_study(asked, workers=workers)
        print(json.dumps(asdict(plan), indent=1) if json_ else _describe(plan))
        return
    folder = out or _folder_of(config) or _default_folder(asked)
    with showing_progress() as progress:
        results = run_study(asked, folder, workers=workers, command=_command(), progress=progress)
        progress("writing the report", 0, 1)
        page = write_report(folder)
        progress("writing the report", 1, 1)
    summary = {**_summary(results, folder), "skipped_utterances": _tell_problems(folder)}
    print(json.dumps({**summary, "report": str(page)}, indent=1) if json_ else f"{_table(summary)}\n{page}")


def train(
    recogniser: Architecture,
    *,
    corpus: Annotated[str, Parameter(help='A corpus folder, or "default".')] = "default",
    format: Annotated[str | None, Parameter(help="The corpus layout, where it is not to be guessed.")] = None,
    out: Annotated[Path | None, Parameter(help="The folder [studies/<corpus>-<recogniser>].")] = None,
    size: Annotated[Size | None, Parameter(help="small for the embedded corpus, base elsewhere.")] = None,
    seeds: Annotated[tuple[int, ...], Many, Parameter(help="Trained with each.")] = (0,),
    epochs: Annotated[int | None, Parameter(help="Passes over the training split.")] = None,
    checkpoints: Annotated[int | None, Parameter(help="Checkpoints to keep of each run.")] = None,
    workers: Annotated[
        int | None, AtLeastOne, Parameter(help="Processes of one thread each [the cores there are].")
    ] = None,
    json_: Json = False,
) -> None:
    """Train one recogniser and score it on test. `otoscope study --config <folder>/study.toml` can go on from there."""
    given = {"corpus": corpus, "format": format, "size": size, "seeds": seeds}
    asked = _config({**given, "recognisers": (recogniser,), "epochs": epochs, "checkpoints": checkpoints})
    folder = out or Path(f"{_default_folder(asked)}-{recogniser}")
    with showing_progress() as progress:
        scores = train_recognisers(asked, folder, workers=workers, command=_command(), progress=progress)
    skipped = _tell_problems(folder)
    if json_:
        print(json.dumps({"folder": str(folder), "skipped_utterances": skipped, "runs": scores}, indent=1))
    else:
        for run, score in scores.items():
            rates = f"test WER {score['test_wer']:.1%}, CER {score['test_cer']:.1%}"
            print(f"{run}: {rates}\n{score['checkpoint']}")


def report(folder: Path, *, json_: Json = False) -> None:
    """Write report.html and the figures of a finished study anew. Prints the page's path."""
    page = write_report(folder)
    print(json.dumps({"report": str(page)}) if json_ else page)


def _read(path: Path, given: dict[str, Any]) -> StudyConfig:
    if clash := [f"--{name}" for name, value in given.items() if value is not None]:
        raise StudyError(f"--config says all of the study, so {', '.join(clash)} cannot be given beside it")
    return StudyConfig.read(path)


def _config(given: dict[str, Any]) -> StudyConfig:
    """The study that options ask for; those not given (None) are left to the defaults."""
    fields = {name: value for name, value in given.items() if value is not None}
    training: dict[str, Any] = {name: fields.pop(name) for name in ("epochs", "checkpoints") if name in fields}
    return StudyConfig.default(fields.pop("corpus", "default"), training=training, **fields)


def _folder_of(config: Path | None) -> Path | None:
    """The study's folder that a study.toml lies in, if it does: there the study goes on."""
    return config.parent if config is not None and (config.parent / "manifest.json").exists() else None


def _default_folder(config: StudyConfig) -> Path:
    return Path("studies") / (Path(config.corpus).resolve().name if config.corpus != "default" else "default")


def _command() -> list[str]:
    """The command as a stranger would type it, without the path that this machine has it under."""
    return ["otoscope", *sys.argv[1:]]


def _tell_problems(folder: Path) -> int:
    """Says on stderr what was skipped or mended of the corpus, as the manifest has it. Returns the number skipped."""
    manifest = json.loads(StudyFolder(folder).manifest.read_text(encoding="utf-8"))
    problems = [Problem(**row) for row in manifest["corpus"]["problems"]["list"]]
    if problems:
        print(summarise(problems), file=sys.stderr)
    return sum(problem.action == "skipped" for problem in problems)


def _summary(results: Results, folder: Path) -> dict[str, Any]:
    runs = []
    for run in results.runs:
        final = results.wer(run).isel(step=-1)
        rates = {name: float(final[name]) for name in ("dev_wer", "dev_cer", "test_wer", "test_cer")}
        runs.append({"run": run, "step": int(final["step"]), **rates})
    place = StudyFolder(folder)
    skipped = sum(refusal.count for refusal in results.refusals)
    return {"folder": str(folder), "results": str(place.results), "not_computed": skipped, "runs": runs}


def _table(summary: dict[str, Any]) -> str:
    rows = [f"{'run':24} {'steps':>6} {'dev WER':>8} {'test WER':>8} {'test CER':>8}"]
    rows += [
        f"{r['run']:24} {r['step']:6} {r['dev_wer']:8.1%} {r['test_wer']:8.1%} {r['test_cer']:8.1%}"
        for r in summary["runs"]
    ]
    if summary["not_computed"]:
        rows.append(f"{summary['not_computed']} similarities were not computed: the report says which and why")
    return "\n".join(rows)


def _describe(plan: Plan) -> str:
    speech = ", ".join(f"{s} {plan.utterances[s]} utterances ({h:.2f} h)" for s, h in plan.hours.items())
    lines = [
        f"corpus       {plan.corpus}: {speech}",
        f"probe set    {plan.probe_utterances} utterances, about {plan.probe_frames} frames",
    ]
    for run in plan.runs:
        lines.append(
            f"{run.recogniser:12} {run.parameters / 1e6:.1f} M parameters, {run.steps} steps, {run.checkpoints} "
            f"checkpoints, {run.layers} layers of up to {run.widest} units, {run.seconds / 60:.0f} min on one core"
        )
    lines += [
        f"seeds        {plan.seeds}",
        f"comparisons  {plan.comparisons} pairs of layers, each by every measure",
        *(
            [f"sums         {plan.path} of up to {plan.moments_bytes / 1e6:.0f} MB a worker: {plan.reason}"]
            if plan.path
            else []
        ),
        f"disk         about {plan.disk_bytes / 1e6:.0f} MB",
        f"time         about {plan.seconds / 60:.0f} min with {plan.workers} workers",
    ]
    return "\n".join(lines + [f"warning      {w}" for w in plan.warnings])
