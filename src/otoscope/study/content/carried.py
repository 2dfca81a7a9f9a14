"""What each layer of a recogniser carries: labels read off its layers, on any speech, without a study."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import xarray as xr

from otoscope.asr.batching import batches_by_length
from otoscope.capture import INPUT, Layer, Recogniser, Speech, view_name
from otoscope.corpora import Corpus, Utterance, read_audio
from otoscope.errors import CaptureError, StudyError
from otoscope.study.content.label import Label, Parted
from otoscope.study.content.labels import labels_of
from otoscope.study.content.methods import check_methods
from otoscope.study.content.reading import FRAMES, Asking, Key, Read, read_layers
from otoscope.study.content.score import Score
from otoscope.study.looking import Model, chosen_layers, costs, hearable, loaded, name_of, prepared, source_of, spread
from otoscope.study.manifest import versions
from otoscope.study.measuring import BATCH_FRAMES
from otoscope.study.needs import LEVEL

__all__ = ["DEFAULT_LABELS", "DEFAULT_METHODS", "aligned", "content"]

DEFAULT_LABELS = ("log-mel", "phones", "words")
DEFAULT_METHODS = ("probe", "cca-held-out", "cka")

MODEL, UNTRAINED = "x", "untrained"


def content(
    model: Model,
    *,
    corpus: Corpus,
    labels: Sequence[str] = DEFAULT_LABELS,
    layers: Sequence[str] | None = None,
    utterances: int = 300,
    methods: Sequence[str] = DEFAULT_METHODS,
    untrained: Model | None = None,
    by: Parted = "speaker",
    frames: int = FRAMES,
    seed: int = 0,
    progress: Callable[[str, int, int], None] | None = None,
) -> xr.Dataset:
    """What each layer of a recogniser carries: how well phones, words, the speaker, … can be read off it.

    Every label is read off speech of speakers that nothing was fitted to, layer by layer, and off the log-mel
    features themselves (the layer `input`): what a layer says beyond these, the network has added. Definitions are
    in docs/content.md.

    Arguments:
        model: a recogniser, or its name or path, see `load_recogniser`.
        corpus: speech, with alignments where labels need them (see `with_alignments`).
        labels: "log-mel", "phones", "words", "speaker", "position", "relative-position", "duration" (of the phone),
            "word-duration".
        layers: names or globs (default: one layer a block of the encoder).
        utterances: at most so many, spread over the corpus.
        methods: "probe" (accuracy of multinomial logistic regression for classes, R² of ridge regression for
            numbers), "cca-held-out", "cka" (across utterances), "cka-debiased".
        untrained: the same recogniser before training, such as a study's first checkpoint: a baseline.
        by: what folds keep together, "speaker" or "utterance". The speaker is always read by utterance.
        frames: so many at most, every k-th of each utterance, for labels of frames.
        seed: of the shuffling.
        progress: called with what is being done, how much is done and how much there is.

    Returns:
        A Dataset with the dimensions `layer` × `label` × `method` and the variables `value`, `low` and `high` (95 %,
        over blocks of the speech that is tested), `chance` (always the most frequent class; 0 for numbers and
        similarities), `shuffled` (the same with labels of other utterances) and `untrained` (NaN where none is given).
        xarray takes the methods' dimension as `found.sel({"method": "probe"})`, since `method=` means something else.
        Coordinates along `label` are `kind`, `unit`, `rows`, `groups` and `grouped` (what folds keep together, and how
        many there are) and `classes`. Attributes: `model`, `untrained`, `corpus`, `splits`, `versions` (JSON), `grid`
        in seconds, `utterances`, `speakers`, `frames` and `words` that were read, `left_out` (utterances, and why),
        `rows_left_out` and `class_names` (JSON, by label), `notes` (what was refused or read in another way).

    Raises:
        StudyError: an unknown label or method; a corpus without alignments, or with too few speakers or classes; layers
            of a decoder; an untrained recogniser with other layers.
        CaptureError: a model that cannot be loaded; layers that are not there.

    Source: Pasad, Chou & Livescu 2021 (arXiv 2107.04734); Belinkov & Glass 2019; Hewitt & Liang 2019 (baselines).

    >>> import torch
    >>> from otoscope import ReferenceRecogniser, default_corpus
    >>> from otoscope.asr import CharacterTokens
    >>> from otoscope.asr.models import CnnConfig
    >>> model = ReferenceRecogniser(CnnConfig(blocks=1, units=8), CharacterTokens.of(["ABC"]))
    >>> speech = default_corpus(train_minutes=0.1, dev_minutes=0.1, test_minutes=0.4).split("test")
    >>> found = content(model, corpus=speech, labels=["position"], methods=["probe"])
    >>> found["value"].dims, found["layer"].values.tolist()
    (('layer', 'label', 'method'), ['input', 'subsample', 'blocks.0'])
    """
    check_methods(methods)
    asking = Asking(tuple(labels_of(labels)), tuple(methods), by, frames, seed)
    if utterances < 1 or frames < 1:
        raise StudyError(
            f"reading takes at least 1 utterance and 1 frame, got utterances={utterances}, frames={frames}"
        )
    heard, without = aligned(spread(corpus.utterances, utterances), asking.labels, corpus.name)
    models = {MODEL: model, **({UNTRAINED: untrained} if untrained is not None else {})}
    recognisers = {role: loaded(one) for role, one in models.items()}
    chosen = _layers(recognisers, layers)
    speech, unfit = hearable(heard, recognisers, chosen)
    if not speech:
        raise StudyError(f"no utterance of the corpus {corpus.name!r} can be read: {unfit[0]}")
    by_id = {u.id: u for u in speech}
    together = batches_by_length(costs(speech, recognisers.values()), frames=BATCH_FRAMES)
    found = read_layers(
        recognisers,
        chosen,
        [[by_id[u] for u in batch] for batch in together],
        lambda batch: prepared(recognisers, [Speech(read_audio(u), "") for u in batch], inputs=True),
        asking,
        shuffled=[INPUT, *(view_name(MODEL, layer.name) for layer in chosen[MODEL])],
        progress=progress,
    )
    about = {
        "model": source_of(recognisers[MODEL]),
        "untrained": source_of(recognisers[UNTRAINED]) if untrained is not None else "",
        "corpus": corpus.name,
        "splits": sorted({u.split for u in speech if u.split}),
        "versions": json.dumps(versions()),
        "level": LEVEL,
        "grid": max(layer.stride for layer in chosen[MODEL]),
        "utterances": len(speech),
        "speakers": len({u.speaker for u in speech}),
        "left_out": [*without, *unfit],
    }
    return _dataset(found, [layer.name for layer in chosen[MODEL]], asking).assign_attrs(about)


def aligned(speech: Sequence[Utterance], labels: Sequence[Label], corpus: str) -> tuple[list[Utterance], list[str]]:
    """The utterances with the alignments that the labels need, and those without, each with what it lacks.

    Raises StudyError where none is left.
    """
    if not speech:
        raise StudyError(f"the corpus {corpus!r} has no utterance to read labels on: check --split")
    needed = {label.aligned: label.name for label in labels if label.aligned}
    kept, left_out = [], []
    for utterance in speech:
        lacking = [what for what in needed if not getattr(utterance, what)]
        if lacking:
            left_out.append(f"{utterance.id}: no times of {' and '.join(lacking)}")
        else:
            kept.append(utterance)
    if not kept:
        what = {what for what in needed if not any(getattr(u, what) for u in speech)}
        label = next((name for what_, name in needed.items() if what_ in what), next(iter(needed.values())))
        raise StudyError(
            f"{label} is read from alignments, and no utterance of the corpus {corpus!r} has times of "
            f"{' and '.join(sorted(what or needed))}: the tsv layout brings them (alignments.tsv.gz), the default "
            "corpus has them, and with_alignments (on the command line --alignments) adds a folder of TextGrids"
        )
    return kept, left_out


def _layers(recognisers: Mapping[str, Recogniser], patterns: Sequence[str] | None) -> dict[str, list[Layer]]:
    """The layers of the recogniser, and the same of the untrained one."""
    own = chosen_layers({MODEL: recognisers[MODEL]}, patterns, decoder=False)[MODEL]
    if over_tokens := [layer.name for layer in own if layer.over == "tokens"]:
        raise StudyError(
            f"{over_tokens[0]} runs over tokens, and labels are read off frames, at times in the speech: choose layers "
            "of the encoder"
        )
    if UNTRAINED not in recognisers:
        return {MODEL: own}
    before, names = recognisers[UNTRAINED], [layer.name for layer in own]
    try:
        there = chosen_layers({UNTRAINED: before}, names, decoder=False)
    except CaptureError as error:
        raise StudyError(
            f"the untrained recogniser is a baseline by its layers of the same names, and "
            f"{name_of(before)} has not all of them: {error}"
        ) from error
    return {MODEL: own, **there}


def _dataset(found: Read, names: Sequence[str], asking: Asking) -> xr.Dataset:
    layers = [INPUT, *names]
    views = [INPUT, *(view_name(MODEL, name) for name in names)]
    before = [INPUT, *(view_name(UNTRAINED, name) for name in names)]
    labels = [label.name for label in asking.labels]
    tables = {
        "value": _table(found.scores, views, asking, lambda s: s.value),
        "low": _table(found.scores, views, asking, lambda s: s.low),
        "high": _table(found.scores, views, asking, lambda s: s.high),
        "chance": _table(found.scores, views, asking, lambda s: s.chance),
        "shuffled": _table(found.shuffled, views, asking, lambda s: s.value),
        "untrained": _table(found.scores, before, asking, lambda s: s.value),
    }
    if not any(view.startswith(f"{UNTRAINED}:") for view, _, _ in found.scores):
        tables["untrained"] = np.full_like(tables["untrained"], math.nan)
    targets = [found.targets[name] for name in labels]
    axes = ("layer", "label", "method")
    dataset = xr.Dataset(
        {name: (axes, table) for name, table in tables.items()},
        coords={
            "layer": layers,
            "label": labels,
            "method": list(asking.methods),
            "kind": ("label", [t.label.kind for t in targets]),
            "unit": ("label", [t.label.unit for t in targets]),
            "rows": ("label", [len(t.rows) for t in targets]),
            "groups": ("label", [t.group_count for t in targets]),
            "grouped": ("label", [t.grouped for t in targets]),
            "classes": ("label", [len(t.classes) for t in targets]),
        },
    )
    of = {unit: [len(t.rows) for t in targets if t.label.unit == unit] for unit in ("frame", "word")}
    notes = [
        f"{layer}, {label}, {method}: {found.scores[view, label, method].note}"
        for layer, view in zip(layers, views, strict=True)
        for label in labels
        for method in asking.methods
        if found.scores[view, label, method].note
    ]
    return dataset.assign_attrs(
        frames=max(of["frame"], default=0),
        words=max(of["word"], default=0),
        rows_left_out=json.dumps({name: dict(found.targets[name].left_out) for name in labels}),
        class_names=json.dumps({t.label.name: t.class_counts() for t in targets if t.classes}, ensure_ascii=False),
        notes=notes,
    )


def _table(
    scores: Mapping[Key, Score], views: Sequence[str], asking: Asking, part: Callable[[Score], float]
) -> np.typing.NDArray[np.float64]:
    none = Score(math.nan, chance=math.nan)
    return np.array(
        [
            [
                [part(scores.get((view, label.name, method), none)) for method in asking.methods]
                for label in asking.labels
            ]
            for view in views
        ]
    )
