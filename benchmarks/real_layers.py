"""Every measure on trained recognisers, with intervals and baselines, as tables in docs/results/real-layers/README.md.

    .venv/bin/python benchmarks/real_layers.py [--study FOLDER] [--epochs 16] [--out FOLDER]

A CNN, an LSTM and a Transformer of the size `small` are trained on AN4 ($OTOSCOPE_CORPORA/an4, else
../shared/corpora/an4), in a folder that is reused when it is there; `--study` takes the recognisers of another study.
About ten minutes on two cores, most of them training. Exits with 1 where shuffled utterances do not read what they
should: about 0 by the cross-utterance estimator of CKA, and more by the debiased one.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import torch

from otoscope.asr import ReferenceRecogniser, log_mel, pad
from otoscope.capture import SHUFFLED, view_name, views_of
from otoscope.capture.streaming import shuffle_utterances
from otoscope.corpora import read_audio
from otoscope.errors import MeasureError
from otoscope.measures import Measure, Moments, Samples, Similarity, cka, describe, registry
from otoscope.measures.inference import BlockMoments, BlockSamples, jackknife_all, permutation_test
from otoscope.study import StudyConfig, StudyFolder, train_recognisers
from otoscope.study.manifest import host, versions
from otoscope.study.measuring import probe_batches
from otoscope.study.pipeline import checkpoints_of
from otoscope.study.preparation import load_speech

ROOT = Path(__file__).resolve().parents[1]
TABLES = ROOT / "docs" / "results" / "real-layers"
FOLDER = ROOT / "studies" / "real-layers"
FRAMES = 2000  # at most, for the measures that cost n²
SQUARE = ("cka-rbf", "cka-laplace", "cka-polynomial", "distance-correlation", "mutual-knn")
PERMUTATIONS = 19
DRAWS = 40
COUNTS = (5, 10, 20, 50, 100)
CHANCE = 4  # standard errors of a mean over draws

Views = dict[str, torch.Tensor]
Pair = tuple[str, str]


@dataclass(frozen=True)
class Speech:
    """What the recognisers hear: features and speaker by utterance, in batches of similar length."""

    batches: list[list[str]]
    features: dict[str, torch.Tensor]
    speakers: dict[str, str]

    @property
    def utterances(self) -> list[str]:
        return [u for batch in self.batches for u in batch]


@dataclass(frozen=True)
class Layers:
    """The layers of one architecture, trained and not, on all speech."""

    views: Views
    lengths: list[int]
    speakers: list[str]
    names: list[str]

    @property
    def index(self) -> torch.Tensor:
        """Each frame's utterance: for measures, in place of lengths that could be taken for one."""
        return torch.repeat_interleave(torch.arange(len(self.lengths)), torch.tensor(self.lengths))

    @property
    def pairs(self) -> dict[str, Pair]:
        """Neighbours in the middle, and the ends: blocks of one width, without the layer that subsamples."""
        blocks = [name for name in self.names if name != "subsample"]
        middle = len(blocks) // 2
        return {"neighbours": (blocks[middle - 1], blocks[middle]), "first and last": (blocks[0], blocks[-1])}

    def of(self, pair: Pair, *, state: str = "trained") -> Views:
        """The pair's views by layer name, and the input."""
        return {**{name: self.views[view_name(state, name)] for name in pair}, "input": self.views["input"]}


def shuffled_second(views: Views, lengths: Sequence[int], pair: Pair, seed: int) -> tuple[Views, list[int]]:
    """The second layer's utterances replaced by their neighbours', turned in a circle; as `capture.reduce` does."""
    mixed, kept = shuffle_utterances(views, lengths, torch.Generator().manual_seed(seed))
    x, y = pair
    return {x: mixed[x], y: mixed[SHUFFLED + y], "input": mixed["input"]}, kept


def capture(recognisers: Mapping[str, ReferenceRecogniser], speech: Speech) -> Layers:
    parts: dict[str, list[torch.Tensor]] = {}
    lengths: list[int] = []
    batches = (pad([speech.features[u] for u in batch]) for batch in speech.batches)
    for views, counts in views_of(recognisers, batches, inputs=True):
        for name, x in views.items():
            parts.setdefault(name, []).append(x)
        lengths += counts
    names = [layer.name for layer in next(iter(recognisers.values())).layers()]
    views = {name: torch.cat(xs) for name, xs in parts.items()}
    return Layers(views, lengths, [speech.speakers[u] for u in speech.utterances], names)


def directions(measures: Sequence[Measure], pair: Pair) -> Iterator[tuple[Measure, Pair]]:
    for measure in measures:
        yield measure, pair
        if not measure.symmetric:
            yield measure, pair[::-1]


@dataclass(frozen=True)
class Source:
    """Where some of the measures are computed from."""

    measures: list[Measure]
    most: int | None  # frames

    def data(self, views: Views, index: torch.Tensor) -> Moments | Samples:
        if self.measures[0].source == "moments":
            return Moments.of(views, utterances=index)
        samples = Samples.of(views, utterances=index)
        return samples if self.most is None else samples.subset(self.most)

    def blocks(self, views: Views, index: torch.Tensor, speakers: Sequence[str]) -> BlockMoments | BlockSamples:
        by_utterance = np.array(speakers)
        if self.measures[0].source == "moments":
            return BlockMoments.of(views, utterances=index, clusters=by_utterance)
        if self.most is None:
            return BlockSamples.of(views, utterances=index, clusters=by_utterance)
        # The same utterances as in `data`: drawn from the index, as any view.
        kept = Samples.of({**views, "": index[:, None].double()}, utterances=index).subset(self.most)
        chosen = kept.view("")[:, 0].long()
        rest = {name: x for name, x in kept.views.items() if name}
        return BlockSamples.of(rest, utterances=chosen, clusters=by_utterance[np.unique(chosen.numpy())])


def sources(pair_widths: set[int]) -> list[Source]:
    measures = [registry.get(name) for name in registry.names()]
    if len(pair_widths) > 1:
        measures = [m for m in measures if not m.name.startswith("paper-")]
    return [
        Source([m for m in measures if m.source == "moments"], None),
        Source([m for m in measures if m.source == "samples" and m.name not in SQUARE], None),
        Source([m for m in measures if m.name in SQUARE], FRAMES),
    ]


def value(measure: Measure, data: Moments | Samples, pair: Pair) -> float:
    try:
        return measure.compute(data, *pair).value
    except MeasureError:
        return math.nan


def null_level(found: Similarity, measure: Measure, layers: Layers, pair: Pair) -> str:
    """What the result carries, or the mean of permutations of the second layer's utterances."""
    if not math.isnan(found.null):
        return shown(found.null)
    tested = permutation_test(
        layers.of(pair), measure, *pair, utterances=layers.index, scheme="both", permutations=PERMUTATIONS
    )
    return f"{shown(tested.null)} (p)"


def shown(number: float | None) -> str:
    return "–" if number is None or math.isnan(number) else f"{number:.3f}"


def measured(layers: Layers, pair: Pair) -> list[str]:
    """A row for each measure of one pair."""
    views, index = layers.of(pair), layers.index
    mixed, kept = shuffled_second(views, layers.lengths, pair, seed=0)
    mixed_index = torch.repeat_interleave(torch.arange(len(kept)), torch.tensor(kept))
    rows = {}
    for source in sources({views[name].shape[1] for name in pair}):
        wanted = list(directions(source.measures, pair))
        found = jackknife_all(source.blocks(views, index, layers.speakers), source.measures, [pair, pair[::-1]])
        untrained, shuffled = source.data(layers.of(pair, state="untrained"), index), source.data(mixed, mixed_index)
        for measure, way in wanted:
            name = f"`{measure.name}`" + (", from last to first" if way != pair else "")
            result = found[measure.name, *way]
            if isinstance(result, MeasureError):
                rows[measure.name, way] = f"| {name} | refused: {result} | | | | | |"
                continue
            rows[measure.name, way] = (
                f"| {name} | {shown(result.value)} | {shown(result.low)} – {shown(result.high)} | "
                f"{null_level(result, measure, layers, way)} | {shown(value(measure, untrained, way))} | "
                f"{shown(value(measure, shuffled, way))} | {result.frames} |"
            )
    order = [registry.get(name) for name in registry.names()]
    return [rows[m.name, way] for m, way in directions(order, pair) if (m.name, way) in rows]


def described(layers: Layers) -> list[str]:
    """A row for each layer, trained and (in brackets) untrained."""
    rows = []
    for name in layers.names:
        now, before = (
            describe(layers.views[view_name(state, name)], name, utterances=layers.index)
            for state in ("trained", "untrained")
        )
        cells = [
            f"{now.effective_dimension:.1f} ({before.effective_dimension:.1f})",
            f"{now.components} ({before.components})",
            f"{now.top_share:.2f} ({before.top_share:.2f})",
            f"{now.anisotropy:.2f} ({before.anisotropy:.2f})",
        ]
        rows.append(f"| {name} | {now.units} | {now.rank} ({before.rank}) | " + " | ".join(cells) + " |")
    return rows


def estimated(layers: Layers, pair: Pair) -> tuple[list[str], list[str]]:
    """How two estimators of CKA fare on few utterances, as they are and shuffled; and what is not as it should be."""
    views, parts = layers.of(pair), {}
    whole = cka(views[pair[0]], views[pair[1]], utterances=layers.index).value
    for name, x in views.items():
        parts[name] = torch.split(x, layers.lengths)
    rows, wrong = [], []
    for count in (n for n in COUNTS if n <= len(layers.lengths)):
        drawn: dict[tuple[str, str], list[float]] = {}
        for seed in range(DRAWS):
            random = np.random.default_rng((count, seed))
            # By length, so that utterances are cut little when they are paired with their neighbours.
            chosen = sorted(random.permutation(len(layers.lengths))[:count], key=lambda u: layers.lengths[u])
            some = {name: torch.cat([xs[u] for u in chosen]) for name, xs in parts.items()}
            lengths = [layers.lengths[u] for u in chosen]
            for how, (z, n) in {
                "as it is": (some, lengths),
                "shuffled": shuffled_second(some, lengths, pair, seed),
            }.items():
                moments = Moments.of({name: z[name] for name in pair}, utterances=n)
                for name in ("cka", "cka-debiased"):
                    drawn.setdefault((how, name), []).append(registry.get(name).compute(moments, *pair).value)
        means = {key: float(np.mean(values)) for key, values in drawn.items()}
        spreads = {key: float(np.std(values, ddof=1)) for key, values in drawn.items()}
        cells = [
            f"{means[how, name]:+.3f} ± {spreads[how, name]:.3f}"
            for how in ("shuffled", "as it is")
            for name in ("cka", "cka-debiased")
        ]
        rows.append(f"| {count} | " + " | ".join(cells) + f" | {whole:.3f} |")
        error = CHANCE * spreads["shuffled", "cka"] / math.sqrt(DRAWS)
        if abs(means["shuffled", "cka"]) > error + 0.01:
            wrong.append(f"{count} shuffled utterances: cross-utterance CKA is {means['shuffled', 'cka']:.3f}, not 0")
        if means["shuffled", "cka-debiased"] < means["shuffled", "cka"] + error:
            wrong.append(f"{count} shuffled utterances: debiased CKA is not above the cross-utterance one")
    return rows, wrong


def architecture(run: str, trained: Path, untrained: Path, speech: Speech) -> tuple[list[str], list[str]]:
    """All tables of one recogniser, and what is wrong in them."""
    torch.set_num_threads(1)
    recognisers = {"trained": ReferenceRecogniser.load(trained), "untrained": ReferenceRecogniser.load(untrained)}
    layers = capture(recognisers, speech)
    text = [
        f"## {run}",
        "",
        "| layer | units | rank | effective dimension | components for 99 % | top share | anisotropy |",
        "|---|---|---|---|---|---|---|",
        *described(layers),
        "",
    ]
    for what, pair in layers.pairs.items():
        text += [
            f"### {what.capitalize()}: {pair[0]}, {pair[1]}",
            "",
            "| measure | value | 95 % interval | null level | untrained | shuffled utterances | frames |",
            "|---|---|---|---|---|---|---|",
            *measured(layers, pair),
            "",
        ]
    pair = layers.pairs["neighbours"]
    rows, wrong = estimated(layers, pair)
    columns = ("shuffled: cross-utterance", "shuffled: debiased", "as it is: cross-utterance", "as it is: debiased")
    text += [
        f"### Two estimators of CKA on few utterances: {pair[0]}, {pair[1]}",
        "",
        f"| utterances | {' | '.join(columns)} | all speech |",
        "|---|---|---|---|---|---|",
        *rows,
        "",
    ]
    return text, [f"{run}: {what}" for what in wrong]


def explanation() -> str:
    return f"""\
The first table of each recogniser describes its layers (untrained in brackets). Then every registered measure, of two
pairs of layers:

- the 95 % interval is a jackknife over speakers; it is freed of bias, so that a biased value may lie outside;
- the null level is what the result carries, for independent frames; with (p), where no formula is known, the mean of
  {PERMUTATIONS} permutations (utterances exchanged and turned in a circle);
- untrained: the same layers before the first step;
- shuffled utterances: the second layer hears another utterance of about the same length, turned in a circle, so that
  nothing is shared but what all speech shares: the level to compare a value with. Where it is far above the null level,
  frames depend on each other. `rsa` compares means of utterances, and those of short ones spread more in both layers:
  what is left there is the utterances' lengths;
- frames: measures that cost n² see whole utterances of at most {FRAMES} frames, spread over all.

The last table of each: {DRAWS} draws of few utterances, mean ± standard deviation of a draw. On shuffled utterances the
cross-utterance estimator of CKA reads 0 however few there are; the debiased one, which takes frames for independent,
does not. On the layers as they are, what all speech reads is the value to come near."""


def silent(_what: str, _done: int, _total: int) -> None:
    pass


def hear(config: StudyConfig) -> Speech:
    """The features of the probe set: dev and test, none of it trained on."""
    found = load_speech(config, silent)
    by_id = {u.id: u for u in found.corpus}
    features = {u: log_mel(read_audio(by_id[u])) for u in found.probe}
    batches = probe_batches({u: len(x) for u, x in features.items()})
    return Speech(batches, features, {u: by_id[u].speaker for u in found.probe})


def commit() -> str:
    return subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True
    ).stdout.strip()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--study", type=Path, help="a folder with trained recognisers")
    parser.add_argument("--epochs", type=int, default=16)
    parser.add_argument("--out", type=Path, default=TABLES)
    asked, start = parser.parse_args(), time.monotonic()
    corpora = Path(os.environ.get("OTOSCOPE_CORPORA", ROOT.parent / "shared" / "corpora"))
    place = StudyFolder(asked.study or FOLDER)
    if asked.study is None:
        training = {"epochs": asked.epochs, "checkpoints": 2}
        config = StudyConfig.default(os.path.relpath(corpora / "an4"), size="small", training=training)
        train_recognisers(config, place.path)
    config = StudyConfig.read(place.config)
    trained_in, start = time.monotonic() - start, time.monotonic()
    speech = hear(config)
    about: dict[str, Any] = json.loads(place.manifest.read_text(encoding="utf-8"))
    scores = {f"{r['name']}/seed{r['seed']}": r for r in about["recognisers"]}
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        made = {}
        for run in scores:
            ends = checkpoints_of(place, run)
            made[run] = pool.submit(architecture, run, ends[-1].path, ends[0].path, speech)
        found = {run: future.result() for run, future in made.items()}
    seconds = sum(len(x) for x in speech.features.values()) / 100
    rates = [
        f"| {run} | {r['parameters'] / 1e6:.2f} M | {config.recognisers[r['name']].train().epochs} | "
        f"{r['test_wer']:.1%} | {r['test_cer']:.1%} |"
        for run, r in scores.items()
    ]
    text = [
        "# Every measure on real layers",
        "",
        f"Written by `python benchmarks/real_layers.py{' --study …' if asked.study else ''}`: "
        f"{'recognisers of a study' if asked.study else f'training, {trained_in / 60:.1f} minutes'}; measuring, "
        f"{(time.monotonic() - start) / 60:.1f} minutes on two processes of one thread.",
        "",
        f"- Machine: {host()['machine']}",
        f"- Versions: {', '.join(f'{k} {v}' for k, v in versions().items())}",
        f"- Date: {time.strftime('%Y-%m-%d')}; commit {commit()}",
        f"- Speech: AN4, dev and test, {len(speech.utterances)} utterances of {len(set(speech.speakers.values()))} "
        f"speakers, {seconds / 60:.1f} minutes; all layers on a grid of 40 ms, in float32",
        "",
        "| recogniser | parameters | epochs | test WER | test CER |",
        "|---|---|---|---|---|",
        *rates,
        "",
        *explanation().splitlines(),
        "",
        *(line for rows, _ in found.values() for line in rows),
    ]
    asked.out.mkdir(parents=True, exist_ok=True)
    (asked.out / "README.md").write_text("\n".join(text).rstrip() + "\n", encoding="utf-8")
    wrong = [line for _, lines in found.values() for line in lines]
    print(asked.out / "README.md")
    for line in wrong:
        print(line, file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
