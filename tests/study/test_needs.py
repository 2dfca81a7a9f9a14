"""What measures need of a pass, and which clusters intervals leave out."""

import numpy as np
import pytest
import torch

from otoscope import StudyError, similarity
from otoscope.capture import Gathered
from otoscope.measures import registry
from otoscope.measures.inference import BlockMoments, BlockSamples
from otoscope.study.clusters import clusters_of
from otoscope.study.needs import intervals_of, needs_of, on_grid

SECONDS = {f"u{i}": 4 + i / 10 for i in range(20)}


def needs(measures, **options):
    wanted = [("x:a", "x:b"), ("x:b", "x:a"), ("x:a", "x:a")]
    return needs_of([registry.get(m) for m in measures], wanted, on_grid(SECONDS, 0.04), grid=0.04, **options)


def test_a_pass_keeps_what_the_measures_need_and_no_more():
    assert needs(["cka", "cca"]) == {
        "moments": True,
        "sampled": [],
        "pairs": [("x:b", "x:a"), ("x:a", "x:a")],
        "inputs": False,
    }
    only_frames = needs(["rsa"], samples=1000)
    assert not only_frames["moments"]
    assert len(only_frames["sampled"]) == 8  # of about 120 frames each, one every 40 ms
    with_input = needs(["cka-partial"])
    assert with_input["inputs"]
    assert {frozenset(p) for p in with_input["pairs"]} >= {frozenset(("x:a", "input")), frozenset(("x:b", "input"))}


def test_too_few_frames_to_keep_are_refused_with_what_would_do():
    with pytest.raises(
        StudyError, match=r"samples is 200 frames, .* up to 148 frames, one every 40 ms; raise it to 296"
    ):
        needs(["rsa"], samples=200)


@pytest.mark.parametrize(
    ("speakers", "kind", "count"),
    [
        (["a", "b", "c"] * 4, "speakers", 3),
        (["a", "b"] * 6, "utterances", 12),
        (["a"] * 7 + ["b", "c", "d", "e", "f"], "utterances", 12),  # one with most of the speech
        (["unknown"] * 12, "utterances", 12),
        (["", "", "a", "a", "b", "b", "c", "c", "d", "d", "e", "e"], "speakers", 7),
    ],
)
def test_speakers_are_left_out_where_they_are_known_and_utterances_otherwise(speakers, kind, count):
    found = clusters_of({f"u{i}": s for i, s in enumerate(speakers)}, {f"u{i}": 3.0 + i / 10 for i in range(12)})
    assert (found.kind, len(set(found.of.values()))) == (kind, count)
    assert set(found.of.values()) == set(found.blocks)
    assert len(found.of) == 12


@pytest.mark.parametrize("seconds", [[3.0, 3.0], [30.0, 3.0, 3.0, 3.0]])
def test_speech_that_no_interval_can_come_from_is_refused(seconds):
    lengths = {f"u{i}": s for i, s in enumerate(seconds)}
    with pytest.raises(StudyError, match=f"there are {len(seconds)} utterances of 1 speakers"):
        clusters_of(dict.fromkeys(lengths, "a"), lengths)


def test_intervals_are_those_of_the_arrays_for_both_sources_and_both_orders():
    generator = torch.Generator().manual_seed(0)
    shared = torch.randn(1200, 3, generator=generator)
    views = {
        name: torch.cat([shared, torch.randn(1200, own, generator=generator)], 1).double()
        for name, own in (("x:a", 2), ("x:b", 3))
    }
    lengths, speakers = [60] * 20, [f"s{i // 2}" for i in range(20)]
    about = {"utterances": lengths, "clusters": speakers}
    gathered = Gathered(1200, 20, BlockMoments.of(views, **about), BlockSamples.of(views, **about))
    names = ["cka-debiased", "pwcca", "regression", "mutual-knn"]
    pairs = [("x:a", "x:b"), ("x:b", "x:a"), ("x:a", "x:a")]
    found = intervals_of(gathered, [registry.get(m) for m in names], pairs)
    assert set(found) == {(m, *pair) for m in names for pair in pairs}
    direct = similarity(views, measure=names, intervals=0.95, **about)
    for (name, x, y), ends in found.items():
        at = {"layer_x": x, "layer_y": y}
        expected = [float(direct[f"{name}_{end}"].sel(at)) for end in ("low", "high")]
        np.testing.assert_allclose(ends[:2], expected, rtol=1e-9)
        assert len(ends.left_out) == 10
    for name in ("cka-debiased", "regression"):  # each speaker is a block: what is left without each of them
        kept = [[i for i, s in enumerate(speakers) if s != out] for out in dict.fromkeys(speakers)]
        rows = [torch.cat([torch.arange(60 * i, 60 * i + 60) for i in utterances]) for utterances in kept]
        values = [
            similarity({v: x[own] for v, x in views.items()}, measure=[name], utterances=[60] * 18)[name]
            for own in rows
        ]
        direct_values = sorted(float(v.sel(layer_x="x:a", layer_y="x:b")) for v in values)
        np.testing.assert_allclose(sorted(found[name, "x:a", "x:b"].left_out), direct_values, rtol=1e-9)
    assert found["pwcca", "x:a", "x:b"] != found["pwcca", "x:b", "x:a"]
    assert intervals_of(Gathered(1200, 20, gathered.moments.total, None), [registry.get("cka")], pairs) == {}


def test_why_there_is_no_interval_is_said_in_the_layers_own_names():
    views = {name: torch.randn(90, 20, generator=torch.Generator().manual_seed(0)) for name in ("x:wide", "y:wide")}
    views["y:wide"] = views["y:wide"] ** 2
    gathered = Gathered(90, 9, BlockMoments.of(views, utterances=[10] * 9), None)
    found = intervals_of(gathered, [registry.get("cca")], [("x:wide", "y:wide"), ("y:wide", "x:wide")])
    assert len(found) == 2
    for why in found.values():
        assert "no interval of cca, since half of the blocks" in why
        assert "x:" not in why
