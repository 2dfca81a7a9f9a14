"""What the logs of transformers' Trainer say, fractions and per cent told apart where they can be."""

import json

import pytest

from otoscope.adapters.trainer_log import LOG, trainer_logs


def folders(tmp_path, *rates):
    """A checkpoint after each evaluation, with the log so far, as the Trainer keeps it."""
    for i in range(len(rates)):
        folder = tmp_path / f"checkpoint-{i}"
        folder.mkdir()
        history = [{"epoch": i, "eval_wer": rate, "eval_loss": 1.5} for rate in rates[: i + 1]]
        (folder / LOG).write_text(json.dumps({"log_history": [{"loss": 2.0, "epoch": 0}, *history]}))
        yield folder


@pytest.mark.parametrize(
    ("rates", "expected", "read_as"),
    [
        ([2.5, 0.9, 0.3], [2.5, 0.9, 0.3], "fractions: it goes from 0.3 to 2.5"),
        ([1.02, 0.6], [1.02, 0.6], "fractions"),
        ([1.0, 1.0], [1.0, 1.0], "fractions: it is 1 throughout"),
        ([45.0, 12.0, 0.9], [0.45, 0.12, 0.009], "per cent"),
        ([6.5, 4.0, 3.0], [0.065, 0.04, 0.03], "per cent"),
        ([1.8, 1.6], [None, None], "left out, for it may be fractions or per cent: it goes from 1.6 to 1.8"),
        ([2.5, 1.5], [None, None], "left out"),
        ([None, 0.5], [None, 0.5], "fractions"),
        ([float("nan"), 30.0], [None, 0.3], "per cent"),
    ],
)
def test_one_unit_for_the_whole_training(rates, expected, read_as, tmp_path):
    logs = trainer_logs(list(folders(tmp_path, *rates)))
    assert [one.get("dev_wer") for one in logs.of] == pytest.approx(expected)
    assert read_as in logs.note
    assert all((one["train_loss"], one["dev_loss"]) == (2.0, 1.5) for one in logs.of)


@pytest.mark.parametrize("content", ["", "[]", '{"log_history": null}', '{"log_history": [1, null]}', "{}", None])
def test_what_is_no_log_says_nothing(content, tmp_path):
    if content is not None:
        (tmp_path / LOG).write_text(content)
    assert trainer_logs([tmp_path]) == ([{}], "")
