"""What a study will do, with sizes and an estimate of the time, before it does it: `otoscope study --dry-run`."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from otoscope.asr import (
    FRAME_SHIFT_SECONDS,
    MEL_BINS,
    ReferenceRecogniser,
    Tokens,
)
from otoscope.asr.schedule import checkpoint_steps
from otoscope.capture import Layer, view_name
from otoscope.corpora import Corpus, Utterance, draw_splits, load
from otoscope.errors import StudyError
from otoscope.measures import registry
from otoscope.measures.path import Path
from otoscope.study.config import MIN_PROBE, StudyConfig
from otoscope.study.cost import TIMED_SECONDS, step_seconds
from otoscope.study.counting import count_comparisons
from otoscope.study.pace import Pace, unit_seconds
from otoscope.study.preparation import GRID_SECONDS, tokens_of
from otoscope.study.probes import check_measures, draw_probes
from otoscope.study.recognisers import available_cores
from otoscope.study.watched import MOST_WATCHED
from otoscope.study.way import sums_bytes, way_to_sums

__all__ = ["Plan", "RunPlan", "plan_study"]

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

    Times in seconds; `comparisons` are pairs of layers, each by every measure, `by_kind` how many of each kind there
    are, and `by_question` how many each finding asks for, many of them asked for by others too: "matrices" are those of
    the report's figures, and the name of a further probe set stands for what is compared on it. `comparing_seconds` is
    the part of the time that they take. `watched_utterances` are those on which layers are compared during training, 0
    without a watch;
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
    by_kind: dict[str, int]
    by_question: dict[str, int]
    comparing_seconds: float
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
    runs, layers, paces = [], dict[str, list[Layer]](), dict[str, Pace]()
    longest, total, disk = 0.0, 0.0, 0
    for name, asked in config.recognisers.items():
        training = asked.train()
        recogniser = ReferenceRecogniser(asked.model(), tokens[name], decoder=asked.attention())
        layers[name] = list(recogniser.layers())
        steps = max(1, round(1.1 * train_seconds / training.batch_seconds)) * training.epochs  # a tenth is padding
        kept = len(checkpoint_steps(steps, training.checkpoints))
        timed = min(training.batch_seconds, TIMED_SECONDS)
        update, forward = (s * training.batch_seconds / timed for s in step_seconds(recogniser, timed))
        widest = max(layer.units for layer in layers[name])
        paces[name] = Pace.of(config, forward / training.batch_seconds, widest)
        runs.append(RunPlan(name, recogniser.parameters, steps, kept, len(layers[name]), widest, steps * update))
        disk += recogniser.parameters * 4 * (kept + 3)
        longest = max(longest, steps * update)
        total += steps * update * len(config.seeds)
    counted = count_comparisons(config, {run.recogniser: run.checkpoints for run in runs}, layers)
    lacking, spoken = _lacking(corpus, config, probe)
    comparing = 0.0
    for unit in counted.units:
        seconds, grid = spoken.get(unit.probe, (probe_seconds, 1))
        frames = round(seconds / grid / GRID_SECONDS)
        comparing += unit_seconds(unit, paces, layers, seconds=seconds, frames=frames)
    speeds = {s for r in config.recognisers.values() for s in r.train().speeds}
    features = (train_seconds * len(speeds) + corpus.duration - train_seconds) / FEATURES_PER_SECOND
    disk = disk * len(config.seeds) + round(features * FEATURES_PER_SECOND / FRAME_SHIFT_SECONDS) * MEL_BINS * 4
    way, moments_bytes = _sums(config, tokens, probe_frames)
    seeds = len(config.seeds)
    return Plan(
        corpus.name,
        hours,
        {s: len(corpus.split(s)) for s in corpus.splits},
        round(share * len(probe)),
        probe_frames,
        min(MOST_WATCHED, round(share * len(probe))) if config.watch else 0,
        tuple(runs),
        seeds,
        sum(counted.by_kind.values()),
        counted.by_kind,
        counted.by_question,
        comparing,
        None if way is None else way.name,
        "" if way is None else way.reason,
        moments_bytes,
        disk,
        workers,
        features + max(longest, total / workers) + comparing / workers,
        (*lacking, *_warnings(config, runs, probe_frames)),
    )


def _lacking(
    corpus: Corpus, config: StudyConfig, probe: Sequence[Utterance]
) -> tuple[list[str], dict[str, tuple[float, int]]]:
    """What a study would be refused for; seconds of each further probe set, and cells of the grid to a frame of it."""
    lacking = [split for split in ("train", "dev", "test") if not len(corpus.split(split))]
    lines = [f"the study will be refused: no utterance in {', '.join(lacking)}"] if lacking else []
    if len(probe) < MIN_PROBE:
        splits = ", ".join(config.probe.splits)
        lines.append(
            f"the study will be refused: {len(probe)} utterances in the probe's splits ({splits}), at least "
            f"{MIN_PROBE} are needed; name more splits in [probe]"
        )
        return lines, {}
    seconds = {u.id: u.duration for u in corpus}
    try:
        check_measures(config, probe, grid=GRID_SECONDS)
        further = draw_probes(corpus, config, grid=GRID_SECONDS)
    except StudyError as error:
        return [*lines, f"the study will be refused: {error}"], {}
    return lines, {name: (sum(seconds[u] for u in own.utterances), own.grid) for name, own in further.items()}


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
