"""How well a recogniser does on speech that it was not trained on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import jiwer
import torch

from otoscope.asr.batching import batches_by_length
from otoscope.asr.decoding import AttentionSearch, greedy
from otoscope.asr.models import Encoded
from otoscope.asr.objectives import ctc_loss, encoded_losses
from otoscope.asr.recogniser import ReferenceRecogniser
from otoscope.asr.scoring import ErrorRates, score
from otoscope.asr.store import FeatureStore, pad
from otoscope.errors import TrainingError

__all__ = ["Evaluation", "by_attention", "evaluate", "word_errors"]


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
    transcripts: dict[str, str] = {}
    loss = 0.0
    for batch in batches_by_length({u: store.frames(u) for u in texts}, frames=batch_frames):
        features, frames = (x.to(device) for x in pad([store.get(u) for u in batch]))
        encoded = recogniser.encode(features, frames)
        log_probs = recogniser.module.ctc(encoded.hidden)
        targets = [recogniser.tokens.encode(texts[u]) for u in batch]
        if ctc_weight == 1:
            each = ctc_loss(log_probs, encoded.lengths, targets)
        else:
            each = encoded_losses(recogniser, encoded, targets, ctc_weight=ctc_weight).total
        loss += float(each.double().sum())
        if ctc_weight > 0:
            heard = greedy(log_probs, encoded.lengths, recogniser.tokens)
        else:  # the CTC output was not trained
            heard = by_attention(recogniser, encoded, beam_size=1)
        transcripts.update(zip(batch, heard, strict=True))
    ids = list(texts)
    rates = score([texts[u] for u in ids], [transcripts[u] for u in ids])
    return Evaluation(rates, loss / len(ids), {u: transcripts[u] for u in ids})


def by_attention(
    recogniser: ReferenceRecogniser, encoded: Encoded, *, beam_size: int, ctc_weight: float = 0.0
) -> list[str]:
    """What the attention decoder writes for encoded utterances, alone or jointly with CTC."""
    decoder = recogniser.module.decoder
    if decoder is None:
        raise TrainingError("this recogniser has no attention decoder; decode its CTC output")
    log_probs = recogniser.module.ctc(encoded.hidden) if ctc_weight else None
    search = AttentionSearch(recogniser.tokens, beam_size=beam_size, ctc_weight=ctc_weight)
    return search.decode(decoder, encoded.hidden, encoded.lengths, log_probs)


def word_errors(texts: Mapping[str, str], transcripts: Mapping[str, str]) -> dict[str, int]:
    """Each utterance's substitutions + deletions + insertions, in words; they add up to the errors in `wer`.

    >>> word_errors({"a": "YES", "b": "GO HOME"}, {"a": "YES", "b": "GO ON HOMES"})
    {'a': 0, 'b': 2}
    """
    counted = {u: jiwer.process_words(text, transcripts[u]) for u, text in texts.items()}
    return {u: c.substitutions + c.deletions + c.insertions for u, c in counted.items()}
