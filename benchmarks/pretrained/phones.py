"""What each layer tells of phones: held-out CCA with phone labels, and a linear probe on other speakers."""

from __future__ import annotations

import warnings

import torch
from benchmarks.pretrained.figures import curves
from benchmarks.pretrained.models import MODELS, corpus
from benchmarks.pretrained.records import Record, Records, paragraph
from benchmarks.pretrained.speech import CLASSES, Frames, frames_of, numbered
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from torch import Tensor

from otoscope.corpora import Utterance
from otoscope.measures import held_out_cca
from otoscope.study.looking import spread

TRAIN, TEST = 64, 24
EVERY = 2
"""Neighbouring frames tell nearly the same: of those with a phone, one of so many is used."""
ITERATIONS = 60
STRENGTH = 0.01
"""scikit-learn's C: a penalty of ½‖w‖² beside C × the sum of the frames' losses."""


def run(models: list[str], utterances: int | None, records: Records) -> list[str]:
    """Both curves of each model; where the best layer is no better than the first."""
    wrong = []
    train, test = parts(utterances)
    for model in models:
        with records.kept("phones", model) as record:
            recogniser = MODELS[model].load()
            record |= curve(*(frames_of(recogniser, part, every=EVERY) for part in (train, test)))
            record |= {"utterances": [len(train), len(test)], "blocks": [x.name for x in recogniser.layers()]}
        for what in ("cca", "accuracy"):
            if max(record[what]) <= record[what][0]:
                wrong.append(f"{model}: {what} with phones does not rise above the first layer's")
        write(records)
    return wrong


def parts(utterances: int | None) -> tuple[list[Utterance], list[Utterance]]:
    """Utterances to train probes on, and others to test them on, of other speakers."""
    speech = corpus()
    train, test = (min(count, utterances or count) for count in (TRAIN, TEST))
    held_out = [u for u in speech if u.split != "train"]
    return spread(speech.split("train").utterances, train), spread(held_out, test)


def curve(train: Frames, test: Frames) -> Record:
    """Layer by layer, from input to output."""
    layers = list(train.views)
    return {
        "layers": layers,
        "cca": [cca_with_phones(train, test, layer) for layer in layers],
        "accuracy": [probe(train, test, layer) for layer in layers],
        "most_frequent": float((test.phones == train.phones.mode().values).double().mean()),
        "frames": [len(train.phones), len(test.phones)],
        "speakers": [len(set(train.speakers)), len(set(test.speakers))],
    }


def cca_with_phones(train: Frames, test: Frames, layer: str) -> float:
    """Mean held-out canonical correlation of a layer with the phones, one of 39 directions each; folds of speakers."""
    x = torch.cat([train.views[layer], test.views[layer]])
    labels = torch.cat([train.phones, test.phones])
    present = labels.unique()
    one_hot = (labels[:, None] == present).float()
    speakers = numbered([*train.speakers, *test.speakers])
    return held_out_cca(x, one_hot, utterances=speakers, folds=5).value


def probe(train: Frames, test: Frames, layer: str) -> float:
    """Accuracy of multinomial logistic regression, fitted to some speakers' frames, on the frames of others."""
    x, mean, deviation = standardised(train.views[layer])
    model = LogisticRegression(C=STRENGTH, max_iter=ITERATIONS, tol=1e-3)
    with warnings.catch_warnings():
        # Whether the last digit has settled is of no account here.
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(x.numpy(), train.phones.numpy())
    return float(model.score(((test.views[layer] - mean) / deviation).numpy(), test.phones.numpy()))


def standardised(x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    mean, deviation = x.mean(0), x.std(0)
    deviation = torch.where(deviation > 0, deviation, 1.0)
    return (x - mean) / deviation, mean, deviation


def write(records: Records) -> None:
    found = records.of("phones", list(MODELS))
    first = next(iter(found.values()))
    text = f"""
    Frames are labelled with the phone at their centre ({len(CLASSES)} ARPABET phones of the corpus's forced alignments;
    silence is left out; every second frame). Probes are multinomial logistic regressions on standardised units
    ({ITERATIONS} steps of L-BFGS, C = {STRENGTH}), fitted to {first["utterances"][0]} utterances of
    {first["speakers"][0]} speakers of the train split and tested on {first["utterances"][1]} utterances of
    {first["speakers"][1]} others (dev and test). CCA is held out: directions found in four fifths of the speakers,
    correlated in the others; the mean over all phone directions, 0 for unrelated layers. What is meant: both rise with
    depth, for a recogniser makes phones easier to tell apart. Pasad et al. 2021 found that they fall again in the last
    layers of some models.
    """
    lines = [
        *paragraph(text),
        "",
        "![Phones by depth](phones.svg)",
        "",
        "| recogniser | frames, train and test | CCA: first layer | highest | last | probe: first layer | highest | "
        "last | most frequent phone |",
        "|---|---|---|---|---|---|---|---|---|",
        *(_summary(model, record) for model, record in found.items()),
    ]
    for model, record in found.items():
        lines += ["", f"## {MODELS[model].what}", "", "| layer | held-out CCA with phones | probe accuracy |"]
        lines += ["|---|---|---|"]
        rows = zip(record["layers"], record["cca"], record["accuracy"], strict=True)
        lines += [f"| {layer} | {cca:.3f} | {accuracy:.1%} |" for layer, cca, accuracy in rows]
    curves(records.folder / "phones.svg", found)
    records.page("phones", "Phones by depth in pretrained recognisers", found, lines)


def _summary(model: str, record: Record) -> str:
    cells = []
    for what, form in (("cca", "{:.3f}"), ("accuracy", "{:.1%}")):
        values = record[what]
        best = values.index(max(values))
        cells += [form.format(values[0]), f"{form.format(values[best])} at {record['layers'][best]}"]
        cells += [form.format(values[-1])]
    frames = " and ".join(f"{n:,}" for n in record["frames"])
    return f"| {MODELS[model].what} | {frames} | {' | '.join(cells)} | {record['most_frequent']:.1%} |"
