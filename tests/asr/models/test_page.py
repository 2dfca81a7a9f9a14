"""The numbers and settings of docs/recognisers.md are those of the code."""

import dataclasses
import re
from pathlib import Path

import pytest

from otoscope.asr import ARCHITECTURES, CharacterTokens, ReferenceRecogniser
from otoscope.asr import models as configs
from otoscope.asr.models import DECODERS

PAGE = (Path(__file__).parents[3] / "docs" / "recognisers.md").read_text(encoding="utf-8")
TOKENS = CharacterTokens.of([" ABCDEFGHIJKLMNOPQRSTUVWXYZ"])
ROWS = re.findall(r"^\| `(\w+Config\(.*?\))` \| ([\d ]+) \|$", PAGE, flags=re.MULTILINE)


def weights(asked):
    config = eval(asked, vars(configs))
    if "Decoder" in asked:
        plain = configs.TransformerConfig(units=192)
        with_decoder = ReferenceRecogniser(plain, TOKENS, decoder=config)
        return with_decoder.parameters - ReferenceRecogniser(plain, TOKENS).parameters
    return ReferenceRecogniser(config, TOKENS).parameters


@pytest.mark.parametrize(("asked", "said"), ROWS, ids=[row[0] for row in ROWS])
def test_the_weights_are_those_of_the_page(asked, said):
    assert f"{weights(asked):,}".replace(",", " ") == said


def test_every_setting_is_on_the_page():
    assert len(ROWS) == 10
    kinds = [kind.config for kind in (*ARCHITECTURES.values(), *DECODERS.values())]
    names = {field.name for kind in kinds for field in dataclasses.fields(kind)}
    assert [name for name in sorted(names) if f"`{name}`" not in PAGE] == []
