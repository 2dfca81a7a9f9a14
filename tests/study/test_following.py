"""Progress read from a log that another process writes."""

import json

from otoscope.files import write_text
from otoscope.study.following import Following, Standing


def row(kind, step, **more):
    return json.dumps({"kind": kind, "step": step, **more}) + "\n"


FIRST = row("checkpoint", 0, total=9, dev_wer=1.0)


def test_a_log_is_read_on_as_it_grows(tmp_path):
    log, following = tmp_path / "log.jsonl", Following(tmp_path)
    assert following.look() is None
    log.write_text("")
    assert following.look() is None
    with log.open("a") as file:
        for text, step in ((FIRST, 0), (row("step", 1), 1), (row("step", 2)[:-4], 1), (row("step", 2)[-4:], 2)):
            file.write(text)
            file.flush()
            assert following.look() == following.look() == Standing(step, 9, 1.0)
        file.write(row("checkpoint", 3, total=9, dev_wer=0.5))
    assert following.look() == Standing(3, 9, 0.5)


def test_a_log_that_was_cut_and_has_grown_again_is_read_anew(tmp_path):
    """Between two looks a resumed run drops the end of its log and writes on: the place reached is within a line."""
    log, following = tmp_path / "log.jsonl", Following(tmp_path)
    log.write_text(FIRST + row("step", 1) + row("step", 2))
    assert following.look() == Standing(2, 9, 1.0)
    write_text(log, FIRST + row("step", 1))
    with log.open("a") as file:
        file.write(row("checkpoint", 2, total=9, dev_wer=0.25) + row("step", 3))
    assert following.look() == Standing(3, 9, 0.25)
