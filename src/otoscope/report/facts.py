"""What was run, as label and text: read from the manifest, which may lack any of it."""

from __future__ import annotations

import json
import math
import shlex
from collections import Counter
from collections.abc import Mapping
from typing import Any

from otoscope.report.folder import StudyFolder
from otoscope.report.text import duration, rate

__all__ = ["corpus_problems", "run_facts", "study_facts"]

NOT_RECORDED = "not recorded"


def study_facts(study: StudyFolder) -> list[tuple[str, str]]:
    """The study's circumstances, in the order of the page."""
    manifest, attrs = study.manifest, study.results.dataset.attrs
    corpus = _mapping(manifest.get("corpus"))
    versions = manifest.get("versions") or json.loads(attrs.get("versions") or "{}")
    points = [f"{run}: {len(study.results.steps(run))}" for run in study.results.runs]
    facts = [
        ("Corpus", _corpus(corpus, attrs)),
        ("Splits", _splits(corpus.get("splits"))),
        ("Problems in the corpus", _problems(corpus_problems(study))),
        ("Probe set", _probe(attrs)),
        *_told(attrs),
        ("Checkpoints", ", ".join(points)),
        ("Seeds", _text(manifest.get("seeds"))),
        ("Machine", _text(manifest.get("host") or attrs.get("host"))),
        ("Duration", _seconds(manifest.get("duration"))),
        ("Stages", " · ".join(f"{stage} {_seconds(s)}" for stage, s in _mapping(manifest.get("stages")).items())),
        ("Versions", _text(versions)),
        ("Revision", _text(manifest.get("git"))),
        ("Command", _command(manifest.get("command"))),
        *_recipes(study),
    ]
    return [(label, text or NOT_RECORDED) for label, text in facts]


def run_facts(study: StudyFolder) -> list[dict[str, str]]:
    """One row a run: parameters, checkpoints, training time, final scores."""
    told = _described(study)
    rows = []
    for run in study.results.runs:
        about = told.get(run, {})
        scores, steps = study.results.wer(run), study.results.steps(run)
        seconds = float(study.results.training(run)["seconds"].values[-1])
        parameters = about.get("parameters")
        rows.append(
            {
                "run": run,
                "parameters": f"{parameters:,}" if isinstance(parameters, int) else NOT_RECORDED,
                "checkpoints": f"{len(steps)}, step {steps[0]:,} to {steps[-1]:,}",
                "training": _seconds(seconds) or NOT_RECORDED,
                **{
                    name: _rate(scores[name].values.tolist()) for name in ("dev_wer", "dev_cer", "test_wer", "test_cer")
                },
            }
        )
    return rows


def _described(study: StudyFolder) -> dict[str, Mapping[str, Any]]:
    """The manifest's entry of each run."""
    entries = [e for e in study.manifest.get("recognisers") or [] if isinstance(e, Mapping)]
    return {f"{e.get('name')}/seed{str(e.get('seed', 0)).removeprefix('seed')}": e for e in entries}


def _recipes(study: StudyFolder) -> list[tuple[str, str]]:
    """How each recogniser was trained; seeds that share a recipe share a line."""
    recipes: dict[tuple[str, str], None] = {}
    for run, entry in _described(study).items():
        rest = {k: v for k, v in entry.items() if k not in {"name", "seed", "parameters", "test_wer", "test_cer"}}
        recipes[f"Recipe of {run.rpartition('/')[0]}", _text(rest.get("recipe", rest))] = None
    return list(recipes)


def _corpus(corpus: Mapping[str, Any], attrs: Mapping[str, Any]) -> str:
    parts = [str(corpus.get("name") or attrs.get("corpus") or NOT_RECORDED)]
    if isinstance(corpus.get("utterances"), int):
        parts.append(f"{corpus['utterances']:,} utterances")
    if isinstance(corpus.get("hours"), int | float):
        parts.append(f"{corpus['hours']:.2f} hours")
    if isinstance(corpus.get("speakers"), int):
        parts.append(f"{corpus['speakers']:,} speakers")
    digest = str(corpus.get("hash") or attrs.get("corpus_hash") or "")
    return " · ".join([*parts, f"SHA-256 {digest[:12]}…"] if digest else parts)


def corpus_problems(study: StudyFolder) -> list[Any] | None:
    """Everything that was wrong with the corpus, as listed in the manifest; None where it keeps no such list."""
    problems = _mapping(study.manifest.get("corpus")).get("problems")
    listed = problems.get("list") if isinstance(problems, Mapping) else problems
    return listed if isinstance(listed, list) else None


def _problems(problems: list[Any] | None) -> str:
    if problems is None:
        return ""
    counts = Counter(
        f"{p.get('kind', 'unnamed')}, {p.get('action', 'noted')}" if isinstance(p, Mapping) else str(p)
        for p in problems
    )
    return " · ".join(f"{count} × {what}" for what, count in counts.most_common()) or "none"


def _splits(splits: object) -> str:
    parts = []
    for name, about in _mapping(splits).items():
        of = ", ".join(f"{_text(v)} {k}" for k, v in about.items()) if isinstance(about, Mapping) else _text(about)
        parts.append(f"{name}: {of}")
    return " · ".join(parts)


def _command(command: object) -> str:
    return shlex.join(map(str, command)) if isinstance(command, list) else _text(command)


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _probe(attrs: Mapping[str, Any]) -> str:
    grid = float(attrs.get("grid", float("nan")))
    pace = f"one frame every {grid * 1000:g} ms" if grid == grid else "frame rate not recorded"
    split = f" of split {attrs['probe_split']}" if attrs.get("probe_split") else ""
    return f"{int(attrs.get('frames', 0)):,} frames of {int(attrs.get('utterances', 0)):,} utterances{split}, {pace}"


def _told(attrs: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What some studies only have: intervals, and frames kept for measures that need frames."""
    facts = [("Intervals", str(attrs["intervals"]))] if attrs.get("intervals") else []
    if attrs.get("sample_frames"):
        kept = f"{int(attrs['sample_frames']):,} frames of {int(attrs['sample_utterances']):,} utterances"
        facts.append(("Measures on frames", f"{kept}, spread evenly over the probe set"))
    return facts


def _seconds(value: object) -> str:
    return duration(value) if isinstance(value, int | float) and math.isfinite(value) else _text(value)


def _rate(values: list[float]) -> str:
    known = [v for v in values if v == v]
    return rate(known[-1]) if known else "–"


def _text(value: object) -> str:
    """Any JSON value in one line."""
    if isinstance(value, Mapping):
        # What is nested stands in brackets, so that it is clear where it ends.
        parts = ((k, f"({_text(v)})" if isinstance(v, Mapping) else _text(v)) for k, v in value.items())
        return " · ".join(f"{key} {text}" for key, text in parts)
    if isinstance(value, list | tuple):
        return ", ".join(_text(item) for item in value)
    if isinstance(value, float):
        return f"{value:g}" if math.isfinite(value) else ""
    return "" if value is None else str(value)
