"""How the layers of somebody else's recogniser changed while it trained: a series of checkpoints, compared."""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import xarray as xr

from otoscope.adapters.series import CheckpointSeries
from otoscope.adapters.trainer_log import trainer_logs
from otoscope.asr import FRAME_SHIFT_SECONDS
from otoscope.capture import (
    SAMPLE_RATE_HZ,
    Clusters,
    Recogniser,
    Seconds,
    Speech,
    TokenGrid,
    Tokenises,
    common_grid,
    gather,
)
from otoscope.corpora import Corpus, Utterance, read_audio
from otoscope.errors import StudyError
from otoscope.study.clusters import clusters_of
from otoscope.study.folder import StudyFolder
from otoscope.study.held import Held, HeldCheckpoints
from otoscope.study.kept import Keys, keep, left_of, read_about, read_unit
from otoscope.study.looking import prepared, spread
from otoscope.study.manifest import host, versions
from otoscope.study.measuring import REVISION, compare_kinds, probe_batches
from otoscope.study.needs import LEVEL, SAMPLES, needs_of, on_grid
from otoscope.study.preparation import Progress
from otoscope.study.results import Results
from otoscope.study.rows import CheckpointRow, LayerRow
from otoscope.study.units import Checkpoint, Unit, by_role, looked_at, plan_units, wanted_of

__all__ = ["measure_series"]

NAME_LENGTH = 40
"""Of a run, since the files of comparisons are named by three of them, within 255 bytes."""


def measure_series(
    series: CheckpointSeries,
    *,
    corpus: Corpus,
    measures: Sequence[str] = ("cka",),
    layers: Sequence[str] | None = None,
    decoder: bool = False,
    utterances: int = 100,
    samples: int = SAMPLES,
    intervals: bool = False,
    out: Path | str | None = None,
    progress: Progress | None = None,
) -> xr.Dataset:
    """Layer × layer at each checkpoint, and each layer against itself at the final and at the previous one.

    The same comparisons, in the same form, as of a run of a study: at the first and the final checkpoint, layers are
    also compared with utterances shuffled, which is what no similarity looks like. At most three checkpoints are in
    memory at a time, and the series' `base` where that is a recogniser.

    Arguments:
        series: the checkpoints, see `otoscope.series`.
        corpus: the speech that layers are compared on.
        measures: names of registered measures.
        layers: names or globs (default: one layer a block).
        decoder: whether the default are blocks of the decoder, compared token by token under the transcripts.
        utterances: at most so many, spread over the corpus.
        samples: measures that need frames see whole utterances of at most so many frames, spread over these.
        intervals: whether to add 95 % intervals, by a jackknife over blocks of speakers.
        out: a folder for `results.nc`, and for each finished comparison: called again with the same, what is there is
            not done again.
        progress: called with what is being done, how many utterances are done, and how many there are to do.

    Returns:
        A Dataset in the form of a study's `results.nc`, of one run with the series' name; `Results(dataset)` gives
        matrices and curves. Epochs, losses and error rates are those that transformers' Trainer logged. The attribute
        `series` says in JSON where the steps were taken from (`told_by`), what was `skipped`, the `base` that weights
        were laid into, and `notes` on what was done to their names and how error rates were read.

    Raises:
        StudyError: no speech, fewer than two utterances, or too little for `samples` or intervals; checkpoints whose
            layers differ; a folder that holds a study or is in use.
        CaptureError: a checkpoint that cannot be read, or does not fit the base; layers that are not there.
        MeasureError: an unknown measure.
    """
    speech = _Heard.of(corpus, utterances)
    clusters = clusters_of(speech.speakers, speech.seconds) if intervals else None
    run = series.name[:NAME_LENGTH]
    checkpoints = [Checkpoint(run, c.step, Path(c.place)) for c in series.checkpoints]
    planned = plan_units({run: checkpoints}, measures, samples=samples)
    units = sorted(planned, key=lambda unit: unit.checkpoints[0].step)  # so that each checkpoint is loaded once
    held = HeldCheckpoints(series, layers, decoder=decoder)
    with _folder(out) as place:
        for i, unit in enumerate(units):
            show = partial(_show, progress, i * len(speech.ids), len(units) * len(speech.ids))
            _run(unit, held, speech, clusters, place.measured, show)
            show(len(speech.ids))
        results = _results(series, units, place.measured, corpus, speech, clusters)
        if out is not None:
            results.save(place.results)
    return results.dataset


@dataclass(frozen=True)
class _Heard:
    """The speech that checkpoints are compared on: all of it has been read once."""

    utterances: Mapping[str, Utterance]
    seconds: Mapping[str, float]
    hash: str

    @classmethod
    def of(cls, corpus: Corpus, count: int) -> _Heard:
        chosen = spread(corpus.utterances, max(1, count))
        if len(chosen) < 2:
            raise StudyError(
                f"checkpoints are compared on at least 2 utterances, and {len(chosen)} of the {len(corpus)} in the "
                f"corpus {corpus.name!r} were asked for: take more, or another split"
            )
        digest, seconds = hashlib.sha256(), {}
        for u in chosen:
            audio = read_audio(u)
            seconds[u.id] = len(audio) / SAMPLE_RATE_HZ
            digest.update(json.dumps([u.id, u.text, u.speaker]).encode() + audio.tobytes())
        return cls({u.id: u for u in chosen}, seconds, digest.hexdigest())

    @property
    def ids(self) -> list[str]:
        return list(self.utterances)

    @property
    def speakers(self) -> dict[str, str]:
        return {u.id: u.speaker for u in self.utterances.values()}

    def read(self, batch: Sequence[str]) -> list[Speech]:
        return [Speech(read_audio(self.utterances[u]), self.utterances[u].text) for u in batch]


@contextlib.contextmanager
def _folder(out: Path | str | None) -> Iterator[StudyFolder]:
    """The folder for what is finished, held for this process; a temporary one where none is asked for."""
    if out is None:
        with tempfile.TemporaryDirectory() as folder:
            yield StudyFolder(Path(folder))
        return
    place = StudyFolder(Path(out))
    if place.config.exists():
        raise StudyError(f"{place.path} holds a study, whose results would be replaced: choose another folder")
    with place.locked():
        yield place


def _show(progress: Progress | None, before: int, total: int, done: int) -> None:
    if progress is not None:
        progress("comparing checkpoints", before + done, total)


def _run(
    unit: Unit,
    held: HeldCheckpoints,
    speech: _Heard,
    clusters: Clusters | None,
    folder: Path,
    show: Callable[[int], None],
) -> None:
    """Does what is left of one unit of work, and adds it to its file."""
    clusters = None if unit.kind == "shuffled" else clusters
    keys = _keys(unit, held, speech, clusters)
    for part in left_of(unit, folder, keys):
        _look(part, keys, held, speech, clusters, folder, show)


def _look(
    unit: Unit,
    keys: Keys,
    held: HeldCheckpoints,
    speech: _Heard,
    clusters: Clusters | None,
    folder: Path,
    show: Callable[[int], None],
) -> None:
    """One pass over the speech."""
    roles = {role: checkpoint.step for role, checkpoint in looked_at(unit).items()}
    models = held.get(set(roles.values()))
    recognisers = {role: models[step].recogniser for role, step in roles.items()}
    layers = {role: models[step].layers for role, step in roles.items()}
    wanted = list(wanted_of(unit, layers))
    pairs = [(x, y) for _, x, y in wanted]
    every = [layer for own in layers.values() for layer in own]
    over_tokens = any(layer.over == "tokens" for layer in every)
    stride = common_grid(every)
    grid: Seconds | TokenGrid = "token" if over_tokens else stride
    steps = _tokens(recognisers, speech) if over_tokens else on_grid(speech.seconds, stride)
    needs = needs_of(unit.measures, pairs, steps, grid=grid, samples=unit.samples)
    batches = probe_batches({u: max(1, round(s / FRAME_SHIFT_SECONDS)) for u, s in speech.seconds.items()})
    gathered = gather(
        recognisers,
        (prepared(recognisers, speech.read(batch), inputs=needs["inputs"]) for batch in batches),
        batches,
        layers=layers,
        grid=grid,
        shuffled=unit.kind == "shuffled",
        clusters=clusters,
        progress=show,
        **needs,
    )
    now: Held = models[unit.checkpoints[0].step]
    about = {"layers": [[layer.name, layer.units, layer.stride, layer.kind] for layer in now.layers], "note": now.note}
    keep(unit, folder, keys, compare_kinds(unit, gathered, wanted, math.nan if over_tokens else stride), about)


def _keys(unit: Unit, held: HeldCheckpoints, speech: _Heard, clusters: Clusters | None) -> Keys:
    """By kind and measure a hash of everything the numbers depend on."""
    chosen = [held.settings, held.patterns, held.decoder]
    blocks = [] if clusters is None else [[u, clusters.of[u], clusters.blocks[clusters.of[u]]] for u in speech.ids]
    steps = [c.step for c in looked_at(unit).values()]
    prints = dict(zip(steps, held.fingerprints(steps), strict=True))  # of all at once: some are loaded for it
    keys = {}
    for kind in unit.kinds:
        weights = [prints[c.step] for c in by_role(replace(unit, kinds=(kind,))).values()]
        for m in unit.measures:
            samples = unit.samples if m.source == "samples" else None
            parts = [REVISION, kind, m.name, weights, chosen, speech.hash, samples, blocks]
            keys[kind, m.name] = hashlib.sha256(json.dumps(parts).encode()).hexdigest()
    return keys


def _tokens(recognisers: Mapping[str, Recogniser], speech: _Heard) -> dict[str, int]:
    """Utterance → its tokens and the end, as far as the recogniser tells."""
    recogniser = next(iter(recognisers.values()))
    assert isinstance(recogniser, Tokenises)  # it has layers over tokens
    return {u: len(recogniser.tokenise(utterance.text)) + 1 for u, utterance in speech.utterances.items()}


def _results(
    series: CheckpointSeries,
    units: Sequence[Unit],
    folder: Path,
    corpus: Corpus,
    speech: _Heard,
    clusters: Clusters | None,
) -> Results:
    run = units[0].checkpoints[0].run
    measured = [read_unit(unit, folder) for unit in units]
    final = read_about(units[-1], folder)
    notes = dict.fromkeys(str(read_about(unit, folder)["note"]) for unit in units)
    logged = trainer_logs([Path(c.place) for c in series.checkpoints])
    results = Results.from_rows(
        [c for m in measured for c in m.comparisons],
        [CheckpointRow(run, c.step, **told) for c, told in zip(series.checkpoints, logged.of, strict=True)],
        [LayerRow(run, *row) for row in final["layers"]],
        measures=[m.name for m in units[0].measures],
        refusals=[r for m in measured for r in m.refusals],
        no_intervals=[r for m in measured for r in m.no_intervals],
        intervals=f"{100 * LEVEL:.0f} %, jackknife over blocks of {clusters.kind}" if clusters else "",
        sample_frames=measured[0].sampled[0],
        sample_utterances=measured[0].sampled[1],
        title=f"The training of {series.name}",
        frames=measured[0].frames,
        utterances=measured[0].utterances,
        grid=measured[0].grid,
        corpus=corpus.name,
        corpus_hash=speech.hash,
        probe_split=" + ".join(corpus.splits),
        host=host()["machine"],
        versions=versions(),
    )
    about = {"told_by": series.told_by, "skipped": series.skipped, "base": series.base}
    results.dataset.attrs["series"] = json.dumps(
        {**about, "notes": [n for n in (*notes, logged.note) if n]}, ensure_ascii=False
    )
    return results
