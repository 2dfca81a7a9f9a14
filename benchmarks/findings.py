"""The AN4 study with all its findings: tables and the report under docs/results/an4-findings/.

    .venv/bin/python -m benchmarks.findings [--main-only] [--measures NAME …] [--seeds 0 1 2] [--workers N]
        [--out studies/recipe-an4]

Runs `otoscope study` as recipes/an4.toml says, on the runs that benchmarks/recipes.py has trained in the folder, or
trains them first (12 runs of half an hour). The corpus is `$OTOSCOPE_CORPORA/an4`, else ../shared/corpora/an4. What is
done is read, not done again. `--main-only` leaves out the further probe sets (noise, half of the speakers, coarser
frames) and the content of layers.
"""

from __future__ import annotations

import argparse
import json
import math
import resource
import shutil
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.about import made_by
from benchmarks.recipes import progress, recipe

from otoscope import Results, run_study, write_report
from otoscope.asr import read_log
from otoscope.files import write_bytes
from otoscope.study.findings import Effect, Finding, Findings
from otoscope.study.findings.question import RANDOM_ORDER
from otoscope.study.findings.writing import load

ROOT = Path(__file__).resolve().parents[1]
OUT = ROOT / "docs" / "results" / "an4-findings"

PAPER = (
    ("CNN: similarity falls with distance in depth", "holds", (("F1", "cnn"), ("F1-robinson", "cnn"))),
    ("CNN: … mostly where layers are closely correlated", "holds", (("F1-close", "cnn"),)),
    ("LSTM: no such hierarchy", "does not hold", (("F1", "lstm"), ("F1-robinson", "lstm"))),
    ("LSTM: converges bottom-up", "holds", (("F2", "lstm"),)),
    ("Transformer: irregular in depth", "holds", (("F3", "transformer"), ("F3-others", "transformer"))),
)
"""What Ollerenshaw, Jalal & Hain (2021) say, the verdict that bears it out, and the findings that ask it, the first of
which decides."""

AGREEING = "agreeing: "
"""How F10's details begin that are shares."""

UNBIASED = "cka"
"""On speech; the other measures of the study are biased or have a null level above zero."""


def cell(finding: Finding | None) -> str:
    """Verdict, effect and interval of one finding."""
    if finding is None:
        return "–"
    return f"{finding.verdict}: {interval(finding.effect)}" if finding.effect else finding.verdict


def interval(effect: Effect | None) -> str:
    if effect is None or math.isnan(effect.value):
        return "–"
    value = f"{effect.value + 0.0:.2f}"
    return value if math.isnan(effect.low) else f"{value} [{effect.low:.2f}, {effect.high:.2f}]"


def paper(findings: Findings, measures: Sequence[str]) -> list[str]:
    """The paper's claims, whether they are borne out, and every finding that asks them by every measure."""
    by = {(f.id, f.of, f.measure): f for f in findings}
    lines = ["| the paper's claim | by the unbiased measure | borne out by other measures |", "|---|---|---|"]
    for claim, wanted, asked in PAPER:
        told = {m: borne_out(by.get((*asked[0], m)), wanted) for m in measures}
        others = ", ".join(m for m in measures if m != UNBIASED and told[m] == "borne out") or "none"
        lines.append(f"| {claim} | {told.get(UNBIASED, '–')} | {others} |")
    lines += ["", "| finding | of | counts above | " + " | ".join(measures) + " |"]
    lines += ["|---|---|---" + "|---" * len(measures) + "|"]
    for _, _, asked in PAPER:
        for id, of in asked:
            cells = [by.get((id, of, measure)) for measure in measures]
            least = next((f.least for f in cells if f is not None), float("nan"))
            lines.append(f"| {id} | {of} | {least:g} | {' | '.join(map(cell, cells))} |")
    return lines


def borne_out(finding: Finding | None, wanted: str) -> str:
    """What a finding's verdict says of a claim that wants this one."""
    if finding is None or finding.verdict not in ("holds", "does not hold"):
        return "open"
    return "borne out" if finding.verdict == wanted else "contradicted"


def every(findings: Iterable[Finding]) -> list[str]:
    """All findings by the first measure."""
    lines = [
        "| finding | of | verdict | effect | beyond untrained | beyond shuffled | in a random order | p, corrected | "
        "what counts, or why |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for f in findings:
        beyond = [interval(f.beyond.get(name)) for name in ("untrained", "shuffled")]
        beyond.append(interval(f.baselines.get(RANDOM_ORDER)))
        p = "–" if f.corrected is None else f"{f.corrected:.2g}"
        why = f"above {f.least:g}" if f.effect else f.reason
        lines.append(f"| {f.id} | {f.of} | {f.verdict} | {interval(f.effect)} | {' | '.join(beyond)} | {p} | {why} |")
    return lines


def robustness(findings: Iterable[Finding]) -> list[str]:
    """F10 of every finding, with the share of other ways on its side, by what is other in them."""
    shown = [f for f in findings if f.effect is not None]
    kinds = list(dict.fromkeys(name for f in shown for name in f.details if name.startswith(AGREEING)))
    head = "| finding | of | verdict | all other ways | " + " | ".join(k.removeprefix(AGREEING) for k in kinds)
    lines = [head + " |", "|---|---|---|---" + "|---" * len(kinds) + "|"]
    for f in shown:
        by = [f"{f.details[k]:.2f}" if k in f.details else "–" for k in kinds]
        lines.append(f"| {f.id} | {f.of} | {f.verdict} | {interval(f.effect)} | {' | '.join(by)} |")
    return lines


def runs(results: Results, training: Mapping[str, float]) -> list[str]:
    lines = ["| run | checkpoints | dev WER | training, minutes of one core |", "|---|---|---|---|"]
    for run in results.runs:
        wer = float(results.wer(run)["dev_wer"].isel(step=-1))
        lines.append(f"| {run} | {len(results.steps(run))} | {wer:.1%} | {training[run] / 60:.1f} |")
    return lines


def trained(place: Path, runs: Iterable[str]) -> dict[str, float]:
    """Seconds of a processor that the training of each run took: other work beside it does not count."""
    return {run: float(read_log(place / "recognisers" / run)[-1]["cpu_seconds"]) for run in runs}


def cost(
    about: dict[str, Any], results: Results, training: Mapping[str, float], memory: int, workers: str
) -> list[str]:
    took = about["stages"]
    analysis = took.get("comparing", math.nan) + took.get("findings", math.nan)
    return [
        f"- Training: {sum(training.values()) / 3600:.1f} hours of one core.",
        f"- The whole analysis, from checkpoints to findings: {analysis / 60:.0f} minutes with {workers}, findings "
        f"{took.get('findings', math.nan) / 60:.1f} of them; without what an earlier run of the command had finished.",
        f"- {results.dataset.sizes['pair']:,} pairs of layers by {len(results.measures)} measures, with "
        f"{results.blocks} blocks of speech left out in turn.",
        f"- Memory: at most {memory / 1e9:.1f} GB in a process.",
    ]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=ROOT / "studies" / "recipe-an4")
    parser.add_argument("--seeds", type=int, nargs="+")
    parser.add_argument("--recognisers", nargs="+")
    parser.add_argument("--workers", type=int)
    parser.add_argument("--measures", nargs="+")
    parser.add_argument("--main-only", action="store_true")
    asked = parser.parse_args()
    began = time.monotonic()
    command = " ".join(["python -m benchmarks.findings", *sys.argv[1:]])
    config = recipe("an4", asked.seeds, asked.recognisers, measures=asked.measures, main_only=asked.main_only)
    run_study(config, asked.out, workers=asked.workers, command=command.split(), progress=progress)
    page = write_report(asked.out)
    seconds = time.monotonic() - began
    results, findings = Results.load(asked.out / "results.nc"), load(asked.out / "findings.json")
    about = json.loads((asked.out / "manifest.json").read_text(encoding="utf-8"))
    memory = 1024 * max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    first, training = results.measures[0], trained(asked.out, results.runs)
    workers = f"{asked.workers or 'as many as there are cores of'} workers of one thread"
    lines = [
        "# AN4: what happens inside recognisers",
        "",
        f"The study of recipes/an4.toml: {', '.join(config.recognisers)}, seeds {', '.join(map(str, config.seeds))}"
        f"{', the main probe set alone' if asked.main_only else ''}. "
        f"Verdicts are by `{first}` unless said otherwise; [findings](../../findings.md) says what they mean, "
        "[report.html](report.html) shows them.",
        "",
        "## The paper's claims",
        "",
        "Effects with 95 % intervals over seeds and speech. `cka` is unbiased on speech; `cka-biased` is what is",
        "mostly published; `paper-*` are the flattened measures of the paper's released code.",
        "",
        *paper(findings, results.measures),
        "",
        "## All findings",
        "",
        *every(f for f in findings if f.measure == first and not f.id.startswith("F10")),
        "",
        "## Do they hang on the measure or the speech? (F10)",
        "",
        "The share of other ways to the same question that lead to the same side of what counts.",
        "",
        *robustness(f for f in findings if f.measure == first and f.id.startswith("F10")),
        "",
        "## Runs",
        "",
        *runs(results, training),
        "",
        "## Cost",
        "",
        *cost(about, results, training, memory, workers),
        "",
        *made_by(command, seconds=seconds, threads=workers),
    ]
    OUT.mkdir(parents=True, exist_ok=True)
    write_bytes(OUT / "README.md", ("\n".join(lines) + "\n").encode())
    shutil.copyfile(page, OUT / "report.html")
    print(OUT / "README.md")
    return 0


if __name__ == "__main__":
    sys.exit(main())
