"""Folds of speakers, classes that are frequent enough, labels shuffled among utterances."""

import numpy as np
import pytest
import torch

from otoscope import StudyError
from otoscope.study.content.label import Label
from otoscope.study.content.target import target_of
from tests.study.content.constructed import (
    EACH,
    FRAMES,
    SPEAKERS,
    classes,
    classes_label,
    numbers_label,
    rows_of,
    target,
)

TOTAL = SPEAKERS * EACH * FRAMES


@pytest.mark.parametrize(("by", "groups"), [("speaker", SPEAKERS), ("utterance", SPEAKERS * EACH)])
def test_folds_part_no_speaker_and_test_every_row_once(by, groups):
    found = target(classes(), by=by)
    assert found.group_count == groups
    tested = torch.zeros(len(found.rows))
    for train, test in found.parts():
        assert not set(found.groups[train].tolist()) & set(found.groups[test].tolist())
        tested += test
    assert (tested == 1).all()
    for group in range(groups):
        own = found.groups == group
        assert len(set(found.blocks[own].tolist())) == 1
    speakers = np.array([u.speaker for u in rows_of(np.zeros((TOTAL, 1)), []).speech])
    if by == "speaker":
        for _, test in found.parts():
            inside = set(speakers[found.utterances[test].unique().numpy()])
            outside = set(speakers[found.utterances[~test].unique().numpy()])
            assert not inside & outside


def test_the_speaker_is_read_from_utterances_and_known_in_every_training_part():
    label = Label("speaker", "", "classes", "utterance", lambda _: [], parted="utterance", least=3)
    rows = rows_of(np.zeros((SPEAKERS * EACH, 1)), [], frames=1, name="speaker")
    rows.values["speaker"] = [u.speaker for u in rows.speech]
    found = target_of(label, rows)
    assert found.grouped == "utterance"
    assert len(found.classes) == SPEAKERS
    for train, test in found.parts():
        assert not set(found.utterances[train].tolist()) & set(found.utterances[test].tolist())
        assert set(found.values[train].tolist()) == set(range(SPEAKERS))


def test_unknown_speakers_stand_for_themselves():
    from dataclasses import replace

    rows = rows_of(np.zeros((TOTAL, 1)), classes())
    rows.speech[:] = [replace(u, speaker="unknown") for u in rows.speech]
    assert target_of(classes_label(), rows).group_count == SPEAKERS * EACH


def test_rows_without_a_label_and_of_rare_classes_are_left_out_and_counted():
    names = classes()
    names[:7] = [""] * 7
    names[10:13] = ["RARE"] * 3  # too few rows
    names[20:40] = ["ONE"] * 20  # of a single speaker
    found = target(names)
    assert found.left_out == {"frames without a label": 7, "frames of 2 rarer classes": 23}
    assert len(found.rows) == TOTAL - 30
    assert sorted(found.classes) == sorted(set(names) - {"", "RARE", "ONE"})
    assert sum(found.class_counts().values()) == len(found.rows)
    assert [found.classes[v] for v in found.values.tolist()] == [names[i] for i in found.rows.tolist()]
    most = target_of(classes_label(most=2), rows_of(np.zeros((TOTAL, 1)), names))
    assert most.classes == found.classes[:2]


def test_shuffled_labels_are_of_another_utterance_turned_round():
    numbers = np.arange(TOTAL, dtype=float)[:, None]
    found = target(numbers, numbers=True)
    shuffled = found.shuffled(0)
    came_from = shuffled.values[:, 0].long() // FRAMES
    for utterance in range(SPEAKERS * EACH):
        (other,) = set(came_from[found.utterances == utterance].tolist())
        assert other != utterance
        steps = shuffled.values[found.utterances == utterance, 0].diff() % FRAMES
        assert (steps == 1).all()
    assert sorted(shuffled.values[:, 0].tolist()) == sorted(numbers[:, 0].tolist())
    assert torch.equal(shuffled.values, found.shuffled(0).values)
    assert not torch.equal(shuffled.values, found.shuffled(1).values)


def test_utterances_of_different_lengths_are_shuffled_whole():
    rows = rows_of(np.zeros((90, 1)), [], speakers=3, each=1, frames=30)
    rows.utterances = torch.tensor([0] * 20 + [1] * 30 + [2] * 40)
    rows.values["phones"] = rows.utterances.double().numpy()[:, None]
    shuffled = target_of(numbers_label(), rows).shuffled(0)
    for u in range(3):
        (other,) = set(shuffled.values[rows.utterances == u, 0].tolist())
        assert other != u


def test_too_little_is_refused():
    two = rows_of(np.zeros((400, 1)), classes(total=400), speakers=2)
    with pytest.raises(StudyError, match=r"phones needs at least 2 classes, each with 5 frames or more of 3 speakers"):
        target_of(classes_label(), two)
    two.values["phones"] = np.ones((400, 1))
    with pytest.raises(StudyError, match=r"takes at least 3 speakers, and there are 2: .* --by utterance"):
        target_of(numbers_label(), two)
    assert target_of(numbers_label(), two, by="utterance").group_count == 10
    two.values["phones"] = np.full((400, 1), np.nan)
    with pytest.raises(StudyError, match="no frame of this speech has a label for phones"):
        target_of(numbers_label(), two)
