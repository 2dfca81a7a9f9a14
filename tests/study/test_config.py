"""What can be asked of a study, and what is said of what cannot."""

import pytest

from otoscope import StudyConfig, StudyError
from otoscope.asr import TrainingConfig
from otoscope.asr.models.cnn import CnnConfig
from otoscope.asr.models.lstm import LstmConfig
from otoscope.asr.models.transformer import TransformerConfig
from tests.speech import tiny_study


def test_a_configuration_survives_being_written_and_read(tmp_path):
    config = tiny_study(tmp_path / "corpus")
    path = tmp_path / "study.toml"
    path.write_text(config.toml(), encoding="utf-8")
    assert StudyConfig.read(path) == config


def test_every_field_survives_being_written_and_read(tmp_path):
    config = StudyConfig.of(
        corpus=str(tmp_path),
        parts=["train-*", "dev-clean"],
        watch=True,
        decoding={"ngram": 4, "beam": 7},
        recognisers={
            "a": {
                "architecture": "conformer",
                "settings": {"intermediate_ctc": [1, 3], "self_conditioning": True, "positions": "rotary"},
                "decoder": "transformer",
                "decoder_settings": {"blocks": 1},
                "pieces": 64,
                "training": {"ctc_weight": 0.3, "memory_seconds": 20.5, "speeds": [1.0]},
            }
        },
    )
    path = tmp_path / "study.toml"
    path.write_text(config.toml(), encoding="utf-8")
    assert StudyConfig.read(path) == config
    assert config.recognisers["a"].model().intermediate_ctc == (1, 3)


def test_the_default_study_is_small_on_the_embedded_corpus_and_base_elsewhere():
    sizes = {r.size for r in StudyConfig.default().recognisers.values()}
    assert sizes == {"small"}
    assert {r.size for r in StudyConfig.default("an4").recognisers.values()} == {"base"}
    assert StudyConfig.default("an4", size="small").recognisers["cnn"].size == "small"


def test_changes_reach_the_network_and_its_training():
    recogniser = {"architecture": "lstm", "settings": {"blocks": 5}, "training": {"speeds": [1.0], "epochs": 3}}
    asked = StudyConfig.of(recognisers={"deep": recogniser}).recognisers["deep"]
    assert asked.model().blocks == 5
    assert (asked.train().epochs, asked.train().speeds) == (3, (1.0,))


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"recognisers": {"a": {"architecture": "rnn"}}}, r"recognisers\.a\.architecture: .*'cnn', 'lstm'"),
        ({"recognisers": {"a/b": {"architecture": "cnn"}}}, "becomes a folder's"),
        ({"recognisers": {"a" * 41: {"architecture": "cnn"}}}, "expected at most 40 of"),
        ({"recognisers": {"\N{EAR}": {"architecture": "cnn"}}}, "expected at most 40 of"),
        ({"recognisers": {"a\n": {"architecture": "cnn"}}}, "expected at most 40 of"),
        ({"recognisers": {".a": {"architecture": "cnn"}}}, r"no '\.' first"),
        ({"recognisers": {}}, "at least one recogniser"),
        ({"recognisers": {"a": {"architecture": "cnn"}}, "seeds": []}, "one or more different numbers"),
        ({"recognisers": {"a": {"architecture": "cnn"}}, "seeds": [1, 1]}, "one or more different numbers"),
        ({"recognisers": {"a": {"architecture": "cnn"}}, "seeds": [-1]}, r"seeds\.0: .*greater than or equal to 0"),
        ({"recognisers": {"a": {"architecture": "cnn"}}, "seeds": [2**32]}, r"seeds\.0: .*less than"),
        ({"recognisers": {"a": {"architecture": "cnn"}}, "measures": []}, "one or more different measures"),
        ({"recognisers": {"a": {"architecture": "cnn"}}, "measures": ["cka", "cka"]}, "one or more different measures"),
        (
            {"recognisers": {"a": {"architecture": "cnn"}}, "probe": {"splits": ["test", "test"]}},
            r"probe\.splits: .*different splits",
        ),
        ({"recognisers": {"a": {"architecture": "cnn"}}, "probe": {"splits": []}}, "one or more different splits"),
        ({"recognisers": {"a": {"architecture": "cnn"}}, "probe": {"splits": ["dev", "train"]}}, "leave train out"),
        ({"recognisers": {"a": {"architecture": "cnn", "settings": {"kernel": 4}}}}, "kernel is 4; expected an odd"),
        (
            {"recognisers": {"a": {"architecture": "lstm", "training": {"epochs": "ten"}}}},
            "epochs is 'ten'; expected a whole number",
        ),
        (
            {"recognisers": {"a": {"architecture": "cnn"}}, "measures": ["ccca"]},
            "no such measure: ccca. There are: .*pwcca",
        ),
        ({"recognisers": {"a": {"architecture": "cnn"}}, "samples": 99}, "samples: .*greater than or equal to 100"),
        ({"recognisers": {"a": {"architecture": "cnn"}}, "intervals": 0.9}, r"intervals: .*boolean"),
        ({"recognisers": {"a": {"architecture": "cnn"}}, "colour": 1}, r"colour: Extra inputs are not permitted"),
        ({"recognisers": {"a": {"architecture": "cnn", "settings": {"heads": 2}}}}, "cnn has no setting heads"),
        ({"recognisers": {"a": {"architecture": "cnn", "training": {"epoch": 2}}}}, "training has no setting epoch"),
        (
            {"recognisers": {"a": {"architecture": "cnn", "decoder": "lstm"}}},
            r"there is a lstm decoder and training has ctc_weight = 1, which leaves it untrained; set",
        ),
        (
            {
                "recognisers": {"a": {"architecture": "cnn", "decoder": "lstm", "training": {"ctc_weight": 0}}},
                "decoding": {"ngram": 3},
            },
            r"decoding has ngram = 3, a search by the CTC output, and a recogniser has ctc_weight = 0",
        ),
        (
            {"recognisers": {"a": {"architecture": "cnn", "training": {"ctc_weight": 0.3}}}},
            r"ctc_weight = 0\.3, which leaves a share to an attention decoder, and there is none; add decoder",
        ),
        (
            {"recognisers": {"a": {"architecture": "cnn", "decoder_settings": {"units": 8}}}},
            "decoder_settings are given and no decoder",
        ),
        (
            {"recognisers": {"a": {"architecture": "cnn", "decoder": "lstm", "decoder_settings": {"heads": 2}}}},
            "the lstm decoder has no setting heads; it has attention",
        ),
        ({"recognisers": {"a": {"architecture": "cnn", "decoder": "cnn"}}}, r"decoder: .*'lstm' or 'transformer'"),
        ({"recognisers": {"a": {"architecture": "cnn", "pieces": 1}}}, "pieces: .*greater than or equal to 2"),
        ({"recognisers": {"a": {"architecture": "cnn"}}, "decoding": {"ngram": 1}}, "expected 0 or 2 to 5"),
        ({"recognisers": {"a": {"architecture": "cnn"}}, "decoding": {"ngram": 6}}, "less than or equal to 5"),
        ({"recognisers": {"a": {"architecture": "cnn"}}, "decoding": {"beam": 0}}, "greater than or equal to 1"),
        ({"recognisers": {"a": {"architecture": "cnn"}}, "watch": "often"}, "watch: .*boolean"),
    ],
)
def test_what_cannot_be_asked_is_named(fields, said):
    with pytest.raises(StudyError, match=said):
        StudyConfig.of(**fields)


def test_a_file_that_is_no_study_is_refused(tmp_path):
    with pytest.raises(StudyError, match="cannot be read"):
        StudyConfig.read(tmp_path / "none.toml")
    (tmp_path / "bad.toml").write_text("a = [")
    with pytest.raises(StudyError, match="is not TOML"):
        StudyConfig.read(tmp_path / "bad.toml")


@pytest.mark.parametrize(
    ("kind", "settings", "said"),
    [
        (TrainingConfig, {"epochs": 0}, "epochs is 0"),
        (TrainingConfig, {"epochs": -1}, "epochs is -1"),
        (TrainingConfig, {"epochs": 1.5}, r"epochs is 1\.5"),
        (TrainingConfig, {"epochs": True}, "epochs is True"),
        (TrainingConfig, {"checkpoints": 1}, "checkpoints is 1; expected a whole number of at least 2"),
        (TrainingConfig, {"batch_seconds": -1}, "batch_seconds is -1; expected a number above 0"),
        (TrainingConfig, {"peak_learning_rate": float("nan")}, "peak_learning_rate is nan"),
        (TrainingConfig, {"clip": 0}, "clip is 0"),
        (TrainingConfig, {"warmup": 1.1}, "warmup is 1.1; expected a share"),
        (TrainingConfig, {"weight_decay": -0.1}, "weight_decay is -0.1"),
        (TrainingConfig, {"speeds": []}, r"speeds is \[\]; expected one or more"),
        (TrainingConfig, {"speeds": 1.0}, r"speeds is 1\.0"),
        (TrainingConfig, {"speeds": (1.0, 0)}, "expected one or more numbers above 0"),
        (CnnConfig, {"kernel": 4}, "kernel is 4; expected an odd number"),
        (CnnConfig, {"blocks": 0}, "blocks is 0"),
        (LstmConfig, {"units": 0}, "units is 0"),
        (LstmConfig, {"units": 16.5}, r"units is 16\.5"),
        (LstmConfig, {"dropout": 1}, "dropout is 1; expected a rate"),
        (TransformerConfig, {"heads": 5}, "heads is 5; expected a number that divides units = 192"),
        (TransformerConfig, {"units": 12, "heads": 4}, "heads of even width"),
        (TransformerConfig, {"feed_forward": 0}, "feed_forward is 0"),
    ],
)
def test_a_setting_that_cannot_work_is_refused_before_anything_runs(kind, settings, said):
    with pytest.raises(StudyError, match=said):
        kind(**settings)


def test_speeds_are_the_same_however_they_are_written():
    assert [type(s) for s in TrainingConfig(speeds=(1, 2)).speeds] == [float, float]
    assert TrainingConfig(speeds=[1]) == TrainingConfig(speeds=(1.0,))


def study(**fields):
    return StudyConfig.of(**{"recognisers": {"a": {"architecture": "cnn", "size": "small"}}, **fields})


def test_differences_in_training_are_those_of_meaning(tmp_path, monkeypatch):
    (tmp_path / "speech").mkdir()
    monkeypatch.chdir(tmp_path)
    one = study(corpus="speech", seeds=[0, 1])
    written = {"architecture": "cnn", "size": "small", "settings": {"units": 160}, "training": {"speeds": (1,)}}
    same = study(
        corpus=str(tmp_path / "speech"),
        recognisers={"a": written},
        seeds=[1, 0],
        title="another",
        measures=["cka", "rsa"],
        intervals=True,
        samples=1000,
        watch=True,
        decoding={"ngram": 3},
        probe={"splits": ["test"]},
    )
    assert one.training_differences(same) == same.training_differences(one) == []
    path = tmp_path / "study.toml"
    path.write_text(same.toml(), encoding="utf-8")
    monkeypatch.chdir("/")
    assert StudyConfig.read(path).training_differences(one) == []
    other = study(
        corpus="elsewhere",
        format="tsv",
        parts=["train"],
        seeds=[0],
        recognisers={"a": {**written, "settings": {"units": 161}}},
    )
    assert one.training_differences(other) == ["corpus", "format", "parts", "recognisers", "seeds"]
    joint = {**written, "training": {"ctc_weight": 0.3}}
    decoders = [{**joint, "decoder": name} for name in ("lstm", "transformer")]
    for a, b in ((written, {**written, "pieces": 64}), decoders):
        assert study(recognisers={"a": a}).training_differences(study(recognisers={"a": b})) == ["recognisers"]
    renamed = one.model_copy(update={"recognisers": {"b": one.recognisers["a"]}})
    assert one.training_differences(renamed) == ["recognisers"]


@pytest.mark.parametrize("title", ["\N{EAR} ß", 'a "b" \\ c', "a\nb\x7f\x1f"])
def test_any_title_can_be_written_and_read(title, tmp_path):
    path = tmp_path / "study.toml"
    path.write_text(study(title=title).toml(), encoding="utf-8")
    assert StudyConfig.read(path).title == title


ONE = {"recognisers": {"a": {"architecture": "cnn"}}}


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"findings": "F1"}, r'findings: .*expected "all" or a list of F1, F2, .*F10 \(got \'F1\'\)'),
        ({"findings": ["F1", "F11"]}, r'findings: .*expected "all" or a list of F1'),
        ({"findings": [["F1"]]}, r'findings: .*expected "all" or a list of F1'),
        ({"findings": ["F1", "F1"]}, "findings: .*expected different findings"),
        ({"matrices": "some"}, r"matrices: .*'every' or 'ends' \(got 'some'\)"),
        ({"content": ["phones", "phones"]}, "content: .*expected different labels"),
        (
            {"content": ["letters"]},
            r"content\.0: .*'phones', 'words', 'speaker', 'position', .*'duration', .* or 'log-mel'",
        ),
        ({"probes": {"a/b": {"grid": 2}}}, "probes: .*a probe set's name becomes a folder's: expected at most 20"),
        ({"probes": {"a": {}}}, r"probes\.a: .*nothing differs from \[probe\]: give splits, utterances, noise"),
        ({"probes": {"a": {"noise_db": 10}}}, r"probes\.a: .*given together or not at all"),
        ({"probes": {"a": {"noise": "pink"}}}, r"probes\.a: .*given together or not at all"),
        ({"probes": {"a": {"noise": "brown", "noise_db": 3}}}, r"probes\.a\.noise: .*'white', 'pink' or 'babble'"),
        ({"probes": {"a": {"noise": "pink", "noise_db": 61}}}, r"probes\.a\.noise_db: .*less than or equal to 60"),
        ({"probes": {"a": {"grid": 3}}}, r"probes\.a\.grid: .*1, 2 or 4"),
        ({"probes": {"a": {"half": 2}}}, r"probes\.a\.half: .*0 or 1"),
        ({"probes": {"a": {"splits": ["train"]}}}, r"probes\.a\.splits: .*leave train out"),
        ({"probes": {"a": {"utterances": 7}}}, r"probes\.a\.utterances: .*greater than or equal to 8"),
        (
            {"recognisers": {"a": {"architecture": "cnn"}, "b": {"architecture": "lstm", "settings": {"kernel": 3}}}},
            r"recognisers\.b: lstm has no setting kernel",
        ),
    ],
)
def test_what_cannot_be_asked_of_findings_and_probe_sets_is_named(fields, said):
    with pytest.raises(StudyError, match=said):
        StudyConfig.of(**ONE | fields)


def test_findings_and_probe_sets_survive_being_written_and_read_and_do_not_matter_to_training(tmp_path):
    config = StudyConfig.of(
        **ONE,
        findings=["F7", "F1"],
        matrices="ends",
        content=["phones", "log-mel"],
        content_at="ends",
        probes={
            "babble.10": {"noise": "babble", "noise_db": 10},
            "coarse": {"grid": 2, "splits": ["dev"], "utterances": 20},
            "half-1": {"half": 1},
        },
    )
    path = tmp_path / "study.toml"
    path.write_text(config.toml(), encoding="utf-8")
    assert StudyConfig.read(path) == config
    assert config.asked == ("F1", "F7")
    assert config.training_differences(StudyConfig.of(**ONE)) == []
    for findings, asked in (([], ()), ("all", tuple(f"F{i}" for i in range(1, 11)))):
        assert StudyConfig.of(**ONE, findings=findings).asked == asked
