"""Where a layer is ruled by one direction or by few frames: what makes CKA with it small."""

from __future__ import annotations

import torch
from benchmarks.pretrained.figures import short
from benchmarks.pretrained.layers import heard_of
from benchmarks.pretrained.models import MODELS
from benchmarks.pretrained.records import Record, Records, paragraph
from benchmarks.pretrained.speech import batches_of, centres, heard, phones_at

from otoscope.capture import Layer, Recogniser, view_name, views_of
from otoscope.corpora import Utterance
from otoscope.measures import Moments, Samples, describe, registry

UTTERANCES = 8
FEW = 0.01
"""The share of frames that is looked at, those furthest from the mean."""


def run(models: list[str], utterances: int | None, records: Records) -> list[str]:
    """The table of each model's encoder."""
    chosen = heard_of(min(UTTERANCES, utterances or UTTERANCES)).utterances
    for model in models:
        with records.kept("dominance", model) as record:
            record |= looked_at(MODELS[model].load(), list(chosen))
        write(records)
    return []


def looked_at(recogniser: Recogniser, utterances: list[Utterance]) -> Record:
    """Layer by layer, silence and all."""
    layers = list(recogniser.layers())
    coarsest: Layer = max(layers, key=lambda layer: layer.stride)
    batches = batches_of(utterances)
    seen, lengths = [], []
    for views, counts in views_of({"": recogniser}, (recogniser.prepare(heard(batch)) for batch in batches)):
        seen.append(views)
        lengths += counts
    in_order = [utterance for batch in batches for utterance in batch]
    times = [centres(coarsest, n) for n in lengths]
    spoken = torch.cat([phones_at(t, u.phones) >= 0 for t, u in zip(times, in_order, strict=True)])
    index = torch.repeat_interleave(torch.arange(len(lengths)), torch.tensor(lengths))
    own = {layer.name: torch.cat([views[view_name("", layer.name)] for views in seen]) for layer in layers}
    samples, moments = Samples.of(own, utterances=index), Moments.of(own, utterances=index)
    names = list(own)
    rows = []
    for before, name in zip([None, *names], names, strict=False):
        energy = (own[name] - own[name].mean(0)).double().square().sum(1)
        far = energy.argsort(descending=True)[: max(1, round(FEW * len(energy)))]
        rows.append(
            {
                "layer": name,
                "top_share": describe(own[name], name, utterances=index).top_share,
                "few_share": float(energy[far].sum() / energy.sum()),
                "few_silent": float((~spoken[far]).double().mean()),
                "silent": float((~spoken).double().mean()),
                **({} if before is None else similarities(samples, moments, before, name)),
            }
        )
    return {"rows": rows, "utterances": len(utterances), "frames": len(spoken)}


def similarities(samples: Samples, moments: Moments, x: str, y: str) -> Record:
    """CKA of two layers as it is, and without the first principal component of each."""
    return {
        "cka": registry.get("cka").compute(moments, x, y).value,
        "removed": registry.get("cka-pc-removed").compute(samples, x, y).value,
        "cca": registry.get("cca").compute(moments, x, y).value,
    }


def write(records: Records) -> None:
    found = records.of("dominance", list(MODELS))
    text = f"""
    Encoders, {UTTERANCES} utterances, silence included. Top share: of the variance in the first principal component.
    Furthest frames: the {FEW:.0%} of frames furthest from the mean, their share of the variance, and how many of them
    lie outside of words (beside the share of all frames that do). Then the similarity with the layer before: CKA, CKA
    without the first principal component of either layer, and CCA, where every direction counts alike. Where the first
    columns are large, and CKA is small while the last two are not, the layers differ in few frames or one direction,
    and not in what they tell: see whether phones fall ([phones.md](phones.md)) before calling such a layer different.
    """
    lines = paragraph(text)
    for model, record in found.items():
        lines += ["", f"## {MODELS[model].what}", ""]
        lines += ["| layer | top share | furthest frames: variance | of these not in words | CKA | without | CCA |"]
        lines += ["|---" * 7 + "|"]
        names = short([row["layer"] for row in record["rows"]])
        for name, row in zip(names, record["rows"], strict=True):
            alike = [f"{row[k]:.2f}" if k in row else "–" for k in ("cka", "removed", "cca")]
            lines.append(
                f"| {name} | {row['top_share']:.2f} | {row['few_share']:.2f} | {row['few_silent']:.0%} "
                f"({row['silent']:.0%}) | {' | '.join(alike)} |"
            )
    records.page("dominance", "What rules the layers of pretrained encoders", found, lines)
