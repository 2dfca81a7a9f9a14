"""What capture costs: a pass with all blocks captured and their moments summed, beside the plain forward pass."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from benchmarks.pretrained.models import MODELS, corpus
from benchmarks.pretrained.records import Record, Records, paragraph
from benchmarks.pretrained.speech import batches_of, heard

from otoscope.adapters.huggingface import HuggingFaceRecogniser
from otoscope.capture import Batch, Layer, reduce
from otoscope.study.looking import spread

MODEL = "whisper-tiny.en"
UTTERANCES = 16
ROUNDS = 7
MEANT = 1.25


def run(_models: list[str], utterances: int | None, records: Records) -> list[str]:
    """Times encoder and decoder; what costs more than it is meant to."""
    with records.kept("overhead", MODEL) as record:
        recogniser = MODELS[MODEL].load()
        assert isinstance(recogniser, HuggingFaceRecogniser)
        chosen = spread(corpus().split("test").utterances, min(UTTERANCES, utterances or UTTERANCES))
        batches = [recogniser.prepare(heard(batch)) for batch in batches_of(chosen)]
        record["utterances"] = len(chosen)
        record["seconds_of_speech"] = sum(u.duration for u in chosen)
        record["encoder"] = timed(recogniser, batches, recogniser.layers(), plain_encoder)
        record["decoder"] = timed(recogniser, batches, recogniser.decoder_layers(), plain_whole)
    write(records)
    ratio = record["encoder"]["ratio"]
    return [f"{MODEL}: capture costs {ratio:.2f} × the forward, meant {MEANT}"] if ratio > MEANT else []


def plain_encoder(recogniser: HuggingFaceRecogniser, batches: Sequence[Batch]) -> None:
    module: Any = recogniser.module
    with torch.inference_mode():
        for batch in batches:
            for arguments in batch.inputs:
                module.model.encoder(arguments["input_features"])


def plain_whole(recogniser: HuggingFaceRecogniser, batches: Sequence[Batch]) -> None:
    with torch.inference_mode():
        for batch in batches:
            for arguments in batch.inputs:
                recogniser.module(**arguments, use_cache=False)


def timed(
    recogniser: HuggingFaceRecogniser,
    batches: Sequence[Batch],
    layers: Sequence[Layer],
    plain: Callable[[HuggingFaceRecogniser, Sequence[Batch]], None],
) -> Record:
    """CPU seconds of passes in turn, plain and captured, after one of each that is not counted."""

    def captured() -> None:
        reduce({MODEL: recogniser}, batches, layers={MODEL: layers})

    seconds: dict[str, list[float]] = {"plain": [], "captured": []}
    passes: dict[str, Callable[[], None]] = {"plain": partial(plain, recogniser, batches), "captured": captured}
    for counted in [False, *[True] * ROUNDS]:
        for name, one_pass in passes.items():
            began = time.process_time()
            one_pass()
            if counted:
                seconds[name].append(time.process_time() - began)
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    return {
        "layers": [layer.name for layer in layers],
        "seconds": seconds,
        "medians": medians,
        "ratio": medians["captured"] / medians["plain"],
    }


def write(records: Records) -> None:
    found = records.of("overhead", [MODEL])
    record = found[MODEL]
    text = f"""
    {MODELS[MODEL].what}, {record["utterances"]} utterances ({record["seconds_of_speech"]:.0f} s of speech, each padded
    to 30 s as Whisper has it), {ROUNDS} passes each way in turn over the same batches, after one that is not counted.
    CPU seconds of one thread; the ratio is of medians. Captured: `otoscope.reduce`, all pairs of the layers. Plain:
    `model.encoder(features)` under `inference_mode`; for the decoder the whole model under teacher forcing.
    """
    lines = [
        *paragraph(text),
        "",
        "| what | layers | plain, median (lowest to highest) | with capture and moments | ratio | meant |",
        "|---|---|---|---|---|---|",
    ]
    for part in ("encoder", "decoder"):
        one = record[part]
        cells = [
            f"{one['medians'][name]:.2f} s ({min(one['seconds'][name]):.2f} to {max(one['seconds'][name]):.2f})"
            for name in ("plain", "captured")
        ]
        meant = f"at most {MEANT}" if part == "encoder" else "–"
        lines.append(f"| {part} | {len(one['layers'])} | {' | '.join(cells)} | **{one['ratio']:.3f}** | {meant} |")
    records.page("overhead", "What capture costs", found, lines)
