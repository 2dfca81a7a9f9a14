"""What can be asked of a study, and what is said of what cannot."""

import pytest

from otoscope import StudyConfig, StudyError
from tests.speech import tiny_study


def test_a_configuration_survives_being_written_and_read(tmp_path):
    config = tiny_study(tmp_path / "corpus")
    path = tmp_path / "study.toml"
    path.write_text(config.toml(), encoding="utf-8")
    assert StudyConfig.read(path) == config


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
        ({"recognisers": {}}, "at least one recogniser"),
        ({"recognisers": {"a": {"architecture": "cnn"}}, "seeds": []}, "one or more different numbers"),
        ({"recognisers": {"a": {"architecture": "cnn"}}, "seeds": [1, 1]}, "one or more different numbers"),
        (
            {"recognisers": {"a": {"architecture": "cnn"}}, "measures": ["ccca"]},
            "no such measure: ccca. There are: .*pwcca",
        ),
        ({"recognisers": {"a": {"architecture": "cnn"}}, "colour": 1}, r"colour: Extra inputs are not permitted"),
        ({"recognisers": {"a": {"architecture": "cnn", "settings": {"heads": 2}}}}, "cnn has no setting heads"),
        ({"recognisers": {"a": {"architecture": "cnn", "training": {"epoch": 2}}}}, "training has no setting epoch"),
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
