"""What training minimises: CTC, attention with label smoothing, or both at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from otoscope.asr.models.decoders import END
from otoscope.asr.tokens import BLANK
from otoscope.errors import TrainingError

if TYPE_CHECKING:
    from otoscope.asr.models import Encoded
    from otoscope.asr.recogniser import ReferenceRecogniser

__all__ = ["INTERMEDIATE_WEIGHT", "Losses", "attention_loss", "ctc_loss", "encoded_losses", "losses"]

INTERMEDIATE_WEIGHT = 0.3
"""The share of intermediate CTC in all of CTC that Lee & Watanabe (2021) found best."""


@dataclass(frozen=True)
class Losses:
    """The losses of a batch, each (batch,) in nats an utterance; None for what was not asked for.

    `total` is what to minimise, `ctc` that of the last layer's output, `intermediate` the mean over the blocks that
    have an output of their own, `attention` that of the decoder, with label smoothing.
    """

    total: Tensor
    ctc: Tensor | None
    attention: Tensor | None
    intermediate: Tensor | None = None


def ctc_loss(log_probs: Tensor, lengths: Tensor, targets: Sequence[Sequence[int]]) -> Tensor:
    """The CTC loss of each utterance, (batch,), in nats (Graves et al. 2006).

    `log_probs` (batch, frames, tokens), true `lengths` (batch,), and the token indices of each transcript. It is
    infinite where an utterance has fewer frames than its transcript needs.

    >>> certain = torch.tensor([[[0.5, 0.5], [0.5, 0.5]]]).log()
    >>> ctc_loss(certain, torch.tensor([2]), [[1]]).exp().tolist()  # 3 of the 4 paths read "1"
    [1.3333333730697632]
    """
    flat = torch.tensor([t for target in targets for t in target], dtype=torch.long, device=log_probs.device)
    sizes = torch.tensor([len(target) for target in targets])
    return torch.nn.functional.ctc_loss(
        log_probs.transpose(0, 1), flat, lengths.cpu(), sizes, blank=BLANK, reduction="none"
    )


def attention_loss(log_probs: Tensor, targets: Sequence[Sequence[int]], *, label_smoothing: float = 0.0) -> Tensor:
    """The cross-entropy of each utterance's tokens and its END, summed, (batch,), in nats.

    With label smoothing ε (Szegedy et al. 2016), a step's loss is −(1 − ε) log p(target) − ε mean over all tokens of
    log p(token).

    `log_probs` (batch, steps, tokens) are the decoder's under teacher forcing, `targets` the token indices of each
    transcript, of at most steps − 1 tokens.

    >>> even = torch.full((1, 3, 4), 0.25).log()
    >>> round(attention_loss(even, [[2, 1]]).item(), 4)  # 3 ln 4: two tokens and END
    4.1589
    """
    steps = log_probs.shape[1]
    rows = [[*target, END] for target in targets]
    wanted = torch.tensor([row + [END] * (steps - len(row)) for row in rows], device=log_probs.device)
    counted = torch.arange(steps) < torch.tensor([len(row) for row in rows])[:, None]
    chosen = log_probs.gather(2, wanted[:, :, None])[:, :, 0]
    each = -(1 - label_smoothing) * chosen - label_smoothing * log_probs.mean(dim=2)
    return (each * counted.to(each.device)).sum(dim=1)


def losses(
    recogniser: ReferenceRecogniser,
    features: Tensor,
    lengths: Tensor,
    targets: Sequence[Sequence[int]],
    *,
    ctc_weight: float = 1.0,
    label_smoothing: float = 0.0,
    intermediate_weight: float = INTERMEDIATE_WEIGHT,
) -> Losses:
    """The losses of a batch: total = λ CTC + (1 − λ) attention, λ being `ctc_weight` (Watanabe et al. 2017).

    Where the encoder has intermediate outputs, their CTC loss takes the share w = `intermediate_weight` of the CTC
    part: (1 − w) CTC + w intermediate (Lee & Watanabe 2021).

    Args:
        recogniser: The recogniser; it needs a decoder unless `ctc_weight` is 1.
        features: Padded features (batch, frames, bins).
        lengths: True lengths in frames, (batch,).
        targets: Each transcript's token indices.
        ctc_weight: 1 for CTC alone, 0 for attention alone.
        label_smoothing: The share of a target's probability that is spread over all tokens; attention only.
        intermediate_weight: The share of the intermediate outputs in the CTC part.

    Returns:
        The losses, each (batch,), in nats.

    Raises:
        TrainingError: `ctc_weight` is below 1 and the recogniser has no decoder.

    Example:
        >>> from otoscope.asr import PRESETS, CharacterTokens, ReferenceRecogniser
        >>> tokens = CharacterTokens.of(["YES", "NO"])
        >>> recogniser = ReferenceRecogniser(PRESETS["cnn"]["small"].model, tokens)
        >>> found = losses(recogniser, torch.randn(1, 90, 80), torch.tensor([90]), [tokens.encode("YES")])
        >>> found.total.shape
        torch.Size([1])
    """
    encoded = recogniser.encode(features, lengths)
    return encoded_losses(
        recogniser,
        encoded,
        targets,
        ctc_weight=ctc_weight,
        label_smoothing=label_smoothing,
        intermediate_weight=intermediate_weight,
    )


def encoded_losses(
    recogniser: ReferenceRecogniser,
    encoded: Encoded,
    targets: Sequence[Sequence[int]],
    *,
    ctc_weight: float = 1.0,
    label_smoothing: float = 0.0,
    intermediate_weight: float = INTERMEDIATE_WEIGHT,
) -> Losses:
    """`losses` of what the encoder has made of a batch already; arguments and errors as there."""
    network = recogniser.module
    if ctc_weight < 1 and network.decoder is None:
        raise TrainingError(
            f"ctc_weight is {ctc_weight}, which leaves a share of {1 - ctc_weight:g} to an attention decoder, and this "
            "recogniser has none: give it one (LstmDecoderConfig, TransformerDecoderConfig), or ctc_weight 1"
        )
    parts: list[Tensor] = []
    ctc = intermediate = attention = None
    if ctc_weight > 0:
        ctc = ctc_loss(network.ctc(encoded.hidden), encoded.lengths, targets)
        part = ctc
        if encoded.intermediate:
            each = [ctc_loss(log_probs, encoded.lengths, targets) for log_probs in encoded.intermediate]
            intermediate = torch.stack(each).mean(dim=0)
            part = (1 - intermediate_weight) * ctc + intermediate_weight * intermediate
        parts.append(ctc_weight * part)
    if ctc_weight < 1 and network.decoder is not None:
        longest = max(map(len, targets))
        prefix = torch.tensor([[END, *target, *[END] * (longest - len(target))] for target in targets])
        log_probs = network.decoder(encoded.hidden, encoded.lengths, prefix.to(encoded.hidden.device))
        attention = attention_loss(log_probs, targets, label_smoothing=label_smoothing)
        parts.append((1 - ctc_weight) * attention)
    return Losses(torch.stack(parts).sum(dim=0), ctc, attention, intermediate)
