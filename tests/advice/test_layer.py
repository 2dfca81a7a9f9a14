"""Advice on layers: each half of the speakers chooses for the other, and a probe says what the choice is worth."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from cyclopts import App

from otoscope import ReferenceRecogniser, StudyError, advise_layer, content, load
from otoscope.advice.layer import _halves
from otoscope.asr import CharacterTokens
from otoscope.asr.models import CnnConfig
from otoscope.cli import advise
from otoscope.study.looking import spread

LABELS = ("phones", "position")


@pytest.fixture(scope="module")
def corpus(corpora_root):
    return load(corpora_root / "an4").split("test")


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    made = ReferenceRecogniser(CnnConfig(blocks=3, units=24), CharacterTokens.of(["ABC"]))
    made.module.eval()
    return made


@pytest.fixture(scope="module")
def found(model, corpus):
    return advise_layer(model, corpus=corpus, labels=LABELS, utterances=60, chosen_by=("cka", "probe"))


def test_each_half_chooses_for_the_other(found, model, corpus):
    chosen = corpus.keep(spread(corpus.utterances, 60))
    halves = _halves({u.id: u.speaker for u in chosen}, {u.id: u.duration for u in chosen})
    read = [
        content(
            model,
            corpus=chosen.keep([u for u in chosen if u.speaker in half]),
            labels=LABELS,
            methods=("probe", "cka"),
            utterances=60,
        )["value"]
        for half in halves
    ]
    layers = read[0]["layer"].values[1:]  # without the input
    for choice in found.choices:
        probed = [one.sel({"label": choice.label, "method": "probe"}) for one in read]
        by = [one.sel({"label": choice.label, "method": choice.chosen_by}) for one in read]
        best = [layers[int(np.argmax(one.values[1:]))] for one in by]
        assert choice.layers == tuple(best)
        there = [probed[1].sel(layer=best[0]).item(), probed[0].sel(layer=best[1]).item()]
        last = [probed[1].values[-1], probed[0].values[-1]]
        assert choice.value == pytest.approx(np.mean(there))
        assert choice.gain == pytest.approx(np.subtract(there, last))
        assert choice.best == pytest.approx(np.mean([one.values[1:].max() for one in probed]))
        assert choice.input == pytest.approx(np.mean([one.values[0] for one in probed]))
        assert choice.value <= choice.best
    assert [(c.label, c.chosen_by) for c in found.choices] == [(x, y) for x in LABELS for y in ("cka", "probe")]
    assert found.best("phones").chosen_by == "probe"


def test_halves_have_other_speakers_and_about_as_much_speech():
    speakers = {f"u{i}": f"s{i % 7}" for i in range(40)}
    seconds = {u: 1.0 + int(u[1:]) % 3 for u in speakers}
    a, b = _halves(speakers, seconds)
    assert a.isdisjoint(b)
    assert a | b == set(speakers.values())
    spoken = [sum(seconds[u] for u, s in speakers.items() if s in half) for half in (a, b)]
    assert abs(spoken[0] - spoken[1]) <= 0.2 * sum(spoken)


def test_values_are_plain(found):
    told = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert {row["half"] for row in told["table"]} == {1, 2}
    assert told["choices"][0]["label"] == "phones"
    assert told["speakers"] == 10


def test_what_is_asked_wrongly_is_an_error(model, corpus, found):
    with pytest.raises(StudyError, match="layers are chosen by cca-held-out, cka, probe; got svcca"):
        advise_layer(model, corpus=corpus, chosen_by=("svcca",))
    three = {u.speaker for u in corpus}
    few = corpus.keep([u for u in corpus if u.speaker in sorted(three)[:3]])
    with pytest.raises(StudyError, match="which takes at least 4; there are 3 in"):
        advise_layer(model, corpus=few)
    with pytest.raises(
        StudyError, match="there is no layer for 'words' by 'probe'; there are choices for phones by cka"
    ):
        found.best("words")


def test_on_the_command_line(model, corpora_root, tmp_path, capsys):
    model.save(tmp_path / "model.safetensors")
    app = App(name="otoscope")
    app.command(advise.app)

    def run(*line):
        start = ["advise", "layer", str(tmp_path / "model.safetensors"), "--corpus", str(corpora_root / "an4")]
        app([*start, *line], exit_on_error=False, print_error=False, result_action="return_value")
        return capsys.readouterr().out

    common = ("--utterances", "40", "--labels", "position", "--chosen-by", "probe", "--layers", "blocks.*")
    told = json.loads(run(*common, "--json"))
    assert [choice["label"] for choice in told["choices"]] == ["position"]
    assert {row["layer"] for row in told["table"]} == {"input", "blocks.0", "blocks.1", "blocks.2"}
    text = run(*common)
    assert f"position           probe         {told['choices'][0]['value']:7.3f}" in text
