"""Recognisers without some of their blocks: what went into a block is what it hands on; saved and loaded again."""

from __future__ import annotations

import pytest
import torch
import transformers
from torch import nn

from otoscope import CaptureError, ReferenceRecogniser, load_recogniser
from otoscope.adapters.huggingface import HuggingFaceRecogniser
from otoscope.advice.prune.states import States
from otoscope.asr import CharacterTokens
from otoscope.asr.models import CnnConfig, ConformerConfig, LstmConfig, TransformerConfig
from otoscope.capture import Prunes, Speech
from tests.adapters.huggingface_small import LAYERS, SMALL, speech

SIZES = {"units": 24, "heads": 2, "feed_forward": 32}
CONFIGS = {
    "cnn": CnnConfig(blocks=5, units=16, kernel=5),
    "lstm": LstmConfig(blocks=4, units=12),
    "one-way": LstmConfig(blocks=4, units=12, bidirectional=False),
    "transformer": TransformerConfig(blocks=5, **SIZES),
    "conformer": ConformerConfig(blocks=5, **SIZES, kernel=5),
    "conditioned": TransformerConfig(blocks=6, **SIZES, intermediate_ctc=(1, 3), self_conditioning=True),
}
FAMILIES = [name for name in SMALL if name != "seamless_m4t_v2"]


class HandsOn(nn.Module):
    """In the place of a block: its input, in the form of the block's output."""

    def __init__(self, block):
        super().__init__()
        self.block = block

    def forward(self, x, *given, **named):
        made = self.block(x, *given, **named)
        return (x, *made[1:]) if isinstance(made, tuple) else x


def reference(name):
    torch.manual_seed(0)
    return ReferenceRecogniser(CONFIGS[name], CharacterTokens.of(["ABC"]))


def of_transformers(name, folder):
    model, extractor, tokeniser = SMALL[name].build(folder)
    return HuggingFaceRecogniser(model, feature_extractor=extractor, tokeniser=tokeniser)


def last_of(recogniser, some):
    layer = recogniser.layers()[-1].name
    recogniser.module.eval()
    with torch.inference_mode():
        return recogniser.outputs(recogniser.prepare(some), [layer])[layer]


def handed_on(recogniser, blocks):
    """The recogniser itself with blocks that run and do nothing."""
    for name in blocks:
        parent, _, own = name.rpartition(".")
        holder = recogniser.module.get_submodule(parent)
        holder[int(own)] = HandsOn(holder[int(own)])
    return recogniser


@pytest.mark.parametrize("name", [n for n in CONFIGS if n != "conditioned"])
def test_a_reference_recogniser_hands_on_what_went_into_a_block(name):
    some = speech(16_000, 9_000)
    out = ["blocks.1", "blocks.3"]
    smaller = reference(name).without(out)
    assert smaller.config.blocks == reference(name).config.blocks - 2
    expected = handed_on(reference(name), out)
    torch.testing.assert_close(last_of(smaller, some), last_of(expected, some))
    assert smaller.transcribe(some) == expected.transcribe(some)


def test_predictions_on_the_way_move_to_the_block_before():
    assert reference("conditioned").without(["blocks.3"]).config.intermediate_ctc == (1, 2)
    assert reference("conditioned").without(["blocks.0", "blocks.1"]).config.intermediate_ctc == (1,)
    both = reference("conditioned").without(["blocks.2", "blocks.3"])
    assert both.config.intermediate_ctc == (1,)
    assert both.module.conditioning is not None
    gone = reference("conditioned").without(["blocks.0", "blocks.1", "blocks.4", "blocks.5", "blocks.2"])
    assert (gone.config.intermediate_ctc, gone.config.self_conditioning) == ((), False)
    some = speech(16_000)
    whole = reference("conditioned")
    torch.testing.assert_close(
        last_of(whole.without(["blocks.4"]), some), last_of(handed_on(reference("conditioned"), ["blocks.4"]), some)
    )


@pytest.mark.parametrize("name", CONFIGS)
def test_a_smaller_reference_recogniser_is_saved_and_loaded(name, tmp_path):
    some = speech(16_000)
    smaller = reference(name).without(["blocks.2"])
    loaded = load_recogniser(smaller.write(tmp_path / "made" / name))
    torch.testing.assert_close(last_of(loaded, some), last_of(smaller, some))
    assert loaded.without([]).parameters == loaded.parameters == smaller.parameters


@pytest.mark.parametrize("name", FAMILIES)
def test_a_model_of_transformers_hands_on_what_went_into_a_block(name, tmp_path):
    whole = of_transformers(name, tmp_path)
    out = list(whole.blocks())[-2:]
    out = out[:1] if name == "wavlm" else out
    some = speech(18_001, 9_200)
    smaller = whole.without(out)
    assert len(smaller.blocks()) == LAYERS - len(out)
    assert len(whole.blocks()) == LAYERS  # which is left as it was
    expected = last_of(handed_on(of_transformers(name, tmp_path), out), some)
    torch.testing.assert_close(last_of(smaller, some), expected)
    shared = {p.data_ptr() for p in whole.module.parameters()}
    assert {p.data_ptr() for p in smaller.module.parameters()} < shared


@pytest.mark.parametrize("name", ["whisper", "moonshine", "wav2vec2", "wavlm", "parakeet", "speech_to_text"])
def test_transformers_loads_a_smaller_model(name, tmp_path):
    whole = of_transformers(name, tmp_path)
    smaller = whole.without([list(whole.blocks())[1]])
    folder = smaller.write(tmp_path / "smaller")
    loaded = getattr(transformers, type(whole.module).__name__).from_pretrained(folder)
    again = HuggingFaceRecogniser(
        loaded, feature_extractor=whole.feature_extractor, tokeniser=whole.tokeniser, source="again"
    )
    some = speech(18_001)
    torch.testing.assert_close(last_of(again, some), last_of(smaller, some))
    assert again.transcribe(some) == smaller.transcribe(some)
    if name != "speech_to_text":  # whose slow tokeniser is not read from a folder here
        assert load_recogniser(folder).transcribe(some) == smaller.transcribe(some)


@pytest.mark.parametrize(
    ("make", "blocks", "message"),
    [
        (lambda _: reference("cnn"), ["blocks.9"], "there is no block 'blocks.9' to leave out; there are blocks.0, "),
        (lambda _: reference("lstm"), ["blocks.0"], "blocks.0 cannot be left out: it takes the units of one direction"),
        (lambda _: reference("cnn"), [f"blocks.{i}" for i in range(5)], "all 5 blocks were to be left out; at least"),
        (
            lambda folder: of_transformers("wavlm", folder),
            ["wavlm.encoder.layers.0"],
            "layers.0 cannot be left out: it computes the positions that all others use",
        ),
    ],
)
def test_what_cannot_be_left_out_says_why(make, blocks, message, tmp_path):
    with pytest.raises(CaptureError, match=message):
        make(tmp_path).without(blocks)


@pytest.mark.parametrize("name", ["cnn", "transformer", "conditioned"])
def test_states_are_what_goes_into_blocks_and_what_comes_out(name):
    recogniser = reference(name)
    recogniser.module.eval()
    states, batch = States(recogniser), recogniser.prepare([Speech(one.audio) for one in speech(16_000, 9_000)])
    layers = [layer.name for layer in states.layers()]
    count = recogniser.config.blocks
    assert layers == [*(f"into blocks.{i}" for i in range(count)), "out"]
    with torch.inference_mode():
        seen = states.outputs(batch, layers)
        plain = recogniser.outputs(batch, ["subsample", *(f"blocks.{i}" for i in range(count))])
    assert isinstance(recogniser, Prunes)
    torch.testing.assert_close(seen["out"], plain[f"blocks.{count - 1}"])
    first = plain["subsample"].transpose(1, 2) if name == "cnn" else plain["subsample"]
    torch.testing.assert_close(seen["into blocks.0"], first)
    torch.testing.assert_close(seen["into blocks.1"], plain["blocks.0"])
    same = torch.allclose(seen["into blocks.2"], plain["blocks.1"])
    assert same == (name != "conditioned")  # with what block 1 predicts added


@pytest.mark.parametrize("name", ["whisper", "moonshine", "wav2vec2"])
def test_states_of_models_whose_utterances_run_one_by_one(name, tmp_path):
    recogniser = of_transformers(name, tmp_path)
    states, batch = States(recogniser), recogniser.prepare(speech(18_001, 9_200))
    layers = [layer.name for layer in states.layers()]
    seen = states.outputs(batch, layers)
    plain = recogniser.outputs(batch, list(recogniser.blocks()))
    assert seen[layers[0]].shape == seen["out"].shape
    torch.testing.assert_close(seen[layers[1]], plain[next(iter(recogniser.blocks()))])
