"""Layers with rates and windows of their own on one grid: every cell the same stretch of speech in all of them."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from otoscope import CaptureError, Layer
from otoscope.capture import common_grid, to_grid

LEAST = 0.5 - 1e-6


def layer(stride, window=0.0):
    return Layer("l", 2, stride, 1, "test", window)


def by_overlap(x, lengths, of, grid, origin, cells=200):
    """By definition, frame by frame and cell by cell: for each utterance the weighed sums and the overlaps."""
    found, at = [], 0
    for n in lengths:
        sums, overlaps = np.zeros((cells, x.shape[1])), np.zeros(cells)
        for k in range(n):
            centre = of.window / 2 + k * of.stride
            for m in range(cells):
                begin = max(centre - of.stride / 2, origin + (m - 0.5) * grid)
                end = min(centre + of.stride / 2, origin + (m + 0.5) * grid)
                if end > begin:
                    sums[m] += (end - begin) * x[at + k]
                    overlaps[m] += end - begin
        found.append((sums, overlaps))
        at += n
    return found


STRIDES, WINDOWS = st.sampled_from([0.01, 0.0125, 0.02, 0.024, 0.03, 0.04]), st.sampled_from([0.0, 0.025, 0.056])


@settings(max_examples=60)
@given(
    st.lists(st.tuples(STRIDES, WINDOWS), min_size=1, max_size=3),
    st.lists(st.floats(0.25, 1.6), min_size=1, max_size=3),
    st.integers(0, 2**31),
)
def test_a_cell_is_the_mean_of_the_frames_that_it_overlaps(rates, durations, seed):
    rng = np.random.default_rng(seed)
    layers = {str(i): layer(*rate) for i, rate in enumerate(rates)}
    counts = {name: of.frames([round(16_000 * d) for d in durations], 1 / 16_000) for name, of in layers.items()}
    frames = {name: rng.standard_normal((sum(n), 2)) for name, n in counts.items()}
    grid = common_grid(list(layers.values()))
    origin = max(of.window / 2 for of in layers.values() if of.stride == grid)
    views, lengths = to_grid({name: (torch.tensor(x), counts[name]) for name, x in frames.items()}, layers, grid=grid)
    expected = {name: by_overlap(x, counts[name], layers[name], grid, origin) for name, x in frames.items()}
    for u, length in enumerate(lengths):
        kept = np.all([expected[name][u][1] >= LEAST * grid for name in layers], axis=0)
        assert kept.sum() == length
        for name in layers:
            sums, overlaps = expected[name][u]
            np.testing.assert_allclose(
                views[name].split(lengths)[u], sums[kept] / overlaps[kept][:, None], rtol=1e-6, atol=1e-9
            )


def test_layers_alike_and_the_coarsest_layer_stay_as_they_are():
    x, y = torch.randn(9, 3), torch.randn(5, 2)
    views, lengths = to_grid({"x": (x, [6, 3]), "z": (2 * x, [6, 3])}, {"x": layer(0.02), "z": layer(0.02)}, grid=0.02)
    assert lengths == [6, 3]
    assert torch.equal(views["x"], x)
    for window in (0.0, 0.025):
        layers = {"x": layer(0.02, window), "y": layer(0.04, window)}
        views, lengths = to_grid({"x": (x, [6, 3]), "y": (y, [3, 2])}, layers, grid=0.04)
        assert lengths == [3, 2]
        assert torch.equal(views["y"], y)


def test_an_average_of_what_never_changes_is_that():
    layers = {"fine": layer(0.02), "coarse": layer(0.024, 0.056)}
    counts = {name: of.frames([16_000, 9_000], 1 / 16_000) for name, of in layers.items()}
    views, _ = to_grid({name: (torch.full((sum(n), 2), 3.0), n) for name, n in counts.items()}, layers, grid=0.024)
    torch.testing.assert_close(views["fine"], torch.full_like(views["fine"], 3.0))


@pytest.mark.parametrize(("stride", "window"), [(0.02, 0.0), (0.02, 0.025), (0.01, 0.025), (0.0125, 0.04)])
@pytest.mark.parametrize("other", [layer(0.024, 0.056), layer(0.04), layer(0.02)])
def test_two_front_ends_hear_one_thing_at_one_time(stride, window, other):
    """A bump in the speech: where its middle lies in the one layer, it lies in the other, to a tenth of a cell."""
    middle, wide, duration = 0.7313, 0.08, 1.5
    layers = {"one": layer(stride, window), "other": other}
    outputs = {}
    for name, of in layers.items():
        (n,) = of.frames([round(16_000 * duration)], 1 / 16_000)
        time = of.window / 2 + np.arange(n) * of.stride  # the middle of what a frame hears
        outputs[name] = torch.tensor(np.exp(-(((time - middle) / wide) ** 2)))[:, None], [n]
    grid = common_grid(list(layers.values()))
    views, (length,) = to_grid(outputs, layers, grid=grid)
    cells = torch.arange(length, dtype=torch.float64)
    heard = [float((views[name][:, 0] * cells).sum() / views[name].sum()) for name in layers]
    assert heard[0] == pytest.approx(heard[1], abs=0.1)


def test_half_precision_does_not_lose_what_differs_to_the_mean():
    x = 64 + torch.randn(400, 3, generator=torch.Generator().manual_seed(0))
    half = x.bfloat16()
    layers = {"x": layer(0.02), "y": layer(0.04)}
    views, _ = to_grid({"x": (half, [400]), "y": (torch.zeros(200, 1), [200])}, layers, grid=0.04)
    exact, _ = to_grid({"x": (half.double(), [400]), "y": (torch.zeros(200, 1), [200])}, layers, grid=0.04)
    assert views["x"].dtype == torch.float32
    torch.testing.assert_close(views["x"].double(), exact["x"], rtol=1e-6, atol=0)


def test_frames_are_never_interpolated():
    with pytest.raises(CaptureError, match="finer than a layer's stride"):
        to_grid({"a": (torch.zeros(4, 1), [4])}, {"a": layer(0.04)}, grid=0.02)


def test_layers_that_disagree_about_the_duration_are_refused():
    for n, of in ((4, layer(0.02)), (7, layer(0.02)), (11, layer(0.02, 0.025))):
        with pytest.raises(CaptureError, match="layers disagree about the length of one utterance"):
            to_grid(
                {"a": (torch.zeros(9, 1), [9]), "b": (torch.zeros(n, 1), [n])}, {"a": layer(0.02), "b": of}, grid=0.02
            )
    for n in (8, 9, 10):
        to_grid(
            {"a": (torch.zeros(9, 1), [9]), "b": (torch.zeros(n, 1), [n])}, dict.fromkeys("ab", layer(0.02)), grid=0.02
        )


@pytest.mark.parametrize("lengths", [[0], [30, 0]])
@pytest.mark.parametrize("grid", [0.02, 0.04])
def test_an_utterance_too_short_for_a_frame_is_refused(lengths, grid):
    with pytest.raises(CaptureError, match=f"utterance {len(lengths)} of a batch is too short for these layers"):
        to_grid({"a": (torch.zeros(sum(lengths), 1), lengths)}, {"a": layer(0.02, 0.025)}, grid=grid)
