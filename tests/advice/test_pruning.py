"""Advice on pruning, of a recogniser that learns real speech by heart, and on the command line."""

from __future__ import annotations

import dataclasses
import json
import math

import pytest
import torch
from cyclopts import App

from otoscope import CaptureError, ReferenceRecogniser, StudyError, advise_prune, load, load_recogniser, transcribe
from otoscope.advice.prune.errors import Rate
from otoscope.asr import CharacterTokens
from otoscope.asr.models import TransformerConfig
from otoscope.cli import advise
from otoscope.report.pruning import pruning_spec
from tests.adapters.test_huggingface_writing import recogniser_of

IDLE = 2
"""A block that learned to do next to nothing."""


@pytest.fixture(scope="module")
def corpus(an4_subset):
    return load(an4_subset).keep(load(an4_subset).utterances[:8])


@pytest.fixture(scope="module")
def learned(corpus):
    """A Transformer of four blocks that knows eight utterances by heart; one of its blocks adds next to nothing."""
    from otoscope import Speech
    from otoscope.corpora import read_audio

    torch.manual_seed(0)
    config = TransformerConfig(blocks=4, units=64, heads=2, feed_forward=128, dropout=0.0)
    recogniser = ReferenceRecogniser(config, CharacterTokens.of([u.text for u in corpus.utterances]))
    with torch.no_grad():
        idle = recogniser.module.blocks[IDLE]
        for linear in (idle.feed_forward[-1], idle.attention.output):
            linear.weight.mul_(1e-3)
            linear.bias.zero_()
    idle.requires_grad_(False)
    batch = recogniser.prepare([Speech(read_audio(u)) for u in corpus.utterances])
    ids = [recogniser.tokens.encode(u.text) for u in corpus.utterances]
    targets = torch.tensor([i for own in ids for i in own])
    optimiser = torch.optim.AdamW([p for p in recogniser.module.parameters() if p.requires_grad], 2e-3)
    for _ in range(150):
        log_probs, lengths = recogniser.forward(batch.inputs, batch.lengths)
        loss = torch.nn.functional.ctc_loss(
            log_probs.transpose(0, 1), targets, lengths, torch.tensor([len(i) for i in ids])
        )
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(recogniser.module.parameters(), 1.0)
        optimiser.step()
    recogniser.module.eval()
    return recogniser


@pytest.fixture(scope="module")
def found(learned, corpus):
    return advise_prune(learned, corpus=corpus, measures=("cka", "cosine", "procrustes"), most=3, random=3)


def test_the_block_that_does_nothing_is_left_out_first(found):
    assert found.whole.value < 0.1
    for way in ("cka", "cosine", "procrustes"):
        first = next(row for row in found.rows if (row.way, row.count) == (way, 1))
        assert first.blocks == (f"blocks.{IDLE}",)
        assert first.rise.value == 0
        assert first.cost < 1e-3
    assert found.best(0.0).blocks[0] == f"blocks.{IDLE}" or found.best(0.0).count > 1
    others = [row.rise.value for row in found.rows if row.way in ("first", "last") and row.count == 1]
    assert max(others) > 0.1


def test_rows_say_what_the_smaller_recogniser_gives(found, learned, corpus):
    for row in found.rows[:3]:
        smaller = learned.without(row.blocks)
        assert row.wer.value == pytest.approx(transcribe(smaller, corpus=corpus).wer)
        assert row.parameters == smaller.parameters
        assert row.rise.value == pytest.approx(row.wer.value - found.whole.value)
        assert row.wer.low <= row.wer.value <= row.wer.high
        assert row.encoder_time > 0


def test_every_number_of_blocks_is_tried_by_every_way(found):
    frame = found.to_frame()
    ways = {"cka", "cosine", "procrustes", "last", "first", "magnitude"}
    assert {(w, k) for w, k in zip(frame["way"], frame["count"], strict=True) if "random" not in w} == {
        (w, k) for w in ways for k in (1, 2, 3)
    }
    assert [sum(frame["way"].str.startswith("random") & (frame["count"] == k)) for k in (1, 2, 3)] == [3, 3, 3]


def test_what_was_expected_was_not_known_from_itself(found):
    """It lies between word error rates of other choices, and rises with the cost."""
    guided = [row for row in found.rows if row.way == "cka"]
    assert all(math.isfinite(row.predicted) for row in guided)
    assert [row.cost for row in guided] == sorted(row.cost for row in guided)
    assert guided[0].predicted <= guided[-1].predicted


def test_the_best_are_those_that_cost_no_more_than_may_be_lost(found):
    row = found.rows[0]

    def made(way, count, rise):
        blocks = tuple(f"blocks.{i}" for i in range(count))
        return dataclasses.replace(row, way=way, blocks=blocks, rise=Rate(rise, rise, rise), wer=Rate(rise, rise, rise))

    rows = (made("cka", 1, 0.05), made("cka", 2, 0.01), made("cka", 3, 0.3), made("cosine", 3, 0.0), made("x", 2, 0.02))
    made_up = dataclasses.replace(found, rows=rows)
    assert made_up.best(0.02) is rows[1]
    assert made_up.best(0.5) is rows[2]
    assert made_up.best(0.001) is None
    assert made_up.pareto() == (rows[3],)  # no other leaves out as many and makes as few errors
    assert dataclasses.replace(found, rows=rows[:3]).pareto() == (rows[1], rows[2])


def test_the_figure_has_a_point_for_every_choice(found):
    rows = pruning_spec(found)["data"]["values"]
    for row in found.rows:
        way = "by chance" if row.way.startswith("random") else row.way
        mine = [r["wer"] for r in rows if (r["way"], r["count"]) == (way, row.count)]
        assert any(value == pytest.approx(100 * row.wer.value) for value in mine)
    assert {r["wer"] for r in rows if r["count"] == 0} == {100 * found.whole.value}


def test_values_are_plain(found):
    told = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert told["rows"][0]["beyond_chance"]["value"] is None  # a random choice itself
    assert told["blocks"] == [f"blocks.{i}" for i in range(4)]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"most": 0}, "most is 0; expected the number of blocks to leave out at most, from 1"),
        ({"measures": ("pwcca",)}, "pwcca depends on which layer comes first, and pruning takes a symmetric measure"),
    ],
)
def test_what_is_asked_wrongly_is_an_error(learned, corpus, given, message):
    with pytest.raises(StudyError, match=message):
        advise_prune(learned, corpus=corpus, **given)


def test_a_recogniser_without_blocks_to_leave_out_is_an_error(corpus, tmp_path):
    torch.manual_seed(0)
    alone = ReferenceRecogniser(TransformerConfig(blocks=1, units=16, heads=2), CharacterTokens.of(["AB"]))
    with pytest.raises(StudyError, match="none of the 1 blocks of this encoder can be left out"):
        advise_prune(alone, corpus=corpus)
    with pytest.raises(CaptureError, match="HubertModel cannot write without a tokeniser"):
        advise_prune(recogniser_of("hubert", tmp_path), corpus=corpus)


def test_on_the_command_line_the_smaller_model_is_saved(learned, an4_subset, corpus, tmp_path, capsys):
    learned.save(tmp_path / "whole.safetensors")
    app = App(name="otoscope")
    app.command(advise.app)

    def run(*line):
        app(
            ["advise", "prune", str(tmp_path / "whole.safetensors"), "--corpus", str(an4_subset), *line],
            exit_on_error=False,
            print_error=False,
            result_action="return_value",
        )
        return capsys.readouterr()

    common = ["--split", "train", "--utterances", "12", "--most", "2", "--random", "2", "--out", str(tmp_path / "out")]
    told = json.loads(run(*common, "--json", "--keep-wer", "100", "--write", str(tmp_path / "made")).out)
    assert len(told["advice"]["blocks"]) == 2
    smaller = load_recogniser(told["written"])
    assert len(smaller.blocks()) == 2
    table = (tmp_path / "out" / "pruning.csv").read_text(encoding="utf-8")
    assert table.count("\n") == 1 + len(told["rows"])
    assert "word error rate, %" in (tmp_path / "out" / "pruning.svg").read_text(encoding="utf-8")
    assert (tmp_path / "out" / "pruning.png").stat().st_size > 10_000
    heard = json.loads((tmp_path / "out" / "pruning.json").read_text(encoding="utf-8"))["heard"]
    assert set(heard) == {"", *(" ".join(row["blocks"]) for row in told["rows"])}
    text = run(*common, "--keep-wer", "0", "--measures", "cosine").out
    assert "chosen by" in text
    assert "advice: leave" in text
    with pytest.raises(StudyError, match="which is not empty; expected a folder that is new"):
        run(*common, "--write", str(tmp_path / "made"))
    nothing = dataclasses.replace(advise_prune(learned, corpus=corpus, most=1, random=0), rows=())
    assert "advice: leave no block out; by cka, even one costs more than 2 points" in advise.as_text(nothing, None, 2.0)
