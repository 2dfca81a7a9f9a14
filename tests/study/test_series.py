"""A series of checkpoints through training: the numbers of a study, little memory, and resuming."""

import dataclasses
import json
import math
import os
import shutil
import subprocess
import sys
from functools import partial

import pytest
import torch
from transformers import Wav2Vec2FeatureExtractor, Wav2Vec2ForCTC, WhisperForConditionalGeneration

from otoscope import Batch, Corpus, Layer, Results, StudyError, capture, cka, load, write_report
from otoscope.adapters.fingerprint import fingerprint
from otoscope.adapters.huggingface import HuggingFaceRecogniser
from otoscope.adapters.series import CheckpointSeries, Opened, SavedCheckpoint, series
from otoscope.adapters.weights import read_weights
from otoscope.asr import log_mel
from otoscope.capture import Clusters
from otoscope.corpora import read_audio
from otoscope.loading import load_recogniser
from otoscope.study.held import HeldCheckpoints
from otoscope.study.series import _Heard, _keys, measure_series
from otoscope.study.units import Checkpoint, plan_units
from tests.adapters.huggingface_small import Small, three_seconds, whisper, whisper_tokens
from tests.trainings import NetRecogniser, lightning_training, plain_training, processor, transformers_training, wav2vec

pytestmark = [
    pytest.mark.filterwarnings("ignore::UserWarning:lightning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning:lightning"),
    pytest.mark.filterwarnings("ignore::FutureWarning:lightning"),
]


@pytest.fixture(scope="module")
def corpus(an4_subset):
    return load(an4_subset).split("test")


def test_a_run_of_a_study_gives_the_numbers_of_the_study(finished_study, an4_subset):
    there = Results.load(finished_study / "results.nc")
    probe = json.loads((finished_study / "manifest.json").read_text())["corpus"]["probe"]["ids"]
    speech = load(an4_subset)
    speech = speech.keep([u for u in speech if u.id in probe])
    run = "lstm/seed0"
    found = series(finished_study / "recognisers" / run, load=load_recogniser)
    here = Results(measure_series(found, corpus=speech, measures=["cka", "cca", "svcca"], utterances=len(probe)))
    assert (here.runs, here.steps(run), here.layers(run)) == ((run,), there.steps(run), there.layers(run))
    assert here.dataset.attrs["frames"] == there.dataset.attrs["frames"]
    ours, theirs = (
        rows[(rows.run_x == run) & (rows.run_y == run) & rows.measure.isin(here.measures)]
        for rows in (here.to_frame(), there.to_frame())
    )
    key = ["kind", "step_x", "layer_x", "step_y", "layer_y", "measure"]
    both = ours.merge(theirs, on=key, suffixes=("", "_study"))
    assert len(both) == len(ours) == len(theirs)
    assert set(both.kind) == {"within", "to_final", "to_previous", "shuffled"}
    torch.testing.assert_close(
        torch.tensor(both.similarity.values),
        torch.tensor(both.similarity_study.values),
        equal_nan=True,
        atol=1e-5,
        rtol=0,
    )
    assert both.similarity.notna().mean() > 0.9


@pytest.fixture(scope="module")
def net_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "net"
    folder.mkdir()
    return folder, plain_training(folder)


def frames(net, corpus, name, axis):
    """A layer's frames of every utterance by itself, without the machinery."""
    recogniser, kept = NetRecogniser(), []
    recogniser.module = net.eval()
    for u in corpus:
        with torch.no_grad(), capture(net, [name]) as captured:
            net(log_mel(read_audio(u))[None])
            kept.append(captured.take()[name].movedim(axis, 1)[0])
    return torch.cat(kept), [len(x) for x in kept]


def test_plain_state_dicts_give_what_the_nets_themselves_give(net_folder, corpus):
    folder, nets = net_folder
    few = corpus.keep(corpus.utterances[:6])
    results = Results(measure_series(series(folder, base=NetRecogniser()), corpus=few))
    assert results.steps("net") == (0, 2, 4)
    axes = {"front": 2, "rnns.0": 1, "rnns.1": 1}
    seen = {(step, name): frames(net, few, name, axis) for step, net in nets.items() for name, axis in axes.items()}

    def expected(x, y):
        return float(cka(seen[x][0], seen[y][0], utterances=seen[x][1]))

    for step in nets:
        matrix = results.within("net", step, "cka")
        for x in axes:
            for y in axes:
                assert float(matrix.sel(layer_x=x, layer_y=y)) == pytest.approx(
                    expected((step, x), (step, y)), abs=1e-5
                )
    final, previous = (results.curve(kind, "net", "cka") for kind in ("to_final", "to_previous"))
    for name in axes:
        assert float(final.sel(layer=name, step=0)) == pytest.approx(expected((0, name), (4, name)), abs=1e-5)
        assert float(previous.sel(layer=name, step=4)) == pytest.approx(expected((4, name), (2, name)), abs=1e-5)
        assert math.isnan(previous.sel(layer=name, step=0))
    assert float(final.sel(layer="rnns.0", step=0)) < 0.999, "training moved it"


def test_lightning_checkpoints_with_intervals(corpus, tmp_path):
    lightning_training(tmp_path)
    dataset = measure_series(
        series(tmp_path, base=NetRecogniser), corpus=corpus, measures=["cka", "rsa"], intervals=True
    )
    assert {"low", "high"} <= set(dataset)
    within = dataset.where((dataset.kind == "within") & (dataset.layer_x != dataset.layer_y), drop=True).sel(
        measure="cka"
    )
    assert bool((within.low < within.high).all())
    assert dataset.attrs["intervals"].startswith("95 %, jackknife over blocks of ")
    assert dataset.attrs["sample_frames"] > 0
    about = json.loads(dataset.attrs["series"])
    assert about["told_by"] == "global_step in the files"
    assert about["notes"] == ["the prefix 'model.' was taken off the names of the weights"]
    assert about["base"] == "NetRecogniser"
    assert about["skipped"][0].startswith("last.ckpt: of the same step")


def test_checkpoints_of_transformers_laid_out_in_a_report(corpus, tmp_path):
    training, out = tmp_path / "wav2vec-small", tmp_path / "out"
    training.mkdir()
    transformers_training(training, wer=45.0)
    measure_series(series(training), corpus=corpus, utterances=6, out=out)
    results = Results.load(out / "results.nc")
    assert results.steps("wav2vec-small") == (10, 20, 30)
    assert len(results.layers("wav2vec-small")) >= 2
    curve = results.curve("to_final", "wav2vec-small", "cka")
    assert (curve.sel(step=30) > 0.999).all()
    assert (curve.sel(step=10) < curve.sel(step=30)).all()
    scores, losses = results.wer("wav2vec-small"), results.training("wav2vec-small")
    assert scores["dev_wer"].values.tolist() == [0.45] * 3, "per cent, as that training had it"
    assert json.loads(results.dataset.attrs["series"])["notes"] == [
        "eval_wer was read as per cent: it is 45 throughout"
    ]
    assert losses["epoch"].values.tolist() == [5, 10, 15]
    assert (losses["train_loss"] > 0).all()
    assert (losses["dev_loss"] > 0).all()
    write_report(out)
    assert "wav2vec-small" in (out / "report.html").read_text(encoding="utf-8")


def test_layers_of_one_s_choice_at_every_checkpoint(corpus, tmp_path):
    transformers_training(tmp_path, processors=False)
    base = HuggingFaceRecogniser(wav2vec(), feature_extractor=processor(tmp_path).feature_extractor)
    found = series(tmp_path, base=base)
    every = ["wav2vec2.encoder.layers.*"]
    dataset = measure_series(found, corpus=corpus, layers=every, utterances=4)
    assert list(dataset.layer_l.values) == ["wav2vec2.encoder.layers.0", "wav2vec2.encoder.layers.1"]


# Memory, resuming, faults


class Counting:
    """Opens nets, and counts how many of them are alive."""

    def __init__(self, nets):
        self.nets, self.alive, self.most, self.opened = nets, 0, 0, []

    def series(self, name="net"):
        found = tuple(SavedCheckpoint(step, f"org/net@{step}") for step in self.nets)
        return CheckpointSeries(name, found, "", (), "", self.open)

    def open(self, place):
        step = int(place.partition("@")[2])
        self.opened.append(step)
        self.alive += 1
        self.most = max(self.most, self.alive)
        counting = self

        class Counted(NetRecogniser):
            source = place

            def __del__(self):
                counting.alive -= 1

        recogniser = Counted()
        recogniser.module.load_state_dict(self.nets[step].state_dict())
        return Opened(recogniser)


@pytest.fixture(scope="module")
def many_nets():
    nets = {}
    for step in range(6):
        torch.manual_seed(step)
        nets[step] = NetRecogniser().module
    return nets


def test_each_checkpoint_is_loaded_once_and_three_are_in_memory_at_most(many_nets, corpus):
    counting = Counting(many_nets)
    measure_series(counting.series(), corpus=corpus, utterances=3)
    assert counting.most == 3
    assert sorted(counting.opened) == list(many_nets)


def test_a_killed_run_goes_on_and_gives_the_same(net_folder, corpus, tmp_path):
    folder = tmp_path / "net"
    shutil.copytree(net_folder[0], folder)
    out, seen = tmp_path / "out", []
    asked = {"corpus": corpus, "utterances": 4, "measures": ["cka", "svcca"]}
    whole = measure_series(series(folder, base=NetRecogniser()), **asked)

    class KilledError(Exception):
        pass

    def kill(_what, done, total):
        seen.append((done, total))
        if done > total / 2:
            raise KilledError

    with pytest.raises(KilledError):
        measure_series(series(folder, base=NetRecogniser()), **asked, out=out, progress=kill)
    done = {path: path.stat().st_mtime_ns for path in (out / "measured").glob("*.json")}
    assert 0 < len(done) < 5
    assert not (out / "results.nc").exists()
    again = measure_series(series(folder, base=NetRecogniser()), **asked, out=out)
    assert {path: path.stat().st_mtime_ns for path in done} == done, "what was finished is not done again"
    assert len(list((out / "measured").glob("*.json"))) == 5
    assert again.drop_attrs().identical(whole.drop_attrs())
    assert Results.load(out / "results.nc").dataset.drop_attrs().identical(whole.drop_attrs())
    assert seen[0][1] == 5 * 4

    # Another checkpoint in the middle: what it enters is done anew, the rest is not.
    torch.save(many_other(), folder / "model_000002.pt")
    before = {path.name: path.stat().st_mtime_ns for path in (out / "measured").glob("*.json")}
    measure_series(series(folder, base=NetRecogniser()), **asked, out=out)
    anew = {path.name for path in (out / "measured").glob("*.json") if path.stat().st_mtime_ns != before[path.name]}
    assert anew == {"checkpoint-net@2.json", "checkpoint-net@4.json"}, "itself, and the one that is compared with it"


def many_other():
    torch.manual_seed(9)
    return NetRecogniser().module.state_dict()


def test_what_was_asked_changes_what_is_done(net_folder, corpus, tmp_path):
    found = series(net_folder[0], base=NetRecogniser())
    measure_series(found, corpus=corpus, utterances=4, out=tmp_path)
    units = list((tmp_path / "measured").glob("*.json"))
    for change in ({"utterances": 5}, {"measures": ["cka-debiased"]}, {"layers": ["rnns.*"]}):
        before = {path: path.stat().st_mtime_ns for path in units}
        dataset = measure_series(found, **{"corpus": corpus, "utterances": 4, **change}, out=tmp_path)
        assert all(path.stat().st_mtime_ns != at for path, at in before.items()), change
    assert list(dataset.layer_l.values) == ["rnns.0", "rnns.1"]


def test_a_finished_series_is_read_without_loading_a_checkpoint_from_files(net_folder, corpus, tmp_path):
    found, opened = series(net_folder[0], base=NetRecogniser), []
    counting = dataclasses.replace(found, opener=lambda place: opened.append(place) or found.opener(place))
    for _ in range(2):
        measure_series(counting, corpus=corpus, utterances=4, out=tmp_path)
        assert len(opened) == 3


class Louder(NetRecogniser):
    """The same net with other features, in its code."""

    def prepare(self, speech):
        inputs, lengths, _ = super().prepare(speech)
        return Batch(2 * inputs, lengths)


class Set(NetRecogniser):
    """The same net with features by a setting."""

    def __init__(self, gain=1.0):
        super().__init__()
        self.gain = gain

    def prepare(self, speech):
        inputs, lengths, _ = super().prepare(speech)
        return Batch(self.gain * inputs, lengths)


def quieter():
    base = NetRecogniser()
    base.module.scale *= 0.5  # in no state dict
    return base


def done_anew(found, corpus, out):
    """The units that are done, not found done."""
    before = {path.name: path.stat().st_mtime_ns for path in (out / "measured").glob("*.json")}
    measure_series(found, corpus=corpus, utterances=4, out=out)
    now = {path.name: path.stat().st_mtime_ns for path in (out / "measured").glob("*.json")}
    return [name for name, at in now.items() if before.get(name) != at]


@pytest.mark.parametrize("other", [Louder(), quieter(), quieter, Set(0.5)], ids=["code", "buffer", "made", "setting"])
def test_another_base_is_measured_anew(other, net_folder, corpus, tmp_path):
    one = Set() if isinstance(other, Set) else NetRecogniser
    assert len(done_anew(series(net_folder[0], base=one), corpus, tmp_path)) == 5
    assert done_anew(series(net_folder[0], base=one if callable(one) else Set()), corpus, tmp_path) == []
    assert len(done_anew(series(net_folder[0], base=other), corpus, tmp_path)) == 5


def test_a_base_in_memory_with_other_heads_or_features_is_measured_anew(corpus, tmp_path):
    training, out = tmp_path / "training", tmp_path / "out"
    training.mkdir()
    transformers_training(training, processors=False)

    def found(heads=2, **features):
        config = wav2vec().config
        config.num_attention_heads = heads
        extractor = Wav2Vec2FeatureExtractor(return_attention_mask=True, **features)
        return series(training, base=HuggingFaceRecogniser(Wav2Vec2ForCTC(config), feature_extractor=extractor))

    assert len(done_anew(found(), corpus, out)) == 5
    assert done_anew(found(), corpus, out) == [], "random weights of the base do not matter"
    assert len(done_anew(found(heads=4), corpus, out)) == 5
    assert len(done_anew(found(heads=4, do_normalize=False), corpus, out)) == 5


def test_a_base_by_its_path_is_known_by_what_is_there(net_folder, corpus, tmp_path):
    file = tmp_path / "own.py"
    code = (
        "from tests.trainings import NetRecogniser\n\n\ndef net():\n"
        "    own = NetRecogniser()\n    own.module.scale *= 1.0\n    return own\n"
    )
    out = tmp_path / "out"
    file.write_text(code)
    found = series(net_folder[0], base=f"{file}:net", load=load_recogniser)
    assert len(done_anew(found, corpus, out)) == 5
    assert done_anew(series(net_folder[0], base=f"{file}:net", load=load_recogniser), corpus, out) == []
    file.write_text(code.replace("1.0", "2.0"))
    assert len(done_anew(series(net_folder[0], base=f"{file}:net", load=load_recogniser), corpus, out)) == 5


def test_how_whole_checkpoints_are_loaded_tells_series_apart(tmp_path):
    transformers_training(tmp_path)

    def load(place, language="en"):
        return place, language

    loads = [load, partial(load, language="de"), partial(load, language="fr"), None]
    assert len({series(tmp_path, load=one).settings() for one in loads}) == len(loads)
    again = series(tmp_path, load=partial(load, language="de"))
    assert again.settings() == series(tmp_path, load=loads[1]).settings()


def test_blocks_of_clusters_are_part_of_what_was_asked(net_folder, corpus):
    held = HeldCheckpoints(series(net_folder[0], base=NetRecogniser), None, decoder=False)
    unit = plan_units({"net": [Checkpoint("net", c.step, c.place) for c in held.series.checkpoints]}, ["cka"])[0]
    speech = _Heard.of(corpus, 3)
    one, two = (
        Clusters({u: u for u in speech.ids}, dict(zip(speech.ids, blocks, strict=True)), "utterances")
        for blocks in ((0, 1, 2), (2, 1, 0))
    )
    assert len({_keys(unit, held, speech, clusters)["within", "cka"] for clusters in (None, one, two)}) == 3


def test_a_base_is_the_same_in_another_process(tmp_path):
    file = tmp_path / "own.py"
    file.write_text(
        "import torch\nfrom otoscope import Batch, TorchRecogniser\n\n\n"
        "class Own(TorchRecogniser):\n"
        "    module, frame_shift = torch.nn.GRU(4, 4), 0.01\n\n"
        "    def __init__(self):\n"
        "        self.names, self.scale = {'a', 'b', 'c', 'd'}, lambda x: 2 * x if x in {1, 2, 3} else 0.5\n\n"
        "    def prepare(self, speech):\n"
        "        return Batch(torch.ones(1, 9, 4), torch.tensor([9]))\n\n"
        "    def layers(self):\n"
        "        return []\n\n"
        "    def forward(self, inputs, lengths):\n"
        "        return self.module(inputs)\n"
    )
    code = (
        "import sys; from otoscope.adapters.fingerprint import fingerprint; "
        "from otoscope.adapters.python import load_python; print(fingerprint(load_python(sys.argv[1])))"
    )
    there = subprocess.run(
        [sys.executable, "-c", code, f"{file}:Own"],
        env={**os.environ, "PYTHONHASHSEED": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert there.stdout.strip() == fingerprint(load_recogniser(f"{file}:Own"))


def test_faults_are_told(net_folder, finished_study, corpus, tmp_path, many_nets):
    found = series(net_folder[0], base=NetRecogniser())
    with pytest.raises(StudyError, match="at least 2 utterances"):
        measure_series(found, corpus=Corpus("empty", ()))
    with pytest.raises(StudyError, match="at least 2 utterances, and 1 of the"):
        measure_series(found, corpus=corpus, utterances=1)
    with pytest.raises(StudyError, match="holds a study, whose results would be replaced"):
        measure_series(found, corpus=corpus, out=finished_study)

    class Changing(Counting):
        def open(self, place):
            opened = super().open(place)
            if place.endswith("3"):
                opened.recogniser.layers = lambda: [Layer("front", 16, 0.02, 2, "convolution")]
            return opened

    with pytest.raises(StudyError, match=r"different layers.*rnns\.0 is not in all of them \(step 3\)"):
        measure_series(Changing(many_nets).series(), corpus=corpus, utterances=3)


def test_layers_of_decoders_are_compared_by_token(corpus, tmp_path):
    """A Whisper that only takes three seconds, moved twice at random."""
    short = corpus.keep([u for u in corpus if u.duration < 2.9][:6])
    small = Small(WhisperForConditionalGeneration, whisper, three_seconds)
    model, extractor, _ = small.build(tmp_path)
    base = HuggingFaceRecogniser(model, feature_extractor=extractor, tokeniser=whisper_tokens())
    for step in (10, 20):
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(0.02 * torch.randn_like(parameter))
        model.save_pretrained(tmp_path / f"checkpoint-{step}")
    assert "proj_out.weight" not in read_weights(tmp_path / "checkpoint-10"), "tied to the embeddings, saved once"
    found = series(tmp_path, base=base)
    dataset = measure_series(found, corpus=short, measures=["cka", "rsa"], decoder=True)
    assert [name for name in dataset.layer_l.values if "decoder" not in name] == []
    steps = sum(len(base.tokenise(u.text)) + 1 for u in short)
    assert dataset.attrs["frames"] == dataset.attrs["sample_frames"] == steps
    curve = Results(dataset).curve("to_final", found.name, "cka")
    assert (curve.sel(step=20) > 0.999).all()
    assert (curve.sel(step=10) < 0.999).all()
