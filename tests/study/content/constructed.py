"""Layers and labels of which it is known what there is to read."""

from pathlib import Path

import numpy as np
import torch

from otoscope import Utterance
from otoscope.study.content.gathering import Rows
from otoscope.study.content.label import Label
from otoscope.study.content.target import target_of

SPEAKERS, EACH, FRAMES = 12, 5, 40


def correlated(units, *, phi, seed, length=FRAMES, total=SPEAKERS * EACH * FRAMES):
    """An AR(1) sequence for each unit and utterance: neighbouring frames are alike, utterances are independent."""
    random = np.random.default_rng(seed)
    x = np.empty((length, total // length, units))
    x[0] = random.standard_normal(x[0].shape)
    for t in range(1, length):
        x[t] = phi * x[t - 1] + np.sqrt(1 - phi**2) * random.standard_normal(x[0].shape)
    return x.transpose(1, 0, 2).reshape(total, units)


def utterances(speakers=SPEAKERS, each=EACH):
    return [
        Utterance(f"{s:02}-{i}", f"s{s:02}", Path("none.wav"), 1.0, "", "test")
        for s in range(speakers)
        for i in range(each)
    ]


def rows_of(view, values, *, speakers=SPEAKERS, each=EACH, frames=FRAMES, name="phones"):
    speech = utterances(speakers, each)
    index = torch.arange(len(speech)).repeat_interleave(frames)
    return Rows({"layer": torch.as_tensor(view).float()}, index, speech, {name: values})


def classes_label(**settings):
    return Label("phones", "", "classes", "frame", lambda _: [], least=5, **settings)


def numbers_label(**settings):
    return Label("phones", "", "numbers", "frame", lambda _: np.empty((0, 1)), **settings)


def classes(count=5, *, phi=0.9, seed=0, total=SPEAKERS * EACH * FRAMES):
    """Names that last for some frames, as phones do."""
    return [f"p{i}" for i in correlated(count, phi=phi, seed=seed, total=total).argmax(1)]


def target(values, *, numbers=False, **settings):
    label = numbers_label() if numbers else classes_label()
    values = np.asarray(values) if numbers else list(values)
    return target_of(label, rows_of(np.zeros((len(values), 1)), values), **settings)


def one_hot(names):
    order = sorted(set(names))
    return torch.eye(len(order))[[order.index(n) for n in names]]
