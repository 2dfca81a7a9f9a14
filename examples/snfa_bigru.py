"""Looking into a recurrent recogniser of another package: snfa's two bidirectional GRU layers, by `PlainRecogniser`.

    pip install snfa==0.3.0
    python examples/snfa_bigru.py CORPUS [jp.npz]
    otoscope measure examples/snfa_bigru.py:recogniser --corpus CORPUS

snfa (https://github.com/Patchethium/snfa, ISC licence; weights in the public domain) aligns Japanese speech to phones
in NumPy. Its weights lie in a file of arrays and go into torch's own modules here. The model knows the phones of
Japanese only: of English speech it writes the Japanese phones that it takes it for.

Prints what it hears in three utterances, and CKA of every layer with every layer.
"""

from __future__ import annotations

import importlib.util
import sys
from itertools import groupby
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from otoscope import Speech, load, reduce, similarity
from otoscope.adapters.plain import PlainRecogniser
from otoscope.capture import SAMPLE_RATE_HZ
from otoscope.corpora import read_audio

SYMBOLS = "pad a b by ch cl d dy e f g gy h hy i j k ky m my n ny o p py r ry s sh t ts ty u v w y z pau"
PHONES = SYMBOLS.split()  # pad is the blank, pau silence
BINS, WINDOW, HOP, UNITS = 80, 1024, 320, 128
"""The settings of snfa's model. They stand in its file as a pickled object, which is not read: it could run code."""


class Aligner(nn.Module):
    """snfa's network: a projection, two bidirectional GRUs with a residual connection around both, phone scores.

    The GRUs are two modules, for of a two-layer `nn.GRU` only the last layer can be seen.
    """

    def __init__(self) -> None:
        super().__init__()
        self.pre = nn.Linear(BINS, 2 * UNITS)
        self.rnn0 = nn.GRU(2 * UNITS, UNITS, batch_first=True, bidirectional=True)
        self.rnn1 = nn.GRU(2 * UNITS, UNITS, batch_first=True, bidirectional=True)
        self.fc = nn.Linear(2 * UNITS, len(PHONES))

    def forward(self, mel: Tensor) -> Tensor:
        """Log-mel energies (batch, frames, 80) to phone scores (batch, frames, 38)."""
        x = self.pre(mel)
        return self.fc(self.rnn1(self.rnn0(x)[0])[0] + x)


def aligner(path: Path) -> Aligner:
    """The network with the weights of `jp.npz`; layer l of its `bi_rnn` becomes `rnn<l>`."""
    model = Aligner()
    with np.load(path, allow_pickle=False) as arrays:
        names = [name for name in arrays.files if name != "meta_data"]
        weights = {name: torch.from_numpy(arrays[name].astype(np.float32)) for name in names}
    for layer in "01":
        old = [name for name in weights if name.startswith("bi_rnn.") and f"_l{layer}" in name]
        for name in old:
            weights[name.replace("bi_rnn", f"rnn{layer}").replace(f"_l{layer}", "_l0")] = weights.pop(name)
    model.load_state_dict(weights)
    return model


def filterbank() -> npt.NDArray[np.float64]:
    """Triangles evenly spaced in mel, their edges on whole FFT bins, (bins, frequencies)."""
    mel = np.linspace(0, 2595 * np.log10(1 + SAMPLE_RATE_HZ / 2 / 700), BINS + 2)
    edges = np.floor((WINDOW + 1) * 700 * (10 ** (mel / 2595) - 1) / SAMPLE_RATE_HZ).astype(int)
    bank = np.zeros((BINS, WINDOW // 2 + 1))
    for row, left, centre, right in zip(bank, edges, edges[1:], edges[2:], strict=False):
        row[left:centre] = np.arange(centre - left) / max(1, centre - left)
        row[centre:right] = np.arange(right - centre, 0, -1) / max(1, right - centre)
    return bank


def log_mel(samples: npt.NDArray[np.float32]) -> Tensor:
    """Samples to log-mel energies (frames, 80), a frame every 20 ms, the last ending where the speech does."""
    padded = np.pad(samples, (0, max(0, WINDOW - len(samples))))
    frames = np.lib.stride_tricks.sliding_window_view(padded, WINDOW)[::HOP] * np.hanning(WINDOW)
    energies = np.abs(np.fft.rfft(frames)) ** 2 @ filterbank().T
    return torch.from_numpy(np.log(energies + 1e-7).astype(np.float32))


def phones(scores: Tensor, lengths: Tensor) -> list[str]:
    """The best phone of each frame, repetitions and blanks left out."""
    best = scores.argmax(-1).tolist()
    runs = [[PHONES[i] for i, _ in groupby(row[:n])] for row, n in zip(best, lengths.tolist(), strict=True)]
    return [" ".join(phone for phone in row if phone != "pad") for row in runs]


def recogniser(path: Path | None = None) -> PlainRecogniser:
    """snfa's model as a recogniser: GRUs know nothing of lengths, so each utterance goes through alone."""
    if path is None:
        package = importlib.util.find_spec("snfa")
        if package is None or package.origin is None:
            raise SystemExit("snfa is not installed: pip install snfa==0.3.0")
        path = Path(package.origin).parent / "models" / "jp.npz"
    return PlainRecogniser(
        aligner(path),
        features=log_mel,
        frame_shift=HOP / SAMPLE_RATE_HZ,
        layers=["pre", "rnn0", "rnn1", "fc"],
        decode=phones,
        name="snfa",
        source="snfa 0.3.0, jp.npz",
    )


def main() -> None:
    """Transcribes a little, and compares the layers."""
    own = recogniser(Path(sys.argv[2]) if len(sys.argv) > 2 else None)
    corpus = load(sys.argv[1])
    speech = [Speech(read_audio(u), u.text) for u in corpus.utterances[:60]]
    for one, heard in zip(speech[:3], own.transcribe(speech[:3]), strict=True):
        print(f"{one.text}\n  {heard}")
    with torch.inference_mode():
        moments = reduce({"snfa": own}, (own.prepare(speech[i : i + 8]) for i in range(0, len(speech), 8)))
    print(f"\nCKA over {moments.utterances} utterances, {moments.frames} frames")
    print(similarity(moments, measure="cka").to_pandas().round(2).to_string())


if __name__ == "__main__":
    main()
