"""`otoscope advise`: advice, with what was measured to check it."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Annotated, Any

from cyclopts import App, Parameter
from cyclopts.validators import Number

from otoscope.advice import LayerAdvice, Pruned, Pruning, advise_layer, advise_prune
from otoscope.advice.layer import CHOOSING
from otoscope.advice.prune.errors import Rate
from otoscope.capture import Prunes
from otoscope.cli.options import (
    Alignments,
    AtLeastOne,
    Json,
    Language,
    Layers,
    Many,
    Model,
    RemoteCode,
    Revision,
    Utterances,
)
from otoscope.cli.progress import showing_progress
from otoscope.cli.speech import Format, Speaking, Split, checked, part_of, some_of
from otoscope.corpora import load
from otoscope.corpora.textgrid import with_alignments
from otoscope.errors import StudyError
from otoscope.loading import load_recogniser
from otoscope.report.pruning import write_pruning
from otoscope.study.content.labels import LABELS, labels_of

__all__ = ["app", "as_text", "layers_as_text"]

app = App(name="advise", help="Advice on recognisers, each piece checked on the spot.")


@app.command
def prune(
    model: Model,
    *,
    corpus: Speaking = "default",
    format: Format = None,
    split: Split = None,
    utterances: Utterances = 300,
    chosen_on: Annotated[
        str | None, Parameter(help="The split that similarities are taken from [that of --split].")
    ] = None,
    keep_wer: Annotated[
        float, Parameter(validator=Number(gte=0), help="Points of word error rate that may be lost.")
    ] = 2.0,
    measures: Annotated[
        tuple[str, ...],
        Many,
        Parameter(help='By which similarities blocks are chosen, or "cosine"; advised by the first.'),
    ] = ("cka", "cosine"),
    most: Annotated[int | None, AtLeastOne, Parameter(help="Blocks to leave out at most [half of them].")] = None,
    random: Annotated[
        int, Parameter(validator=Number(gte=0), help="Random choices for each number of blocks, to compare with.")
    ] = 5,
    out: Annotated[
        Path | None,
        Parameter(help="A folder for tables and figure (pruning.*); what was stopped goes on there."),
    ] = None,
    write: Annotated[Path | None, Parameter(help="Save the smaller model in this folder, if there is one.")] = None,
    revision: Revision = None,
    language: Language = "en",
    trust_remote_code: RemoteCode = False,
    json_: Json = False,
) -> None:
    """Which blocks of an encoder can be left out, and what that costs in word errors.

    Blocks are chosen by how little they change what is handed on, in one pass over speech; every choice is then
    recognised with and scored, beside the last and first blocks, those of the smallest weights, and random ones.
    """
    if write is not None and write.exists() and any(write.iterdir()):
        raise StudyError(f"--write is {write}, which is not empty; expected a folder that is new")
    speech = load(corpus, format=format)
    part = some_of(part_of(speech, split), utterances)
    seen = None if chosen_on is None else some_of(part_of(speech, chosen_on), utterances)
    recogniser = load_recogniser(model, revision=revision, language=language, trust_remote_code=trust_remote_code)
    with showing_progress() as progress:
        found = advise_prune(
            recogniser,
            corpus=checked(part, progress),
            chosen_on=None if seen is None else checked(seen, progress),
            measures=measures,
            most=most,
            random=random,
            utterances=utterances,
            folder=out,
            progress=progress,
        )
    best = found.best(keep_wer / 100)
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        found.to_frame().to_csv(out / "pruning.csv", index=False)
        write_pruning(found, out)
    written = None
    if write is not None and best is not None:
        assert isinstance(recogniser, Prunes)
        written = recogniser.without(best.blocks).write(write)
    if json_:
        advice: dict[str, Any] = {"keep_wer": keep_wer, "blocks": list(best.blocks) if best else []}
        about = {**found.to_dict(), "advice": advice, "written": None if written is None else str(written)}
        print(json.dumps(about, indent=1, ensure_ascii=False))
        return
    print(as_text(found, best, keep_wer))
    if write is not None:
        print(f"saved in {written}" if written else "nothing was saved: no smaller model is good enough")


@app.command
def layer(
    model: Model,
    *,
    corpus: Speaking = "default",
    format: Format = None,
    split: Split = None,
    utterances: Utterances = 300,
    alignments: Alignments = None,
    labels: Annotated[tuple[str, ...], Many, Parameter(help=f"What features are to tell: {', '.join(LABELS)}.")] = (
        "phones",
        "words",
        "speaker",
    ),
    layers: Layers = None,
    chosen_by: Annotated[
        tuple[str, ...], Many, Parameter(help=f"How layers are chosen: {', '.join(CHOOSING)}.")
    ] = CHOOSING,
    revision: Revision = None,
    language: Language = "en",
    trust_remote_code: RemoteCode = False,
    json_: Json = False,
) -> None:
    """Which layer to take features from: chosen on half of the speakers, checked by a probe on the others."""
    labels_of(labels)
    speech = part_of(load(corpus, format=format), split)
    if alignments is not None:
        speech = with_alignments(speech, alignments)
    speech = some_of(speech, utterances)
    recogniser = load_recogniser(model, revision=revision, language=language, trust_remote_code=trust_remote_code)
    with showing_progress() as progress:
        found = advise_layer(
            recogniser,
            corpus=checked(speech, progress),
            labels=labels,
            layers=layers,
            utterances=utterances,
            chosen_by=chosen_by,
            progress=progress,
        )
    print(json.dumps(found.to_dict(), indent=1, ensure_ascii=False) if json_ else layers_as_text(found))


def layers_as_text(found: LayerAdvice) -> str:
    """The advice for each label, and a line for each way of choosing."""
    columns = f"{'chosen':>7} {'last':>7} {'best':>7} {'log-mel':>8}"
    lines = [
        f"layers of {found.recogniser}",
        f"{found.utterances} utterances of {found.speakers} speakers of {found.corpus}",
        "each half of the speakers chooses a layer, and a probe reads off it on the other half: mean of both",
        "",
        f"{'label':18} {'chosen by':13} {columns}  {'over the last':16} layers",
    ]
    for choice in found.choices:
        values = f"{choice.value:7.3f} {choice.last:7.3f} {choice.best:7.3f} {choice.input:8.3f}"
        gain = f"{choice.gain[0]:+.3f}, {choice.gain[1]:+.3f}"
        lines.append(
            f"{choice.label:18} {choice.chosen_by:13} {values}  {gain:16} {', '.join(dict.fromkeys(choice.layers))}"
        )
    if found.notes:
        lines += ["", f"notes: {found.notes[0]}" + (f" (and {len(found.notes) - 1} more)" if found.notes[1:] else "")]
    return "\n".join(lines)


def as_text(found: Pruning, best: Pruned | None, keep_wer: float) -> str:
    """The advice, and a line for each choice."""
    lines = [
        f"{found.recogniser}: {len(found.blocks)} blocks, {found.parameters / 1e6:.1f} M parameters",
        f"word error rate {_rate(found.whole)} on {found.words} words of {found.corpus}; similarities from "
        f"{found.chosen_on}",
        "",
        f"{'out':>3}  {'chosen by':10} {'WER [95 %]':>22} {'rise':>8} {'expected':>9} {'against chance':>24}  blocks",
    ]
    for row in sorted(found.rows, key=lambda row: (row.count, row.wer.value)):
        expected = f"{100 * row.predicted:.1f}" if math.isfinite(row.predicted) else "–"
        chance = _rate(row.beyond_chance, signed=True) if math.isfinite(row.beyond_chance.value) else "–"
        rates = f"{_rate(row.wer):>22} {100 * row.rise.value:+8.1f} {expected:>9} {chance:>24}"
        lines.append(f"{row.count:3}  {row.way:10} {rates}  {' '.join(row.blocks)}")
    lines += [f"left out: {utterance}" for utterance in found.left_out]
    if best is None:
        lines += [
            "",
            f"advice: leave no block out; by {found.measures[0]}, even one costs more than {keep_wer:g} points",
        ]
    else:
        lines += [
            "",
            f"advice: leave out {', '.join(best.blocks)}: word error rate {_rate(best.wer)} %, a rise of "
            f"{_rate(best.rise, signed=True)} points; {best.parameters / 1e6:.1f} M parameters, the encoder takes "
            f"{best.encoder_time:.0%} of the time",
        ]
    return "\n".join(lines)


def _rate(rate: Rate, *, signed: bool = False) -> str:
    sign = "+" if signed else ""
    ends = f" [{100 * rate.low:{sign}.1f}, {100 * rate.high:{sign}.1f}]" if math.isfinite(rate.low) else ""
    return f"{100 * rate.value:{sign}.1f}{ends}"
