"""The cases that others get wrong (docs/differences.md): what we answer, on the same data as the table."""

import math

import numpy as np
import pytest
import torch
from benchmarks.measures import situations
from benchmarks.measures.differences import CASES
from benchmarks.measures.differences_ours import ANSWERS, Replayed, Shuffling
from benchmarks.measures.situations import LENGTHS, UNITS, Slices

import otoscope
from otoscope import CaptureError, MeasureError
from otoscope.measures import Accumulator, Moments, cca, cka, get, pwcca, svcca

from . import reference
from .data import index_of

INDEX = index_of(LENGTHS)


def between(x, y):
    return reference.cka(x, y, estimator="cross-utterance", index=INDEX)


def model(names, *, run=None):
    return Replayed(Slices(dict.fromkeys(names, UNITS), run=run), names, UNITS)


# What the frames can tell


def test_fewer_frames_than_units():
    """CCA reads 1 whatever the layers hold, and is refused with the reason; CKA without bias reads nothing."""
    x, y = situations.fewer_frames_than_units()
    for measure in (cca, pwcca, svcca):
        with pytest.raises(MeasureError, match=r"100 and 100 units cannot be measured on 80 frames.*1 by construction"):
            measure(x, y)
    assert abs(cka(x, y).value) < 0.03


def test_few_frames_for_the_units():
    """Half of what is read is chance, and the result says so: the null level is the value."""
    x, y = situations.three_frames_a_unit()
    found = cca(x, y)
    assert found.value == pytest.approx(reference.cca(x, y), abs=1e-9)
    assert found.value == pytest.approx(0.507, abs=0.001)
    assert found.null == pytest.approx(found.value, abs=0.01)
    assert found.frames / found.units[0] == 3


def test_low_rank_and_a_rotated_copy():
    x, y = situations.rotated_low_rank()
    for measure in (cca, pwcca, svcca, cka):
        found = measure(x, y)
        assert found.value == pytest.approx(1, abs=1e-5)
        assert found.ranks == {cka: None, svcca: found.ranks}.get(measure, (20, 20))


def test_units_that_say_nothing():
    """Dead, constant and duplicated units leave CCA where it was, and add no rank."""
    x, y, clean = situations.units_that_say_nothing()
    found = cca(x, y)
    assert found.ranks == (30, 30)
    assert found.value == pytest.approx(reference.cca(clean, y), abs=1e-6)
    assert svcca(x, y).value == pytest.approx(reference.svcca(x, y), abs=1e-6)
    # In PWCCA a duplicate weighs once more, a dead or a constant unit not at all.
    twice = np.hstack([clean, clean[:, :3]])
    assert pwcca(x, y).value == pytest.approx(reference.pwcca(twice, y), abs=1e-6)


@pytest.mark.parametrize("measure", [cca, pwcca, svcca, cka])
def test_a_constant_layer_is_named(measure):
    x, y = situations.constant_layer()
    with pytest.raises(MeasureError, match="layer 'y' is constant over all frames"):
        measure(x, y)


@pytest.mark.parametrize("measure", [cca, pwcca, svcca, cka])
def test_one_nan_is_found_and_its_layer_named(measure):
    x, y = situations.one_nan()
    with pytest.raises(MeasureError, match=r"layer 'y' holds 1 values of 10000 that are NaN or infinite \(1 NaN\)"):
        measure(x, y)


# What the numbers can tell


def test_a_large_mean_in_float32():
    """Agreement with float64 on the same numbers, not merely with a plausible value."""
    x, y = situations.large_mean()
    assert x.dtype == np.float32
    for estimator in ("debiased", "biased"):
        exact = reference.cka(x, y, estimator=estimator)
        assert cka(x, y, estimator=estimator).value == pytest.approx(exact, rel=1e-6)
    assert cca(x, y).value == pytest.approx(reference.cca(x, y), rel=1e-6)


def test_half_precision_input():
    """Products of float16 deviate or overflow at 65,504; ours are sums in float64 of what the numbers say."""
    x, y = situations.half_precision()
    assert (x.astype(np.float64) ** 2).sum() > np.finfo(np.float16).max
    assert cka(x, y).value == pytest.approx(reference.cka(x, y, estimator="debiased"), rel=1e-6)
    few = x[:, :64], y[:, :64]
    assert cca(*few).value == pytest.approx(reference.cca(*few), rel=1e-6)
    assert cka(torch.from_numpy(x).bfloat16(), torch.from_numpy(y).bfloat16()).value == pytest.approx(0.87, abs=0.01)


@pytest.mark.parametrize("factor", [1e-3, 1e-6, 1e6])
@pytest.mark.parametrize("measure", [cca, pwcca, svcca, cka])
def test_no_absolute_floor(measure, factor):
    x, y = situations.ordinary()
    found = measure(np.float32(factor) * x, np.float32(factor) * y)
    plain = measure(x, y)
    assert found.value == pytest.approx(plain.value, rel=1e-5)
    assert found.ranks == plain.ranks


def test_svcca_of_a_layer_with_itself():
    for layer in (*situations.steep(), *situations.ordinary()):
        assert svcca(layer, layer).value == pytest.approx(1, abs=1e-6)


def test_svcca_cuts_on_the_variance_of_centred_data():
    """Not on the sum of singular values, and not with the offset as the first component."""
    x, y = situations.steep()
    s = np.linalg.svd(reference.centred(x), compute_uv=False)
    on_variance = int(np.argmax(np.cumsum(s**2) / (s**2).sum() >= 0.99)) + 1
    on_sum = int(np.argmax(np.cumsum(s) / s.sum() >= 0.99)) + 1
    uncentred = np.linalg.svd(x.astype(np.float64), compute_uv=False)
    with_offset = int(np.argmax(np.cumsum(uncentred**2) / (uncentred**2).sum() >= 0.99)) + 1
    assert len({on_variance, on_sum, with_offset}) == 3  # or the test could not tell
    found = svcca(x, y)
    assert found.ranks[0] == on_variance
    assert found.value == pytest.approx(reference.svcca(x, y), abs=1e-6)


def test_pwcca_does_not_see_a_shift():
    x, y = situations.ordinary()
    exact = reference.pwcca(x, y)
    for shift in (0, 3, 30, 1000):
        assert pwcca(x + np.float32(shift), y).value == pytest.approx(exact, rel=1e-4)


def test_pwcca_where_the_first_layer_is_wider():
    x, y = situations.wider_first()
    assert x.shape[1] > y.shape[1]
    assert pwcca(x, y).value == pytest.approx(reference.pwcca(x, y), rel=1e-6)
    assert pwcca(y, x).value == pytest.approx(reference.pwcca(y, x), rel=1e-6)
    assert pwcca(x, y).value != pytest.approx(pwcca(y, x).value, abs=0.05)


def test_mean_cca_divides_by_the_correlations_there_are():
    wide, narrow = situations.wide_and_narrow()
    assert cca(wide, narrow).value == pytest.approx(1, abs=1e-6)
    assert cca(narrow, wide).value == pytest.approx(1, abs=1e-6)


def test_debiased_cka_of_a_rotated_copy():
    x, y = situations.rotated_few_frames()
    assert cka(x, y).value == pytest.approx(1, abs=1e-5)


# What is done with batches, padding and models


def test_a_shuffling_loader_is_read_once_for_all_models():
    x, y = situations.unrelated_utterances()
    loader = Shuffling(situations.batches([x, y]))
    moments = otoscope.reduce({"one": model(["x", "y"]), "two": model(["x", "y"])}, loader)
    found = otoscope.similarity(moments, measure=["cka", "cca"], layers_x=["one:x"], layers_y=["two:x"])
    assert loader.read == 1
    assert float(found.cka[0, 0]) == pytest.approx(1, abs=1e-9)
    assert float(found.cca[0, 0]) == pytest.approx(1, abs=1e-9)
    # The other way it could be wrong: read twice, the same loader gives unrelated frames.
    again = [torch.cat([f[k, :n] for f, lengths in loader for k, n in enumerate(lengths)]) for _ in range(2)]
    assert abs(cka(again[0][:, :UNITS], again[1][:, :UNITS]).value) < 0.1


def test_batches_of_one_utterance():
    """What differs between utterances only is similarity; the batches' size changes nothing."""
    x, y = situations.utterance_factors()
    values = []
    for size in (1, 3, len(LENGTHS)):
        total = Accumulator({"x": UNITS, "y": UNITS})
        ends = np.cumsum([0, *LENGTHS])
        for start in range(0, len(LENGTHS), size):
            lengths = LENGTHS[start : start + size]
            part = slice(ends[start], ends[start] + sum(lengths))
            total.update({"x": x[part], "y": y[part]}, lengths)
        values.append(get("cka").compute(total.moments(), "x", "y").value)
    assert values == pytest.approx([between(x, y)] * 3, rel=1e-6)
    assert values[0] > 0.6
    within = [cka(a, b).value for a, b in zip(*(np.split(z, np.cumsum(LENGTHS)[:-1]) for z in (x, y)), strict=True)]
    assert abs(np.mean(within)) < 0.1  # which is what a mean over such batches reads


def test_every_batch_counts():
    """The last batch holds noise; the value is that of all frames, as captured from padded batches."""
    x, y = situations.last_batch_differs()
    moments = otoscope.reduce({"m": model(["x", "y"])}, situations.batches([x, y]))
    found = otoscope.similarity(moments, measure="cka", layers_x=["m:x"], layers_y=["m:y"])
    assert moments.frames == sum(LENGTHS)
    assert float(found[0, 0]) == pytest.approx(between(x, y), rel=1e-6)
    last = sum(LENGTHS[-4:])
    assert abs(cka(x[-last:], y[-last:], utterances=LENGTHS[-4:]).value) < 0.1 < float(found[0, 0]) - 0.3


@pytest.mark.parametrize("size", [1, 4, 16])
def test_padding_never_counts(size):
    """Captured from padded batches of any size, two layers that share nothing share nothing."""
    x, y = situations.unrelated_utterances()
    moments = otoscope.reduce({"m": model(["x", "y"])}, situations.batches([x, y], size=size))
    found = float(otoscope.similarity(moments, measure="cka", layers_x=["m:x"], layers_y=["m:y"])[0, 0])
    assert found == pytest.approx(between(x, y), abs=1e-7)
    assert abs(found) < 0.02
    kept = torch.cat([batch.flatten(0, 1) for batch, _ in situations.batches([x, y])])
    assert cka(kept[:, :UNITS], kept[:, UNITS:]).value > 0.4  # what is read where padding stays in


def test_utterances_are_not_flattened_into_units():
    """A layer is frames × units; three axes are refused, and capture makes rows of true frames."""
    x, y = situations.unrelated_utterances()
    (whole, lengths), *_ = situations.batches([x, y], size=len(LENGTHS))
    with pytest.raises(MeasureError, match="expected two axes, frames × units"):
        cka(whole[..., :UNITS], whole[..., UNITS:])
    rows = whole.flatten(1)
    half = rows.view(len(LENGTHS), -1, 2 * UNITS)
    assert cka(half[..., :UNITS].flatten(1), half[..., UNITS:].flatten(1)).value > 0.8  # what flattening reads
    moments = otoscope.reduce({"m": model(["x", "y"])}, [(whole, lengths)])
    assert moments.frames == sum(LENGTHS)
    assert moments.widths == {"m:x": UNITS, "m:y": UNITS}


def test_values_are_never_clamped():
    """The mean over unrelated layers is 0 because half of the values are below it."""
    values = np.array([cka(*situations.unrelated(draw)).value for draw in range(200)])
    assert (values < 0).mean() == pytest.approx(0.5, abs=0.12)
    assert abs(values.mean()) < 3 * values.std() / math.sqrt(len(values))
    assert np.clip(values, 0, 1).mean() > 5 * values.std() / math.sqrt(len(values))


def test_labels_go_with_their_layers():
    """Whatever order layers are registered in, run in, asked for or kept in."""
    p, q, r = situations.three_layers()
    right = {("p", "q"): between(p, q), ("q", "r"): between(q, r), ("p", "r"): between(p, r)}
    moments = otoscope.reduce(
        {"m": model(["r", "q", "p"], run=["p", "q", "r"])}, situations.batches([r, q, p]), pairs=None
    )
    for rows in (None, ["m:q", "m:r", "m:p"]):
        found = otoscope.similarity(moments, measure="cka", layers_x=rows)
        for (a, b), value in right.items():
            assert float(found.sel(layer_x=f"m:{a}", layer_y=f"m:{b}")) == pytest.approx(value, abs=1e-7)
            assert float(found.sel(layer_x=f"m:{b}", layer_y=f"m:{a}")) == pytest.approx(value, abs=1e-7)
    assert right["p", "q"] > 0.8 > 0.1 > right["q", "r"]


def test_a_layer_that_does_not_run_is_named():
    p, q, r = situations.three_layers()
    with pytest.raises(CaptureError, match="did not call r"):
        otoscope.reduce({"m": model(["r", "q", "p"], run=["p", "q"])}, situations.batches([r, q, p]))


def test_the_same_answer_from_call_to_call():
    """Bit for bit, whatever state the process's own generators are in."""
    x, y = (z[:, :24] for z in situations.ordinary())
    lengths = [100] * 6
    measures = [name for name in otoscope.measures.names() if name != "cka-partial"]  # which takes a third layer
    answers = []
    for seed in (0, 1):
        torch.manual_seed(seed)
        np.random.seed(seed)
        found = otoscope.similarity({"x": x, "y": y}, measure=measures, utterances=lengths, undefined="nan")
        answers.append(np.array([found[name].values for name in measures]))
    assert np.array_equal(*answers, equal_nan=True)
    assert np.isfinite(answers[0]).mean() > 0.8


def test_no_mean_of_biased_minibatches():
    """Moments of minibatches add up to those of all frames, so their size leaves no bias."""
    x, y = situations.unrelated_wide()
    parts = [Moments.of({"x": x[s : s + 64], "y": y[s : s + 64]}) for s in range(0, len(x), 64)]
    whole = sum(parts[1:], parts[0])
    assert get("cka-debiased").compute(whole, "x", "y").value == pytest.approx(cka(x, y).value, abs=1e-9)
    assert abs(cka(x, y).value) < 0.01
    biased = [get("cka-biased").compute(part, "x", "y").value for part in parts]
    assert np.mean(biased) > 0.6  # what their mean reads


# The table


def test_every_case_has_an_answer_of_ours():
    assert set(ANSWERS) == set(CASES)
    for name in ("few-frames", "utterance-batches", "labels", "shuffling-loader"):
        assert ANSWERS[name]()
