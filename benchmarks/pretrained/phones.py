"""What each layer tells of phones: held-out CCA with phone labels, and a linear probe on other speakers."""

from __future__ import annotations

from benchmarks.pretrained.figures import curves
from benchmarks.pretrained.models import MODELS, corpus
from benchmarks.pretrained.records import Record, Records, paragraph

from otoscope.capture import Recogniser
from otoscope.corpora import Corpus
from otoscope.study.content import content

UTTERANCES = 88
FRAMES = 12_000


def run(models: list[str], utterances: int | None, records: Records) -> list[str]:
    """Both curves of each model; where the best layer is no better than the first."""
    wrong = []
    speech = corpus()
    for model in models:
        with records.kept("phones", model) as record:
            record |= curve(MODELS[model].load(), speech, min(UTTERANCES, utterances or UTTERANCES))
        for what in ("cca", "accuracy"):
            if max(record[what]) <= record[what][0]:
                wrong.append(f"{model}: {what} with phones does not rise above the first layer's")
        write(records)
    return wrong


def curve(recogniser: Recogniser, speech: Corpus, utterances: int) -> Record:
    """Layer by layer, from the first layer to the last; what the log-mel features tell stands by itself."""
    methods = {"cca": "cca-held-out", "accuracy": "probe"}
    found = content(
        recogniser,
        corpus=speech,
        labels=["phones"],
        methods=list(methods.values()),
        utterances=utterances,
        frames=FRAMES,
    ).sel(label="phones")
    curves = {
        f"{what}{ending}": found[part].sel({"method": method}).values[1:].tolist()
        for what, method in methods.items()
        for part, ending in (("value", ""), ("low", "_low"), ("high", "_high"), ("shuffled", "_shuffled"))
    }
    return {
        **curves,
        "input": {
            what: found["value"].sel({"method": method, "layer": "input"}).item() for what, method in methods.items()
        },
        "layers": found["layer"].values[1:].tolist(),
        "most_frequent": found["chance"].sel({"method": "probe"}).values[0].item(),
        "classes": found["classes"].item(),
        "frames": found["rows"].item(),
        "speakers": found["groups"].item(),
        "utterances": found.attrs["utterances"],
    }


def write(records: Records) -> None:
    found = records.of("phones", list(MODELS))
    first = next(iter(found.values()))
    text = f"""
    Frames are labelled with the phone at their centre ({first["classes"]} ARPABET phones of the corpus's forced
    alignments; silence is left out). {first["utterances"]} utterances of {first["speakers"]} speakers in five folds of
    speakers: probes are multinomial logistic regressions on standardised units, fitted to four folds and tested on the
    fifth; CCA finds its directions in four and correlates in the fifth, the mean over all phone directions, 0 for
    unrelated layers ([definitions](../../content.md)). In brackets 95 % intervals over speakers. What is meant: both
    rise with depth, for a recogniser makes phones easier to tell apart. Pasad et al. 2021 found that they fall again in
    the last layers of some models.
    """
    lines = [
        *paragraph(text),
        "",
        "![Phones by depth](phones.svg)",
        "",
        "| recogniser | frames | CCA: first layer | highest | last | probe: first layer | highest | "
        "last | most frequent phone |",
        "|---|---|---|---|---|---|---|---|---|",
        *(_summary(model, record) for model, record in found.items()),
    ]
    for model, record in found.items():
        lines += ["", f"## {MODELS[model].what}", "", "| layer | held-out CCA with phones | probe accuracy |"]
        lines += ["|---|---|---|"]
        lines += [f"| log-mel input | {record['input']['cca']:.3f} | {record['input']['accuracy']:.1%} |"]
        for i, layer in enumerate(record["layers"]):
            cca = f"{record['cca'][i]:.3f} [{record['cca_low'][i]:.3f}, {record['cca_high'][i]:.3f}]"
            ends = f"[{record['accuracy_low'][i]:.1%}, {record['accuracy_high'][i]:.1%}]"
            lines.append(f"| {layer} | {cca} | {record['accuracy'][i]:.1%} {ends} |")
    curves(records.folder / "phones.svg", found)
    records.page("phones", "Phones by depth in pretrained recognisers", found, lines)


def _summary(model: str, record: Record) -> str:
    cells = []
    for what, form in (("cca", "{:.3f}"), ("accuracy", "{:.1%}")):
        values = record[what]
        best = values.index(max(values))
        cells += [form.format(values[0]), f"{form.format(values[best])} at {record['layers'][best]}"]
        cells += [form.format(values[-1])]
    return f"| {MODELS[model].what} | {record['frames']:,} | {' | '.join(cells)} | {record['most_frequent']:.1%} |"
