"""How often intervals cover the truth and null levels meet it: tables in docs/results/coverage/README.md.

    OMP_NUM_THREADS=1 .venv/bin/python benchmarks/coverage.py [--studies 500] [--out docs/results/coverage]

Each study is a set of utterances of unequal length, 40 to 160 frames, in which two layers (5 and 4 units) are AR(1)
sequences that share some of what they hold. Their population covariances are known, and so is the true value of every
measure. A study is measured with 95 % intervals; counted is how often they hold the truth. The second table has
intervals made in other ways, the third sets the null level at the effective sample size beside what unrelated AR(1)
layers read. About ten minutes on one core.
"""

from __future__ import annotations

import argparse
import math
import platform
import subprocess
import sys
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import torch
from scipy import signal, stats

from otoscope.measures import Similarity, cca, registry
from otoscope.measures.inference import BlockMoments, bootstrap_all, effective_null, effective_size, jackknife_all
from otoscope.measures.inference.resample import Resampler

ROOT = Path(__file__).resolve().parents[1]
OUT = ROOT / "docs" / "results" / "coverage"
LENGTHS = (40, 160)
NOISE = np.array([1.0, 1.4, 0.8, 1.2, 0.04])  # of each unit of x; the last is what svcca leaves away
MEASURES = ("cka", "cka-biased", "cca", "cca-r2", "svcca", "pwcca", "bures", "procrustes", "regression")


@dataclass(frozen=True)
class Cell:
    """One kind of study."""

    what: str
    utterances: int
    latent: int
    strength: float
    phi: float = 0.9
    measures: tuple[str, ...] = MEASURES
    resamples: int = 0  # of a bootstrap; none where 0, for the sake of time
    weights: tuple[np.ndarray, np.ndarray] = field(init=False)

    def __post_init__(self) -> None:
        random = np.random.default_rng(1)
        W = random.standard_normal((self.latent, 9)) * self.strength / math.sqrt(self.latent)
        object.__setattr__(self, "weights", (W[:, :5] * NOISE, W[:, 5:]))

    def covariances(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Σ_xx, Σ_xy, Σ_yy of a frame."""
        Wx, Wy = self.weights
        return Wx.T @ Wx + np.diag(NOISE**2), Wx.T @ Wy, Wy.T @ Wy + np.eye(4)

    def study(self, index: int) -> tuple[dict[str, torch.Tensor], list[int]]:
        """Two layers and the utterances' lengths."""
        random = np.random.default_rng((self.utterances, self.latent, index))
        lengths = random.integers(*LENGTHS, self.utterances, endpoint=True).tolist()
        z, e, f = (
            np.concatenate([autoregressive(random, n, units, self.phi) for n in lengths])
            for units in (self.latent, 5, 4)
        )
        Wx, Wy = self.weights
        return {"x": torch.from_numpy(z @ Wx + e * NOISE + 2), "y": torch.from_numpy(z @ Wy + f)}, lengths


def autoregressive(random: np.random.Generator, frames: int, units: int, phi: float) -> np.ndarray:
    noise = random.standard_normal((frames, units))
    noise[1:] *= math.sqrt(1 - phi**2)
    return signal.lfilter([1], [1, -phi], noise, axis=0)


def truths(xx: np.ndarray, xy: np.ndarray, yy: np.ndarray) -> dict[str, float]:
    """Every measure of the population, from its definition on covariances."""

    def root(S: np.ndarray, power: float) -> np.ndarray:
        values, vectors = np.linalg.eigh(S)
        return (vectors * values**power) @ vectors.T

    def components(S: np.ndarray) -> np.ndarray:
        values, vectors = np.linalg.eigh(S)
        share = np.cumsum(values[::-1]) / values.sum()
        return vectors[:, ::-1][:, : int(np.argmax(share >= 0.99)) + 1]

    def correlations(xx: np.ndarray, xy: np.ndarray, yy: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        U, rho, _ = np.linalg.svd(root(xx, -0.5) @ xy @ root(yy, -0.5), full_matrices=False)
        return U, rho

    U, rho = correlations(xx, xy, yy)
    alpha = np.abs(U.T @ root(xx, 0.5)).sum(1)
    P, Q = components(xx), components(yy)
    cka = (xy**2).sum() / np.sqrt((xx**2).sum() * (yy**2).sum())
    cosine = np.linalg.svd(xy, compute_uv=False).sum() / np.sqrt(np.trace(xx) * np.trace(yy))
    return {
        "cka": cka,
        "cka-debiased": cka,
        "cka-biased": cka,
        "cca": rho.mean(),
        "cca-r2": (rho**2).mean(),
        "svcca": correlations(P.T @ xx @ P, P.T @ xy @ Q, Q.T @ yy @ Q)[1].mean(),
        "pwcca": (alpha * rho).sum() / alpha.sum(),
        "bures": cosine,
        "procrustes": np.sqrt(2 - 2 * cosine),
        "regression": np.trace(xy.T @ np.linalg.solve(xx, xy)) / np.trace(yy),
    }


SHARED = "shared in all directions"
HALF = "shared in half of the directions"
FRAMES = ("cka", "cka-debiased", "cka-biased")
UNRELATED = Cell("unrelated", 40, latent=2, strength=0.0, resamples=60)
HALVES = tuple(Cell(HALF, n, latent=2, strength=1.5, resamples=60 if n == 40 else 0) for n in (20, 40, 100))
CELLS = (
    *(Cell(SHARED, n, latent=6, strength=2.5) for n in (20, 40, 100)),
    *HALVES,
    UNRELATED,
    Cell("shared in half; independent frames", 40, latent=2, strength=1.5, phi=0.0, measures=FRAMES),
)
CHOICES = ("cka", "cka-biased", "cca", "cca-r2", "pwcca")
GOOD = (0.92, 0.98)
NULLS = ((10, 10, 0.0, 0.0), (10, 10, 0.9, 0.9), (10, 10, 0.95, 0.95), (10, 10, 0.9, 0.5), (5, 40, 0.9, 0.95),
         (30, 30, 0.95, 0.95))  # fmt: skip


@dataclass
class Count:
    """How the intervals of one measure fared."""

    held: int = 0
    low: int = 0  # truth below the interval
    high: int = 0
    width: float = 0.0
    values: list[float] = field(default_factory=list)
    errors: list[float] = field(default_factory=list)

    def add(self, found: Similarity, truth: float) -> None:
        assert found.low is not None
        assert found.high is not None
        assert found.standard_error is not None
        self.low += truth < found.low
        self.high += truth > found.high
        self.held += found.low <= truth <= found.high
        self.width += found.high - found.low
        self.values.append(found.value)
        self.errors.append(found.standard_error)


def run(cell: Cell, studies: int) -> tuple[list[str], dict[tuple[str, str], float]]:
    """The rows of a cell, and the coverage by method and measure."""
    truth = truths(*cell.covariances())
    methods = ["jackknife", "bootstrap"] if cell.resamples else ["jackknife"]
    counts = {(method, name): Count() for method in methods for name in cell.measures}
    for index in range(studies):
        views, lengths = cell.study(index)
        blocks = BlockMoments.of(views, utterances=lengths)
        for method in methods:
            if method == "jackknife":
                results = jackknife_all(blocks, cell.measures, [("x", "y")])
            else:
                results = bootstrap_all(blocks, cell.measures, [("x", "y")], resamples=cell.resamples, seed=index)
            for (name, _, _), result in results.items():
                if not isinstance(result, Similarity):
                    raise result
                counts[method, name].add(result, truth[name])
    rows = []
    for name in cell.measures:
        jack, boot = counts["jackknife", name], counts.get(("bootstrap", name))
        rows.append(
            f"| {cell.what} | {cell.utterances} | `{name}` | {truth[name]:.3f} | {np.mean(jack.values):.3f} | "
            f"{np.std(jack.values):.3f} | {np.mean(jack.errors):.3f} | {jack.width / studies:.3f} | "
            f"{shown(jack.held / studies)} | {jack.low / studies:.1%} / {jack.high / studies:.1%} | "
            f"{'–' if boot is None else shown(boot.held / studies)} |"
        )
    return rows, {key: count.held / studies for key, count in counts.items()}


def choices(cell: Cell, studies: int, resamples: int) -> list[str]:
    """How intervals fare that are made in other ways, from the same blocks."""
    truth, tried = truths(*cell.covariances()), dict[tuple[str, str], list[bool]]()
    for index in range(studies):
        views, lengths = cell.study(index)
        blocks = BlockMoments.of(views, utterances=lengths)
        random, count, resampler = np.random.default_rng(index), len(blocks.sizes), Resampler(blocks.parts)
        weights = [np.bincount(random.integers(0, count, count), minlength=count) for _ in range(resamples)]
        parts = [blocks.total, *(blocks.without(b) for b in range(count)), *(resampler.moments(w) for w in weights)]
        made = jackknife_all(blocks, CHOICES, [("x", "y")])
        for name in CHOICES:
            values = np.arctanh([registry.get(name).compute(part, "x", "y").value for part in parts])
            value, left, drawn = values[0], values[1 : count + 1], values[count + 1 :]
            h = sum(blocks.sizes) / np.array(blocks.sizes)
            corrected = (value - left).sum() + (left / h).sum()
            variance = ((h * value - (h - 1) * left - corrected) ** 2 / (h - 1)).mean()
            reach = stats.t.ppf(0.975, count - 1) * math.sqrt(variance)
            ends = {
                "uncorrected": (value - reach, value + reach),
                "usual": (corrected - reach, corrected + reach),
                "percentiles": np.quantile(drawn, [0.025, 0.975]),
            }
            for how, (low, high) in ends.items():
                tried.setdefault((name, how), []).append(np.tanh(low) <= truth[name] <= np.tanh(high))
            found = made[name, "x", "y"]
            if not isinstance(found, Similarity):
                raise found
            tried.setdefault((name, "as made"), []).append(found.low <= truth[name] <= found.high)
    return [
        f"| {cell.what} | `{name}` | "
        + " | ".join(shown(np.mean(tried[name, how])) for how in ("as made", "uncorrected", "usual", "percentiles"))
        + " |"
        for name in CHOICES
    ]


def shown(share: float) -> str:
    """Bold where it is outside of what is aimed at."""
    return f"{share:.1%}" if GOOD[0] <= share <= GOOD[1] else f"**{share:.1%}**"


def null_row(p: int, q: int, phi: float, psi: float, draws: int) -> str:
    """One row of the second table: 40 utterances of 60 to 340 frames."""
    values, levels, independent, sizes = [], [], [], []
    for seed in range(draws):
        random = np.random.default_rng((p, q, seed))
        lengths = random.integers(60, 340, 40, endpoint=True).tolist()
        x, y = (
            np.concatenate([autoregressive(random, n, units, f) for n in lengths]) for units, f in ((p, phi), (q, psi))
        )
        plain, effective = cca(x, y), effective_null(x, y, utterances=lengths)
        values.append(plain.value)
        independent.append(plain.null)
        levels.append(effective.null)
        sizes.append(float(effective_size(x, y, utterances=lengths)) / len(x))
    theory = (1 - phi * psi) / (1 + phi * psi)
    return (
        f"| {p}, {q} | {phi}, {psi} | {theory:.3f} | {np.mean(sizes):.3f} | {np.mean(values):.3f} | "
        f"{np.mean(levels):.3f} | {np.mean(independent):.3f} |"
    )


def machine() -> str:
    cpu = next((line.split(":")[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines()
                if line.startswith("model name")), platform.processor())  # fmt: skip
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True).stdout
    return (
        f"{cpu}, one thread; Python {platform.python_version()}, torch {torch.__version__}, numpy {np.__version__}; "
        f"{datetime.now(UTC):%Y-%m-%d}, commit {commit.strip()}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--studies", type=int, default=500)
    parser.add_argument("--out", type=Path, default=OUT)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    began, about, rows = time.process_time(), machine(), list[str]()
    reached: dict[tuple[str, str], list[float]] = {}
    for cell in CELLS:
        made, coverage = run(cell, asked.studies)
        print("\n".join(made), flush=True)
        rows += made
        for key, share in coverage.items():
            reached.setdefault(key, []).append(share)
    nulls = [null_row(*sizes, draws=max(4, asked.studies // 25)) for sizes in NULLS]
    others = [row for cell in (HALVES[1], UNRELATED) for row in choices(cell, max(3, asked.studies * 2 // 5), 100)]
    print("\n".join(nulls + others))
    jack = [share for (method, _), shares in reached.items() if method == "jackknife" for share in shares]
    inside = sum(GOOD[0] <= share <= GOOD[1] for share in jack)
    minutes = (time.process_time() - began) / 60
    asked.out.mkdir(parents=True, exist_ok=True)
    (asked.out / "README.md").write_text(
        PAGE.format(
            studies=asked.studies,
            inside=inside,
            cells=len(jack),
            lowest=f"{min(jack):.1%}",
            highest=f"{max(jack):.1%}",
            noise=f"{100 * 1.96 * math.sqrt(0.95 * 0.05 / asked.studies):.0f}",
            resamples=UNRELATED.resamples,
            coverage="\n".join(rows),
            nulls="\n".join(nulls),
            choices="\n".join(others),
            fewer=max(3, asked.studies * 2 // 5),
            machine=about,
            minutes=f"{minutes:.0f}",
        ),
        encoding="utf-8",
    )


PAGE = """# Coverage of intervals

`OMP_NUM_THREADS=1 python benchmarks/coverage.py --studies {studies}`, {minutes} CPU minutes on {machine}.

## 95 % intervals

The share of {studies} simulated studies whose 95 % interval holds the true value, known from the population's
covariances. Two layers of 5 and 4 units, AR(1) with φ = 0.9 but where frames are independent; utterances of 40 to 160
frames, 20 blocks. Aimed at are 92 to 98 %; what lies outside is bold. A share of {studies} studies is itself
uncertain by ±{noise} points. Of {cells} jackknife intervals {inside} are inside, from {lowest} to {highest}.

The columns: the truth; the mean and the spread of the measured values over the studies; the mean standard error that
the jackknife gives; the mean width of its interval; its coverage; how often the truth lay below / above it; the
coverage of the bootstrap ({resamples} resamples, not tried in every cell).

| the layers | utterances | measure | truth | mean | spread | error | width | jackknife | below / above | bootstrap |
|---|---|---|---|---|---|---|---|---|---|---|
{coverage}

What it shows, and why some are outside, is discussed in [uncertainty](../../uncertainty.md#coverage).

## Other ways to make them

From the same blocks, {fewer} studies of 40 utterances: the jackknife as it is made; about the value as it is, with no
correction of its bias; with the usual jackknife correction; and the 2.5 and 97.5 % percentiles of 100 bootstrap values.
All on Fisher's scale, the first three with Student's t.

| the layers | measure | as made | uncorrected | usual correction | percentiles |
|---|---|---|---|---|---|
{choices}

## Null level of the CCA family on frames that depend on each other

Unrelated AR(1) layers, 40 utterances of 60 to 340 frames: the mean value of `cca`, the null level at the effective
sample size (`effective_null`), and the null level that takes the frames for independent.

| units | φ | n_eff / n, long utterances | estimated | value | null level at n_eff | at n |
|---|---|---|---|---|---|---|
{nulls}
"""


if __name__ == "__main__":
    sys.exit(main())
