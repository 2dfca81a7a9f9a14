"""ONNX recognisers: real weights, equal to onnxruntime's own runs, right lengths, transcripts."""

import csv
import gzip
import json
import re
from pathlib import Path

import jiwer
import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from otoscope import load, similarity
from otoscope.adapters.onnx import OnnxRecogniser, ctc_text, load_onnx
from otoscope.capture import Recogniser, Speech, to_frames, views_of
from otoscope.corpora import read_audio
from otoscope.errors import CaptureError
from tests.speech import lay_out_subset
from tests.weights import pretrained  # noqa: F401

PHONES = """
AA ɑ AE æ AH ə AO ɔ AW aʊ AY aɪ B b CH t͡ʃ D d DH ð EH ɛ ER ɝ EY eɪ F f G g HH h IH ɪ IY i JH d͡ʒ K k L l M m N n NG ŋ
OW oʊ OY ɔɪ P p R ɹ S s SH ʃ T t TH θ UH ʊ UW u V v W w Y j Z z ZH ʒ
"""
IPA = dict(zip(PHONES.split()[::2], PHONES.split()[1::2], strict=True))
"""The corpus's phones as hama writes them; stressed and unstressed AH are one, as in the alignments."""


@pytest.fixture(scope="module")
def spoken(corpora_root):
    """Twelve utterances of the test split of librispeech-mini with their phones."""
    folder = corpora_root / "librispeech-mini"
    utterances = [u for u in load(folder) if u.split == "test"][:12]
    phones: dict[str, list[str]] = {}
    with gzip.open(folder / "alignments.tsv.gz", "rt", encoding="utf-8") as file:
        for row in csv.DictReader(file, delimiter="\t"):
            phones.setdefault(row["utt_id"], []).append(row["phone"])
    return [(Speech(read_audio(u), u.text), [IPA[p] for p in phones[u.id] if p in IPA]) for u in utterances]


@pytest.fixture(scope="module")
def speech(spoken):
    return [one for one, _ in spoken[:4]]


@pytest.fixture(scope="module")
def hama(pretrained):  # noqa: F811
    folder = pretrained("hama")
    vocabulary = [*json.loads((folder / "g2p_vocab.json").read_text("utf-8"))["decoder"], "<wb>", "<blank>"]

    def decode(outputs):
        lengths = outputs["out_lengths"]
        return ctc_text(outputs["log_probs"], lengths, vocabulary, blank="<blank>", separator=" ", boundary="<wb>")[0]

    return OnnxRecogniser(folder / "asr_waveform_fp16.onnx", decode=decode)


@pytest.fixture(scope="module")
def moonshine(pretrained):  # noqa: F811
    return load_onnx(pretrained("moonshine-base") / "encoder_model.ort")


def all_outputs(recogniser, speech):
    layers = recogniser.layers()
    batch = recogniser.prepare(speech)
    return batch, layers, recogniser.outputs(batch, [layer.name for layer in layers])


def test_hamas_blocks_are_found_with_their_frames(hama):
    assert isinstance(hama, Recogniser)
    layers = hama.layers()
    blocks = [f"acoustic_model.backbone.{k}" for k in range(11)]
    blocks += [f"acoustic_model.export_attn_layers.{k}" for k in range(2)]
    assert [layer.name for layer in layers] == ["acoustic_model.stem", *blocks]
    assert {(layer.units, layer.stride, layer.window, layer.over) for layer in layers} == {(256, 0.02, 0.0, "frames")}
    assert hama.blocks_from == "the modules in the names of nodes"
    assert hama.left_out == {}


def test_layers_are_what_onnxruntime_computes(hama, speech):
    """Against a session made by hand, with the last node of three blocks among its outputs."""
    model = onnx.load(hama.source)
    tensors = {
        "acoustic_model.stem": "/acoustic_model/stem/stem.2/Mul_1_output_0",
        "acoustic_model.backbone.4": "/acoustic_model/backbone/backbone.4/Add_output_0",
        "acoustic_model.export_attn_layers.1": "/acoustic_model/export_attn_layers.1/Add_4_output_0",
    }
    model.graph.output.extend(onnx.helper.make_empty_tensor_value_info(tensor) for tensor in tensors.values())
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    audio = speech[0].audio
    feeds = {"waveform": audio[None], "waveform_lengths": np.array([len(audio)])}
    own = dict(zip(tensors, session.run(list(tensors.values()), feeds), strict=True))
    seen = hama.outputs(hama.prepare(speech[:1]), list(tensors))
    for name, expected in own.items():
        frames = expected[0] if "attn" in name else expected[0].T  # channels before frames in the convolutions
        np.testing.assert_allclose(seen[name][0], frames.astype(np.float32), atol=2e-2 * np.abs(frames).max())
        assert seen[name].dtype == torch.float32


@pytest.mark.parametrize("name", ["hama", "moonshine"])
def test_a_batch_of_different_lengths_equals_one_by_one(name, speech, request):
    recogniser = request.getfixturevalue(name)
    batch, layers, together = all_outputs(recogniser, speech)
    assert len(set(batch.lengths.tolist())) > 1
    for layer in layers:
        frames, lengths = to_frames(together[layer.name], layer, batch.lengths, recogniser.frame_shift)
        for part, one in zip(frames.split(lengths), speech, strict=True):
            alone = recogniser.prepare([one])
            own, _ = to_frames(
                recogniser.outputs(alone, [layer.name])[layer.name], layer, alone.lengths, recogniser.frame_shift
            )
            torch.testing.assert_close(part, own, rtol=0, atol=1e-3 * float(own.abs().max()))


def test_hama_hears_phones(hama, spoken):
    """13 % of the phones differ from the alignments, most of them one vowel for another."""
    heard = hama.transcribe([one for one, _ in spoken])
    wrong = jiwer.wer(
        [" ".join(phones) for _, phones in spoken],
        [text.replace("ʌ", "ə").replace("ɡ", "g").replace("r", "ɹ") for text in heard],
    )
    print(f"phone error rate of hama on {len(spoken)} utterances: {wrong:.1%}")
    assert wrong < 0.2


def test_moonshines_blocks_have_its_convolutions_stride_and_window(moonshine):
    layers = moonshine.layers()
    assert [layer.name for layer in layers[1:]] == [f"layers.{k}" for k in range(8)]
    # Kernels 127, 7, 3 with strides 64, 3, 2.
    assert {layer.units for layer in layers} == {416}
    assert {(layer.stride * 16_000, layer.window * 16_000) for layer in layers} == {(384, 127 + 6 * 64 + 2 * 192)}


def test_frames_are_counted_exactly_where_another_begins(moonshine):
    (layer,) = moonshine.find(["layers.0"])
    for samples in (895 + 384 * 20 - 1, 895 + 384 * 20, 895 + 384 * 21 - 1):
        batch = moonshine.prepare([Speech(np.zeros(samples, np.float32))])
        made = moonshine.outputs(batch, ["layers.0"])["layers.0"].shape[1]
        assert [made] == layer.frames([samples], moonshine.frame_shift)


def test_layers_are_found_by_module_node_and_tensor(hama, speech):
    module, node, tensor = (
        hama.find([pattern])
        for pattern in (
            "acoustic_model.backbone.3.*wise",
            "/acoustic_model/backbone/backbone.3/Add",
            "/acoustic_model/backbone/backbone.3/Add_output_0",
        )
    )
    assert [layer.name.rpartition(".")[2] for layer in module] == ["depthwise", "pointwise"]
    batch = hama.prepare(speech[:1])
    seen = [hama.outputs(batch, [name])[name] for name in ("acoustic_model.backbone.3", node[0].name, tensor[0].name)]
    assert torch.equal(seen[0], seen[1])
    assert torch.equal(seen[0], seen[2])


def test_strides_finer_than_the_blocks_are_found(hama):
    (filterbank,) = hama.find(["/Log_output_0"])
    assert (filterbank.units, filterbank.stride) == (80, 0.01)


def test_what_runs_over_something_else_is_named_and_left_out(hama):
    layers = hama.find(["/acoustic_model/export_attn_layers.0/M*"])
    assert "/acoustic_model/export_attn_layers.0/MatMul_2" in [layer.name for layer in layers]
    assert "attention maps" in hama.left_out["/acoustic_model/export_attn_layers.0/MatMul_1"]
    with pytest.raises(
        CaptureError, match=r"matches no layer that runs over frames .*se\.pool: none of its axes grows"
    ):
        hama.find(["acoustic_model.backbone.3.se.pool"])


def test_weights_of_a_block_are_counted(hama):
    model = onnx.load(hama.source)
    names = {
        tensor
        for node in model.graph.node
        if node.name.startswith("/acoustic_model/backbone/backbone.3/")
        for tensor in node.input
    }
    counted = sum(int(np.prod(w.dims)) for w in model.graph.initializer if w.name in names)
    assert hama.names.parameters("acoustic_model.backbone.3") == counted > 80_000


def test_the_tree_of_modules_is_shown(hama, speech):
    found = hama.discover(speech[0])
    assert found.default == tuple(layer.name for layer in hama.layers())
    assert found["acoustic_model.backbone.2.se.pool"].problem == "none of its axes grows with the audio"
    assert found["acoustic_model.backbone.2.depthwise"].kind == "Conv"
    (frames,) = found.layers()[0].frames([len(speech[0].audio)], hama.frame_shift)
    assert found["acoustic_model.stem"].shapes in [((1, frames, 256),), ((1, frames + 1, 256),)]  # it pads
    whole = onnx.load(hama.source).graph.initializer
    assert found.parameters == sum(int(np.prod(w.dims)) for w in whole if w.dims and w.data_type in (1, 10))
    # What a list has is what its members have, and a module's own and its parts' weights are its own in all.
    rows = [found[f"acoustic_model.backbone.{k}"] for k in range(11)]
    assert found["acoustic_model.backbone"].parameters == sum(row.parameters for row in rows)
    assert rows[0].own_parameters == 0
    lines = found.as_tree().splitlines()
    assert sum(line.startswith("*") for line in lines) == 5  # the stem, both lists' first blocks, those like them
    assert "like 0" in found.as_tree()


def test_the_tree_has_what_was_asked_for(hama, speech):
    found = hama.discover(speech[0], patterns=["acoustic_model.export_attn_layers.*"])
    assert [row.name for row in found.rows] == [f"acoustic_model.export_attn_layers.{k}" for k in range(2)]


def test_layers_of_a_graph_are_compared_with_intervals(hama, spoken):
    (views, lengths), *_ = views_of({"hama": hama}, [hama.prepare([one for one, _ in spoken])])
    found = similarity(views, measure="cka", utterances=lengths, intervals=0.95)
    values, low, high = found.values, found["cka_low"].values, found["cka_high"].values
    apart = np.abs(np.subtract.outer(range(len(values)), range(len(values))))
    assert values.shape == (14, 14)
    assert ((low <= values) & (values <= high))[apart > 0].all()
    assert values[apart == 1].mean() > values[apart > 6].mean() + 0.2


def test_the_example_on_the_page_runs(pretrained, corpora_root, tmp_path, monkeypatch, capsys):  # noqa: F811
    for file in pretrained("hama").iterdir():
        (tmp_path / file.name).symlink_to(file)
    lay_out_subset(corpora_root / "an4", tmp_path / "path" / "to" / "corpus", train=8, test=8)
    monkeypatch.chdir(tmp_path)
    page = (Path(__file__).parents[2] / "docs" / "adapters" / "onnx.md").read_text(encoding="utf-8")
    exec(compile(re.findall(r"^```py\n(.*?)^```", page, re.DOTALL | re.MULTILINE)[0], "onnx.md", "exec"), {})
    assert "acoustic_model.backbone.10" in capsys.readouterr().out
