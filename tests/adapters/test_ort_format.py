"""onnxruntime's own format: what is read computes what onnxruntime computes of the file itself."""

import sys

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import helper

from otoscope import load
from otoscope.adapters.onnx import OnnxRecogniser, every_node, initialisers, load_onnx, read_ort
from otoscope.adapters.onnx.order import in_order
from otoscope.capture import Speech
from otoscope.corpora import read_audio
from otoscope.errors import CaptureError
from tests.adapters.graphs import FLOAT, Drawn
from tests.weights import pretrained  # noqa: F401

CPU = ["CPUExecutionProvider"]


def as_ort(model, path, level=onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC):
    """The model as onnxruntime itself writes it in its own format."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = level
    options.optimized_model_filepath = str(path)
    options.add_session_config_entry("session.save_model_format", "ORT")
    onnxruntime.InferenceSession(model.SerializeToString(), options, providers=CPU)
    return path


def run(source, feeds):
    return onnxruntime.InferenceSession(source, providers=CPU).run(None, feeds)


def branching() -> Drawn:
    """An If whose branches use what lies around them, strings, lists and tensors as attributes, a scalar input."""
    g = Drawn([("audio", FLOAT, ("batch", "samples")), ("scale", FLOAT, ())])
    branches = []
    for k in range(2):
        inner = Drawn([], seed=k + 1)
        y = inner.node("MatMul", "features", inner.weight(8, 8, name=f"w{k}"))
        branches.append(inner.model(inner.node("Mul", y, "scale")).graph)
    g.nodes.append(helper.make_node("Identity", [g.front()], ["features"]))
    loud = g.node("Greater", g.node("ReduceSum", "audio", keepdims=0), "scale")
    x = g.node("If", loud, then_branch=branches[0], else_branch=branches[1])
    x = g.node("Transpose", x, perm=[1, 0, 2])
    weights = g.weight(1, 16, 8), g.weight(1, 16, 4)
    x = g.node("LSTM", x, *weights, hidden_size=4, activations=["Sigmoid", "Tanh", "Relu"])
    shape = g.node("Shape", x)
    ones = g.node("ConstantOfShape", shape, value=helper.make_tensor("one", FLOAT, [1], [1.0]))
    g.nodes.append(helper.make_node("Add", [x, ones], ["sum"]))
    return g


@pytest.mark.parametrize("level", ["ORT_DISABLE_ALL", "ORT_ENABLE_BASIC", "ORT_ENABLE_EXTENDED"])
def test_graphs_with_branches_come_back_the_same(level, tmp_path):
    model = branching().model("sum")
    path = as_ort(model, tmp_path / "g.ort", getattr(onnxruntime.GraphOptimizationLevel, level))
    read = read_ort(path)
    random = np.random.default_rng(0)
    for sign in (1, -1):  # each takes another branch
        audio = (sign * np.abs(random.standard_normal((1, 2_000)))).astype(np.float32)
        feeds = {"audio": audio, "scale": np.array(0.5, np.float32)}
        (expected,) = run(str(path), feeds)
        np.testing.assert_allclose(run(read.SerializeToString(), feeds)[0], expected, rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(run(model.SerializeToString(), feeds)[0], expected, rtol=1e-4, atol=1e-5)


def test_weights_and_nodes_inside_of_branches_are_seen(tmp_path):
    drawn = branching()
    read = read_ort(as_ort(drawn.model("sum"), tmp_path / "g.ort"))
    expected = onnx.numpy_helper.to_array(
        next(a.g.initializer[0] for n in drawn.nodes for a in n.attribute if a.name == "else_branch")
    )
    np.testing.assert_array_equal(initialisers(read.graph)["w1"], expected)
    assert [node.op_type for node in every_node(read.graph)].count("MatMul") == 2


def test_layers_of_an_ort_file_are_those_of_its_onnx_file(tmp_path):
    g = Drawn()
    x = g.front()
    for k in range(2):
        x = g.residual(x, name=f"/layers.{k}")
    path = g.saved(tmp_path / "g.onnx", x)
    converted = load_onnx(as_ort(g.model(x), tmp_path / "g.ort"))
    original = load_onnx(path)
    assert converted.layers() == original.layers()
    one = [Speech(np.random.default_rng(0).standard_normal(8_000).astype(np.float32))]
    for name in ("layers.0", "layers.1"):
        seen = [r.outputs(r.prepare(one), [name])[name].numpy() for r in (converted, original)]
        np.testing.assert_allclose(*seen, atol=1e-5)


def test_moonshines_encoder_equals_onnxruntimes_own_run(pretrained, corpora_root):  # noqa: F811
    path = pretrained("moonshine-base") / "encoder_model.ort"
    utterance = next(u for u in load(corpora_root / "librispeech-mini") if u.split == "test")
    feeds = {"input_values": read_audio(utterance)[None]}
    (expected,) = run(str(path), feeds)
    recogniser = OnnxRecogniser(path, layers=["last_hidden_state"])
    batch = recogniser.prepare([Speech(feeds["input_values"][0])])
    seen = recogniser.outputs(batch, ["last_hidden_state"])["last_hidden_state"].numpy()
    np.testing.assert_allclose(seen, expected, atol=1e-4)
    assert np.abs(expected).max() > 1


def test_moonshines_decoder_equals_onnxruntimes_own_run_in_both_branches(pretrained):  # noqa: F811
    path = pretrained("moonshine-base") / "decoder_model_merged.ort"
    own = onnxruntime.InferenceSession(str(path), providers=CPU)
    read = onnxruntime.InferenceSession(read_ort(path).SerializeToString(), providers=CPU)
    assert [(i.name, i.type, i.shape) for i in read.get_inputs()] == [
        (i.name, i.type, i.shape) for i in own.get_inputs()
    ]
    random = np.random.default_rng(0)
    kinds = {"tensor(float)": np.float32, "tensor(int64)": np.int64, "tensor(bool)": np.bool_}
    for cached in (False, True):
        feeds = {}
        for given in own.get_inputs():
            # A batch of one; 7 encoder frames; as many steps in the past, of which there are none at first.
            steps = {"decoder_sequence_length": 1, "past_decoder_sequence_length": 3 if cached else 0}
            shape = [n if isinstance(n, int) else 1 if n == "batch_size" else steps.get(n, 7) for n in given.shape]
            feeds[given.name] = random.standard_normal(shape).astype(kinds[given.type])
        feeds["input_ids"][:] = 1
        feeds["use_cache_branch"] = np.array([cached])
        first = [session.run(["logits"], feeds)[0] for session in (own, read)]
        np.testing.assert_allclose(*first, atol=1e-3)


def test_a_truncated_file_is_refused(pretrained, tmp_path):  # noqa: F811
    whole = (pretrained("moonshine-base") / "encoder_model.ort").read_bytes()
    for size in (9, 1_000, len(whole) // 2, len(whole) - 2_000):
        (tmp_path / "cut.ort").write_bytes(whole[:size])
        with pytest.raises(CaptureError, match=r"cut\.ort is damaged|onnxruntime cannot run"):
            load_onnx(tmp_path / "cut.ort")


def test_another_file_is_refused(tmp_path):
    path = tmp_path / "g.ort"
    for content in (b"", b"ORTM", b"\x80\x04 a pickle, not a graph", Drawn().model().SerializeToString()):
        path.write_bytes(content)
        with pytest.raises(CaptureError, match=r"g\.ort is no \.ort file"):
            read_ort(path)
    with pytest.raises(CaptureError, match=r"there\.ort cannot be read \(No such file"):
        read_ort(tmp_path / "not" / "there.ort")


def test_an_absent_package_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "flatbuffers", None)
    with pytest.raises(CaptureError, match="need the package flatbuffers"):
        read_ort(tmp_path / "g.ort")


def test_nodes_that_wait_for_one_another_are_told():
    nodes = [helper.make_node("Add", ["a", "x"], ["b"]), helper.make_node("Add", ["b", "x"], ["a"])]
    with pytest.raises(ValueError, match="wait for one another"):
        in_order(nodes)
