"""Rows of layers beside their labels: at the right time, each once, whatever the layers' strides and windows."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from otoscope import Batch, Layer, Utterance
from otoscope.capture import INPUT, view_name
from otoscope.corpora import Interval
from otoscope.study.content.gathering import gather_rows, with_clock
from otoscope.study.content.label import Spoken, interval_at, said
from otoscope.study.content.labels import LABELS, labels_of
from otoscope.study.content.phones import phone

RATE = 16_000


class Clocks:
    """A recogniser whose layers put out the time at which each frame is centred, to the sample."""

    frame_shift = 1 / RATE

    def __init__(self, *layers):
        self.own = [Layer(f"l{i}", 1, stride, 1, "clock", window=window) for i, (stride, window) in enumerate(layers)]

    def prepare_lengths(self, lengths):
        return lengths

    def layers(self):
        return self.own

    def outputs(self, batch, names):
        made = {}
        for layer in self.own:
            count = max(layer.frames(batch.lengths.tolist(), self.frame_shift))
            times = torch.arange(count) * layer.stride + layer.window / 2
            made[layer.name] = times[None, :, None].expand(len(batch.lengths), -1, 1)
        return {name: made[name] for name in names}


def utterance(name, duration):
    """Phones of 50 ms, and words of 0.2 s with pauses of 0.1 s between."""
    phones = [Interval(f"P{i % 7}", i * 0.05, (i + 1) * 0.05) for i in range(int(duration / 0.05))]
    words = [Interval(f"W{i}", i * 0.3, i * 0.3 + 0.2) for i in range(int(duration / 0.3))]
    return Utterance(name, f"s{name}", Path("a.wav"), duration, "", "test", tuple(words), tuple(phones))


def gathered(recogniser, speech, labels, *, frames=100_000):
    def prepare(batch):
        lengths = recogniser.prepare_lengths(torch.tensor([round(u.duration * RATE) for u in batch]))
        mel = torch.tensor([round(u.duration * 100) for u in batch])
        return {
            "x": Batch(torch.zeros(len(batch), int(lengths.max())), lengths),
            INPUT: Batch(torch.zeros(len(batch), int(mel.max()), 80), mel),
        }

    return gather_rows(
        {"x": recogniser},
        {"x": recogniser.layers()},
        [speech[:2], speech[2:]],
        prepare,
        labels_of(labels),
        frames=frames,
    )


SPEECH = [utterance(str(i), duration) for i, duration in enumerate((1.0, 1.37, 2.0, 2.51))]


@pytest.mark.parametrize(
    "layers",
    [
        [(0.04, 0.0)],
        [(0.02, 0.025)],
        [(0.0415, 0.056)],  # about Moonshine's
        [(0.02, 0.025), (0.04, 0.0), (0.01, 0.0)],
        [(0.02, 0.4), (0.02, 0.025)],
    ],
    ids=str,
)
def test_labels_are_those_at_the_centre_of_what_a_frame_hears(layers):
    rows = gathered(Clocks(*layers), SPEECH, ["phones", "position"])["frame"]
    coarsest = max(range(len(layers)), key=lambda i: layers[i])
    heard = rows.views[view_name("x", f"l{coarsest}")][:, 0].double().numpy()
    for row, (time, utterance_) in enumerate(zip(heard, rows.utterances.tolist(), strict=True)):
        own = rows.speech[utterance_]
        # A frame at the very edge of two phones may be either, by rounding.
        near = {
            own.phones[i].label if i >= 0 else ""
            for i in interval_at(time + np.array([-1e-5, 1e-5]), own.phones).tolist()
        }
        assert rows.values["phones"][row] in near
    np.testing.assert_allclose(rows.values["position"][:, 0], heard, atol=1e-5)


class Impatient(Clocks):
    """It drops the last 90 ms of an utterance."""

    def prepare_lengths(self, lengths):
        return lengths - round(0.09 * RATE)


def test_a_recogniser_that_drops_the_end_is_read_up_to_there():
    whole, cut = Clocks((0.02, 0.0)), Impatient((0.02, 0.0))
    every, some = (gathered(one, SPEECH, ["phones", "position"])["frame"] for one in (whole, cut))
    for u in range(len(SPEECH)):
        longer, shorter = (r.values["position"][r.utterances.numpy() == u, 0] for r in (every, some))
        assert len(longer) - len(shorter) in (4, 5)
        np.testing.assert_allclose(shorter, longer[: len(shorter)])


def test_finer_layers_are_brought_to_the_same_times():
    rows = gathered(Clocks((0.01, 0.0), (0.04, 0.0)), SPEECH, ["position"])["frame"]
    fine, coarse = (rows.views[view_name("x", name)] for name in ("l0", "l1"))
    inner = rows.values["position"][:, 0] > 0.03
    inner &= np.array(
        [
            t < rows.speech[u].duration - 0.03
            for t, u in zip(coarse[:, 0].tolist(), rows.utterances.tolist(), strict=True)
        ]
    )
    np.testing.assert_allclose(fine[inner], coarse[inner], atol=1e-5)


def test_every_kth_frame_where_there_are_more_than_asked():
    every = gathered(Clocks((0.02, 0.0)), SPEECH, ["position"])["frame"]
    some = gathered(Clocks((0.02, 0.0)), SPEECH, ["position"], frames=100)["frame"]
    assert len(some.utterances) <= 100 + len(SPEECH)
    for u in range(len(SPEECH)):
        steps = np.diff(some.values["position"][some.utterances.numpy() == u, 0])
        np.testing.assert_allclose(steps, 0.08, atol=1e-6)
    assert len(every.utterances) == sum(round(u.duration / 0.02 + 0.499) for u in SPEECH)


def test_a_word_is_the_mean_of_its_frames():
    rows = gathered(Clocks((0.02, 0.0)), SPEECH, ["words", "word-duration"])["word"]
    times = rows.views[view_name("x", "l0")][:, 0]
    expected = [w for u in rows.speech for w in u.words]
    assert rows.values["words"] == [w.label for w in expected]
    centres = [
        np.arange(np.ceil(round(w.start / 0.02, 6)), np.ceil(round(w.end / 0.02, 6))).mean() * 0.02 for w in expected
    ]
    np.testing.assert_allclose(times, centres, atol=1e-5)
    np.testing.assert_allclose(rows.values["word-duration"][:, 0], 0.2)


def test_words_too_short_for_a_frame_are_left_out_and_counted():
    words = (Interval("LONG", 0.0, 0.1), Interval("A", 0.105, 0.115), Interval("END", 0.2, 0.4))
    rows = gathered(Clocks((0.04, 0.0)), [replace(SPEECH[0], words=words), *SPEECH[1:]], ["words"])["word"]
    own = [v for v, u in zip(rows.values["words"], rows.utterances.tolist(), strict=True) if u == 0]
    assert own == ["LONG", "END"]
    assert rows.left_out == {"words without a frame": 1}


def test_an_utterance_is_the_mean_of_all_its_frames():
    rows = gathered(Clocks((0.02, 0.0)), SPEECH, ["speaker"])["utterance"]
    assert rows.values["speaker"] == ["s0", "s1", "s2", "s3"]
    counts = [round(u.duration / 0.02 + 0.499) for u in SPEECH]
    np.testing.assert_allclose(rows.views[view_name("x", "l0")][:, 0], [(n - 1) / 2 * 0.02 for n in counts], rtol=1e-4)


def test_the_clock_stands_behind_the_features():
    made = with_clock(Batch(torch.ones(2, 5, 80), torch.tensor([5, 3])))
    assert made.inputs.shape == (2, 5, 81)
    torch.testing.assert_close(made.inputs[1, :, 80], torch.arange(5) * 0.01)


def test_labels_of_an_utterance():
    spoken = Spoken(SPEECH[0], np.array([0.0, 0.06, 0.5]), np.zeros((3, 80)))
    assert LABELS["phones"].of(spoken) == ["P0", "P1", "P3"]
    np.testing.assert_allclose(LABELS["duration"].of(spoken), 0.05)
    np.testing.assert_allclose(LABELS["relative-position"].of(spoken)[:, 0], [0, 0.06, 0.5])
    assert LABELS["log-mel"].of(spoken).shape == (3, 80)
    quiet = Spoken(
        replace(SPEECH[0], phones=(Interval("SIL", 0.0, 0.1), Interval("AH1", 0.1, 1.0))),
        np.array([0.05, 0.2, 1.5]),
        np.zeros((3, 80)),
    )
    assert LABELS["phones"].of(quiet) == ["", "AH", ""]
    assert np.isnan(LABELS["duration"].of(quiet)[:, 0]).tolist() == [True, False, True]
    assert LABELS["speaker"].of(spoken) == ["s0"]
    assert LABELS["speaker"].of(Spoken(replace(SPEECH[0], speaker="unknown"), *spoken[1:])) == [""]


def test_intervals_in_any_order():
    intervals = [Interval("B", 0.2, 0.3), Interval("A", 0.0, 0.1)]
    assert interval_at(np.array([0.05, 0.15, 0.25, 0.3]), intervals).tolist() == [1, -1, 0, -1]
    assert interval_at(np.array([0.05]), []).tolist() == [-1]


@pytest.mark.parametrize("label", ["sil", "SIL", "sp", "spn", "", " ", "+NSN+", "<unk>", "[noise]", "(x)"])
def test_silence_and_noise_are_no_phones(label):
    assert phone(label) == said(label) == ""
