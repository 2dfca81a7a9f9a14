"""`otoscope study` and `report`."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from otoscope.cli.asking import command_line, config_of, default_folder, folder_of, read_config, tell_problems
from otoscope.cli.missing import end_incomplete, missing_lines
from otoscope.cli.options import Architecture, AtLeastOne, Json, Many, Size, Watch
from otoscope.cli.progress import showing_progress
from otoscope.report import write_report
from otoscope.study import Plan, Results, StudyFolder, load_findings, plan_study, run_study

__all__ = ["report", "study"]


def study(
    *,
    corpus: Annotated[str | None, Parameter(help='A corpus folder, or "default", the embedded one.')] = None,
    format: Annotated[str | None, Parameter(help="The corpus layout, where it is not to be guessed.")] = None,
    out: Annotated[
        Path | None, Parameter(help="The study's folder [studies/CORPUS; with --config of a study's folder, that].")
    ] = None,
    config: Annotated[Path | None, Parameter(help="A study.toml that says all of it.")] = None,
    recognisers: Annotated[
        tuple[Architecture, ...] | None, Many, Parameter(help="Which to train [cnn lstm transformer].")
    ] = None,
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
    watch: Watch = False,
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
    report.html. Runs that fail are named, the others compared, and the exit code is 3.
    """
    given: dict[str, Any] = {
        "corpus": corpus,
        "watch": watch or None,
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
    asked = read_config(config, given) if config is not None else config_of(given)
    if dry_run:
        plan = plan_study(asked, workers=workers)
        print(json.dumps(asdict(plan), indent=1) if json_ else _describe(plan))
        return
    folder = out or folder_of(config) or default_folder(asked)
    with showing_progress() as progress:
        results = run_study(asked, folder, workers=workers, command=command_line(), progress=progress)
        progress("writing the report", 0, 1)
        page = write_report(folder)
        progress("writing the report", 1, 1)
    summary = {**_summary(results, folder), "skipped_utterances": tell_problems(folder)}
    missing = missing_lines(results.missing)
    lines = "\n".join([_table(summary), *missing, str(page)])
    print(json.dumps({**summary, "report": str(page)}, indent=1) if json_ else lines)
    end_incomplete(len(results.missing))


def report(folder: Path, *, json_: Json = False) -> None:
    """Write report.html and the figures of a finished study anew. Prints the page's path."""
    page = write_report(folder)
    print(json.dumps({"report": str(page)}) if json_ else page)


def _summary(results: Results, folder: Path) -> dict[str, Any]:
    runs = []
    for run in results.runs:
        final = results.wer(run).isel(step=-1)
        rates = {name: float(final[name]) for name in ("dev_wer", "dev_cer", "test_wer", "test_cer")}
        runs.append({"run": run, "step": int(final["step"]), **rates})
    place = StudyFolder(folder)
    skipped = sum(refusal.count for refusal in results.refusals)
    found = [f for f in load_findings(place.findings) if f.measure == results.measures[0]] if _asked(place) else []
    return {
        "folder": str(folder),
        "results": str(place.results),
        "not_computed": skipped,
        "measure": results.measures[0],
        "findings": dict(Counter(f.verdict for f in found)),
        "missing": list(map(asdict, results.missing)),
        "runs": runs,
    }


def _asked(place: StudyFolder) -> bool:
    """Whether the study asked for findings."""
    return place.findings.is_file()


def _table(summary: dict[str, Any]) -> str:
    rows = [f"{'run':24} {'steps':>6} {'dev WER':>8} {'test WER':>8} {'test CER':>8}"]
    rows += [
        f"{r['run']:24} {r['step']:6} {r['dev_wer']:8.1%} {r['test_wer']:8.1%} {r['test_cer']:8.1%}"
        for r in summary["runs"]
    ]
    if summary["findings"]:
        counts = ", ".join(f"{n} {verdict}" for verdict, n in sorted(summary["findings"].items()))
        rows.append(f"findings by {summary['measure']}: {counts}")
    if summary["not_computed"]:
        rows.append(f"{summary['not_computed']} similarities were not computed: the report says which and why")
    return "\n".join(rows)


def _describe(plan: Plan) -> str:
    speech = ", ".join(f"{s} {plan.utterances[s]} utterances ({h:.2f} h)" for s, h in plan.hours.items())
    lines = [
        f"corpus       {plan.corpus}: {speech}",
        f"probe set    {plan.probe_utterances} utterances, about {plan.probe_frames} frames",
    ]
    if plan.watched_utterances:
        lines.append(
            f"watching     {plan.watched_utterances} of them at each checkpoint, at most 5 % of the training time"
        )
    for run in plan.runs:
        lines.append(
            f"{run.recogniser:12} {run.parameters / 1e6:.1f} M parameters, {run.steps} steps, {run.checkpoints} "
            f"checkpoints, {run.layers} layers of up to {run.widest} units, {run.seconds / 60:.0f} min on one core"
        )
    lines += [
        f"seeds        {plan.seeds}",
        f"comparisons  {plan.comparisons} pairs of layers, {plan.comparing_seconds / 60:.0f} min on one core",
        f"  by kind    {_counts(plan.by_kind)}",
        f"  asked by   {_counts(plan.by_question)}",
        *(
            [f"sums         {plan.path} of up to {plan.moments_bytes / 1e6:.0f} MB a worker: {plan.reason}"]
            if plan.path
            else []
        ),
        f"disk         about {plan.disk_bytes / 1e6:.0f} MB",
        f"time         about {plan.seconds / 60:.0f} min with {plan.workers} workers",
    ]
    return "\n".join(lines + [f"warning      {w}" for w in plan.warnings])


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {count}" for name, count in counts.items())
