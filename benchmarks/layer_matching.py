"""Layers matched across seeds, by every measure of a study: docs/results/findings/layer-matching.md.

    .venv/bin/python -m benchmarks.layer_matching --study studies/recipe-an4 [--out FILE]

Reads the study's results.nc; seconds. The accuracy is that of finding F7-matching, after Kornblith et al. (2019),
section 6.1, beside what they publish for ten-layer CNNs on CIFAR-10.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks.about import made_by

from otoscope import Results
from otoscope.files import write_bytes
from otoscope.measures import registry
from otoscope.study.findings import Finding, find_all
from otoscope.study.findings.seeds import LAYER_MATCHING

ROOT = Path(__file__).resolve().parents[1]
TABLE = ROOT / "docs" / "results" / "findings" / "layer-matching.md"

PUBLISHED = (
    ("CKA (linear)", 99.3),
    ("CKA (RBF 0.8)", 99.3),
    ("CKA (RBF 0.4)", 99.1),
    ("CKA (RBF 0.2)", 80.6),
    ("linear regression", 45.4),
    ("linear HSIC", 22.2),
    ("SVCCA (R²)", 15.1),
    ("PWCCA", 11.1),
    ("CCA (R²)", 10.6),
    ("SVCCA (mean ρ)", 9.9),
    ("CCA (mean ρ)", 1.4),
)
"""Kornblith et al. (2019), table 2: accuracy in per cent, the best first."""

AS_PUBLISHED: Mapping[str, str] = {
    "cka-biased": "CKA (linear)",
    "regression": "linear regression",
    "pwcca": "PWCCA",
    "cca-r2": "CCA (R²)",
    "svcca": "SVCCA (mean ρ)",
    "cca": "CCA (mean ρ)",
}
"""The measures that are the published ones; the others of a study were not among them."""


def percent(share: float) -> str:
    return f"{100 * share:.0f} %"


def cell(finding: Finding) -> str:
    """The accuracy with its interval, and that of untrained runs; why there is none otherwise."""
    effect = finding.effect
    if effect is None or effect.value != effect.value:
        return f"– ({finding.reason})"
    span = "" if effect.low != effect.low else f" [{max(effect.low, 0) * 100:.0f}, {min(effect.high, 1) * 100:.0f}]"
    return f"{percent(effect.value)}{span}; untrained {percent(finding.baselines['untrained'].value)}"


def mean(findings: Sequence[Finding]) -> float:
    """Over recognisers; −1 where a measure matches nothing, so that it comes last."""
    values = [f.effect.value for f in findings if f.effect is not None and f.effect.value == f.effect.value]
    return sum(values) / len(values) if values else -1.0


def table(findings: Sequence[Finding]) -> list[str]:
    """One row for each measure, the best first."""
    recognisers = list(dict.fromkeys(f.of for f in findings))
    rows = {m: [f for f in findings if f.measure == m] for m in dict.fromkeys(f.measure for f in findings)}
    published = dict(PUBLISHED)
    lines = [
        f"| measure | {' | '.join(recognisers)} | mean | as published, on CIFAR-10 |",
        "|---|" + "---|" * (len(recognisers) + 2),
    ]
    for measure, of in sorted(rows.items(), key=lambda row: -mean(row[1])):
        name = AS_PUBLISHED.get(measure)
        there = f"{name}: {published[name]} %" if name else "–"
        overall = percent(mean(of)) if mean(of) >= 0 else "–"
        lines.append(f"| `{measure}` | {' | '.join(map(cell, of))} | {overall} | {there} |")
    return lines


def by_layer(findings: Sequence[Finding], measure: str) -> list[str]:
    """How often each layer is matched right, by one measure."""
    asked = [f for f in findings if f.measure == measure and f.effect is not None]
    return [
        f"- {f.of}: "
        + ", ".join(percent(value) for name, value in f.details.items() if name.startswith("layer"))
        + f" (by chance {percent(f.details['chance'])}; pairs of runs: {len(f.by_run)})"
        for f in asked
    ]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--study", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=TABLE)
    asked = parser.parse_args()
    began = time.monotonic()
    results = Results.load(asked.study / "results.nc")
    # The most similar layer is meant, and of a distance the smallest value would be that.
    distances = [m for m in results.measures if m in registry.names() and registry.get(m).distance]
    measures = [m for m in results.measures if m not in distances]
    found = find_all(results, questions=[LAYER_MATCHING], measures=measures)
    findings = [f for f in found if f.id == LAYER_MATCHING.id]
    if not any(f.effect for f in findings):
        print(f"no layers can be matched in {asked.study}: {findings[0].reason}")
        return 1
    about = results.dataset.attrs
    lines = [
        "# Layers matched across seeds",
        "",
        "The share of layers whose most similar layer in a run of another seed has the same index, over pairs of runs",
        "in both directions: the sanity check of Kornblith et al. (2019), section 6.1. In brackets the 95 % interval",
        "over seeds and speech; beside it the share before training, where the input alone makes layers alike. The",
        "published numbers are theirs, for ten CNNs of ten layers on CIFAR-10: other networks, other data, more seeds,",
        "and PWCCA and regression made symmetric (S + Sᵀ), which here weigh by, or predict from, the run that stands",
        "first. So the order of measures is to be compared, not the numbers.",
        "",
        f"{about['title'] or asked.study.name}: {', '.join(results.runs)}; {about['frames']} frames of "
        f"{about['utterances']} utterances.",
        *([f"Not asked of distances: {', '.join(distances)}."] if distances else []),
        "",
        *table(findings),
        "",
        f"## Layer by layer, by `{measures[0]}`",
        "",
        "From the input to the output:",
        "",
        *by_layer(findings, measures[0]),
        "",
        "## As published",
        "",
        "Kornblith et al. (2019), table 2: " + ", ".join(f"{name} {share} %" for name, share in PUBLISHED) + ".",
        "",
        *made_by(" ".join(["python -m benchmarks.layer_matching", *sys.argv[1:]]), seconds=time.monotonic() - began),
    ]
    asked.out.parent.mkdir(parents=True, exist_ok=True)
    write_bytes(asked.out, ("\n".join(lines) + "\n").encode())
    print(asked.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
