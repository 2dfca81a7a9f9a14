"""Makes the files beside it: a tiny random Whisper as CTranslate2 stores it in each of its ways, and what it computes.

Needs ctranslate2 (made with 4.8.5), which Otoscope itself does not: pip install ctranslate2, then run this file.
"""

import shutil
import tempfile
from pathlib import Path

import ctranslate2
import numpy as np
import torch
from transformers import WhisperConfig, WhisperFeatureExtractor, WhisperForConditionalGeneration, WhisperTokenizer

HERE = Path(__file__).parent
STORED = ("float32", "float16", "bfloat16", "int16", "int8", "int8_bfloat16")
SPECIAL = ["<|endoftext|>", "<|startoftranscript|>", "<|en|>", "<|translate|>", "<|transcribe|>"]
SPECIAL += ["<|startoflm|>", "<|startofprev|>", "<|nospeech|>", "<|notimestamps|>"]
STEPS = 12


def tokeniser() -> WhisperTokenizer:
    letters = {chr(i + (0 if 33 <= i < 127 else 256)): i for i in range(256)}  # one piece for each byte
    made = WhisperTokenizer(vocab=letters, merges=[])
    made.add_special_tokens({"additional_special_tokens": SPECIAL})
    return made


def main() -> None:
    torch.manual_seed(0)
    tokens = tokeniser()
    end = tokens.convert_tokens_to_ids("<|endoftext|>")
    config = WhisperConfig(
        vocab_size=len(tokens),
        d_model=16,
        encoder_layers=2,
        decoder_layers=2,
        encoder_attention_heads=4,
        decoder_attention_heads=4,
        encoder_ffn_dim=24,
        decoder_ffn_dim=24,
        max_source_positions=20,
        max_target_positions=STEPS + 8,
        init_std=0.4,
        bos_token_id=end,
        eos_token_id=end,
        pad_token_id=end,
        decoder_start_token_id=tokens.convert_tokens_to_ids("<|startoftranscript|>"),
    )
    model = WhisperForConditionalGeneration(config).eval()
    for name, parameter in model.named_parameters():  # biases and norms start alike: set apart, so that mixing shows
        if parameter.dim() == 1:
            parameter.data += 0.2 * torch.randn_like(parameter)
        assert parameter.isfinite().all(), name
    features = torch.randn(1, 80, 40).numpy()
    computed = {"features": features}
    with tempfile.TemporaryDirectory() as whole:
        model.save_pretrained(whole)
        tokens.save_pretrained(whole)
        WhisperFeatureExtractor().save_pretrained(whole)
        for stored in STORED:
            converter = ctranslate2.converters.TransformersConverter(whole)
            converter.convert(str(HERE / stored), quantization=stored, force=True)
            for path in (HERE / stored).iterdir():
                if path.name not in ("model.bin", "config.json"):
                    path.unlink()
            with tempfile.TemporaryDirectory() as folder:  # ctranslate2 wants its vocabulary too
                shutil.copytree(HERE / stored, folder, dirs_exist_ok=True)
                converter.convert(folder, quantization=stored, force=True)
                run(Path(folder), stored, features, computed)
        shutil.copy(Path(whole, "tokenizer.json"), HERE)
    np.savez_compressed(HERE / "computed.npz", **computed)


def run(folder: Path, stored: str, features: np.ndarray, computed: dict[str, np.ndarray]) -> None:
    # Computed in float32 whatever is stored: the values that are read, without further rounding of activations.
    model = ctranslate2.models.Whisper(str(folder), device="cpu", compute_type="float32")
    given = ctranslate2.StorageView.from_array(features)
    computed[f"{stored}.encoder"] = np.array(model.encode(given))
    (result,) = model.generate(
        given,
        [["<|startoftranscript|>", "<|notimestamps|>"]],
        beam_size=1,
        max_length=STEPS,
        suppress_blank=False,
        suppress_tokens=[],
        return_logits_vocab=True,
    )
    computed[f"{stored}.tokens"] = np.array(result.sequences_ids[0])
    computed[f"{stored}.logits"] = np.stack([np.array(step).reshape(-1) for step in result.logits[0]])


if __name__ == "__main__":
    main()
