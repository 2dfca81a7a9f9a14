"""Peers' CKA summed over shuffled minibatches of 256 frames (Nguyen et al. 2021), fed as they ask to be fed."""

from __future__ import annotations

import contextlib
import importlib
import io
import warnings
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import torch
from benchmarks.peers import stubs
from benchmarks.peers.method import Layer, Method
from torch.utils.data import BatchSampler, DataLoader, RandomSampler, TensorDataset

BATCH = 256
Values = npt.NDArray[np.float64]


class Replay(torch.nn.Module):
    """A model whose layers put out stored frames: the input says which. Nothing else costs time in it."""

    def __init__(self, layers: list[Layer]) -> None:
        super().__init__()
        self.layers = torch.nn.ModuleList([Frames(torch.from_numpy(x)) for x in layers])
        self.names = [f"layers.{i}" for i in range(len(layers))]

    def forward(self, index: torch.Tensor) -> torch.Tensor:
        for layer in self.layers:
            out = layer(index)
        return out


class Frames(torch.nn.Module):
    def __init__(self, x: torch.Tensor) -> None:
        super().__init__()
        self.x = x

    def forward(self, index: torch.Tensor) -> torch.Tensor:
        return self.x[index]


def shuffled(frames: int, *, seed: int = 0, second: bool = False) -> DataLoader[tuple[torch.Tensor, ...]]:
    """Frame numbers in shuffled batches, drawn a batch at a time and not frame by frame."""
    index = torch.arange(frames)
    sampler = RandomSampler(index, generator=torch.Generator().manual_seed(seed))
    data = TensorDataset(index, index) if second else TensorDataset(index)
    return DataLoader(data, batch_size=None, sampler=BatchSampler(sampler, BATCH, drop_last=True))


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    with warnings.catch_warnings(), contextlib.redirect_stderr(io.StringIO()):
        warnings.simplefilter("ignore")
        yield


def _models(x: list[Layer], y: list[Layer] | None) -> tuple[Replay, Replay]:
    first = Replay(x)
    return first, first if y is None else Replay(y)


def pytorch_cka(x: list[Layer], y: list[Layer] | None) -> Values:
    a, b = _models(x, y)
    compute = importlib.import_module("cka").compute_cka
    loader = shuffled(len(x[0]))
    found = compute(a, b, loader, layers=a.names, model2_layers=b.names, device="cpu", progress=False)
    return found[0].double().numpy()


def torch_cka(x: list[Layer], y: list[Layer] | None) -> Values:
    a, b = _models(x, y)
    with quiet():
        cka = importlib.import_module("torch_cka").CKA(a, b, model1_layers=a.names, model2_layers=b.names)
        # Two loaders with one seed: a single shuffling one would be read twice, with different frames for each model.
        cka.compare(shuffled(len(x[0])), shuffled(len(x[0])))
    return cka.export()["CKA"].double().numpy()


def cka_pytorch(x: list[Layer], y: list[Layer] | None) -> Values:
    a, b = _models(x, y)
    with quiet():
        calculator = stubs.cka_pytorch().CKACalculator(a, b, a.names, b.names, device="cpu", verbose=False)
        return calculator.calculate_cka_matrix(shuffled(len(x[0]), second=True), num_epochs=1).double().numpy()


METHODS = [
    Method(
        "pytorch-cka",
        "cka-minibatch",
        "unbiased HSIC of shuffled batches of 256, clamped to [0, 1]",
        "float32",
        needs="pytorch-cka",
        matrix=pytorch_cka,
    ),
    Method(
        "cka-pytorch",
        "cka-minibatch",
        "unbiased HSIC of shuffled batches of 256",
        "float32",
        needs="cka-pytorch",
        matrix=cka_pytorch,
    ),
    Method(
        "torch-cka",
        "cka-minibatch",
        "unbiased HSIC of shuffled batches of 256",
        "float32",
        needs="torch-cka",
        matrix=torch_cka,
    ),
]
