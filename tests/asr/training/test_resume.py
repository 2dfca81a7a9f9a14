"""A run that was stopped goes on to the same numbers, whatever a kill or a power cut has left."""

from dataclasses import replace

import pytest
import torch

from otoscope.asr import is_finished
from tests.asr.training.runs import StoppingStore, numbers, rows, weights

SETTINGS = {
    "plain": {},
    "average": {"ema": 0.95},
    "cut": {"memory_seconds": 6.0, "precision": "bfloat16"},
    "patience": {"epochs": 4, "checkpoints": 16, "patience": 2, "peak_learning_rate": 1e-9, "average": 3},
}


@pytest.mark.parametrize("stop_at", [0, 20, 60, 100])
@pytest.mark.parametrize("settings", list(SETTINGS))
def test_a_stopped_run_goes_on_to_the_same_numbers(training, tmp_path, settings, stop_at):
    if stop_at == 0 and settings != "plain":
        return
    training = replace(training, config=replace(training.config, **SETTINGS[settings]))
    whole = replace(training, folder=tmp_path / "whole")
    whole.run()
    stopped = replace(training, store=StoppingStore(training.store.path, reads=stop_at))
    with pytest.raises(KeyboardInterrupt):
        stopped.run()
    assert not is_finished(stopped.folder)
    # What a kill in the middle of a write leaves behind: a line cut short, and a temporary file.
    with (training.folder / "log.jsonl").open("a") as log:
        log.write('{"kind": "step", "st')
    (training.folder / "checkpoints" / "step-000099.1.tmp").write_bytes(b"half")
    training.run()
    assert numbers(training.folder) == numbers(whole.folder)
    for name, weight in weights(whole.folder).items():
        assert torch.equal(weight, weights(training.folder)[name])
    final = rows(whole.folder, "checkpoint")[-1]["final"]
    files = [folder / "checkpoints" / final for folder in (training.folder, whole.folder)]
    assert files[0].read_bytes() == files[1].read_bytes()


def test_a_finished_run_is_left_alone(training):
    training.run()
    before = (training.folder / "log.jsonl").read_bytes()
    training.run()
    assert (training.folder / "log.jsonl").read_bytes() == before


@pytest.mark.parametrize("lost", ["log", "checkpoint", "final", "state"])
def test_a_run_that_lost_a_file_begins_anew_to_the_same_numbers(training, tmp_path, lost):
    """What a power cut can leave: a state ahead of its log, a missing checkpoint, a state cut short."""
    training = replace(training, config=replace(training.config, average=2))
    whole = replace(training, folder=tmp_path / "whole")
    whole.run()
    training.run()
    log = training.folder / "log.jsonl"
    if lost == "log":
        log.write_text("".join(log.read_text().splitlines(keepends=True)[:4]))
    elif lost == "checkpoint":
        log.write_text("".join(log.read_text().splitlines(keepends=True)[:-1]))
        (training.folder / "checkpoints" / "step-000000.safetensors").unlink()
    elif lost == "final":
        (training.folder / "checkpoints" / "averaged.safetensors").unlink()
    else:
        log.write_text("".join(log.read_text().splitlines(keepends=True)[:-1]))
        state = training.folder / "state.safetensors"
        state.write_bytes(state.read_bytes()[:1000])
    training.run()
    assert numbers(training.folder) == numbers(whole.folder)
    assert is_finished(training.folder)
    assert (training.folder / "checkpoints" / "averaged.safetensors").is_file()
