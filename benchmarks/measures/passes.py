"""The accumulation pass alone: its rate against the best matrix product, its memory, and its growth with speech."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch
from benchmarks.measures.data import Data
from benchmarks.measures.ours import FAMILY, named
from benchmarks.measures.timing import best_of, clocked, peak_over

import otoscope
from otoscope.measures import Accumulator, Moments

__all__ = ["accumulation", "best_rate", "growth", "on_gpu"]

SHAPES = [
    (1024, 1024, 1024),
    (2048, 2048, 2048),
    (3072, 3072, 3072),
    (256, 4096, 3072),
    (768, 4096, 3072),
    (768, 2048, 9216),
    (1536, 4096, 1536),
]
"""Rows, terms and columns of the products among which the fastest is sought: square ones, and such as a pass makes."""

FULL_ACCURACY = 2e-6
BATCH, UTTERANCE = 4_800, 400
POOL = 20_000


def best_rate(device: str = "cpu", *, seconds: float = 0.25) -> dict[str, Any]:
    """The most float32 multiply-adds × 2 a second, by any product that torch offers at full float32 accuracy."""
    found: dict[str, Any] = {"rate": 0.0}
    for precision in ("highest", "medium"):
        before = torch.get_float32_matmul_precision()
        torch.set_float32_matmul_precision(precision)
        try:
            if not _full_accuracy(device):
                continue
            for m, k, n in SHAPES:
                # As a pass has it: the terms run over frames, down the columns of both factors.
                a, b = torch.randn(k, m, device=device).T, torch.randn(k, n, device=device)
                out = torch.empty(m, n, device=device)
                rate = 2 * m * k * n / _seconds(lambda a=a, b=b, out=out: torch.mm(a, b, out=out), device, seconds)
                if rate > found["rate"]:
                    found = {"rate": rate, "shape": f"{m} × {k} × {n}", "precision": precision}
        finally:
            torch.set_float32_matmul_precision(before)
    return found


def _full_accuracy(device: str) -> bool:
    a = torch.randn(512, 512, generator=torch.Generator().manual_seed(0)).to(device)
    exact = a.double() @ a.double()
    return float(torch.linalg.norm((a @ a).double() - exact) / torch.linalg.norm(exact)) < FULL_ACCURACY


def _seconds(call: Any, device: str, enough: float) -> float:
    """The least wall time of the call, over so many seconds of them."""
    best, spent = float("inf"), 0.0
    while spent < enough:
        start = time.perf_counter()
        call()
        if device != "cpu":
            torch.cuda.synchronize()
        best = min(best, time.perf_counter() - start)
        spent += time.perf_counter() - start
    return best


def accumulation(data: Data, *, device: str = "cpu", quick: bool = False) -> dict[str, Any]:
    """One pass over a case, without and with utterances kept apart, between searches for the best rate."""
    seconds = 0.01 if quick else 0.25
    views = {name: torch.from_numpy(x).to(device) for name, x in named(data.first, "a").items()}
    widths = [x.shape[1] for x in views.values()]
    frames = len(data.first[0])
    products = 2 * frames * sum(p * q for i, p in enumerate(widths) for q in widths[i:])
    rates, passes = [best_rate(device, seconds=seconds)], {}
    for name, lengths in (("sums", None), ("sums with utterances", data.lengths)):

        def run(lengths: list[int] | None = lengths) -> Moments:
            made = Moments.of(views, utterances=lengths)
            if device != "cpu":
                torch.cuda.synchronize()
            return made

        moments, cost = best_of(run, enough=0.1 if quick else 6.0)
        size = _bytes(moments)
        passes[name] = {
            "cpu": cost.cpu,
            "wall": cost.wall,
            "rate": products / cost.wall,
            "moments": size,
            "peak": cost.peak if device == "cpu" else None,
        }
        del moments
        rates.append(best_rate(device, seconds=seconds))
    best = max(rates, key=lambda r: r["rate"])
    return {"best": best, "products": products, "passes": passes}


def on_gpu(data: Data) -> dict[str, Any]:
    """The pass and the family on a GPU, and how far its values are from those of the CPU."""
    if not torch.cuda.is_available():
        return {"failed": "torch finds no GPU"}
    measures = list(FAMILY)
    found, seconds = {}, {}
    for device in ("cpu", "cuda"):
        views = {name: torch.from_numpy(x).to(device) for name, x in named(data.first, "a").items()}

        def run(views: dict[str, torch.Tensor] = views) -> Any:
            made = otoscope.similarity(views, measure=measures, utterances=data.lengths)
            torch.cuda.synchronize()
            return made

        run()
        found[device], cost = best_of(run)
        seconds[device] = cost.wall
    difference = max(float(abs(found["cuda"][name] - found["cpu"][name]).max()) for name in measures)
    about = {"gpu": torch.cuda.get_device_name(), "family": seconds["cuda"], "difference": difference}
    return {**accumulation(data, device="cuda"), **about}


def _bytes(moments: Moments) -> int:
    """The moments' own size."""
    return _tensor_bytes(moments.to_dict())


def _tensor_bytes(content: Any) -> int:
    if isinstance(content, torch.Tensor):
        return content.element_size() * content.numel()
    if isinstance(content, np.ndarray):
        return int(content.nbytes)
    if isinstance(content, Mapping):
        return sum(_tensor_bytes(v) for v in content.values())
    return sum(map(_tensor_bytes, content)) if isinstance(content, list | tuple) else 0


def growth(frames: int, widths: tuple[int, ...]) -> dict[str, Any]:
    """A stream of batches, as a recogniser hands them out: time and memory of the pass, and of the measures after it.

    Memory is counted above the loaded libraries; the batches are part of it.
    """
    for _ in stream(BATCH, (8, 8)):  # loads what is loaded once
        pass
    measures = list(FAMILY)
    _finish(_sum(2_400, (8, 8))[0], measures)

    def whole() -> tuple[float, float, float, float]:
        moments, cpu, wall = _sum(frames, widths)
        _, finish_cpu, finish_wall = clocked(lambda: _finish(moments, measures))
        return cpu, wall, finish_cpu, finish_wall

    (cpu, wall, finish_cpu, finish_wall), peak = peak_over(whole)
    return {
        "frames": frames,
        "cpu": cpu,
        "wall": wall,
        "finish_cpu": finish_cpu,
        "finish_wall": finish_wall,
        "peak": peak,
    }


def _sum(frames: int, widths: tuple[int, ...]) -> tuple[Moments, float, float]:
    total = Accumulator({f"layer{i}": p for i, p in enumerate(widths)}, utterances=True)
    cpu = wall = 0.0
    for views, lengths in stream(frames, widths):
        _, more_cpu, more_wall = clocked(lambda views=views, lengths=lengths: total.update(views, lengths))
        cpu, wall = cpu + more_cpu, wall + more_wall
    return total.take(), cpu, wall


def _finish(moments: Moments, measures: list[str]) -> None:
    otoscope.similarity(moments, measure=measures)


def stream(frames: int, widths: tuple[int, ...]) -> Iterator[tuple[dict[str, torch.Tensor], list[int]]]:
    """Batches of utterances of 400 frames; each batch is new numbers in new memory, drawn at little cost."""
    generator = torch.Generator().manual_seed(0)
    mixing = {f"layer{i}": torch.randn(64, p, generator=generator) / 8 for i, p in enumerate(widths)}
    for start in range(0, frames, BATCH):
        n = min(BATCH, frames - start)
        source = torch.randn(n, 64, generator=generator)
        views = {name: torch.tanh(source @ w).add_(0.3 * torch.randn(n, w.shape[1])) for name, w in mixing.items()}
        whole, rest = divmod(n, UTTERANCE)
        yield views, [UTTERANCE] * whole + ([rest] if rest else [])
