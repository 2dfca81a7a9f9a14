"""Recipes: each can be asked for as it stands, says what it costs and gives, and is of the size that it says."""

import re
import shlex
from pathlib import Path

import pytest

from otoscope import ReferenceRecogniser, StudyConfig
from otoscope.asr import CharacterTokens
from otoscope.cli.app import app
from otoscope.corpora import SOURCES

RECIPES = sorted((Path(__file__).parents[1] / "recipes").glob("*.toml"))
RUN = {"an4"}  # the others are marked as not yet run


def header(path):
    """What the comment at the top says, by its first words."""
    text = path.read_text(encoding="utf-8").partition("\n\n")[0]
    found = re.findall(r"^# (Command|Machine|Time|Expected|Weights): +(.+(?:\n# {8,}.+)*)", text, flags=re.MULTILINE)
    return {name: [line.strip("# ") for line in told.splitlines()] for name, told in found}


def tokens(count):
    """So many: what they are does not matter to the number of weights."""
    return CharacterTokens.of(["".join(chr(0x4E00 + i) for i in range(count - 1))])


def test_there_is_one_for_each_corpus():
    assert {path.stem for path in RECIPES} == {"an4", "mini-librispeech", "librispeech-100", "librispeech-960"}


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_a_recipe_is_a_study_of_a_corpus_that_can_be_fetched(path):
    config = StudyConfig.read(path)
    assert config.corpus == path.stem
    assert config.corpus in SOURCES
    parts = {Path(archive.url).name.removesuffix(".tar.gz") for archive in SOURCES[config.corpus].archives}
    assert set(config.parts) <= parts
    if config.parts:
        assert {part.partition("-")[0] for part in config.parts} == {"train", "dev", "test"}
    assert StudyConfig.of(**config.model_dump()) == config


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_a_recipe_says_command_machine_time_and_scores(path):
    told = header(path)
    assert list(told) == ["Command", "Machine", "Time", "Expected", "Weights"]
    assert "dev" in told["Expected"][0]
    assert "test" in told["Expected"][0]
    fetch, train = told["Command"]
    assert shlex.split(fetch) == ["otoscope", "corpus", "fetch", path.stem]
    assert f"recipes/{path.name}" in train
    for command in (fetch, train):
        _, _, arguments = command.partition("otoscope ")
        app.parse_args(shlex.split(arguments), exit_on_error=False, print_error=False)
    marked = "NOT YET RUN" in path.read_text(encoding="utf-8").splitlines()[0]
    assert marked == (path.stem not in RUN) == told["Expected"][0].startswith("not yet run")


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_a_recipe_is_of_the_size_that_it_says(path):
    weights, _, count = header(path)["Weights"][0].partition("; ")
    count = int(count.removesuffix(" tokens"))
    built = {}
    for name, asked in StudyConfig.read(path).recognisers.items():
        assert asked.pieces in (None, count)
        built[name] = ReferenceRecogniser(asked.model(), tokens(count), decoder=asked.attention()).parameters
    assert weights == ", ".join(f"{name} {parameters}" for name, parameters in built.items())
