"""Statistics of attention maps against maps that the library gives, and against maps that are known."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from otoscope import CaptureError
from otoscope.adapters.huggingface import HuggingFaceRecogniser, attention_statistics
from tests.adapters.huggingface_small import LAYERS, SMALL, speech


def recogniser_of(name, folder):
    model, extractor, tokeniser = SMALL[name].build(folder)
    with torch.no_grad():  # sharper maps than those of weights near zero
        for key, weight in model.named_parameters():
            if key.endswith((".q_proj.weight", ".k_proj.weight", ".linear_q.weight", ".linear_k.weight")):
                weight.mul_(20)
    return HuggingFaceRecogniser(model, feature_extractor=extractor, tokeniser=tokeniser)


def expected(maps, frames, stride):
    """By the definitions, frame by frame, in numpy."""
    rows = []
    for head in range(len(maps)):
        entropy, distance, diagonal, outside = [], [], [], []
        for i in range(frames):
            inside = maps[head, i, :frames].astype(np.float64)
            p = inside / inside.sum()
            entropy.append(-(p[p > 0] * np.log(p[p > 0])).sum())
            distance.append(sum(p[j] * abs(i - j) for j in range(frames)) * stride)
            diagonal.append(p[max(0, i - 1) : i + 2].sum())
            outside.append(max(0.0, 1 - inside.sum()))
        rows.append([np.mean(x) for x in (entropy, entropy / np.log(frames), distance, diagonal, outside)])
    return np.array(rows)


COLUMNS = ["entropy", "entropy_share", "distance", "diagonal", "outside"]


@pytest.mark.parametrize("name", [name for name in SMALL if name != "wavlm"])
def test_statistics_are_those_of_the_librarys_maps(name, tmp_path):
    recogniser = recogniser_of(name, tmp_path)
    (one,) = speech(9_200)
    found = attention_statistics(recogniser, [one])
    structure = recogniser.structure
    assert list(found["layer"]) == [block for block in structure.blocks for _ in range(2)]
    assert list(found["head"]) == [0, 1] * LAYERS
    recogniser.module.set_attn_implementation("eager")
    features = recogniser.feature_extractor(one.audio, sampling_rate=16_000, return_tensors="pt")
    encoder = recogniser.module.get_submodule(structure.encoder)
    with torch.inference_mode():
        maps = encoder(**features, output_attentions=True).attentions
    layer = recogniser.layers()[-1]
    frames = layer.frames([9_200], recogniser.frame_shift)[0]
    assert set(found["frames"]) == {frames}
    for block, own in zip(structure.blocks, maps[:LAYERS], strict=True):
        rows = found[found["layer"] == block][COLUMNS].to_numpy()
        np.testing.assert_allclose(rows, expected(own[0].numpy(), frames, layer.stride), atol=2e-6)
    assert (found["outside"].max() > 0.1) == (name == "whisper"), "only Whisper's frames see padding"


def test_each_head_of_wavlm_has_a_map_of_its_own(tmp_path):
    """The library hands out the mean over heads under each head's name; the heads differ, and their mean is that."""
    recogniser = recogniser_of("wavlm", tmp_path)
    (one,) = speech(9_200)
    found = attention_statistics(recogniser, [one]).set_index(["layer", "head"])
    features = recogniser.feature_extractor(one.audio, sampling_rate=16_000, return_tensors="pt")
    with torch.inference_mode(), pytest.warns(UserWarning, match="mismatched key_padding_mask"):
        maps = recogniser.module(**features, output_attentions=True).attentions
    for block, own in zip(recogniser.structure.blocks, maps, strict=True):
        assert torch.equal(own[:, 0], own[:, 1]), "no more reason for taking heads apart ourselves"
        heads = found.loc[block]
        assert abs(heads["distance"][0] - heads["distance"][1]) > 1e-4
        # Linear in the map: the mean over heads is that of the mean map. Entropy is not.
        mean = expected(own[0, :1].numpy(), own.shape[-1], 0.02)[0]
        np.testing.assert_allclose(heads["distance"].mean(), mean[2], atol=2e-6)
        np.testing.assert_allclose(heads["diagonal"].mean(), mean[3], atol=2e-6)
        assert heads["entropy"].mean() < mean[0]


def test_several_utterances_are_weighed_by_their_frames(tmp_path):
    recogniser = recogniser_of("wav2vec2-layer-norm", tmp_path)
    some = speech(18_001, 9_200)
    together = attention_statistics(recogniser, some)
    alone = [attention_statistics(recogniser, [one]) for one in some]
    frames = [own["frames"][0] for own in alone]
    assert together["frames"][0] == sum(frames)
    mean = sum(own[COLUMNS].to_numpy() * n for own, n in zip(alone, frames, strict=True)) / sum(frames)
    np.testing.assert_allclose(together[COLUMNS].to_numpy(), mean, atol=2e-6)


def test_even_attention_reads_as_what_it_is(tmp_path):
    """With queries of zero every frame is looked at evenly: entropy log(frames), the rest follows by counting."""
    model, extractor, _ = SMALL["wav2vec2"].build(tmp_path)
    with torch.no_grad():
        for key, weight in model.named_parameters():
            if ".q_proj." in key:
                weight.zero_()
    recogniser = HuggingFaceRecogniser(model, feature_extractor=extractor)
    found = attention_statistics(recogniser, speech(9_200))
    n = found["frames"][0]
    places = np.arange(n)
    apart = np.abs(places[:, None] - places)
    for column, value in {
        "entropy": math.log(n),
        "entropy_share": 1.0,
        "distance": apart.mean() * 0.02,
        "diagonal": (apart <= 1).mean(),
        "outside": 0.0,
    }.items():
        np.testing.assert_allclose(found[column], value, atol=1e-5)


@pytest.mark.parametrize("name", ["whisper", "wav2vec2", "seamless_m4t"])
def test_the_model_is_left_as_it_was(name, tmp_path):
    recogniser = recogniser_of(name, tmp_path)
    parts = [part for part in recogniser.module.modules() if hasattr(part, "set_attn_implementation")]
    before = [part.config._attn_implementation for part in parts]
    assert "sdpa" in before
    hooks = sum(len(part._forward_hooks) for part in recogniser.module.modules())
    batch, names = recogniser.prepare(speech(9_200)), [recogniser.structure.blocks[-1]]
    outputs = recogniser.outputs(batch, names)
    attention_statistics(recogniser, speech(9_200))
    assert [part.config._attn_implementation for part in parts] == before
    assert sum(len(part._forward_hooks) for part in recogniser.module.modules()) == hooks
    assert torch.equal(recogniser.outputs(batch, names)[names[0]], outputs[names[0]])


def test_blocks_without_attention_are_refused(tmp_path):
    recogniser = recogniser_of("hubert", tmp_path)

    class NoMap(nn.Module):
        def forward(self, hidden_states, **_):
            return hidden_states, None

    recogniser.module.encoder.layers[1].attention = NoMap()
    with pytest.raises(CaptureError, match=r"the attention of encoder\.layers\.1 gave no weights"):
        attention_statistics(recogniser, speech(9_200))
