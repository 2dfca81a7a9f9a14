"""The frames that sample measures work on: what is kept, what is drawn, what is refused."""

import numpy as np
import pytest
import torch

from otoscope.errors import MeasureError
from otoscope.measures.samples import Samples

from .data import index_of, normal


def test_utterances_are_brought_together():
    index = np.array([2, 0, 1, 0, 2, 2])
    x = torch.arange(6.0)[:, None]
    samples = Samples.of({"x": x, "y": x.numpy()}, utterances=index)
    assert samples.lengths == (2, 1, 3)
    assert samples.views["x"][:, 0].tolist() == [1, 3, 2, 0, 4, 5]
    assert torch.equal(samples.views["x"], samples.views["y"])
    assert (samples.frames, samples.utterances, samples.widths) == (6, 3, {"x": 1, "y": 1})


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_the_type_is_kept_and_nothing_is_copied(dtype):
    x = normal(10, 3).to(dtype)
    samples = Samples.of({"x": x})
    assert samples.views["x"].dtype is dtype
    assert samples.views["x"].data_ptr() == x.data_ptr()
    assert (samples.lengths, samples.utterances) == (None, None)


def test_arrays_that_torch_does_not_take_as_they_are():
    x = normal(10, 3).numpy()
    fixed = x.copy()
    fixed.flags.writeable = False
    for given in (fixed, x[::-1][::-1].copy()[:, ::-1][:, ::-1], x.astype(">f8"), x.astype(np.longdouble)):
        np.testing.assert_array_equal(Samples.of({"x": given}).views["x"].numpy(), x)
    np.testing.assert_array_equal(Samples.of({"x": x[::-1]}).views["x"].numpy(), x[::-1])


def test_a_subset_is_of_whole_utterances_spread_over_all():
    lengths = [30, 10, 20, 40] * 25
    x = torch.stack([torch.arange(2500.0), torch.from_numpy(index_of(lengths)).float()], 1).double()
    samples = Samples.of({"x": x}, utterances=lengths)
    part = samples.subset(500)
    assert 400 < part.frames <= 500
    utterances = part.views["x"][:, 1].unique_consecutive().long().tolist()
    assert part.utterances == len(utterances)
    assert [lengths[u] for u in utterances] == list(part.lengths)
    assert max(np.diff([0, *utterances, 100])) < 2.5 * 100 / len(utterances)  # no run is left out
    assert bool((part.views["x"][:, 0].diff() >= 1).all())  # in order, none twice


def test_a_subset_depends_on_the_seed_and_on_nothing_else():
    samples = Samples.of({"x": normal(2000, 2)}, utterances=[20] * 100)
    again = Samples.of({"x": normal(2000, 2)}, utterances=[20] * 100)
    assert samples.subset(300) is samples.subset(300)
    assert torch.equal(samples.subset(300).views["x"], again.subset(300).views["x"])
    assert not torch.equal(samples.subset(300).views["x"], samples.subset(300, seed=1).views["x"])
    assert samples.subset(2000) is samples


def test_a_subset_of_frames_where_utterances_are_not_known():
    samples = Samples.of({"x": torch.arange(1000.0)[:, None]})
    part = samples.subset(100)
    assert (part.frames, part.lengths) == (100, None)
    assert (part.views["x"][:, 0] // 10).tolist() == list(range(100))


def test_a_subset_of_fewer_than_two_utterances_is_refused():
    samples = Samples.of({"x": normal(900, 2)}, utterances=[300, 300, 300])
    with pytest.raises(MeasureError, match=r"max_frames=500 holds fewer than two whole utterances .* raise it to 600"):
        samples.subset(500)


def test_layers_that_are_not_there_are_named():
    samples = Samples.of({"conv": normal(10, 2), "lstm": normal(10, 3)})
    assert samples.has_pair("conv", "lstm")
    assert not samples.has_pair("conv", "gru")
    with pytest.raises(MeasureError, match="no layer 'gru' in the samples; there are conv, lstm"):
        samples.view("gru")


def test_what_comes_is_checked():
    with pytest.raises(MeasureError, match="layer 'x' holds 1 values of 20"):
        Samples.of({"x": torch.full((10, 2), 1.0).index_put((torch.tensor(3), torch.tensor(1)), torch.tensor(np.nan))})
    with pytest.raises(MeasureError, match="different numbers of frames"):
        Samples.of({"x": normal(10, 2), "y": normal(9, 2)})
    with pytest.raises(MeasureError, match="utterances has 2 entries and sum to 8"):
        Samples.of({"x": normal(10, 2)}, utterances=[4, 4])


def test_what_is_cached_is_made_once():
    samples, made = Samples.of({"x": normal(4, 1)}), []
    assert samples.cached("key", lambda: made.append(1) or 7) == 7
    assert samples.cached("key", lambda: made.append(1) or 8) == 7
    assert made == [1]
