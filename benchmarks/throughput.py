"""Training throughput beside encoders of transformers, of the same sizes and in the same loop, in one run.

    .venv/bin/python benchmarks/throughput.py [--rounds 5] [--device cpu] [--precision float32] [--threads N]

Needs the AN4 corpus in `$OTOSCOPE_CORPORA/an4`, else in ../shared/corpora/an4, and transformers (the group dev has
it). What is timed is one update of `otoscope.asr.Training`: padded features of real speech, SpecAugment, forward and
backward pass, CTC, clipping, AdamW. Theirs gets our front end and output, and their layers in between: those of
Wav2Vec2-Conformer (relative positions) for the Conformer and of Wav2Vec2 (pre-norm) for the Transformer, with as many
blocks, units, heads and hidden units, and the same dropout. Both take turns, each round over the same batches.

The share of peak is that of the operations of an update (counted by torch) at the rate of the best product of two
square matrices in the same run. Writes docs/results/throughput/<device>-<precision>.md and .json.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import statistics
import tempfile
import time
from pathlib import Path

import torch
import transformers
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode
from transformers.models.wav2vec2.modeling_wav2vec2 import Wav2Vec2EncoderStableLayerNorm
from transformers.models.wav2vec2_conformer.modeling_wav2vec2_conformer import Wav2Vec2ConformerEncoder

from otoscope import load
from otoscope.asr import CharacterTokens, FeatureStore, ReferenceRecogniser, Training, TrainingConfig
from otoscope.asr.models import ModelConfig
from otoscope.asr.models.common import frame_mask
from otoscope.asr.models.conformer import ConformerConfig
from otoscope.asr.models.network import Encoded, Network
from otoscope.asr.models.transformer import TransformerConfig
from otoscope.asr.training.data import Batch, Preparation
from otoscope.asr.training.distributed import join
from otoscope.asr.training.loop import _Run
from otoscope.corpora import read_audio
from otoscope.float32 import fast_float32
from otoscope.study.manifest import host

ROOT = Path(__file__).resolve().parents[1]
TABLES = ROOT / "docs" / "results" / "throughput"
UTTERANCES = 400
WARM_UP = 2


class NoPositions(nn.Module):
    """In place of their convolutional positions, which would cost theirs what ours does not have."""

    def forward(self, hidden: Tensor) -> Tensor:
        return torch.zeros_like(hidden)


class Theirs(Network):
    """Our front end and output, and an encoder of transformers in between."""

    def __init__(self, ours: Network, encoder: nn.Module, config: ModelConfig) -> None:
        super().__init__(ours.width, ours.output.out_features, config)
        self.subsample = ours.get_submodule("subsample")
        self.encoder = encoder

    def encode(self, features: Tensor, lengths: Tensor) -> Encoded:
        hidden, lengths = self.subsample(features, lengths)
        mask = frame_mask(lengths, hidden.shape[1])
        return Encoded(self.encoder(hidden, attention_mask=mask).last_hidden_state, lengths)


def theirs(config: ModelConfig, ours: Network) -> Network:
    assert isinstance(config, ConformerConfig | TransformerConfig)
    settings = {
        "hidden_size": config.units,
        "num_hidden_layers": config.blocks,
        "num_attention_heads": config.heads,
        "intermediate_size": config.feed_forward,
        "hidden_dropout": config.dropout,
        "attention_dropout": config.dropout,
        "activation_dropout": config.dropout,
        "layerdrop": config.layer_drop,
        # Never called; its groups must divide the units.
        "num_conv_pos_embedding_groups": config.heads,
    }
    if isinstance(config, ConformerConfig):
        settings |= {
            "hidden_act": "swish",
            "conv_depthwise_kernel_size": config.kernel,
            "conformer_conv_dropout": config.dropout,
            "position_embeddings_type": "relative" if config.positions == "relative" else "rotary",
        }
        conformer = Wav2Vec2ConformerEncoder(transformers.Wav2Vec2ConformerConfig(**settings))
        conformer.pos_conv_embed = None  # its forward pass does not call it
        return Theirs(ours, conformer, config)
    encoder = Wav2Vec2EncoderStableLayerNorm(
        transformers.Wav2Vec2Config(**settings, hidden_act="gelu", attn_implementation="sdpa")
    )
    encoder.pos_conv_embed = NoPositions()
    return Theirs(ours, encoder, config)


def speech(folder: Path) -> tuple[dict[str, str], FeatureStore]:
    """Utterances of AN4's train split, with their features at one speed."""
    corpora = Path(os.environ.get("OTOSCOPE_CORPORA", ROOT.parent / "shared" / "corpora"))
    corpus = load(corpora / "an4")
    chosen = {u.id: u for u in corpus.split("train").utterances[:UTTERANCES]}
    wanted = [(u, 1.0) for u in chosen]
    store = FeatureStore.build(folder, wanted, lambda u: read_audio(chosen[u]), corpus_hash=corpus.hash())
    return {u.id: u.text for u in chosen.values()}, store


def swap(run: _Run, network: Network) -> None:
    """Lets a run train another network."""
    module = network.to(run.group.device)
    run.recogniser._module = run.module = module
    run.trained.optimiser.param_groups[0]["params"] = [p for p in module.parameters() if p.dim() > 1]
    run.trained.optimiser.param_groups[1]["params"] = [p for p in module.parameters() if p.dim() <= 1]


def wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def timed(run: _Run, batches: list[Batch]) -> float:
    """Seconds of the updates of these batches."""
    wait(run.group.device)
    started = time.perf_counter()
    for batch in batches:
        run.update(batch)
    wait(run.group.device)
    return time.perf_counter() - started


def operations(run: _Run, batches: list[Batch]) -> float:
    """Floating-point operations of the updates of these batches: products and convolutions, two for each multiply."""
    with FlopCounterMode(display=False) as counter:
        for batch in batches:
            run.update(batch)
    return float(counter.get_total_flops())


def peak(device: torch.device, precision: str, size: int = 2048) -> float:
    """Operations a second of the best of several products of two square matrices."""
    dtype = torch.bfloat16 if precision == "bfloat16" else torch.float32
    x = torch.randn(size, size, device=device, dtype=dtype)
    best = float("inf")
    for _ in range(6):
        wait(device)
        started = time.perf_counter()
        x @ x
        wait(device)
        best = min(best, time.perf_counter() - started)
    return 2 * size**3 / best


def compare(name: str, config: ModelConfig, args: argparse.Namespace, folder: Path) -> list[dict[str, object]]:
    texts, store = speech(folder / "features")
    settings = TrainingConfig(
        epochs=1, batch_seconds=args.batch_seconds, speeds=(1.0,), device=args.device, precision=args.precision
    )
    tokens = CharacterTokens.of(texts.values())
    dev = dict(list(texts.items())[:1])
    runs = {}
    for who in ("otoscope", "transformers"):
        training = Training(folder / f"{name}-{who}", config, tokens, store, texts, dev, settings)
        runs[who] = _Run(training, join(args.device))
    swap(runs["transformers"], theirs(config, ReferenceRecogniser(config, tokens).module))
    run = runs["otoscope"]
    prepared = Preparation(run.plan, store, texts, tokens, settings, 0, run.group)
    batches = [prepared.batch(planned) for planned in run.plan.after(0)][: args.batches]
    spoken = sum(batch.speech_seconds for batch in batches)
    for each in runs.values():
        timed(each, batches[:WARM_UP])
    seconds: dict[str, list[float]] = {who: [] for who in runs}
    peaks = []
    for _ in range(args.rounds):
        for who, each in runs.items():
            seconds[who].append(timed(each, batches))
        peaks.append(peak(run.group.device, args.precision))
    records = []
    for who, each in runs.items():
        best = statistics.median(seconds[who])
        ratios = [theirs / mine for mine, theirs in zip(seconds[who], seconds["transformers"], strict=True)]
        flops = operations(each, batches)
        records.append(
            {
                "encoder": name,
                "by": who,
                "parameters": sum(p.numel() for p in each.module.parameters()),
                "speech_per_second": spoken / best,
                "to_transformers": statistics.median(ratios),
                "least_ratio": min(ratios),
                "operations_per_speech_second": flops / spoken,
                "share_of_peak": flops / best / max(peaks),
                "peak_gflops": max(peaks) / 1e9,
            }
        )
    return records


def table(records: list[dict[str, object]], args: argparse.Namespace) -> str:
    lines = [
        "# Training throughput beside encoders of transformers",
        "",
        f"`python benchmarks/throughput.py`, {datetime.date.today()}, {host()['machine']}: "
        f"{args.device}, {args.precision}, {args.threads} threads, {args.rounds} rounds of {args.batches} batches of "
        f"up to {args.batch_seconds:g} s of speech; torch {torch.__version__}, "
        f"transformers {transformers.__version__}.",
        "",
        "| encoder | layers of | parameters | s of speech / s | beside transformers (least) | share of peak |",
        "|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {r['encoder']} | {r['by']} | {r['parameters']:,} | {r['speech_per_second']:.1f} | "
        f"{r['to_transformers']:.2f} ({r['least_ratio']:.2f}) | {r['share_of_peak']:.0%} |"
        for r in records
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--batches", type=int, default=8)
    parser.add_argument("--batch-seconds", type=float, default=60.0)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--precision", choices=["float32", "bfloat16"], default="float32")
    parser.add_argument("--out", type=Path, default=TABLES)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    records = []
    with tempfile.TemporaryDirectory() as folder:
        for name, config in {"conformer": ConformerConfig(), "transformer": TransformerConfig()}.items():
            with fast_float32():  # as in training: theirs profits as well
                records += compare(name, config, args, Path(folder))
    about = {"host": host(), **vars(args), "out": None, "records": records}
    args.out.mkdir(parents=True, exist_ok=True)
    stem = args.out / f"{args.device}-{args.precision}"
    stem.with_suffix(".md").write_text(table(records, args), encoding="utf-8")
    stem.with_suffix(".json").write_text(json.dumps(about, indent=1) + "\n", encoding="utf-8")
    print(table(records, args))


if __name__ == "__main__":
    main()
