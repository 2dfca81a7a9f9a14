"""Layers by name: the same values as one pair at a time."""

import numpy as np
import pytest
import torch
import xarray as xr

from otoscope import measures
from otoscope.errors import MeasureError
from otoscope.labelled import similarity
from otoscope.measures import Moments

from .data import from_moments, normal, related

LENGTHS = [100, 120, 80]


def views():
    x, y = related(300, 8, 6)
    return {"conv": x, "lstm": y.float().numpy(), "out": torch.cat([x[:, :2], normal(300, 3, seed=7)], 1)}


def test_one_measure():
    found = similarity(views(), measure="pwcca")
    assert (found.dims, found.name, list(found.layer_x.values)) == (("layer_x", "layer_y"), "pwcca", list(views()))
    assert found.attrs == {"frames": 300, "weighted_by": "layer_x"}
    for x in views():
        for y in views():
            one = measures.pwcca(views()[x], views()[y])
            assert float(found.sel(layer_x=x, layer_y=y)) == pytest.approx(one.value, abs=1e-12)
            assert float(found.pwcca_null.sel(layer_x=x, layer_y=y)) == pytest.approx(one.null, abs=1e-12)


def test_several_measures_from_moments_or_arrays():
    found = similarity(views(), measure=from_moments(), utterances=LENGTHS)
    assert isinstance(found, xr.Dataset)
    assert list(found.data_vars) == from_moments()
    assert found.cka.attrs == {"frames": 300, "utterances": 3, "estimator": "cross-utterance"}
    assert found["cka-biased"].attrs["estimator"] == "biased"
    assert np.allclose(found.cka, found.cka.values.T)
    assert np.allclose(np.diag(found.cka), 1)
    same = similarity(Moments.of(views(), utterances=LENGTHS), measure=from_moments())
    xr.testing.assert_allclose(found, same, rtol=1e-9)
    expected = measures.cka(views()["conv"], views()["out"], utterances=LENGTHS).value
    assert float(found.cka.sel(layer_x="out", layer_y="conv")) == pytest.approx(expected, abs=1e-12)


def test_survives_netcdf(tmp_path):
    found = similarity(views(), measure=["cka", "cca"], utterances=LENGTHS)
    found.to_netcdf(tmp_path / "found.nc", engine="h5netcdf")
    with xr.open_dataset(tmp_path / "found.nc", engine="h5netcdf") as read:
        xr.testing.assert_equal(read, found)
        assert "cka_null" in read.coords


def test_some_layers_on_each_axis():
    found = similarity(views(), measure="cca", layers_x=["out"], layers_y=["conv", "lstm"])
    assert found.shape == (1, 2)
    whole = similarity(views(), measure="cca")
    assert np.allclose(found, whole.sel(layer_x=["out"], layer_y=["conv", "lstm"]))
    some = Moments.of(views(), pairs=[("conv", "out")])
    assert similarity(some, measure="cka", layers_x=["out"], layers_y=["conv"]).shape == (1, 1)
    with pytest.raises(MeasureError, match="4 of 9 pairs were not kept in these moments, such as 'conv', 'lstm'"):
        similarity(some, measure="cka")


def test_refused_pairs_stop_or_are_listed():
    broken = {**views(), "dead": torch.zeros(300, 3)}
    with pytest.raises(MeasureError, match="layer 'dead' is constant"):
        similarity(broken, measure="cka")
    found = similarity(broken, measure="cka", undefined="nan")
    assert int(found.isnull().sum()) == 7
    assert len(found.attrs["undefined"]) == 7
    assert "layer 'dead' is constant" in found.attrs["undefined"][0]


def test_refusals():
    with pytest.raises(MeasureError, match=r"no measure named 'ckaa'; there are .*cca, cka, cka-debiased"):
        similarity(views(), measure="ckaa")
    with pytest.raises(MeasureError, match="one or more different measures"):
        similarity(views(), measure=[])
    with pytest.raises(MeasureError, match="one or more different measures"):
        similarity(views(), measure=["cka", "cka"])
    with pytest.raises(MeasureError, match="moments know their utterances"):
        similarity(Moments.of(views()), measure="cka", utterances=LENGTHS)
    with pytest.raises(MeasureError, match=r"no layers \['z'\]; there are conv, lstm, out"):
        similarity(Moments.of(views()), measure="cka", layers_x=["z"])
    with pytest.raises(MeasureError, match=r"no layers \['z'\]; there are conv, lstm, out"):
        similarity(views(), measure="cka", layers_y=["z"])
    with pytest.raises(MeasureError, match="undefined is 'skip'; expected 'raise' or 'nan'"):
        similarity(views(), measure="cka", undefined="skip")
    with pytest.raises(MeasureError, match="expected a mapping"):
        similarity([normal(10, 2)], measure="cka")


def test_intervals_do_not_depend_on_how_pairs_are_grouped(monkeypatch):
    """Pairs whose block moments would not fit into memory together are measured group by group."""
    lengths = [20] * 15
    arguments = {"measure": ["cka", "pwcca"], "utterances": lengths, "intervals": 0.9}
    whole = similarity(views(), **arguments)
    pages = []
    monkeypatch.setattr("os.sysconf", lambda name: pages.append(name) or 40)
    xr.testing.assert_allclose(similarity(views(), **arguments), whole, rtol=1e-9)
    assert pages
    assert float(whole.cka_low[0, 1]) < float(whole.cka[0, 1]) < float(whole.cka_high[0, 1])
    assert whole.pwcca.attrs["level"] == 0.9
