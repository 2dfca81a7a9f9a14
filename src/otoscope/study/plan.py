"""What a study will do, with sizes and an estimate of the time, before it does it: `otoscope study --dry-run`."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from otoscope.asr import (
    FRAME_SHIFT_SECONDS,
    MEL_BINS,
    ReferenceRecogniser,
    Tokens,
)
from otoscope.asr.schedule import checkpoint_steps
from otoscope.capture import INPUT, view_name
from otoscope.corpora import Corpus, Utterance, draw_splits, load
from otoscope.errors import StudyError
from otoscope.measures import Measure, Moments, Samples, registry
from otoscope.measures.path import Path
from otoscope.study.config import MIN_PROBE, StudyConfig
from otoscope.study.cost import TIMED_SECONDS, one_thread_seconds, step_seconds
from otoscope.study.preparation import GRID_SECONDS, prepare_measures, tokens_of
from otoscope.study.recognisers import available_cores
from otoscope.study.watched import MOST_WATCHED
from otoscope.study.way import sums_bytes, way_to_sums

__all__ = ["Plan", "RunPlan", "plan_study"]

EVALUATIONS = 31
"""Of a measure for an interval: all speech, without each of 20 blocks, and ten halves."""

WHITENING = ("cca", "cca-r2", "svcca", "pwcca", "cca-held-out")
"""Measures that refuse layers with about as many directions as there are frames."""

FEATURES_PER_SECOND = 600.0
"""Seconds of speech turned into features in a second, on one core: a round figure, for the estimate only."""


@dataclass(frozen=True)
class RunPlan:
    """One recogniser with each seed: sizes, and seconds on one core per seed."""

    recogniser: str
    parameters: int
    steps: int
    checkpoints: int
    layers: int
    widest: int
    seconds: float


@dataclass(frozen=True)
class Plan:
    """A study before it runs.

    Times in seconds; `watched_utterances` are those on which layers are compared during training, 0 without a watch;
    `path`, `reason` and `moments_bytes` are of the largest comparison, of which each worker does one at a time;
    `warnings` name what will not work as asked.
    """

    corpus: str
    hours: dict[str, float]
    utterances: dict[str, int]
    probe_utterances: int
    probe_frames: int
    watched_utterances: int
    runs: tuple[RunPlan, ...]
    seeds: int
    comparisons: int
    path: str | None
    reason: str
    moments_bytes: int
    disk_bytes: int
    workers: int
    seconds: float
    warnings: tuple[str, ...]


def plan_study(config: StudyConfig, *, workers: int | None = None) -> Plan:
    """Sizes of a study, and an estimate of its time from a few timed steps on this machine (a second or two each).

    The audio is not decoded, so utterances that the checks will skip still count.
    """
    corpus = draw_splits(load(config.corpus, format=config.format, parts=config.parts))
    workers = workers or available_cores()
    tokens = tokens_of(config, corpus)
    hours = {s: round(corpus.split(s).duration / 3600, 3) for s in corpus.splits}
    probe = [u for split in config.probe.splits for u in corpus.split(split)]
    share = min(1.0, config.probe.utterances / max(1, len(probe)))
    probe_seconds = share * sum(u.duration for u in probe)
    probe_frames = round(probe_seconds / GRID_SECONDS)
    train_seconds = corpus.split("train").duration
    runs, longest, total = [], 0.0, 0.0
    compared, disk = 0, 0
    for name, asked in config.recognisers.items():
        training = asked.train()
        recogniser = ReferenceRecogniser(asked.model(), tokens[name], decoder=asked.attention())
        layers = recogniser.layers()
        steps = max(1, round(1.1 * train_seconds / training.batch_seconds)) * training.epochs  # a tenth is padding
        kept = len(checkpoint_steps(steps, training.checkpoints))
        timed = min(training.batch_seconds, TIMED_SECONDS)
        update, forward = (s * training.batch_seconds / timed for s in step_seconds(recogniser, timed))
        depth = len(layers)
        # Layer × layer and against the final state at each checkpoint, against the previous at all but the first,
        # and layer × layer with shuffled utterances at both ends.
        pairs = kept * (depth**2 + depth) + (kept - 1) * depth + 2 * depth**2
        widest = max(layer.units for layer in layers)
        comparing = pairs * _time_pair(config, widest, probe_frames) / 2  # one order of two
        comparing += kept * _time_samples(config, widest, 2 * depth, probe_frames)
        comparing += kept * 3 * forward * probe_seconds / training.batch_seconds
        runs.append(RunPlan(name, recogniser.parameters, steps, kept, len(layers), widest, steps * update))
        compared += pairs
        disk += recogniser.parameters * 4 * (kept + 3)
        longest = max(longest, steps * update)
        total += steps * update + comparing
    speeds = {s for r in config.recognisers.values() for s in r.train().speeds}
    features = (train_seconds * len(speeds) + corpus.duration - train_seconds) / FEATURES_PER_SECOND
    disk = disk * len(config.seeds) + round(features * FEATURES_PER_SECOND / FRAME_SHIFT_SECONDS) * MEL_BINS * 4
    way, moments_bytes = _sums(config, tokens, probe_frames)
    seeds = len(config.seeds)
    depths = [run.layers for run in runs for _ in config.seeds]
    compared = compared * seeds + 2 * sum(a * b for a, b in itertools.combinations(depths, 2))  # first and final
    return Plan(
        corpus.name,
        hours,
        {s: len(corpus.split(s)) for s in corpus.splits},
        round(share * len(probe)),
        probe_frames,
        min(MOST_WATCHED, round(share * len(probe))) if config.watch else 0,
        tuple(runs),
        seeds,
        compared,
        None if way is None else way.name,
        "" if way is None else way.reason,
        moments_bytes,
        disk,
        workers,
        features + max(longest, total * seeds / workers),
        (*_lacking(corpus, config, probe), *_warnings(config, runs, probe_frames)),
    )


def _lacking(corpus: Corpus, config: StudyConfig, probe: Sequence[Utterance]) -> list[str]:
    """What a study would be refused for: splits without utterances, too few to compare on."""
    lacking = [split for split in ("train", "dev", "test") if not len(corpus.split(split))]
    lines = [f"the study will be refused: no utterance in {', '.join(lacking)}"] if lacking else []
    if len(probe) < MIN_PROBE:
        splits = ", ".join(config.probe.splits)
        lines.append(
            f"the study will be refused: {len(probe)} utterances in the probe's splits ({splits}), at least "
            f"{MIN_PROBE} are needed; name more splits in [probe]"
        )
        return lines
    try:
        prepare_measures(config, probe)
    except StudyError as error:
        lines.append(f"the study will be refused: {error}")
    return lines


def _warnings(config: StudyConfig, runs: list[RunPlan], frames: int) -> list[str]:
    """Measures that the probe set is too small for."""
    wide = [run for run in runs if frames - 1 < 2 * run.widest]
    refused = [m for m in config.measures if m in WHITENING]
    return [
        f"{', '.join(refused)} will refuse {run.recogniser}: {frames} probe frames for layers of {run.widest} units; "
        "a larger probe set ([probe] utterances, splits) is needed"
        for run in wide
        if refused
    ]


def _sums(config: StudyConfig, tokens: Mapping[str, Tokens], frames: int) -> tuple[Path | None, int]:
    """How the sums of the largest comparison are made, and their memory."""
    measures = list(map(registry.get, config.measures))
    found: list[tuple[int, Path | None]] = []
    own = [ReferenceRecogniser(asked.model(), tokens[name]).layers() for name, asked in config.recognisers.items()]
    # A checkpoint with its final and its previous state, and every two runs at one state.
    within = [{"now": layers, "final": layers, "previous": layers} for layers in own]
    runs = [layers for layers in own for _ in config.seeds[:2]]
    across = [{"x": x, "y": y} for x, y in itertools.combinations(runs, 2)]
    for roles in (*within, *across):
        names = {role: [view_name(role, layer.name) for layer in layers] for role, layers in roles.items()}
        widths = {view_name(role, layer.name): layer.units for role, layers in roles.items() for layer in layers}
        if "now" in names:
            pairs = list(itertools.combinations_with_replacement(names["now"], 2))
            pairs += [
                *zip(names["now"], names["final"], strict=True),
                *zip(names["now"], names["previous"], strict=True),
            ]
        else:
            pairs = list(itertools.product(names["x"], names["y"]))
        way = way_to_sums(frames, widths, pairs, measures, intervals=config.intervals, streams=True)
        found.append((sums_bytes(widths, pairs, intervals=config.intervals) if way else 0, way))
    most, way = max(found, key=lambda row: row[0])
    return way, most


def _time_pair(config: StudyConfig, units: int, frames: int) -> float:
    """Seconds to accumulate and measure one pair of layers on one thread."""
    measures = [m for m in map(registry.get, config.measures) if m.source == "moments"]
    if not measures:
        return 0.0
    n = max(4 * units, 512)
    generator = torch.Generator().manual_seed(0)
    views = {str(i): torch.randn(n, units, generator=generator) for i in range(4)}
    pairs = list(itertools.combinations_with_replacement(views, 2))
    inputs = [(name, INPUT) for name in views] if any(m.given == INPUT for m in measures) else []
    if inputs:
        views[INPUT] = torch.randn(n, MEL_BINS, generator=generator)
    lengths = [n // 4] * 3 + [n - 3 * (n // 4)]

    def sums() -> Moments:
        return Moments.of(views, utterances=lengths, pairs=[*pairs, *inputs])

    def with_sums(measures: Sequence[Measure]) -> Any:
        moments = sums()
        return [measure.compute(moments, x, y) for x, y in pairs for measure in measures]

    summing = one_thread_seconds(sums)
    measuring = max(0.0, one_thread_seconds(lambda: with_sums(measures)) - summing)
    again = [measure for measure in measures if not measure.inner]  # what inner products suffice for is done at once
    if config.intervals and again:
        measuring += max(0.0, one_thread_seconds(lambda: with_sums(again)) - summing) * (EVALUATIONS - 1)
    return (summing * max(1.0, frames / n) + measuring) / len(pairs)


def _time_samples(config: StudyConfig, units: int, layers: int, frames: int) -> float:
    """Seconds to compare so many layers with each other by the measures that need frames."""
    measures = [m for m in map(registry.get, config.measures) if m.source == "samples"]
    if not measures:
        return 0.0
    n = max(4 * units, 1024)
    generator = torch.Generator().manual_seed(0)
    views = {f"{i}": torch.randn(n, units, generator=generator) for i in range(2)}

    def pair() -> Any:
        samples = Samples.of(views, utterances=[n // 16] * 15 + [n - 15 * (n // 16)])
        return [measure.compute(samples, "0", "1") for measure in measures]

    # Most of them cost n² for each layer, and little for a pair of layers.
    once = one_thread_seconds(pair) * (min(frames, config.samples) / n) ** 2 * layers / 2
    return once * (EVALUATIONS if config.intervals else 1)
