"""The error rates of finished recognisers on test: once each, greedily and with a language model where asked for."""

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
from otoscope.engines import run_all
from otoscope.files import file_hash
from otoscope.study.config import DecodingConfig, StudyConfig
from otoscope.study.folder import StudyFolder, read_json, write_json
from otoscope.study.preparation import Progress, Speech
from otoscope.study.runs import raise_failures, run_names

__all__ = ["score_test"]

BATCH_FRAMES = 12_000
WIDEST = 10  # hypotheses of a search by attention, which needs fewer than one by CTC and pays more for each


def score_test(
    place: StudyFolder,
    config: StudyConfig,
    speech: Speech,
    store: FeatureStore,
    runs: Sequence[str],
    workers: int,
    show: Progress,
) -> None:
    """Scores the final model of each of `runs` on test, once."""
    texts = {split: speech.texts(split) for split in ("train", "dev", "test")}
    tasks: dict[str, tuple[Callable[..., Any], tuple[Any, ...]]] = {}
    for run in runs:
        final = final_checkpoint(place.run(run))
        there = read_json(place.run(run) / "test.json")
        recogniser = config.recognisers[run_names(config)[run][0]]
        beside_greedy = config.decoding.ngram or recogniser.decoder
        asked = config.decoding.model_dump() if beside_greedy else None
        if there is None or there["weights"] != file_hash(final) or there.get("decoding") != asked:
            weight = recogniser.train().ctc_weight
            tasks[run] = (_score_one, (place.run(run), final, store, texts, config.decoding, weight))
    if tasks:
        _, failures = run_all(tasks, workers=workers, poll=lambda done: show("scoring test", done, len(tasks)))
        raise_failures(failures, "scoring", place)


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
