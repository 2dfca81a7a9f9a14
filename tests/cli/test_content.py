"""`otoscope content` on real speech: tables, JSON that says it all, files, and options that are refused."""

import json
import re
from pathlib import Path

import pandas as pd
import pytest
import torch
import xarray as xr
from cyclopts import App
from praatio.data_classes.interval_tier import IntervalTier
from praatio.data_classes.textgrid import Textgrid

from otoscope import CorpusError, ReferenceRecogniser, StudyError, load
from otoscope.asr import CharacterTokens
from otoscope.asr.models import CnnConfig
from otoscope.cli.content import content
from tests.speech import lay_out_subset

READING = "--labels phones position --methods probe cka --frames 900 --utterances 40"


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    for seed, name in enumerate(("trained", "untrained")):
        torch.manual_seed(seed)
        ReferenceRecogniser(CnnConfig(blocks=1, units=16), CharacterTokens.of(["AB"])).save(
            folder / f"{name}.safetensors"
        )
    return folder


@pytest.fixture
def run(capsys):
    app = App(name="otoscope")
    app.command(content)

    def command(line):
        app(f"content {line}", exit_on_error=False, print_error=False, result_action="return_value")
        return capsys.readouterr()

    return command


def test_a_table_for_each_label(run, models, corpora_root):
    told = run(
        f"{models}/trained.safetensors --corpus {corpora_root}/an4 --untrained {models}/untrained.safetensors {READING}"
    )
    assert "40 utterances of 10 speakers, frames every 40 ms" in told.out
    phones, position = told.out.split("\n\n")[1:]
    assert re.match(r"phones: \d+ frames, 10 speakers, \d+ classes \(always the most frequent: 0\.\d+\), ", phones)
    assert re.search(r"\d+ frames without a label left out", phones)
    assert "probe (accuracy)" in phones
    assert "probe (R²)" in position
    assert [line.split()[0] for line in phones.splitlines()[2:]] == ["input", "subsample", "blocks.0"]
    assert re.search(r"blocks\.0 +0\.\d{3} \[0\.\d{3}, 0\.\d{3}\] 0\.\d{3} / 0\.\d{3}", phones)
    assert "reading layers: " in told.err


def test_json_and_files_say_the_same(run, models, corpora_root, tmp_path):
    line = f"{models}/trained.safetensors --corpus {corpora_root}/an4 {READING} --json --out"
    found = json.loads(run(f"{line} {tmp_path}/content.nc").out)
    rows = found["content"]
    assert len(rows) == 3 * 2 * 2
    assert {row["untrained"] for row in rows} == {None}
    assert found["class_names"]["phones"]
    assert found["versions"]["torch"]
    dataset = xr.load_dataset(tmp_path / "content.nc", engine="h5netcdf")
    run(f"{line} {tmp_path}/content.csv")
    table = pd.read_csv(tmp_path / "content.csv")
    for i, row in enumerate(rows):
        where = {axis: row[axis] for axis in ("layer", "label", "method")}
        assert dataset["value"].sel(where).item() == row["value"]
        assert table["value"][i] == pytest.approx(row["value"])


def test_alignments_from_textgrids_stand_in_for_those_that_a_corpus_lacks(run, models, corpora_root, tmp_path):
    bare = lay_out_subset(corpora_root / "an4", tmp_path / "bare", train=3, test=40)
    line = f"{models}/trained.safetensors --corpus {bare} {READING} --json"
    with pytest.raises(StudyError, match="read from alignments"):
        run(line)
    with pytest.raises(CorpusError, match="no folder"):
        run(f"{line} --alignments {tmp_path}/none")
    aligned = {u.id: u for u in load(corpora_root / "an4")}
    (tmp_path / "grids").mkdir()
    chosen = load(bare).split("test").utterances
    for utterance in chosen[1:]:
        own = aligned[utterance.id]
        grid = Textgrid()
        for name, intervals in (("words", own.words), ("phones", own.phones)):
            end = max(own.duration, intervals[-1].end)
            grid.addTier(IntervalTier(name, [(i.start, i.end, i.label) for i in intervals], 0, end))
        grid.save(str(tmp_path / "grids" / f"{utterance.id}.TextGrid"), "short_textgrid", True)
    from_grids = json.loads(run(f"{line} --alignments {tmp_path}/grids").out)
    assert from_grids["left_out"] == [f"{chosen[0].id}: no times of phones"]
    assert from_grids["utterances"] == 39
    assert from_grids["content"][0]["rows"] > 300


def test_options_that_cannot_be_are_refused_before_a_model_is_loaded(run):
    with pytest.raises(StudyError, match=r"--out is found.txt; expected a file that ends in .nc or .csv"):
        run("none.safetensors --out found.txt")
    with pytest.raises(StudyError, match="--out is "):
        run(f"none.safetensors --out {Path('no/such/folder/found.nc')}")
    with pytest.raises(StudyError, match="no label named 'vowels'"):
        run("none.safetensors --labels vowels")
    with pytest.raises(StudyError, match="no method named 'svm'"):
        run("none.safetensors --methods svm")
