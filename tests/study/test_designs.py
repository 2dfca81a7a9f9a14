"""Designs of a study on real speech: what is added is done, what is there is not done again; further probe sets."""

import json
import shutil

import numpy as np
import pytest
import torch

from otoscope import Results, StudyConfig, StudyError, load, measure, plan_study, run_study
from otoscope.asr import FeatureStore, log_mel
from otoscope.corpora import read_audio
from otoscope.study.noisy import noisy_reader
from otoscope.study.preparation import load_speech
from otoscope.study.recognisers import silent
from tests.speech import tiny_study

RUN = "lstm/seed0"


@pytest.fixture
def folder(finished_study, tmp_path):
    copy = tmp_path / "study"
    shutil.copytree(finished_study, copy)
    return copy


def asked(corpus, **fields):
    return StudyConfig.of(**{**tiny_study(corpus).model_dump(), **fields})


def done_by(config, folder):
    """Runs a study; the results, the files of units that changed, and how many comparisons progress told of."""
    measured = folder / "measured"
    before = {path.relative_to(measured): path.stat().st_mtime_ns for path in measured.rglob("*.json")}
    totals = []
    results = run_study(config, folder, progress=lambda what, _, n: totals.append(n) if "comparing" in what else None)
    after = {path.relative_to(measured): path.stat().st_mtime_ns for path in measured.rglob("*.json")}
    return results, {str(p) for p, at in after.items() if before.get(p) != at}, max(totals, default=0)


def parts(folder, name):
    return json.loads((folder / "measured" / name).read_text())["parts"]


def test_adding_a_measure_computes_that_measure_alone_and_removing_one_nothing(folder, an4_subset, finished_study):
    names = tiny_study(an4_subset).measures
    units = len(list((folder / "measured").glob("*.json")))
    name = next((folder / "measured").glob("checkpoint-lstm*")).name
    before = parts(folder, name)
    results, changed, told = done_by(asked(an4_subset, measures=(*names, "procrustes")), folder)
    assert len(changed) == told == units
    after = parts(folder, name)
    assert after == {k: {**before[k], "procrustes": after[k]["procrustes"]} for k in before}, "the others stay"
    old = Results.load(finished_study / "results.nc").dataset
    np.testing.assert_array_equal(results.dataset["similarity"].sel(measure=list(names)), old["similarity"])
    again = measure(
        max((folder / "recognisers" / RUN / "checkpoints").glob("*.safetensors")),
        corpus=_probe(folder, an4_subset),
        measures=["procrustes"],
    )["procrustes"]
    here = results.within(RUN, results.steps(RUN)[-1], "procrustes")
    np.testing.assert_allclose(here, again, atol=1e-3)
    fewer, changed, told = done_by(asked(an4_subset, measures=("cka",)), folder)
    assert (fewer.measures, changed, told) == (("cka",), set(), 0)
    _, changed, told = done_by(asked(an4_subset, measures=(*names, "procrustes")), folder)
    assert (changed, told) == (set(), 0), "what was asked for no more was kept"


def _probe(folder, corpus):
    corpus = load(corpus)
    by_id = {u.id: u for u in corpus}
    return corpus.keep([by_id[u] for u in json.loads((folder / "manifest.json").read_text())["corpus"]["probe"]["ids"]])


def test_changing_the_findings_adds_what_they_read_and_nothing_else(finished_study, an4_subset, folder):
    shutil.rmtree(folder / "measured")
    few, _, told = done_by(asked(an4_subset, findings=["F2"], matrices="ends", measures=["cka"]), folder)
    frame = few.to_frame()
    assert set(frame.kind) == {"within", "to_final", "shuffled"}
    assert {step for _, step, *_ in few.compared("within")} == {0, few.steps(RUN)[-1]}
    assert told == 3 * (4 + 2)
    whole = Results.load(finished_study / "results.nc")
    np.testing.assert_allclose(few.curve("to_final", RUN, "cka"), whole.curve("to_final", RUN, "cka"), atol=1e-6)
    np.testing.assert_allclose(few.within(RUN, 0, "cka"), whole.within(RUN, 0, "cka"), atol=1e-6)
    more, changed, told = done_by(asked(an4_subset, findings=["F2", "F8"], matrices="ends", measures=["cka"]), folder)
    assert told == 6
    assert all(name.startswith("across-") for name in changed)
    assert more.across("cnn/seed0", "lstm/seed0", "cka").shape == (3, 3)
    _, changed, told = done_by(asked(an4_subset, findings=["F2", "F6"], matrices="ends", measures=["cka"]), folder)
    assert told == 3 * 3, "of each run all checkpoints but the first"
    for name in changed:
        assert set(parts(folder, name)) == {
            *(["within"] if "within" in parts(folder, name) else []),
            "to_final",
            "to_previous",
        }
    every, _, told = done_by(asked(an4_subset, measures=["cka"]), folder)
    assert told == 3 * 2, "the matrices in between"
    np.testing.assert_allclose(every.dataset["similarity"], whole.dataset["similarity"].sel(measure=["cka"]), atol=1e-6)


def test_adding_a_seed_trains_and_compares_that_seed_alone(an4_subset, tmp_path):
    fields = tiny_study(an4_subset, epochs=1).model_dump()
    config = {**fields, "recognisers": {"lstm": fields["recognisers"]["lstm"]}, "measures": ["cka"]}
    folder = tmp_path / "study"
    first = run_study(StudyConfig.of(**config), folder)
    kept = {p: p.stat().st_mtime_ns for p in folder.rglob("*") if p.suffix in (".json", ".safetensors")}
    results, changed, told = done_by(StudyConfig.of(**config | {"seeds": [0, 1]}), folder)
    of_first = {p: at for p, at in kept.items() if "seed0" in str(p)}
    assert len(of_first) > 5
    assert {p: p.stat().st_mtime_ns for p in of_first} == of_first
    assert changed
    assert all("lstm.seed1" in name for name in changed)
    assert told == len(changed)
    assert sum(name.startswith("across-") for name in changed) == 2
    np.testing.assert_array_equal(results.within("lstm/seed0", 0, "cka"), first.within("lstm/seed0", 0, "cka"))
    assert results.across("lstm/seed0", "lstm/seed1", "cka").notnull().all()


PROBES = {
    "noisy": {"noise": "white", "noise_db": -10.0},
    "babble": {"noise": "babble", "noise_db": 20.0},
    "coarse": {"grid": 2},
    "half": {"half": 0},
}


def test_further_probe_sets_are_measured_beside_the_main_one(finished_study, an4_subset, folder):
    config = asked(an4_subset, measures=["cka"], probes=PROBES, intervals=True)
    results, _, _ = done_by(config, folder)
    whole = Results.load(finished_study / "results.nc")
    assert results.probes == tuple(PROBES)
    final = results.steps(RUN)[-1]
    main = results.within(RUN, final, "cka")
    np.testing.assert_allclose(main, whole.within(RUN, final, "cka"), atol=1e-6)
    sizes = {}
    for name in PROBES:
        own = results.of_probe(name)
        matrix = own.within(RUN, final, "cka")
        assert matrix.notnull().all()
        assert not np.allclose(matrix, main, atol=1e-6), name
        assert own.curve("to_final", RUN, "cka").notnull().all()
        assert own.across("cnn/seed0", "lstm/seed0", "cka").notnull().all()
        assert own.blocks >= 3
        assert own.without(own.blocks - 1).within(RUN, final, "cka").notnull().all()
        assert {*own.to_frame()["probe"]} == {name}
        for missing in (lambda own=own: own.within(RUN, 0, "cka"), lambda own=own: own.shuffled(RUN, final, "cka")):
            with pytest.raises(StudyError, match="no such comparison"):
                missing()
        sizes[name] = json.loads(results.dataset.attrs["probes"])[name]["utterances"]
    closeness = {name: _gap(results.of_probe(name), main, final) for name in PROBES}
    assert closeness["babble"] < closeness["noisy"], "more noise, farther from clean speech"
    total = results.dataset.attrs["utterances"]
    assert sizes == {"noisy": total, "babble": total, "coarse": total, "half": sizes["half"]}
    assert 0.2 * total < sizes["half"] < 0.8 * total
    plan = plan_study(config)
    assert plan.comparisons == results.dataset.sizes["pair"]
    assert plan.by_kind == results.to_frame()["kind"].value_counts().to_dict()
    assert plan.by_question["half"] == len(results.of_probe("half").to_frame())
    with pytest.raises(StudyError, match="no probe set 'loud'"):
        results.of_probe("loud")
    again, changed, told = done_by(
        asked(an4_subset, measures=["cka"], probes={"half": {"half": 0}}, intervals=True), folder
    )
    assert (again.probes, changed, told) == (("half",), set(), 0)


def _gap(results, main, final):
    return float(abs(results.within(RUN, final, "cka") - main).max())


def test_a_probe_set_is_what_it_says(an4_subset, finished_study, folder):
    config = asked(an4_subset, probes={**PROBES, "other": {"half": 1}}, measures=["cka"], intervals=True)
    speech = load_speech(config, silent)
    one, two = (set(speech.further[name].utterances) for name in ("half", "other"))
    of = {u.id: u.speaker for u in speech.corpus}
    assert not {of[u] for u in one} & {of[u] for u in two}
    assert one | two == set(speech.probe)
    assert speech.further["coarse"].utterances == speech.probe
    run_study(config.model_copy(update={"findings": ("F1",), "matrices": "ends"}), folder)
    coarse = measure(
        max((folder / "recognisers" / RUN / "checkpoints").glob("*.safetensors")),
        corpus=_probe(folder, an4_subset),
        measures=["cka"],
    ).attrs["frames"]
    found = parts(
        folder, next((folder / "measured" / "coarse").glob("checkpoint-lstm*")).relative_to(folder / "measured")
    )
    assert found["within"]["cka"]["frames"] == pytest.approx(coarse / 2, rel=0.03)
    assert found["within"]["cka"]["grid"] == pytest.approx(0.08)
    # Noisy sets have features of their own: those of the audio with the noise.
    stores = [FeatureStore(p) for p in (folder / "features").glob("features-*")]
    name = speech.probe[0]
    clean = read_audio(next(u for u in speech.corpus if u.id == name))
    heard = [clean, *(noisy_reader(speech.corpus, p["noise"], p["noise_db"])(name) for p in (*PROBES.values(),)[:2])]
    assert len(stores) == len(heard)
    for audio in heard:
        assert sum(torch.allclose(s.get(name), log_mel(audio), atol=1e-4) for s in stores) == 1


@pytest.mark.parametrize("noise", ["white", "pink", "babble"])
def test_noise_has_the_level_that_was_asked_for_and_is_the_same_every_time(an4_subset, noise):
    corpus = load(an4_subset)
    one, other = corpus.split("test").utterances[:2]
    clean = read_audio(one)
    loud, soft = (noisy_reader(corpus, noise, db)(one.id) - clean for db in (0.0, 20.0))
    for added, db in ((loud, 0.0), (soft, 20.0)):
        ratio = 10 * np.log10(np.mean(np.square(clean, dtype=float)) / np.mean(np.square(added, dtype=float)))
        assert ratio == pytest.approx(db, abs=0.01)
    np.testing.assert_allclose(loud, 10 * soft, atol=1e-4)
    np.testing.assert_array_equal(noisy_reader(corpus, noise, 0.0)(one.id) - clean, loud)
    of_other = noisy_reader(corpus, noise, 0.0)(other.id) - read_audio(other)
    n = min(len(loud), len(of_other))
    assert abs(np.corrcoef(loud[:n], of_other[:n])[0, 1]) < 0.2, "each utterance has noise of its own"


@pytest.mark.parametrize(
    ("probe", "said"),
    [
        ({"splits": ["eval"]}, r"probes\.x: the probe set is to come from eval"),
        ({"half": 0, "utterances": 8}, r"probes\.x: the probe set has \d utterances"),
        ({"grid": 4, "utterances": 8}, None),
    ],
)
def test_a_probe_set_that_cannot_be_compared_on_is_refused_before_anything_is_trained(an4_subset, probe, said):
    config = asked(an4_subset, probes={"x": probe})
    if said is None:
        assert len(load_speech(config, silent).further["x"].utterances) == 8
        return
    with pytest.raises(StudyError, match=said):
        load_speech(config, silent)
    assert any("probes.x" in warning for warning in plan_study(config).warnings)
