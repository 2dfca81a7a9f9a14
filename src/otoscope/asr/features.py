"""Log-mel filterbank features, the input of every reference recogniser."""

from __future__ import annotations

import kaldi_native_fbank as knf
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from otoscope.corpora import SAMPLE_RATE_HZ

__all__ = ["FRAME_SHIFT_SECONDS", "MEL_BINS", "log_mel"]

FRAME_SHIFT_SECONDS = 0.010
FRAME_LENGTH_SECONDS = 0.025
MEL_BINS = 80


def _options() -> knf.FbankOptions:
    options = knf.FbankOptions()
    options.frame_opts.samp_freq = SAMPLE_RATE_HZ
    options.frame_opts.frame_shift_ms = 1000 * FRAME_SHIFT_SECONDS
    options.frame_opts.frame_length_ms = 1000 * FRAME_LENGTH_SECONDS
    options.frame_opts.dither = 0.0  # dither is noise: the same audio must give the same features
    options.frame_opts.snip_edges = False  # frames = samples / shift, rounded: lengths do not depend on the window
    options.mel_opts.num_bins = MEL_BINS
    options.mel_opts.low_freq = 20.0
    options.mel_opts.high_freq = 7600.0
    return options


def log_mel(audio: npt.NDArray[np.float32]) -> Tensor:
    """Mono 16 kHz audio in [−1, 1] to normalised log-mel energies, (frames, 80), one frame every 10 ms.

    Each bin is brought to zero mean and unit variance over its utterance, which takes out the microphone and the
    room and needs no statistics of a training set. The standard deviation is floored at 1e-3 so that a silent
    utterance stays finite.

    >>> log_mel(np.zeros(16_000, dtype=np.float32)).shape
    torch.Size([100, 80])
    """
    fbank = knf.OnlineFbank(_options())
    fbank.accept_waveform(SAMPLE_RATE_HZ, np.ascontiguousarray(audio * 32768.0, dtype=np.float32))
    fbank.input_finished()
    frames = np.stack([fbank.get_frame(i) for i in range(fbank.num_frames_ready)])
    features = torch.from_numpy(frames)
    features = features - features.mean(dim=0)
    return features / features.std(dim=0, correction=0).clamp_min(1e-3)
