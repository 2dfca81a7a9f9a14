"""What a study will do, with sizes and an estimate of the time, before it does it: `otoscope study --dry-run`."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any

import torch

from otoscope.asr import (
    FRAME_SHIFT_SECONDS,
    MEL_BINS,
    STRIDE,
    CharacterTokens,
    ReferenceRecogniser,
)
from otoscope.asr.schedule import checkpoint_steps
from otoscope.corpora import Corpus, draw_splits, load
from otoscope.measures import Moments, registry
from otoscope.study.config import MIN_PROBE, StudyConfig
from otoscope.study.cost import one_thread_seconds, step_seconds
from otoscope.study.pipeline import available_cores

__all__ = ["Plan", "RunPlan", "plan_study"]

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
    """A study before it runs. Times in seconds; `warnings` name what will not work as asked."""

    corpus: str
    hours: dict[str, float]
    utterances: dict[str, int]
    probe_utterances: int
    probe_frames: int
    runs: tuple[RunPlan, ...]
    seeds: int
    comparisons: int
    disk_bytes: int
    workers: int
    seconds: float
    warnings: tuple[str, ...]


def plan_study(config: StudyConfig, *, workers: int | None = None) -> Plan:
    """Sizes of a study, and an estimate of its time from a few timed steps on this machine (a second or two each).

    The audio is not decoded, so utterances that the checks will skip still count.
    """
    corpus = draw_splits(load(config.corpus, format=config.format))
    workers = workers or available_cores()
    tokens = CharacterTokens.of(u.text for u in corpus.split("train"))
    hours = {s: round(corpus.split(s).duration / 3600, 3) for s in corpus.splits}
    probe = [u for split in config.probe.splits for u in corpus.split(split)]
    share = min(1.0, config.probe.utterances / max(1, len(probe)))
    probe_seconds = share * sum(u.duration for u in probe)
    probe_frames = round(probe_seconds / (STRIDE * FRAME_SHIFT_SECONDS))
    train_seconds = corpus.split("train").duration
    runs, longest, total = [], 0.0, 0.0
    compared, disk = 0, 0
    for name, asked in config.recognisers.items():
        training = asked.train()
        recogniser = ReferenceRecogniser(asked.model(), tokens)
        layers = recogniser.layers()
        steps = max(1, round(1.1 * train_seconds / training.batch_seconds)) * training.epochs  # a tenth is padding
        kept = len(checkpoint_steps(steps, training.checkpoints))
        update, forward = step_seconds(recogniser, training.batch_seconds)
        depth = len(layers)
        # Layer × layer and against the final state at each checkpoint, against the previous at all but the first,
        # and layer × layer with shuffled utterances at both ends.
        pairs = kept * (depth**2 + depth) + (kept - 1) * depth + 2 * depth**2
        widest = max(layer.units for layer in layers)
        comparing = pairs * _time_pair(config, widest, probe_frames) / 2  # one order of two
        comparing += kept * 3 * forward * probe_seconds / training.batch_seconds
        runs.append(RunPlan(name, recogniser.parameters, steps, kept, len(layers), widest, steps * update))
        compared += pairs
        disk += recogniser.parameters * 4 * (kept + 3)
        longest = max(longest, steps * update)
        total += steps * update + comparing
    speeds = {s for r in config.recognisers.values() for s in r.train().speeds}
    features = (train_seconds * len(speeds) + corpus.duration - train_seconds) / FEATURES_PER_SECOND
    disk = disk * len(config.seeds) + round(features * FEATURES_PER_SECOND / FRAME_SHIFT_SECONDS) * MEL_BINS * 4
    seeds = len(config.seeds)
    depths = [run.layers for run in runs for _ in config.seeds]
    compared = compared * seeds + 2 * sum(a * b for a, b in itertools.combinations(depths, 2))  # first and final
    return Plan(
        corpus.name,
        hours,
        {s: len(corpus.split(s)) for s in corpus.splits},
        round(share * len(probe)),
        probe_frames,
        tuple(runs),
        seeds,
        compared,
        disk,
        workers,
        features + max(longest, total * seeds / workers),
        (*_lacking(corpus, config, len(probe)), *_warnings(config, runs, probe_frames)),
    )


def _lacking(corpus: Corpus, config: StudyConfig, probe: int) -> list[str]:
    """What a study would be refused for: splits without utterances, too few to compare on."""
    lacking = [split for split in ("train", "dev", "test") if not len(corpus.split(split))]
    lines = [f"the study will be refused: no utterance in {', '.join(lacking)}"] if lacking else []
    if probe < MIN_PROBE:
        splits = ", ".join(config.probe.splits)
        lines.append(
            f"the study will be refused: {probe} utterances in the probe's splits ({splits}), at least {MIN_PROBE} are "
            "needed; name more splits in [probe]"
        )
    return lines


def _warnings(config: StudyConfig, runs: list[RunPlan], frames: int) -> list[str]:
    """Measures that the probe set is too small for."""
    wide = [run for run in runs if frames - 1 < 2 * run.widest]
    refused = [m for m in config.measures if "cca" in m]
    return [
        f"{', '.join(refused)} will refuse {run.recogniser}: {frames} probe frames for layers of {run.widest} units; "
        "a larger probe set ([probe] utterances, splits) is needed"
        for run in wide
        if refused
    ]


def _time_pair(config: StudyConfig, units: int, frames: int) -> float:
    """Seconds to accumulate and measure one pair of layers on one thread."""
    n = max(4 * units, 512)
    x = torch.randn(n, units)

    def pair() -> Any:
        moments = Moments.of({"x": x, "y": x.flip(0)}, utterances=[n // 4] * 3 + [n - 3 * (n // 4)], pairs=[("x", "y")])
        return [registry.get(name).compute(moments, "x", "y") for name in config.measures]

    return one_thread_seconds(pair) * max(1.0, frames / n) / 2  # `pair` also does the two layers with themselves
