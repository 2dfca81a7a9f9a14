"""Settings that cannot be are refused by name; the learning rate follows its formula."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otoscope import StudyError
from otoscope.asr import TrainingConfig
from otoscope.asr.schedule import checkpoint_steps, learning_rate


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"memory_seconds": 0}, "memory_seconds is 0; expected a number above 0"),
        ({"schedule": "linear"}, "schedule is 'linear'; expected one of cosine, inverse-sqrt"),
        ({"precision": "float16"}, "precision is 'float16'; expected one of float32, bfloat16"),
        ({"device": "gpu"}, "device is 'gpu'; expected one of auto, cpu, cuda"),
        ({"average_of": "worst"}, "average_of is 'worst'; expected one of best, last"),
        ({"patience": -1}, "patience is -1; expected a whole number of at least 0"),
        ({"average": 15}, "average is 15; expected at most checkpoints = 14"),
        ({"average": 2, "ema": 0.9}, "average is 2; expected 0 beside ema = 0.9"),
        ({"ema": 1}, "ema is 1; expected a number of at least 0 and below 1"),
        ({"time_masks": 1.5}, r"time_masks is 1\.5; expected a whole number"),
        ({"time_share": 2}, "time_share is 2; expected a share of 0 to 1"),
        ({"ctc_weight": -0.1}, r"ctc_weight is -0\.1; expected a share of 0 to 1"),
        ({"label_smoothing": 1.0}, r"label_smoothing is 1\.0; expected a number of at least 0 and below 1"),
    ],
)
def test_a_setting_that_cannot_be_is_refused_by_name(settings, told):
    with pytest.raises(StudyError, match=f"the setting {told}"):
        TrainingConfig(**settings)


@given(st.integers(1, 300), st.integers(1, 300))
def test_the_learning_rate_is_that_of_its_formula(warmup, more):
    total = warmup + more
    for step in range(1, total + 1):
        rise = min(1.0, step / warmup)
        cosine = 0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * max(0, step - warmup) / more))
        inverse = min(1.0, math.sqrt(warmup / step))
        for schedule, fall in {"cosine": cosine, "inverse-sqrt": inverse}.items():
            rate = learning_rate(step, peak=3e-3, warmup=warmup, total=total, schedule=schedule)
            assert rate == pytest.approx(3e-3 * rise * fall, rel=1e-12)


@given(st.integers(1, 5000), st.integers(2, 30))
def test_checkpoints_have_both_ends_and_are_dense_early(total, count):
    steps = checkpoint_steps(total, count)
    assert steps[0] == 0
    assert steps[-1] == total
    assert steps == sorted(set(steps))
    assert len(steps) <= max(count, 2)
    if total >= 2000 and count >= 8:
        assert len(steps) == count
        assert sum(s <= total / 8 for s in steps) >= count // 2
