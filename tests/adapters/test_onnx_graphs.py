"""Graphs of every naming, axis order and kind of input, drawn small; and what is refused."""

import sys

import numpy as np
import onnx
import pytest
import torch
from onnx import helper

from otoscope.adapters.onnx import OnnxRecogniser, load_onnx
from otoscope.capture import Layer, Speech
from otoscope.errors import CaptureError
from tests.adapters.graphs import FLOAT, FLOAT16, INT64, Drawn


def noise(samples: int, seed: int = 0) -> Speech:
    return Speech(np.random.default_rng(seed).normal(scale=0.1, size=samples).astype(np.float32))


def blocks(path):
    recogniser = load_onnx(path)
    return [layer.name for layer in recogniser.layers()], recogniser.blocks_from


# What blocks are told by


def test_blocks_by_the_names_of_nodes(tmp_path):
    g = Drawn()
    x = g.front()
    for k in range(3):
        x = g.residual(x, name=f"/encoder/layers/layers.{k}")
    path = g.saved(tmp_path / "g.onnx", g.node("Tanh", x, name="/encoder/Tanh"))
    names, told_by = blocks(path)
    assert names[1:] == ["encoder.layers.0", "encoder.layers.1", "encoder.layers.2"]
    assert told_by == "the modules in the names of nodes"


def test_blocks_by_the_scopes_that_the_newer_exporter_notes(tmp_path):
    g = Drawn()
    x = g.front()
    for k in range(2):
        module = f"encoder.layers.{k}"
        scopes = f"['', 'encoder', '{module}', '{module}.{{}}', 'linear_{k}']"
        y = g.node("MatMul", x, g.weight(8, 8), name=f"node_MatMul_{k}", scopes=scopes.format("fc1"))
        y = g.node("MatMul", y, g.weight(8, 8), name=f"node_MatMul_{k + 10}", scopes=scopes.format("fc2"))
        x = g.node("Add", x, y, name=f"node_add_{k}", scopes=f"['', 'encoder', '{module}', 'add_{k}']")
    path = g.saved(tmp_path / "g.onnx", x)
    assert blocks(path)[0][1:] == ["encoder.layers.0", "encoder.layers.1"]
    assert [layer.name for layer in load_onnx(path).find(["encoder.layers.*.fc1"])] == [
        "encoder.layers.0.fc1",
        "encoder.layers.1.fc1",
    ]


def test_blocks_by_the_names_of_weights_end_with_their_addition(tmp_path):
    g = Drawn()
    x, sums = g.front(), []
    for k in range(3):
        # A normalisation whose first nodes have no weights stands at the beginning of each block.
        centred = g.node("Sub", x, g.node("ReduceMean", x, axes=[-1]))
        y = g.node("Mul", centred, g.weight(8, name=f"encoder.{k}.norm.weight"))
        y = g.node("MatMul", y, g.weight(8, 8, name=f"encoder.{k}.fc1.weight"))
        y = g.node("MatMul", g.node("Tanh", y), g.weight(8, 8, name=f"encoder.{k}.fc2.weight"))
        x = g.node("Add", x, y)
        sums.append(x)
    recogniser = load_onnx(g.saved(tmp_path / "g.onnx", x))
    assert recogniser.blocks_from == "the names of weights"
    assert [(block.name, block.tensor) for block in recogniser.blocks[1:3]] == [
        ("encoder.0", sums[0]),
        ("encoder.1", sums[1]),
    ]


def test_blocks_by_residual_additions_that_repeat_by_twos(tmp_path):
    g = Drawn()
    x, sums = g.front(), []
    for _ in range(3):
        x = g.residual(x, products=3)
        x = g.residual(x, products=2)
        sums.append(x)
    recogniser = load_onnx(g.saved(tmp_path / "g.onnx", g.node("MatMul", x, g.weight(8, 5))))
    assert recogniser.blocks_from.startswith("residual additions")
    assert [(block.name, block.tensor) for block in recogniser.blocks] == [
        (f"block.{k}", tensor) for k, tensor in enumerate(sums)
    ]
    assert [recogniser.names.parameters(f"block.{k}") for k in (1, 2)] == [5 * 64, 5 * 64]


def test_blocks_by_operators_where_nothing_else_tells(tmp_path):
    g = Drawn()
    x = g.node("Tanh", g.node("MatMul", g.front(), g.weight(8, 6)))
    names, told_by = blocks(g.saved(tmp_path / "g.onnx", g.node("MatMul", x, g.weight(6, 5))))
    assert names == ["Conv.0", "MatMul.0", "MatMul.1"]
    assert told_by.startswith("operators with weights")


def test_recurrent_layers_are_blocks(tmp_path):
    g = Drawn()
    x = g.node("Transpose", g.front(), perm=[1, 0, 2])  # (frames, batch, units)
    for k in range(2):
        made = g.node(
            *("LSTM", x, g.weight(1, 16, 8 if k == 0 else 4), g.weight(1, 16, 4)), name=f"/rnn.{k}/LSTM", hidden_size=4
        )
        x = g.node("Squeeze", made, g.constant(np.array([1])), name=f"/rnn.{k}/Squeeze")
    recogniser = load_onnx(g.saved(tmp_path / "g.onnx", x))
    assert [(layer.name, layer.units) for layer in recogniser.layers()[1:]] == [("rnn.0", 4), ("rnn.1", 4)]


def test_nodes_out_of_order_are_put_in_order(tmp_path):
    g = Drawn()
    x = g.front()
    for k in range(2):
        x = g.residual(x, name=f"/layers.{k}")
    model = g.model(x)
    nodes = [*model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(nodes[::-1])
    onnx.save(model, tmp_path / "g.onnx")
    assert blocks(tmp_path / "g.onnx")[0][1:] == ["layers.0", "layers.1"]


# What comes out


@pytest.mark.parametrize("order", ["frames last", "frames last of four", "frames first", "without a batch", "four"])
def test_outputs_of_any_axis_order_are_frames_by_units(order, tmp_path):
    g = Drawn()
    wide = g.node("Unsqueeze", "audio", g.constant(np.array([1])))
    weight = g.weight(6, 1, 10)
    y = g.node("Conv", wide, weight, strides=[5])  # (batch, 6, frames)
    if order == "frames last of four":
        y = g.node("Reshape", y, g.constant(np.array([1, 2, 3, -1])))
    if order == "four":  # (batch, channels, frames, frequencies)
        y = g.node("Reshape", g.node("Transpose", y, perm=[0, 2, 1]), g.constant(np.array([1, -1, 2, 3])))
        y = g.node("Transpose", y, perm=[0, 2, 1, 3])
    if order == "frames first":
        y = g.node("Transpose", y, perm=[2, 0, 1])
    if order == "without a batch":
        y = g.node("Transpose", g.node("Squeeze", y, g.constant(np.array([0]))), perm=[1, 0])
    recogniser = OnnxRecogniser(g.saved(tmp_path / "g.onnx", y), layers=[y])
    (layer,) = recogniser.layers()
    assert (layer.units, round(layer.stride * 16_000), round(layer.window * 16_000)) == (6, 5, 10)
    one = noise(4003)
    kernel = torch.from_numpy(onnx.numpy_helper.to_array(next(c for c in g.constants if c.name == weight)).copy())
    expected = torch.conv1d(torch.from_numpy(one.audio)[None, None], kernel, stride=5)[0].T
    torch.testing.assert_close(recogniser.outputs(recogniser.prepare([one]), [y])[y][0], expected, atol=1e-5, rtol=1e-5)


def test_padding_of_a_batch_stays_zero_and_unseen(tmp_path):
    """The mean over time would see padding: each utterance runs alone."""
    g = Drawn()
    x = g.front()
    x = g.node("Sub", x, g.node("ReduceMean", x, axes=[1]))
    recogniser = OnnxRecogniser(g.saved(tmp_path / "g.onnx", x), layers=[x])
    speech = [noise(8_000, 1), noise(16_000, 2)]
    together = recogniser.outputs(recogniser.prepare(speech), [x])[x]
    alone = recogniser.outputs(recogniser.prepare(speech[:1]), [x])[x][0]
    assert torch.equal(together[0, : len(alone)], alone)
    assert not together[0, len(alone) :].any()


def test_padding_front_ends_have_no_window(tmp_path):
    g = Drawn()
    audio = g.node("Unsqueeze", "audio", g.constant(np.array([1])))
    x = g.node("Conv", audio, g.weight(4, 1, 5), strides=[4], pads=[2, 2])
    recogniser = OnnxRecogniser(g.saved(tmp_path / "g.onnx", x), layers=[x])
    (layer,) = recogniser.layers()
    assert (layer.window, layer.stride * 16_000) == (0.0, 4)
    made = recogniser.outputs(recogniser.prepare([noise(4001)]), [x])[x].shape[1]
    assert layer.frames([4001], recogniser.frame_shift) == [made]


def test_weights_in_another_file_are_found_beside_the_graph(tmp_path):
    g = Drawn()
    x = g.front()
    model = g.model(x)
    (tmp_path / "elsewhere").mkdir()
    path = tmp_path / "elsewhere" / "g.onnx"
    onnx.save(model, path, save_as_external_data=True, location="g.data", size_threshold=0)
    inside = g.saved(tmp_path / "g.onnx", x)
    one = noise(16_000)
    made = [r.outputs(r.prepare([one]), [x])[x] for r in (OnnxRecogniser(p, layers=[x]) for p in (path, inside))]
    assert torch.equal(*made)
    path.with_name("g.data").unlink()
    with pytest.raises(CaptureError, match=r"weights of .*g\.onnx that lie in another file cannot be read"):
        load_onnx(path)


# What goes in


def test_lengths_masks_and_rates_are_given(tmp_path):
    inputs = [
        ("input_values", FLOAT16, ("batch", "samples")),
        ("attention_mask", INT64, ("batch", "samples")),
        ("input_lengths", INT64, ("batch",)),
        ("sr", INT64, ()),
    ]
    g = Drawn(inputs)
    outputs = [g.node("Identity", name) for name, *_ in inputs]
    recogniser = OnnxRecogniser(g.saved(tmp_path / "g.onnx", *outputs), layers=[outputs[0]])
    batch = recogniser.prepare([noise(500)])
    (feeds,) = batch.inputs
    assert batch.lengths.tolist() == [500]
    assert {name: (x.dtype, x.shape) for name, x in feeds.items()} == {
        "input_values": (np.float16, (1, 500)),
        "attention_mask": (np.int64, (1, 500)),
        "input_lengths": (np.int64, (1,)),
        "sr": (np.int64, ()),
    }
    assert feeds["attention_mask"].all()
    assert (feeds["input_lengths"], feeds["sr"]) == ([500], 16_000)


def test_utterances_are_normalised_where_the_preprocessor_says_so(tmp_path):
    g = Drawn([("input_values", FLOAT, ("batch", "samples"))])
    path = g.saved(tmp_path / "g.onnx", g.front())
    (tmp_path / "preprocessor_config.json").write_text('{"do_normalize": true, "sampling_rate": 16000}')
    (feeds,) = load_onnx(path).prepare([Speech(noise(9_000).audio * 3 + 1)]).inputs
    assert feeds["input_values"].mean() == pytest.approx(0, abs=1e-5)
    assert feeds["input_values"].var() == pytest.approx(1, abs=1e-3)
    (tmp_path / "preprocessor_config.json").write_text('{"sampling_rate": 8000}')
    with pytest.raises(CaptureError, match="asks for audio at 8000 Hz"):
        load_onnx(path)


def test_features_are_made_by_the_users_function(tmp_path):
    g = Drawn([("features", FLOAT, ("batch", "frames", 40)), ("features_length", INT64, ("batch",))])
    x = g.node("MatMul", "features", g.weight(40, 8))
    for k in range(2):
        x = g.residual(x, name=f"/layers.{k}")
    path = g.saved(tmp_path / "g.onnx", x, g.node("Identity", "features_length"))
    with pytest.raises(CaptureError, match=r"no input of it looks like audio.*features float32 \(any, any, 40\)"):
        load_onnx(path)

    def prepare(samples):
        frames = np.lib.stride_tricks.sliding_window_view(samples, 400)[::160, :40]
        return {"features": frames[None], "features_length": np.array([len(frames)])}

    recogniser = OnnxRecogniser(path, prepare=prepare)
    layers = recogniser.layers()
    assert [layer.name for layer in layers[1:]] == ["layers.0", "layers.1"]
    assert {(layer.stride, layer.window) for layer in layers} == {(0.01, 0.025)}


def test_a_graph_of_one_length_is_filled_up_and_needs_its_layers_described(tmp_path):
    g = Drawn([("audio", FLOAT, (1, 16_000))])
    x = g.node("Reshape", "audio", g.constant(np.array([1, 100, 160])))
    path = g.saved(tmp_path / "g.onnx", x)
    with pytest.raises(CaptureError, match="takes exactly 16000 samples"):
        load_onnx(path).find([x])
    (row,) = load_onnx(path).discover(noise(16_000), patterns=[x]).rows
    assert row.shapes == ((1, 100, 160),)
    assert "takes exactly 16000 samples" in row.problem
    recogniser = OnnxRecogniser(path, layers=[Layer(x, 160, 0.01, 1, "chunks")])
    (layer,) = recogniser.layers()
    batch = recogniser.prepare([noise(7_999), noise(16_000)])
    assert recogniser.outputs(batch, [x])[x].shape == (2, 100, 160)
    assert layer.frames(batch.lengths.tolist(), recogniser.frame_shift) == [50, 100]
    with pytest.raises(CaptureError, match=r"takes 16000 samples .* and an utterance has 16001"):
        recogniser.prepare([noise(16_001)])


def test_a_tree_warns_of_what_cannot_be_seen(tmp_path):
    g = Drawn()
    x = g.front()
    branch = Drawn([])
    inside = branch.model(branch.node("Tanh", x)).graph
    quiet = g.node("Greater", g.node("ReduceMean", "audio", keepdims=0), g.constant(np.float32(0)))
    y = g.node("If", quiet, name="choice", then_branch=inside, else_branch=inside)
    y = g.residual(g.residual(g.residual(y)))
    recogniser = load_onnx(g.saved(tmp_path / "g.onnx", y))
    found = recogniser.discover(noise(16_000))
    assert [row.parameters for row in found.rows] == [8 * 400 + 128, 128, 128]
    additions, branches = found.warnings
    assert "residual additions" in additions
    assert "inside of choice cannot be reached" in branches


def test_a_transcript_is_there_only_with_a_decoder(tmp_path):
    g = Drawn()
    x = g.front()
    path = g.saved(tmp_path / "g.onnx", x)
    assert not hasattr(load_onnx(path), "transcribe")
    recogniser = OnnxRecogniser(path, decode=lambda outputs: f"{outputs[x].shape[1]} frames")
    assert recogniser.transcribe([noise(16_000), noise(400)]) == ["98 frames", "1 frames"]


# What is refused


@pytest.mark.parametrize(("op", "domain", "named"), [("Whisper", "my.own", "my.own:Whisper"), ("Fbank", "", "Fbank")])
def test_an_unsupported_operator_is_named(op, domain, named, tmp_path):
    g = Drawn()
    path = g.saved(tmp_path / "g.onnx", g.node(op, g.front(), name="/odd", domain=domain))
    with pytest.raises(CaptureError, match=f"onnxruntime cannot run .*: it has no operator {named} "):
        load_onnx(path)


@pytest.mark.parametrize("content", [b"", b"\x00\xff" * 400, b"PK\x03\x04 a zip, not a graph"])
def test_a_file_that_is_no_graph_is_refused(content, tmp_path):
    (tmp_path / "g.onnx").write_bytes(content)
    with pytest.raises(CaptureError, match="is no ONNX graph, or a damaged one"):
        load_onnx(tmp_path / "g.onnx")


def test_a_truncated_graph_is_refused(tmp_path):
    g = Drawn()
    path = g.saved(tmp_path / "g.onnx", g.front())
    path.write_bytes(path.read_bytes()[:-700])
    with pytest.raises(CaptureError, match=r"no ONNX graph, or a damaged one|onnxruntime cannot run"):
        load_onnx(path)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(CaptureError, match=r"g\.onnx cannot be read \(No such file"):
        load_onnx(tmp_path / "g.onnx")


def test_a_wrong_glob_is_refused_at_once(tmp_path):
    g = Drawn()
    x = g.front()
    for k in range(2):
        x = g.residual(x, name=f"/layers.{k}")
    path = g.saved(tmp_path / "g.onnx", x)
    with pytest.raises(CaptureError, match=r"no layer matches 'blocks\.\*'\. The graph has the modules .*layers\.0"):
        OnnxRecogniser(path, layers=["blocks.*"])


def test_states_that_nobody_gives_are_named(tmp_path):
    g = Drawn([("audio", FLOAT, ("batch", "samples")), ("state", FLOAT, (2, 1, 64))])
    path = g.saved(tmp_path / "g.onnx", g.front(), g.node("Identity", "state"))
    with pytest.raises(CaptureError, match="what to give to state is not known"):
        load_onnx(path)


def test_two_inputs_that_could_be_audio_are_refused_where_names_do_not_tell(tmp_path):
    g = Drawn([("a", FLOAT, ("batch", "n")), ("b", FLOAT, ("batch", "n"))])
    path = g.saved(tmp_path / "g.onnx", g.node("Add", "a", "b"))
    with pytest.raises(CaptureError, match="more than one of its inputs looks like audio"):
        load_onnx(path)


def test_a_graph_that_refuses_an_utterance_says_so(tmp_path):
    g = Drawn()
    x = g.front()
    recogniser = OnnxRecogniser(g.saved(tmp_path / "g.onnx", x), layers=[x])
    with pytest.raises(CaptureError, match=r"could not run .* on audio float32 \(1, 200\)"):
        recogniser.outputs(recogniser.prepare([noise(200)]), [x])


def test_a_graph_exported_for_one_length_is_told(tmp_path):
    g = Drawn()  # any length by its inputs' axes, one length by a constant
    x = g.node("Reshape", "audio", g.constant(np.array([1, 100, 160])))
    with pytest.raises(CaptureError, match=r"running a graph on noise of several lengths, and that failed.*Reshape"):
        load_onnx(g.saved(tmp_path / "g.onnx", x)).find([x])


def test_a_graph_without_blocks_over_frames_is_refused(tmp_path):
    g = Drawn()
    x = g.node("MatMul", g.node("ReduceMean", g.front(), axes=[1]), g.weight(8, 3))
    recogniser = load_onnx(g.saved(tmp_path / "g.onnx", x))
    assert [layer.name for layer in recogniser.layers()] == ["Conv.0"]
    assert recogniser.left_out == {"MatMul.0": "none of its axes grows with the audio"}
    g = Drawn()
    x = g.node("MatMul", g.node("ReduceMean", "audio", axes=[1]), g.weight(1, 3))
    with pytest.raises(CaptureError, match=r"none of the 1 blocks of .* runs over frames \(MatMul\.0: none of its"):
        load_onnx(g.saved(tmp_path / "h.onnx", x)).layers()


@pytest.mark.parametrize("package", ["onnx", "onnxruntime"])
def test_a_package_that_is_absent_is_named_with_the_command(package, tmp_path, monkeypatch):
    g = Drawn()
    path = g.saved(tmp_path / "g.onnx", g.front())
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(CaptureError, match=rf"need the package {package}.*pip install 'otoscope\[onnx\]'"):
        load_onnx(path)


def test_functions_of_a_model_are_opened(tmp_path):
    """Exporters that keep modules as functions hide their nodes: the bodies take the place of the calls."""
    body = [helper.make_node("MatMul", ["x", "w"], ["y"], name="inner"), helper.make_node("Add", ["x", "y"], ["z"])]
    function = helper.make_function("my", "Block", ["x", "w"], ["z"], body, [helper.make_opsetid("", 17)])
    g = Drawn()
    x = g.front()
    for _ in range(2):
        x = g.node("Block", x, g.weight(8, 8), domain="my")
    model = g.model(x)
    model.functions.append(function)
    onnx.save(model, tmp_path / "g.onnx")
    recogniser = load_onnx(tmp_path / "g.onnx")
    assert [layer.name for layer in recogniser.layers()] == ["block.0", "block.1"]
