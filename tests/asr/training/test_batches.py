"""How a batch is cut, by whom and in how many threads it is made: none of it changes what is learnt."""

import json
import os
import subprocess
import sys
import threading
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch

from otoscope.asr.augment import spec_augment
from otoscope.asr.training.data import AHEAD, Preparation, ahead
from otoscope.asr.training.distributed import Group
from otoscope.asr.training.plan import Plan
from tests.asr.training.runs import StoppingStore, losses, numbers, rows, weights


@pytest.fixture
def plain(training):
    """Without dropout, which draws for a whole batch at once; larger batches, that there may be parts."""
    config = replace(training.config, batch_seconds=40.0, epochs=3)
    return replace(training, model=replace(training.model, dropout=0.0), config=config)


def test_a_batch_in_parts_gives_the_update_of_the_whole(plain, tmp_path):
    parts = replace(plain, folder=tmp_path / "parts", config=replace(plain.config, memory_seconds=7.0))
    plain.run()
    parts.run()
    assert losses(parts.folder) == pytest.approx(losses(plain.folder), rel=1e-5)
    norms = [[row["gradient_norm"] for row in rows(run.folder, "step")] for run in (parts, plain)]
    assert norms[0] == pytest.approx(norms[1], rel=1e-4)
    for name, weight in weights(plain.folder).items():
        torch.testing.assert_close(weights(parts.folder)[name], weight, atol=1e-5, rtol=1e-4)


def preparation(training, group, **changed):
    config = replace(training.config, **changed)
    plan = Plan(training.store, training.train_texts, config, training.seed)
    return plan, Preparation(plan, training.store, training.train_texts, training.tokens, config, 0, group)


def by_utterance(batches):
    return {
        u: f[:n] for b in batches for p in b.parts for u, f, n in zip(p.utterances, p.features, p.lengths, strict=True)
    }


@pytest.mark.parametrize("count", [2, 3])
def test_processes_share_each_batch_and_mask_it_as_one_would(plain, count):
    plan, alone = preparation(plain, Group())
    planned = next(plan.after(1))
    whole = by_utterance([alone.batch(planned)])
    shares = [preparation(plain, Group(rank, count), memory_seconds=7.0)[1].batch(planned) for rank in range(count)]
    together = by_utterance(shares)
    assert sum(len(p.utterances) for s in shares for p in s.parts) == len(whole) == len(together)
    for utterance, features in whole.items():
        assert torch.equal(together[utterance], features)
    assert {(s.utterances, s.speech_seconds) for s in shares} == {(len(whole), shares[0].speech_seconds)}
    speech = [sum(int(p.lengths.sum()) for p in s.parts) for s in shares]
    assert max(speech) - min(speech) <= max(map(len, whole.values()))
    assert all(p.features.shape[0] * p.features.shape[1] <= 700 for s in shares for p in s.parts)


def test_masks_change_from_step_to_step_and_with_the_seed(plain):
    plan, alone = preparation(plain, Group())
    planned = next(plan.after(0))
    first, later = (by_utterance([alone.batch(replace(planned, step=step))]) for step in (1, 2))
    other = by_utterance([replace(alone, seed=1).batch(planned)])
    assert not any(torch.equal(first[u], later[u]) for u in first)
    assert not any(torch.equal(first[u], other[u]) for u in first)


@pytest.mark.parametrize("workers", [0, 3])
def test_the_number_of_workers_changes_nothing(training, tmp_path, workers):
    other = replace(training, folder=tmp_path / "other", workers=workers)
    training.run()
    other.run()
    assert numbers(other.folder) == numbers(training.folder)
    for name, weight in weights(training.folder).items():
        assert torch.equal(weight, weights(other.folder)[name])


def test_batches_are_made_ahead_in_order_and_no_further_than_there_is_room():
    made = []
    both = threading.Barrier(2, timeout=20)

    def make(i):
        if i < 2:
            both.wait()  # only two threads at once get past
        made.append(i)
        return i

    ready = ahead(make, range(100), workers=2)
    assert next(ready) == 0
    ready.close()
    assert len(made) <= 2 * AHEAD + 1
    assert list(ahead(make, range(2, 30), workers=2)) == list(range(2, 30))


def test_an_exception_comes_where_its_batch_was_due():
    def make(i):
        return 10 // (3 - i)

    ready = ahead(make, range(9), workers=2)
    assert [next(ready) for _ in range(3)] == [3, 5, 10]
    with pytest.raises(ZeroDivisionError):
        next(ready)


def test_a_plan_goes_on_in_the_middle(plain):
    plan, _ = preparation(plain, Group())
    whole = list(plan.after(0))
    assert [p.step for p in whole] == list(range(1, plan.total + 1))
    assert list(plan.after(plan.total // 2)) == whole[plan.total // 2 :]
    assert list(plan.after(plan.total)) == []
    assert all(a.passed < b.passed for a, b in pairwise(whole))
    assert whole[-1].passed == plain.config.epochs
    for epoch in range(plain.config.epochs):
        heard = sorted(u for p in whole if p.epoch == epoch for u, _ in p.batch)
        assert heard == sorted(plain.train_texts)


def test_spec_augment_masks_bands_and_stretches_inside_the_utterance():
    widths = {"frequency_width": 20, "time_width": 25, "time_share": 0.15}
    bands, stretches = [], []
    for seed in range(300):
        features = torch.ones(100, 80)
        kept = spec_augment(features, np.random.default_rng(seed), **widths) > 0
        assert features.all()  # a copy was masked
        bands.append(int((~kept.any(0)).sum()))
        stretches.append(int((~kept.any(1)).sum()))
        assert kept[kept.any(1)][:, kept.any(0)].all()
    assert 30 < max(bands) <= 40
    assert 24 < max(stretches) <= 30  # two of at most 15 frames
    assert np.mean(bands) == pytest.approx(18.5, abs=2)  # two of 0 to 20, less what they share
    none = spec_augment(torch.ones(9, 80), np.random.default_rng(0), frequency_masks=0, time_masks=0)
    assert none.all()


def test_two_processes_train_as_one(plain, tmp_path):
    """Real processes, started by torchrun, that exchange their gradients by gloo.

    They go on with what one process began, and one takes over what they finished.
    """
    plain.run()
    settings = {"memory_seconds": 12.0, "ema": 0.9, "device": "cpu"}
    two = replace(plain, folder=tmp_path / "two", config=replace(plain.config, **settings))
    with pytest.raises(KeyboardInterrupt):
        replace(two, store=StoppingStore(plain.store.path, reads=60)).run()
    begun = len(losses(two.folder))
    assert 0 < begun < len(losses(plain.folder)) / 2
    asked = {
        "start": str(plain.folder / "checkpoints" / "step-000000.safetensors"),
        "store": str(plain.store.path),
        "train": dict(plain.train_texts),
        "dev": dict(plain.dev_texts),
        "config": two.config.__dict__,
    }
    job = tmp_path / "job.json"
    job.write_text(json.dumps(asked))
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    script = Path(__file__).with_name("two_processes.py")
    done = subprocess.run([*torchrun, script, job], timeout=120, env={**os.environ, "OMP_NUM_THREADS": "1"})
    assert done.returncode == 0
    assert job.with_suffix(".order").read_text().split() == ["0/2", "1/2"]
    assert losses(two.folder) == pytest.approx(losses(plain.folder), rel=1e-5)
    for name, weight in weights(plain.folder).items():
        torch.testing.assert_close(weights(two.folder)[name], weight, atol=1e-5, rtol=1e-4)
    ours, theirs = (rows(folder, "checkpoint") for folder in (plain.folder, two.folder))
    assert [row["dev_loss"] for row in theirs] == pytest.approx([row["dev_loss"] for row in ours], rel=1e-4)
    # The utterance that stops both is in the share of one.
    for rank in range(2):
        bad, error = job.with_suffix(f".error{rank}").read_text().split("\n")
        assert f"(not finite on: {bad})" in error
    # What two have begun, one can finish: here there is nothing left to do.
    before = (two.folder / "log.jsonl").read_bytes()
    two.run()
    assert (two.folder / "log.jsonl").read_bytes() == before
