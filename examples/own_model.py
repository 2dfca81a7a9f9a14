"""Looking into a torch model of one's own: here an encoder built from PyTorch's stock Transformer layers.

    python examples/own_model.py [CORPUS]
    otoscope measure examples/own_model.py:recogniser --corpus CORPUS

CORPUS is any folder that `otoscope corpus check` can read; without it, a minute of the embedded corpus is made. The
script prints CKA of every layer with every layer of the same model, and of another initialisation; the command needs
`recogniser` alone. The weights are random: what these layers share is what they keep of their input, which is the
baseline that a trained model is to be read against.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from otoscope import Batch, Layer, Speech, TorchRecogniser, check, default_corpus, load, reduce, similarity
from otoscope.asr import log_mel, pad
from otoscope.capture import to_frames
from otoscope.corpora import read_audio

UNITS, BLOCKS = 64, 3


class Encoder(nn.Module):
    """The model to look into: nothing in it knows of Otoscope."""

    def __init__(self) -> None:
        super().__init__()
        self.front = nn.Conv1d(80, UNITS, 3, stride=2, padding=1)
        layer = nn.TransformerEncoderLayer(UNITS, 4, 4 * UNITS, batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, BLOCKS)
        self.output = nn.Linear(UNITS, 30)

    def forward(self, features: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Padded features (batch, frames, 80) and lengths to (batch, frames / 2, tokens) and lengths."""
        x = self.front(features.transpose(1, 2)).transpose(1, 2)
        lengths = (lengths + 1) // 2
        padding = torch.arange(x.shape[1]) >= lengths[:, None]
        return self.output(self.encoder(x, src_key_padding_mask=padding)), lengths


class OwnRecogniser(TorchRecogniser):
    """What Otoscope has to know of it (the protocol `otoscope.Recogniser`): a module, a rate, its input, its layers."""

    frame_shift = 0.01  # seconds from one frame of the features to the next

    def __init__(self, module: nn.Module) -> None:
        self.module = module.eval()

    def prepare(self, speech: Sequence[Speech]) -> Batch:
        """Samples at 16 kHz to padded log-mel features (batch, frames, 80), with true lengths in frames."""
        return Batch(*pad([log_mel(one.audio) for one in speech]))

    def forward(self, features: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """One forward pass."""
        return self.module(features, lengths)

    def layers(self) -> list[Layer]:
        """Each layer's name, units, seconds a frame, and the axis of its output that runs over frames."""
        front = Layer("front", UNITS, stride=0.02, time_axis=2, kind="convolution")
        blocks = [Layer(f"encoder.layers.{i}", UNITS, 0.02, time_axis=1, kind="transformer") for i in range(BLOCKS)]
        return [front, *blocks]


def recogniser(seed: int = 0) -> OwnRecogniser:
    """What `otoscope measure examples/own_model.py:recogniser` calls. A trained model would load its weights here."""
    torch.manual_seed(seed)
    return OwnRecogniser(Encoder())


def main() -> None:
    """Compares the layers."""
    if len(sys.argv) > 1:
        corpus = load(sys.argv[1])
        corpus = check(corpus.keep(corpus.utterances[:60]))
    else:
        corpus = default_corpus(train_minutes=0.1, dev_minutes=0.1, test_minutes=1.0).split("test")
    recognisers = {f"seed{seed}": recogniser(seed) for seed in (0, 1)}
    own = recognisers["seed0"]
    speech = [Speech(read_audio(u), u.text) for u in corpus]

    # One forward pass by hand: the outputs of named layers, padding and all, then their true frames.
    batch = own.prepare(speech[:8])
    with torch.inference_mode():
        output = own.outputs(batch, ["encoder.layers.0"])["encoder.layers.0"]
    frames, _ = to_frames(output, own.layers()[1], batch.lengths, own.frame_shift)
    print(f"one batch: {tuple(output.shape)} padded, {tuple(frames.shape)} frames × units\n")

    # The whole corpus: layers become moments batch by batch, and no activation is kept.
    moments = reduce(recognisers, (own.prepare(speech[i : i + 8]) for i in range(0, len(speech), 8)))
    found = similarity(moments, measure="cka", layers_x=[f"seed0:{layer.name}" for layer in own.layers()])
    print(f"CKA over {moments.utterances} utterances, {moments.frames} frames")
    print(found.to_pandas().T.round(2).to_string())


if __name__ == "__main__":
    main()
