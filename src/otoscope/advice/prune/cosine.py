"""The cosine of states frame by frame, by which published pruning goes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch

from otoscope.advice.prune.states import States
from otoscope.asr import batches_by_length
from otoscope.capture import Speech, to_frames
from otoscope.corpora import Utterance, read_audio
from otoscope.study.looking import costs
from otoscope.study.measuring import BATCH_FRAMES

__all__ = ["cosines"]


@torch.inference_mode()
def cosines(states: States, speech: Sequence[Utterance]) -> npt.NDArray[np.float64]:
    """(states, states): the mean over frames of the cosine of two states.

    Formula: mean_t ⟨x_t, y_t⟩ / (‖x_t‖ ‖y_t‖), not centred. 1 − the cosine of a block's input and output is ShortGPT's
    block influence. Source: Men et al. 2024 (arXiv 2403.03853); Gromov et al. 2024 (arXiv 2403.17887).
    """
    layers = states.layers()
    by_id = {u.id: u for u in speech}
    total = torch.zeros(len(layers), len(layers), dtype=torch.float64)
    frames = 0
    for batch in batches_by_length(costs(speech, [states]), frames=BATCH_FRAMES):
        inputs = states.prepare([Speech(read_audio(by_id[u]), by_id[u].text) for u in batch])
        outputs = states.outputs(inputs, [layer.name for layer in layers])
        true = [to_frames(outputs[layer.name], layer, inputs.lengths, states.frame_shift)[0] for layer in layers]
        together = torch.nn.functional.normalize(torch.stack(true).double(), dim=2)
        total += torch.einsum("itu,jtu->ij", together, together)
        frames += together.shape[1]
    found: npt.NDArray[np.float64] = (total / frames).numpy()
    return found
