"""How well a recogniser does on speech that it was not trained on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import jiwer
import torch

from otoscope.asr.batching import batches_by_length
from otoscope.asr.decoding import greedy
from otoscope.asr.decoding.attention import AttentionSearch
from otoscope.asr.objectives import ctc_loss, losses
from otoscope.asr.recogniser import ReferenceRecogniser
from otoscope.asr.scoring import ErrorRates, score
from otoscope.asr.store import FeatureStore, pad

__all__ = ["Evaluation", "evaluate", "word_errors"]


class Evaluation(NamedTuple):
    """The scores of one recogniser: pooled error rates, mean loss an utterance in nats, and the transcripts."""

    rates: ErrorRates
    loss: float
    transcripts: dict[str, str]


@torch.inference_mode()
def evaluate(
    recogniser: ReferenceRecogniser,
    store: FeatureStore,
    texts: Mapping[str, str],
    *,
    batch_frames: int = 12_000,
    ctc_weight: float = 1.0,
) -> Evaluation:
    """Greedy error rates and mean loss of a recogniser, on the device that it is on.

    Args:
        recogniser: is left in evaluation mode.
        store: has the features of the utterances at speed 1.
        texts: utterance ids with their transcripts.
        batch_frames: feature frames in a batch, padding included; changes no result.
        ctc_weight: of the loss; see `otoscope.asr.objectives.losses`. With 0, the attention decoder writes the
            transcripts, otherwise CTC.

    Raises:
        KeyError: an utterance is not in the store, or a transcript has a character without a token.
    """
    recogniser.module.eval()
    device = next(recogniser.module.parameters()).device
    search = AttentionSearch(recogniser.tokens, beam_size=1)
    transcripts: dict[str, str] = {}
    loss = 0.0
    for batch in batches_by_length({u: store.frames(u) for u in texts}, frames=batch_frames):
        features, frames = (x.to(device) for x in pad([store.get(u) for u in batch]))
        encoded = recogniser.encode(features, frames)
        log_probs, lengths = recogniser.module.ctc(encoded.hidden), encoded.lengths
        targets = [recogniser.tokens.encode(texts[u]) for u in batch]
        if ctc_weight == 1:
            each = ctc_loss(log_probs, lengths, targets)
        else:
            each = losses(recogniser, features, frames, targets, ctc_weight=ctc_weight).total
        loss += float(each.double().sum())
        if ctc_weight == 0 and recogniser.module.decoder is not None:
            written = search.decode(recogniser.module.decoder, encoded.hidden, lengths)
        else:
            written = greedy(log_probs, lengths, recogniser.tokens)
        transcripts.update(zip(batch, written, strict=True))
    ids = list(texts)
    rates = score([texts[u] for u in ids], [transcripts[u] for u in ids])
    return Evaluation(rates, loss / len(ids), {u: transcripts[u] for u in ids})


def word_errors(texts: Mapping[str, str], transcripts: Mapping[str, str]) -> dict[str, int]:
    """Each utterance's substitutions + deletions + insertions, in words; they add up to the errors in `wer`.

    >>> word_errors({"a": "YES", "b": "GO HOME"}, {"a": "YES", "b": "GO ON HOMES"})
    {'a': 0, 'b': 2}
    """
    counted = {u: jiwer.process_words(text, transcripts[u]) for u, text in texts.items()}
    return {u: c.substitutions + c.deletions + c.insertions for u, c in counted.items()}
