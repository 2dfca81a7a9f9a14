"""The full AN4 study: three recognisers, their error rates and similarities, as a table under docs/results/an4/.

    .venv/bin/python benchmarks/an4.py [--out studies/an4]

Needs the AN4 corpus in `$OTOSCOPE_CORPORA/an4`, else in ../shared/corpora/an4. A study that is finished in the folder
is read, not run again. Exits with 1 where a recogniser misses the error rate that it is expected to reach.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np

from otoscope import Results

ROOT = Path(__file__).resolve().parents[1]
TABLES = ROOT / "docs" / "results" / "an4"
EXPECTED_TEST_WER = {"cnn": 0.25, "lstm": 0.25, "transformer": 0.40}
MOST_MINUTES = 60
FIGURES = ("wer", "within-cka", "to_final-cka", "across-cka", "baselines-cka")


def study(folder: Path) -> None:
    corpora = Path(os.environ.get("OTOSCOPE_CORPORA", ROOT.parent / "shared" / "corpora"))
    command = [sys.executable, "-m", "otoscope", "study", "--corpus", os.path.relpath(corpora / "an4"), "--out"]
    subprocess.run([*command, os.path.relpath(folder)], check=True)  # a report names no path of one machine


def off_diagonal(matrix: Any) -> float:
    """Mean over pairs of different layers."""
    values = np.asarray(matrix)
    return float(values[~np.eye(len(values), dtype=bool)].mean())


def recognisers(results: Results, manifest: dict[str, Any]) -> list[str]:
    rows = [
        "| recogniser | parameters | steps | checkpoints | dev WER | test WER | test CER | training, minutes |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for about in manifest["recognisers"]:
        run = f"{about['name']}/seed{about['seed']}"
        final = results.wer(run).isel(step=-1)
        minutes = float(results.training(run)["seconds"].isel(step=-1)) / 60
        rows.append(
            f"| {run} | {about['parameters'] / 1e6:.2f} M | {int(final['step'])} | {len(results.steps(run))} | "
            f"{float(final['dev_wer']):.1%} | {about['test_wer']:.1%} | {about['test_cer']:.1%} | {minutes:.1f} |"
        )
    return rows


def similarities(results: Results) -> list[str]:
    rows = ["| recogniser | measure | trained | untrained | trained, utterances shuffled |", "|---|---|---|---|---|"]
    for run in results.runs:
        first, final = results.steps(run)[0], results.steps(run)[-1]
        for measure in results.measures:
            cells = (
                results.within(run, final, measure),
                results.within(run, first, measure),
                results.shuffled(run, final, measure),
            )
            rows.append(f"| {run} | {measure} | " + " | ".join(f"{off_diagonal(c):.3f}" for c in cells) + " |")
    return rows


def convergence(results: Results) -> list[str]:
    """The step at which each layer's CKA with its own final state first reaches 0.9 and stays there."""
    rows = ["| recogniser | layer | steps to 0.9 of its final state (CKA) | share of training |", "|---|---|---|---|"]
    for run in results.runs:
        curve = results.curve("to_final", run, "cka")
        steps = curve["step"].values
        for layer in curve["layer"].values:
            low = np.flatnonzero(curve.sel(layer=layer).values < 0.9)
            step = int(steps[low[-1] + 1]) if len(low) else 0
            rows.append(f"| {run} | {layer} | {step} | {step / steps[-1]:.0%} |")
    return rows


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=ROOT / "studies" / "an4", help="the study's folder")
    folder = parser.parse_args().out
    study(folder)
    results = Results.load(folder / "results.nc")
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    splits = ", ".join(
        f"{n} {s['utterances']} ({s['speakers']} speakers)" for n, s in manifest["corpus"]["splits"].items()
    )
    stages = ", ".join(f"{name} {seconds / 60:.1f}" for name, seconds in manifest["stages"].items())
    minutes = manifest["duration"] / 60
    text = [
        "# AN4: three reference recognisers",
        "",
        "Written by `python benchmarks/an4.py`, which runs `otoscope study --corpus …/an4`. Greedy CTC decoding, no",
        "language model; dev speakers are taken from train; test is scored once, at the final checkpoint.",
        "",
        f"- Machine: {manifest['host']['machine']}; {manifest['host']['system']}",
        f"- Versions: {', '.join(f'{k} {v}' for k, v in manifest['versions'].items())}",
        f"- Date: {manifest['finished'][:10]}; commit {str(manifest['git'])[:12]}",
        f"- Speech: {splits}",
        f"- Probe set: {results.dataset.attrs['utterances']} utterances of dev and test, "
        f"{results.dataset.attrs['frames']} frames of {1000 * results.dataset.attrs['grid']:.0f} ms",
        f"- Wall time: {minutes:.1f} minutes in all ({stages} minutes)",
        "",
        "## Error rates",
        "",
        *recognisers(results, manifest),
        "",
        "## Similarity of different layers, mean over pairs",
        "",
        *similarities(results),
        "",
        "`cka` is the cross-utterance estimator. Shuffled utterances share nothing that was said: what a measure reads",
        "on them is the level to compare its other values with.",
        "",
        "## When layers settle",
        "",
        *convergence(results),
        "",
    ]
    TABLES.mkdir(parents=True, exist_ok=True)
    (TABLES / "README.md").write_text("\n".join(text), encoding="utf-8")
    shutil.copy(folder / "report.html", TABLES / "report.html")
    for name in FIGURES:
        shutil.copy(folder / "figures" / f"{name}.svg", TABLES / f"{name}.svg")
    print("\n".join(text))
    missed = [
        f"{a['name']}: test WER {a['test_wer']:.1%}, expected at most {EXPECTED_TEST_WER[a['name']]:.0%}"
        for a in manifest["recognisers"]
        if a["test_wer"] > EXPECTED_TEST_WER[a["name"]]
    ]
    if minutes > MOST_MINUTES:
        missed.append(f"{minutes:.0f} minutes, expected at most {MOST_MINUTES}")
    print("\n".join(missed), file=sys.stderr)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
