"""Checkpoints of other people's trainings: found, in order, and each loaded as what it is."""

import argparse
import shutil

import pytest
import torch
from safetensors.torch import save_file

from otoscope import CaptureError, ReferenceRecogniser, Speech
from otoscope.adapters.huggingface import HuggingFaceRecogniser
from otoscope.adapters.series import series
from otoscope.adapters.training_steps import steps_of_names, steps_of_revisions
from otoscope.asr import CharacterTokens
from otoscope.asr.models.cnn import CnnConfig
from tests.trainings import (
    NetRecogniser,
    lightning_training,
    plain_training,
    processor,
    transformers_training,
    wav2vec,
)

pytestmark = [
    pytest.mark.filterwarnings("ignore::UserWarning:lightning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning:lightning"),
    pytest.mark.filterwarnings("ignore::FutureWarning:lightning"),
]


def same(module, other):
    ours, theirs = module.state_dict(), other.state_dict()
    assert ours.keys() == theirs.keys()
    return all(torch.equal(ours[name], tensor) for name, tensor in theirs.items())


# transformers


@pytest.fixture(scope="module")
def trainer_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "wav2vec"
    folder.mkdir()
    return folder, transformers_training(folder)


def test_folders_of_transformers_are_loaded_whole(trainer_folder):
    folder, models = trainer_folder
    found = series(folder)
    assert (found.name, found.steps, found.skipped, found.base) == ("wav2vec", (10, 20, 30), (), "")
    assert found.told_by == 'the number after "checkpoint" in the names'
    for step, model in models.items():
        opened = found.open(step)
        assert same(opened.recogniser.module, model)
        assert not opened.recogniser.module.training
    assert not same(models[10], models[30])


def test_steps_are_ordered_as_numbers_and_what_is_no_checkpoint_is_named(trainer_folder, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(trainer_folder[0], folder)
    (folder / "checkpoint-10").rename(folder / "checkpoint-100")
    (folder / "checkpoint-5").mkdir()
    (folder / "checkpoint-best").mkdir()
    shutil.copy(folder / "checkpoint-20" / "config.json", folder / "checkpoint-best")
    (folder / "training_args.bin").touch()
    found = series(folder)
    assert found.steps == (20, 30, 100)
    assert [line.partition(":")[0] for line in found.skipped] == [
        "checkpoint-5",
        "checkpoint-best",
        "training_args.bin",
    ]
    assert "has no config.json" in found.skipped[0]


def test_weights_of_transformers_checkpoints_without_a_feature_extractor_go_into_a_base(tmp_path):
    models = transformers_training(tmp_path, processors=False)
    made = processor(tmp_path)
    base = HuggingFaceRecogniser(wav2vec(), feature_extractor=made.feature_extractor, tokeniser=made.tokenizer)
    found = series(tmp_path, base=base)
    assert found.steps == (10, 20, 30)
    assert same(found.open(20).recogniser.module, models[20])
    assert not same(base.module, models[20]), "the base is left as it is"


# Lightning


@pytest.mark.parametrize("named", [True, False], ids=["as Lightning names them", "no step in the name"])
def test_lightning_checkpoints_go_into_a_base_by_their_own_step(named, tmp_path):
    folder = tmp_path / "my-training" / "checkpoints"
    trained = lightning_training(folder)
    for file in () if named else folder.glob("epoch*.ckpt"):
        file.rename(folder / f"{'zyx'[int(file.stem[-1]) // 2 - 1]}.ckpt")
    found = series(folder, base=NetRecogniser)
    assert (found.name, found.steps, found.told_by) == ("my-training", (2, 4, 6), "global_step in the files")
    assert found.base == "NetRecogniser"
    assert [line.partition(":")[0] for line in found.skipped] == ["last.ckpt"]
    assert "of the same step as" in found.skipped[0]
    opened = found.open(6)
    assert opened.note == "the prefix 'model.' was taken off the names of the weights"
    assert same(opened.recogniser.module, trained.model)
    assert not same(found.open(2).recogniser.module, trained.model)


def test_a_lightning_checkpoint_without_a_step_is_read_by_its_name(tmp_path):
    lightning_training(tmp_path)
    for file in tmp_path.glob("*.ckpt"):
        content = torch.load(file, weights_only=True)
        torch.save({"state_dict": content["state_dict"]}, file)
    found = series(tmp_path, base=NetRecogniser())
    assert (found.steps, found.told_by) == ((2, 4, 6), 'the number after "step" in the names')
    assert found.skipped == ("last.ckpt: no step could be told",)


def test_a_lightning_checkpoint_with_settings_that_need_unpickling_is_refused(tmp_path):
    lightning_training(tmp_path, corpus=argparse.Namespace(name="an4"))
    with pytest.raises(CaptureError, match=r"step=2\.ckpt asks to unpickle argparse\.Namespace"):
        series(tmp_path, base=NetRecogniser)
    for file in tmp_path.glob("epoch*.ckpt"):  # as the message says
        content = torch.load(file, weights_only=False)
        save_file(content["state_dict"], file.with_suffix(".safetensors"))
    (tmp_path / "last.ckpt").unlink()
    found = series(tmp_path, base=NetRecogniser)
    assert found.steps == (2, 4, 6)
    assert len(found.skipped) == 3
    assert found.open(2).note


# State dicts


def test_plain_state_dicts_go_into_a_base(tmp_path):
    nets = plain_training(tmp_path)
    (tmp_path / "optimizer.pt").touch()
    found = series(tmp_path, base=NetRecogniser())
    assert (found.steps, found.told_by) == ((0, 2, 4), "the number in the place of # in model_#.pt")
    assert found.skipped == ("optimizer.pt: no step could be told",)
    opened = [found.open(step).recogniser for step in found.steps]
    assert all(same(one.module, nets[step]) for one, step in zip(opened, found.steps, strict=True))
    assert float(opened[0].module.scale) == 0.5
    audio = torch.randn(16_000).numpy()
    outputs = [one.outputs(one.prepare([Speech(audio)]), ["rnns.1"])["rnns.1"] for one in opened]
    assert not torch.equal(outputs[0], outputs[1])


def test_safetensors_are_taken_before_a_pickle_of_the_same_step(tmp_path):
    nets = plain_training(tmp_path, "step_{step}.pt", wrap=lambda weights: {"model": weights, "epoch": 1})
    save_file(nets[4].state_dict(), tmp_path / "step_4.safetensors")
    found = series(tmp_path, base=NetRecogniser())
    assert [checkpoint.place.name for checkpoint in found.checkpoints] == [
        "step_0.pt",
        "step_2.pt",
        "step_4.safetensors",
    ]
    assert found.skipped == ("step_4.pt: of the same step as step_4.safetensors",)


def test_weights_that_do_not_fit_name_their_file(tmp_path):
    plain_training(tmp_path, wrap=lambda weights: {**weights, "loss.weight": torch.ones(1)})
    with pytest.raises(CaptureError, match=r"in model_000002\.pt.*1 left over \(such as loss\.weight\)"):
        series(tmp_path, base=NetRecogniser()).open(2)


# Otoscope's own


@pytest.fixture
def own_run(tmp_path):
    torch.manual_seed(0)
    checkpoints = tmp_path / "study" / "recognisers" / "cnn" / "seed0" / "checkpoints"
    for step in (0, 100, 1000):
        recogniser = ReferenceRecogniser(CnnConfig(blocks=1, units=8, kernel=3), CharacterTokens("ab"), step=step)
        recogniser.save(checkpoints / f"step-{step:06d}.safetensors")
    recogniser.save(checkpoints / "averaged.safetensors")
    return checkpoints


@pytest.mark.parametrize("up", [0, 1, 4])
def test_our_own_runs_are_found_from_any_of_their_folders(own_run, up):
    found = series([own_run, *own_run.parents][up], load=ReferenceRecogniser.load)
    assert (found.name, found.steps) == ("cnn/seed0", (0, 100, 1000))
    assert found.skipped == ("averaged.safetensors: no step could be told",)
    assert found.open(100).recogniser.step == 100


def test_a_study_of_several_runs_asks_which(own_run):
    run = own_run.parent
    shutil.copytree(run, run.with_name("seed1"))
    with pytest.raises(CaptureError, match=r"study of 2 runs: .*recognisers/cnn/seed0, recognisers/cnn/seed1"):
        series(own_run.parents[3], load=ReferenceRecogniser.load)
    with pytest.raises(CaptureError, match="give load="):
        series(run)
    (own_run / "step-000000.safetensors").write_bytes(b"\x00\x01")
    with pytest.raises(CaptureError, match=r"step-000000\.safetensors cannot be read as safetensors"):
        series(run, load=ReferenceRecogniser.load)


def test_a_base_may_be_named(own_run, tmp_path):
    named = str(own_run / "step-000000.safetensors")
    found = series(own_run, base=named, load=ReferenceRecogniser.load)
    assert found.base == named
    whole = series(own_run, load=ReferenceRecogniser.load)
    assert same(found.open(1000).recogniser.module, whole.open(1000).recogniser.module)
    assert not same(found.open(0).recogniser.module, found.open(1000).recogniser.module)
    with pytest.raises(CaptureError, match="is a NoTorch, which has no torch module"):
        series(own_run, base=NoTorch).open(0)


class NoTorch:
    """Such as a graph for onnxruntime."""


# The hub, which no test reaches: what is asked of the loader


@pytest.mark.parametrize(
    ("place", "revisions", "steps", "told_by"),
    [
        ("org/asr@step2000,step1000", None, (1000, 2000), 'the number after "step" in the names'),
        ("org/asr", ["half", "main"], (0, 1), "the order in which the revisions were given, from 0"),
    ],
)
def test_revisions_of_the_hub_are_asked_for_one_by_one(place, revisions, steps, told_by):
    asked = []
    found = series(place, revisions=revisions, load=lambda name: asked.append(name) or NetRecogniser())
    assert (found.name, found.steps, found.told_by) == ("asr", steps, told_by)
    for step in found.steps:
        assert isinstance(found.open(step).recogniser, NetRecogniser)
    assert asked == [f"org/asr@{r}" for r in revisions or ("step1000", "step2000")]


# What is no series


def test_every_other_place_is_one_clear_error(tmp_path):
    for place in ("org/asr", tmp_path / "nowhere"):
        with pytest.raises(CaptureError, match="there is no series of checkpoints at"):
            series(place)
    with pytest.raises(CaptureError, match=r"has 0 \(nothing that is known\)"):
        series(tmp_path)
    nets = plain_training(tmp_path)
    with pytest.raises(CaptureError, match=r"3 files of weights, such as model_000000\.pt.*as base"):
        series(tmp_path)
    found = series(tmp_path, base=NetRecogniser())
    with pytest.raises(CaptureError, match="no checkpoint of step 3; its steps are 0, 2, 4"):
        found.open(3)
    for step in list(nets)[1:]:
        (tmp_path / f"model_{step:06d}.pt").unlink()
    with pytest.raises(CaptureError, match=r"has 1 \(model_000000\.pt\)"):
        series(tmp_path, base=NetRecogniser())
    with pytest.raises(CaptureError, match="two different revisions"):
        series("org/asr@main,main")
    with pytest.raises(CaptureError, match="and a base"):
        series("org/asr@main,other", base=NetRecogniser())


# Steps


@pytest.mark.parametrize(
    ("names", "steps", "told_by"),
    [
        (["checkpoint-9", "checkpoint-10"], [9, 10], '"checkpoint"'),
        (["epoch=1-step=40.ckpt", "epoch=1-step=80.ckpt"], [40, 80], '"step"'),
        (["epoch3_loss0.4.pt", "epoch4_loss0.3.pt"], [3, 4], '"epoch"'),
        (["checkpoint_1_100.pt", "checkpoint_1_200.pt"], [100, 200], "checkpoint_1_#.pt"),
        (["run2_16k_00100.pt", "run2_16k_00200.pt"], [100, 200], "run2_16k_#.pt"),
        (["a1_b7_c1.pt", "a1_b8_c2.pt", "a1_b8_c3.pt"], [1, 2, 3], "a1_b*_c#.pt"),
        (["5.pt", "7.pt"], [5, 7], "#.pt"),
        (["iter-5.pt", "iter-7.pt"], [5, 7], '"iter"'),
        (["step100M", "step1B"], [100_000_000, 1_000_000_000], '"step"'),
        (["step=500.pt", "step=1_000.pt", "step=1_500.pt"], [500, 1000, 1500], '"step"'),
        (["step-9k.pt", "step-10k.pt"], [9000, 10_000], '"step"'),
        (["model_1.5k.pt", "model_2k.pt", "model_1M.pt"], [1500, 2000, 1_000_000], "model_#.pt"),
        (["epoch_1_100.pt", "epoch_2_050.pt"], [1, 2], '"epoch"'),
        (["step5a.pt", "step6a.pt"], [5, 6], "step#a.pt"),
    ],
)
def test_steps_are_told_by_names(names, steps, told_by):
    found = steps_of_names([*names, "best.pt"])
    assert list(found.of.items()) == list(zip(names, steps, strict=True))
    assert told_by in found.told_by


def test_letters_that_may_stand_for_anything_tell_no_step():
    assert list(steps_of_names(["step5x.pt", "step6x.pt", "step1y.pt"]).of) == ["step5x.pt", "step6x.pt"]


@pytest.mark.parametrize(
    ("revisions", "steps"),
    [
        (["step100M", "step1B"], [100_000_000, 1_000_000_000]),
        (["step2000-tokens8B", "step1000-tokens4B"], [2000, 1000]),
        (["v1.0", "v1.1"], [0, 1]),
        (["v1.9", "v1.10", "v2.1"], [0, 1, 2]),
        (["100k", "1M"], [100_000, 1_000_000]),
        (["main", "step5"], [0, 1]),
    ],
)
def test_steps_are_told_by_revisions(revisions, steps):
    assert list(steps_of_revisions(revisions).of.items()) == list(zip(revisions, steps, strict=True))


def test_commits_have_no_number_that_is_a_step():
    commits = ["9" * 40, "a1b2c3d4", "abc12"]
    assert list(steps_of_revisions(commits).of.values()) == [0, 1, 2]
    assert list(steps_of_revisions(["v1.0", "v2.0"]).of.values()) == [0, 1], "the same number twice tells nothing"
    assert list(steps_of_revisions(["checkpoint-500", "checkpoint-1000"]).of.values()) == [500, 1000]
