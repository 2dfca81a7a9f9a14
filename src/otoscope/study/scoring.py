"""The error rates of finished recognisers on test: once each, greedily and with a language model where asked for.

And the errors of their final models in each utterance of dev and test, which findings relate to what layers do.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from otoscope.asr import (
    BeamSearch,
    FeatureStore,
    ReferenceRecogniser,
    batches_by_length,
    by_attention,
    evaluate,
    final_checkpoint,
    pad,
    score,
    tune,
)
from otoscope.asr.training.evaluation import word_errors
from otoscope.engines import Failure, run_all
from otoscope.files import file_hash
from otoscope.study.config import DecodingConfig, StudyConfig
from otoscope.study.failing import record_failure
from otoscope.study.folder import StudyFolder, read_json, write_json
from otoscope.study.missing import Missing
from otoscope.study.preparation import Progress, Speech
from otoscope.study.rows import UtteranceRow
from otoscope.study.runs import run_names

__all__ = ["score_runs", "utterance_rows"]

HEARD = "utterances.json"

BATCH_FRAMES = 12_000
WIDEST = 10  # hypotheses of a search by attention, which needs fewer than one by CTC and pays more for each


def score_runs(
    place: StudyFolder,
    config: StudyConfig,
    speech: Speech,
    store: FeatureStore,
    runs: Sequence[str],
    workers: int,
    show: Progress,
) -> list[Missing]:
    """Scores the final model of each of `runs`, once: on test, and in each utterance of dev and test.

    Returns those that failed, each told and recorded in its folder as soon as it did.
    """
    texts = {split: speech.texts(split) for split in ("train", "dev", "test")}
    to_hear = {split: speech.texts(split) for split in dict.fromkeys(("dev", "test", *config.probe.splits))}
    tasks: dict[str, tuple[Callable[..., Any], tuple[Any, ...]]] = {}
    missing: dict[str, Missing] = {}

    def fail(run: str, error: BaseException) -> None:
        if run not in missing:
            missing[run] = record_failure(place, run, "scoring", error)

    for run in runs:
        recogniser = config.recognisers[run_names(config)[run][0]]
        try:
            final = final_checkpoint(place.run(run))
            weights = file_hash(final)
        except OSError as error:
            fail(run, error)
            continue
        there = read_json(place.run(run) / "test.json")
        beside_greedy = config.decoding.ngram or recogniser.decoder
        asked = config.decoding.model_dump() if beside_greedy else None
        weight = recogniser.train().ctc_weight
        if there is None or there["weights"] != weights or there.get("decoding") != asked:
            tasks[run] = (_score_one, (place.run(run), final, store, texts, config.decoding, weight))
        heard = read_json(place.run(run) / HEARD)
        wanted = {utterance for split in to_hear.values() for utterance in split}
        if heard is None or heard["weights"] != weights or not heard["utterances"].keys() >= wanted:
            tasks[f"{run} {HEARD}"] = (_hear_one, (place.run(run), final, store, to_hear, weight))

    def failed(failure: Failure) -> None:
        fail(failure.task.partition(" ")[0], failure.error)

    if tasks:
        run_all(tasks, workers=workers, poll=lambda done: show("scoring", done, len(tasks)), failed=failed)
    return list(missing.values())


def utterance_rows(place: StudyFolder, run: str, speech: Speech) -> list[UtteranceRow]:
    """The errors of a run's final model in each utterance of the probe set."""
    heard = read_json(place.run(run) / HEARD)["utterances"]
    of = speech.clusters
    return [UtteranceRow(run, u, **heard[u], block=-1 if of is None else of.blocks[of.of[u]]) for u in speech.probe]


def _hear_one(
    folder: Path, checkpoint: Path, store: FeatureStore, texts: Mapping[str, Mapping[str, str]], ctc_weight: float
) -> None:
    """Errors of a final model, greedily decoded, in each utterance of some splits."""
    recogniser = ReferenceRecogniser.load(checkpoint)
    found = {}
    for split, spoken in texts.items():
        transcripts = evaluate(recogniser, store, spoken, ctc_weight=ctc_weight).transcripts
        for utterance, errors in word_errors(spoken, transcripts).items():
            found[utterance] = {"split": split, "errors": errors, "words": len(spoken[utterance].split())}
    content = {"checkpoint": checkpoint.name, "weights": file_hash(checkpoint), "utterances": found}
    write_json(folder / HEARD, content)


def _score_one(
    folder: Path,
    checkpoint: Path,
    store: FeatureStore,
    texts: Mapping[str, Mapping[str, str]],
    decoding: DecodingConfig,
    ctc_weight: float,
) -> None:
    recogniser = ReferenceRecogniser.load(checkpoint)
    rates, loss, transcripts = evaluate(recogniser, store, texts["test"], ctc_weight=ctc_weight)
    found = {
        "checkpoint": checkpoint.name,
        "weights": file_hash(checkpoint),
        "test_wer": rates.wer,
        "test_cer": rates.cer,
        "test_loss": loss,
        "words": rates.words,
        "utterances": rates.utterances,
        "transcripts": transcripts,
    }
    if decoding.ngram or recogniser.decoder is not None:
        found["decoding"] = decoding.model_dump()
    if decoding.ngram:
        found["ngram"] = _with_language_model(recogniser, store, texts, decoding)
    if recogniser.decoder is not None:
        found["attention"] = _by_attention(recogniser, store, texts["test"], decoding.beam, ctc_weight)
    write_json(folder / "test.json", found)


def _with_language_model(
    recogniser: ReferenceRecogniser,
    store: FeatureStore,
    texts: Mapping[str, Mapping[str, str]],
    decoding: DecodingConfig,
) -> dict[str, Any]:
    """Error rates of a beam search with an n-gram of the training transcripts, its weights chosen on dev."""
    search = BeamSearch.of_text(
        recogniser.tokens, texts["train"].values(), order=decoding.ngram, beam_size=decoding.beam
    )
    ids, outputs = _outputs(recogniser, store, texts["dev"])
    tuned = tune(search, outputs, [texts["dev"][u] for u in ids])
    ids, outputs = _outputs(recogniser, store, texts["test"])
    heard = [text for batch in outputs for text in tuned.search.decode(*batch)]
    rates = score([texts["test"][u] for u in ids], heard)
    return {
        "order": decoding.ngram,
        "lm_weight": tuned.best.lm_weight,
        "word_bonus": tuned.best.word_bonus,
        "dev_wer": tuned.best.wer,
        "test_wer": rates.wer,
        "test_cer": rates.cer,
        "transcripts": dict(zip(ids, heard, strict=True)),
    }


@torch.inference_mode()
def _by_attention(
    recogniser: ReferenceRecogniser, store: FeatureStore, texts: Mapping[str, str], beam: int, ctc_weight: float
) -> dict[str, Any]:
    """Error rates of the attention decoder, jointly with CTC by the weights of training."""
    heard: dict[str, str] = {}
    for batch in batches_by_length({u: store.frames(u) for u in texts}, frames=BATCH_FRAMES):
        encoded = recogniser.encode(*pad([store.get(u) for u in batch]))
        found = by_attention(recogniser, encoded, beam_size=min(beam, WIDEST), ctc_weight=ctc_weight)
        heard.update(zip(batch, found, strict=True))
    rates = score([texts[u] for u in heard], list(heard.values()))
    return {"ctc_weight": ctc_weight, "test_wer": rates.wer, "test_cer": rates.cer, "transcripts": heard}


@torch.inference_mode()
def _outputs(
    recogniser: ReferenceRecogniser, store: FeatureStore, texts: Mapping[str, str]
) -> tuple[list[str], list[tuple[Tensor, Tensor]]]:
    """Utterance ids in order of length, and the recogniser's output on them in batches."""
    batches = batches_by_length({u: store.frames(u) for u in texts}, frames=BATCH_FRAMES)
    outputs = [recogniser.forward(*pad([store.get(u) for u in batch])) for batch in batches]
    return [u for batch in batches for u in batch], outputs
