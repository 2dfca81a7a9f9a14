"""Bias and spread of the estimators of linear CKA on utterances: the tables of docs/methods/cross-utterance.md.

    OMP_NUM_THREADS=1 .venv/bin/python benchmarks/cross_utterance.py [--draws 20] [--out docs/results/cross-utterance]

Four tables: AR(1) sequences; few utterances; factors that belong to whole utterances or speakers; real layers, which
are those of untrained recognisers and the log-mel features of AN4 (in `$OTOSCOPE_CORPORA/an4`, else in
../shared/corpora/an4; without it that table is left out, and says so). About four minutes on one core.
"""

from __future__ import annotations

import argparse
import math
import os
import platform
import subprocess
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import torch
from scipy import signal

from otoscope import check, load
from otoscope.asr import CharacterTokens, ReferenceRecogniser, log_mel, pad
from otoscope.asr.models import CnnConfig, LstmConfig, TransformerConfig
from otoscope.capture import views_of
from otoscope.corpora import read_audio
from otoscope.measures import Moments, cka

ROOT = Path(__file__).resolve().parents[1]
OUT = ROOT / "docs" / "results" / "cross-utterance"
CORPORA = Path(os.environ.get("OTOSCOPE_CORPORA", ROOT.parent / "shared" / "corpora"))
Array = np.ndarray
Readings = dict[str, list[float]]


def autoregressive(random: np.random.Generator, lengths: list[int], units: int, phi: float) -> Array:
    """Independent stationary AR(1) sequences, utterance after utterance."""
    parts = []
    for n in lengths:
        noise = random.standard_normal((n, units), dtype=np.float32)
        noise[1:] *= math.sqrt(1 - phi**2)
        parts.append(signal.lfilter([1], [1, -phi], noise, axis=0).astype(np.float32))
    return np.concatenate(parts)


def without_mean_term(x: Array, y: Array, utterances: list[int]) -> float:
    """The cross-utterance estimator less its last term: ‖A‖² − Σ ‖A_u‖²."""
    moments = Moments.of({"x": x, "y": y}, utterances=utterances)

    def inner(a: str, b: str) -> float:
        pair = moments.centred(a, b)
        assert pair.within is not None
        return float((pair.cross**2).sum()) - pair.within

    return inner("x", "y") / math.sqrt(inner("x", "x") * inner("y", "y"))


def u_statistic(x: Array, y: Array, utterances: list[int]) -> float:
    """The exact U-statistic: averages over frames of two, three and four different utterances."""
    index = np.repeat(np.arange(len(utterances)), utterances)
    member = (index[:, None] == np.arange(len(utterances))).astype(float)
    between = (index[:, None] != index[None, :]).astype(float)

    def sums(K: Array, L: Array) -> tuple[float, float, float]:
        """Σ K_st L_st, Σ K_st L_sw and Σ K_st L_wz over frames of different utterances."""
        k, m = K @ member, L @ member
        u, v = member.T @ k, member.T @ m
        three = (K.sum(1) * L.sum(1)).sum() - (k * m).sum()
        four = u.sum() * v.sum() - 4 * (u.sum(1) * v.sum(1)).sum() + 2 * (u * v).sum()
        return (K * L).sum(), three, four

    counts = sums(between, between)

    def inner(a: Array, b: Array) -> float:
        two, three, four = (s / c for s, c in zip(sums(a, b), counts, strict=True))
        return two + four - 2 * three

    K, L = (between * (z @ z.T) for z in (np.float64(x - x.mean(0)), np.float64(y - y.mean(0))))
    return inner(K, L) / math.sqrt(inner(K, K) * inner(L, L))


ESTIMATORS: dict[str, Callable[[Array, Array, list[int]], float]] = {
    "biased": lambda x, y, n: cka(x, y, estimator="biased").value,
    "debiased": lambda x, y, n: cka(x, y, estimator="debiased").value,
    "without its mean term": without_mean_term,
    "cross-utterance": lambda x, y, n: cka(x, y, utterances=n).value,
}


def read(x: Array, y: Array, utterances: list[int], readings: Readings, **more: Callable[..., float]) -> None:
    for name, estimator in (ESTIMATORS | more).items():
        readings.setdefault(name, []).append(estimator(x, y, utterances))


def cell(values: list[float], digits: int = 3) -> str:
    return f"{np.mean(values):.{digits}f} ± {np.std(values, ddof=1):.{digits}f}"


def sequences(draws: int) -> Iterator[str]:
    """Table 1: 50 utterances of 400 frames, 256 units; CKA of 0 or 0.5."""
    yield "| truth | φ | n_eff | √2/n_eff | " + " | ".join(ESTIMATORS) + " |"
    yield "|---" * (4 + len(ESTIMATORS)) + "|"
    lengths = [400] * 50
    for truth in (0.0, 0.5):
        for phi in (0.0, 0.9, 0.98):
            readings: Readings = {}
            for seed in range(draws):
                random = np.random.default_rng(seed)
                a, b, c, d = (autoregressive(random, lengths, 128, phi) for _ in range(4))
                read(np.hstack([a, b]), np.hstack([a if truth else c, d]), lengths, readings)
            lags = np.arange(1, 400)
            size = 20_000 / (1 + 2 * ((1 - lags / 400) * phi ** (2 * lags)).sum())
            cells = " | ".join(cell(values, 4) for values in readings.values())
            yield f"| {truth:g} | {phi:g} | {size:.0f} | {math.sqrt(2) / size:.4f} | {cells} |"


def few(draws: int) -> Iterator[str]:
    """Table 2: independent AR(1) layers of 12 units, φ = 0.85."""
    yield "| utterances (frames) | " + " | ".join([*ESTIMATORS, "exact U-statistic"]) + " |"
    yield "|---" * (2 + len(ESTIMATORS)) + "|"
    for lengths in ([60] * 2, [30, 90], [60] * 3, [10] * 4, [200, 20, 20, 20], [60] * 8, [60] * 16, [60] * 32):
        readings: Readings = {}
        for seed in range(30 * draws):
            random = np.random.default_rng((len(lengths), seed))
            x, y = (autoregressive(random, lengths, 12, 0.85) for _ in range(2))
            exact = {"exact U-statistic": u_statistic} if 4 <= len(lengths) <= 8 else {}
            read(x, y, lengths, readings, **exact)
        cells = [cell(values) for values in readings.values()] + ([] if len(readings) > len(ESTIMATORS) else ["–"])
        same = len(set(lengths)) == 1
        shown = f"{len(lengths)} × {lengths[0]}" if same else ", ".join(map(str, lengths))
        yield f"| {shown} | " + " | ".join(cells) + " |"


def factors(draws: int) -> Iterator[str]:
    """Table 3: AR(1) layers of 16 units (φ = 0.9) that share nothing in time, with offsets by utterance or speaker."""
    yield (
        "| offsets of four directions, their variance that of a unit | utterances | biased | debiased | "
        "cross-utterance | cross-speaker |"
    )
    yield "|---" * 6 + "|"
    for what, speakers_of in (
        ("none", None),
        ("each layer its own, by utterance", 1),
        ("each layer its own, by speaker of 5 utterances", 5),
        ("the same in both layers, by utterance", -1),
    ):
        for utterances in (20, 100):
            readings: Readings = {}
            for seed in range(5 * draws):
                random = np.random.default_rng((utterances, seed))
                lengths = random.integers(60, 140, utterances, endpoint=True).tolist()
                x, y = (autoregressive(random, lengths, 16, 0.9) for _ in range(2))
                speaker = np.arange(utterances) // abs(speakers_of or 1)
                if speakers_of is not None:
                    offsets = [random.standard_normal((utterances, 4)).astype(np.float32) for _ in range(2)]
                    chosen = [offsets[0], offsets[0] if speakers_of < 0 else offsets[1]]
                    for z, offset in zip((x, y), chosen, strict=True):
                        z[:, :4] += np.repeat(offset[speaker], lengths, axis=0)
                for name in ("biased", "debiased", "cross-utterance"):
                    readings.setdefault(name, []).append(ESTIMATORS[name](x, y, lengths))
                by_speaker = np.repeat(speaker, lengths)
                readings.setdefault("speaker", []).append(cka(x, y, utterances=by_speaker).value)
            yield f"| {what} | {utterances} | " + " | ".join(cell(v) for v in readings.values()) + " |"


def real(draws: int) -> Iterator[str]:
    """Table 4: layers of different utterances of AN4, cut to one length and turned in a circle: they share nothing."""
    corpus = load(CORPORA / "an4").split("test")
    corpus = check(corpus)
    torch.manual_seed(0)
    tokens = CharacterTokens.of([u.text for u in corpus.utterances])
    models = {
        "cnn": ReferenceRecogniser(CnnConfig(), tokens),
        "lstm": ReferenceRecogniser(LstmConfig(), tokens),
        "transformer": ReferenceRecogniser(TransformerConfig(), tokens),
    }
    last = {name: [model.layers()[-1]] for name, model in models.items()}
    batches = [pad([log_mel(read_audio(u)) for u in corpus.utterances[i : i + 8]]) for i in range(0, len(corpus), 8)]
    kept: dict[str, list[Array]] = {}
    for views, lengths in views_of(models, batches, layers=last, inputs=True):
        edges = np.cumsum(lengths)[:-1]
        for name, frames in views.items():
            kept.setdefault(name, []).extend(np.split(frames.numpy(), edges))
    names = {name: "log-mel" if name == "input" else name.partition(":")[0] for name in kept}
    count = len(next(iter(kept.values())))
    yield "| layers | utterances | frames | " + " | ".join(ESTIMATORS) + " |"
    yield "|---" * (3 + len(ESTIMATORS)) + "|"
    cnn, lstm, transformer = (name for name in kept if name != "input")
    for x, y in (("input", "input"), ("input", cnn), (lstm, lstm), (cnn, transformer)):
        for utterances in (8, 32, count):
            readings: Readings = {}
            totals = []
            for seed in range(max(2, draws // (1 if utterances < count else 2))):
                random = np.random.default_rng((utterances, seed))
                chosen = random.permutation(count)[:utterances]
                pairs = [(kept[x][u], kept[y][v]) for u, v in zip(chosen, np.roll(chosen, 1), strict=True)]
                lengths = [min(len(a), len(b)) for a, b in pairs]
                X = np.concatenate([a[:n] for (a, _), n in zip(pairs, lengths, strict=True)])
                Y = np.concatenate(
                    [np.roll(b[:n], random.integers(n), 0) for (_, b), n in zip(pairs, lengths, strict=True)]
                )
                read(X, Y, lengths, readings)
                totals.append(len(X))
            cells = " | ".join(cell(values) for values in readings.values())
            yield f"| {names[x]}, {names[y]} | {utterances} | {np.mean(totals):.0f} | {cells} |"


def machine() -> str:
    cpu = next((line.split(":")[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines()
                if line.startswith("model name")), platform.processor())  # fmt: skip
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True).stdout
    return (
        f"{cpu}, one thread; Python {platform.python_version()}, torch {torch.__version__}, numpy {np.__version__}; "
        f"{datetime.now(UTC):%Y-%m-%d}, commit {commit.strip()}"
    )


TABLES = {
    "Bias and spread on AR(1) sequences": (
        sequences,
        "50 utterances of 400 frames; layers of 256 units, of which none or 128 are shared, so that CKA is 0 or 0.5. "
        "Mean ± standard deviation over {draws} draws; n_eff are the independent frames that these are worth, √2/n_eff "
        "the spread to expect on unrelated layers.",
    ),
    "Few utterances": (
        few,
        "Independent layers of 12 units, AR(1) with φ = 0.85. Mean ± standard deviation over {many} draws; the truth "
        "is 0.",
    ),
    "Factors of whole utterances": (
        factors,
        "Layers of 16 units, AR(1) with φ = 0.9, that share nothing over time; utterances of 60 to 140 frames. "
        "Mean ± standard deviation over {some} draws. Cross-speaker: the speaker's index given as the utterance's.",
    ),
    "Real layers that share nothing": (
        real,
        "The log-mel features of AN4's test utterances and the last layers of untrained recognisers (default sizes), "
        "each utterance of one layer beside another utterance of the other, cut to one length and turned in a circle "
        "by a random number of frames. Mean ± standard deviation over {draws} choices of utterances ({half} in the "
        "rows of all utterances); the truth is 0.",
    ),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--draws", type=int, default=20)
    parser.add_argument("--out", type=Path, default=OUT)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    began, about, draws = time.process_time(), machine(), asked.draws
    shown = []
    for title, (table, text) in TABLES.items():
        if table is real and not (CORPORA / "an4" / "transcripts.tsv").is_file():
            rows = [f"Left out: there is no AN4 corpus in {CORPORA.name}/an4."]
        else:
            rows = list(table(draws))
        said = text.format(draws=draws, many=30 * draws, some=5 * draws, half=max(2, draws // 2))
        shown.append("\n".join([f"## {title}", "", said, "", *rows]))
        print(shown[-1], flush=True)
    minutes = (time.process_time() - began) / 60
    head = (
        "# Estimators of linear CKA on utterances\n\n"
        f"`OMP_NUM_THREADS=1 python benchmarks/cross_utterance.py --draws {draws}`, {minutes:.0f} CPU minutes on "
        f"{about}. What it means: [the cross-utterance estimator](../../methods/cross-utterance.md).\n"
    )
    asked.out.mkdir(parents=True, exist_ok=True)
    (asked.out / "README.md").write_text("\n\n".join([head.rstrip(), *shown]) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
