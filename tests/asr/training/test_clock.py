"""The time of a training counts on where an earlier part of it stopped."""

from __future__ import annotations

import time

from otoscope.asr.training.clock import Clock


def test_a_clock_goes_on_from_what_an_earlier_one_showed() -> None:
    shown = Clock(seconds=100.0, cpu_seconds=40.0).shows()
    assert 100 <= shown["seconds"] < 101
    assert 40 <= shown["cpu_seconds"] < 41


def test_waiting_costs_time_but_no_work() -> None:
    clock = Clock()
    time.sleep(0.2)
    shown = clock.shows()
    assert shown["seconds"] >= 0.2
    assert shown["cpu_seconds"] < shown["seconds"] / 2
