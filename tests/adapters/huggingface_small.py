"""Small models of transformers with random weights, one for each family and kind of head, made without a network."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import sentencepiece
import torch
import transformers as t
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from otoscope.capture import Speech

TEXTS = ["THE CAT SAT ON A MAT", "A DOG AND THE CAT", "NO DOG SAT"]
UNITS = 24
LAYERS = 3


def speech(*samples: int) -> list[Speech]:
    """Noise of so many samples each, and some words."""
    random = np.random.default_rng(1)
    return [
        Speech(np.float32(0.1) * random.standard_normal(n, dtype=np.float32), text)
        for n, text in zip(samples, TEXTS, strict=False)
    ]


@dataclass(frozen=True)
class Small:
    """A model's class, its configuration, what makes features, and whether its tokens are letters, pieces, or none."""

    model: Any
    config: Any
    extractor: Any
    tokens: str | None = None

    def build(self, folder: Path) -> tuple[Any, Any, Any]:
        torch.manual_seed(0)
        model = self.model(self.config()).eval()
        # Norms and positions begin as ones and zeros, which hides what is left out or mixed up.
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(0.05 * torch.randn_like(parameter))
        return model, self.extractor(), tokeniser(self.tokens, folder)


def letters(folder: Path) -> Any:
    """Letters for CTC, | between words, <pad> the blank."""
    alphabet = ["<pad>", "<s>", "</s>", "<unk>", "|", *"ABCDEFGHIJKLMNOPQRSTUVWXYZ"]
    file = folder / "letters.json"
    file.write_text(str({c: i for i, c in enumerate(alphabet)}).replace("'", '"'), encoding="utf-8")
    return t.Wav2Vec2CTCTokenizer(str(file))


def byte_pairs(special: list[str]) -> Tokenizer:
    """Byte-level pairs, as Whisper has them, trained on a few words."""
    tokens = Tokenizer(models.BPE())
    tokens.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokens.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    tokens.train_from_iterator([f" {x}" for x in TEXTS], trainers.BpeTrainer(vocab_size=280, initial_alphabet=alphabet))
    tokens.add_special_tokens(special)
    return tokens


WHISPER_TOKENS = ["<|endoftext|>", "<|startoftranscript|>", "<|en|>", "<|de|>", "<|transcribe|>", "<|notimestamps|>"]


def whisper_tokens() -> Any:
    pairs = byte_pairs(WHISPER_TOKENS)
    return t.PreTrainedTokenizerFast(tokenizer_object=pairs, eos_token="<|endoftext|>", unk_token="<|endoftext|>")


def pieces(folder: Path, *, slow: bool) -> Any:
    """Sentencepiece units: with their own tokeniser, which tells no offsets, or as a fast one."""
    text = folder / "text.txt"
    text.write_text("\n".join(TEXTS * 20), encoding="utf-8")
    sentencepiece.SentencePieceTrainer.train(
        input=str(text), model_prefix=str(folder / "pieces"), vocab_size=30, hard_vocab_limit=False, minloglevel=2
    )
    processor = sentencepiece.SentencePieceProcessor(model_file=str(folder / "pieces.model"))
    special = ["<s>", "<pad>", "</s>", "<unk>"]
    vocabulary = special + [processor.id_to_piece(i) for i in range(3, processor.get_piece_size())]
    if slow:
        file = folder / "vocab.json"
        file.write_text(str({c: i for i, c in enumerate(vocabulary)}).replace("'", '"'), encoding="utf-8")
        return t.Speech2TextTokenizer(str(file), str(folder / "pieces.model"))
    unigram = Tokenizer(models.Unigram([(piece, -float(i)) for i, piece in enumerate(vocabulary)], unk_id=3))
    unigram.pre_tokenizer = pre_tokenizers.Metaspace()
    unigram.decoder = decoders.Metaspace()
    unigram.add_special_tokens(["__eng__"])
    return t.PreTrainedTokenizerFast(
        tokenizer_object=unigram, bos_token="<s>", eos_token="</s>", pad_token="<pad>", unk_token="<unk>"
    )


def tokeniser(kind: str | None, folder: Path) -> Any:
    if kind is None:
        return None
    if kind == "whisper":
        return whisper_tokens()
    return letters(folder) if kind == "letters" else pieces(folder, slow=kind == "slow pieces")


def convolutional(config: Any, norm: str, **settings: Any) -> Any:
    """A configuration of the wav2vec 2.0 kind: its real convolutions, with few channels."""
    return config(
        vocab_size=31,
        hidden_size=UNITS,
        num_hidden_layers=LAYERS,
        num_attention_heads=2,
        intermediate_size=32,
        conv_dim=(16,) * 7,
        num_conv_pos_embeddings=16,
        num_conv_pos_embedding_groups=2,
        **({} if config is t.Data2VecAudioConfig else {"feat_extract_norm": norm}),
        **settings,
    )


def waves(norm: str) -> Any:
    return t.Wav2Vec2FeatureExtractor(do_normalize=True, return_attention_mask=norm == "layer")


def whisper() -> Any:
    pairs = whisper_tokens()
    return t.WhisperConfig(
        vocab_size=len(pairs),
        d_model=UNITS,
        encoder_layers=LAYERS,
        decoder_layers=2,
        encoder_attention_heads=2,
        decoder_attention_heads=2,
        encoder_ffn_dim=32,
        decoder_ffn_dim=32,
        num_mel_bins=20,
        max_source_positions=150,
        max_target_positions=48,
        pad_token_id=pairs.convert_tokens_to_ids("<|endoftext|>"),
        eos_token_id=pairs.convert_tokens_to_ids("<|endoftext|>"),
        bos_token_id=pairs.convert_tokens_to_ids("<|endoftext|>"),
        decoder_start_token_id=pairs.convert_tokens_to_ids("<|startoftranscript|>"),
        suppress_tokens=None,
        begin_suppress_tokens=None,
    )


def three_seconds() -> Any:
    return t.WhisperFeatureExtractor(feature_size=20, chunk_length=3)


def moonshine() -> Any:
    return t.MoonshineConfig(
        vocab_size=40,
        hidden_size=UNITS,
        intermediate_size=32,
        encoder_num_hidden_layers=LAYERS,
        decoder_num_hidden_layers=2,
        encoder_num_attention_heads=2,
        decoder_num_attention_heads=2,
        encoder_num_key_value_heads=2,
        decoder_num_key_value_heads=2,
        decoder_start_token_id=0,
        bos_token_id=0,
        eos_token_id=2,
        pad_token_id=1,
    )


def speech_to_text() -> Any:
    return t.Speech2TextConfig(
        vocab_size=40,
        d_model=UNITS,
        encoder_layers=LAYERS,
        decoder_layers=2,
        encoder_attention_heads=2,
        decoder_attention_heads=2,
        encoder_ffn_dim=32,
        decoder_ffn_dim=32,
        conv_channels=32,
        input_feat_per_channel=20,
        max_source_positions=400,
        max_target_positions=64,
        decoder_start_token_id=2,
    )


def stacked_bert(**settings: Any) -> Any:
    return t.Wav2Vec2BertConfig(
        vocab_size=31,
        hidden_size=UNITS,
        num_hidden_layers=LAYERS,
        num_attention_heads=2,
        intermediate_size=32,
        feature_projection_input_dim=40,
        **settings,
    )


def stacked_features() -> Any:
    return t.SeamlessM4TFeatureExtractor(feature_size=20, num_mel_bins=20)


def seamless(config: Any) -> Any:
    return config(
        vocab_size=60,
        hidden_size=UNITS,
        speech_encoder_layers=LAYERS,
        speech_encoder_attention_heads=2,
        speech_encoder_intermediate_size=32,
        feature_projection_input_dim=40,
        decoder_layers=2,
        decoder_attention_heads=2,
        decoder_ffn_dim=32,
        encoder_layers=1,
        encoder_attention_heads=2,
        encoder_ffn_dim=32,
        num_adapter_layers=1,
        t2u_encoder_layers=1,
        t2u_decoder_layers=1,
        max_position_embeddings=64,
        max_source_positions=300,
    )


def parakeet() -> Any:
    return t.ParakeetCTCConfig(
        vocab_size=31,
        pad_token_id=0,
        encoder_config=t.ParakeetEncoderConfig(
            hidden_size=UNITS,
            num_hidden_layers=LAYERS,
            num_attention_heads=2,
            intermediate_size=32,
            num_mel_bins=16,
            subsampling_conv_channels=8,
            conv_kernel_size=5,
        ),
    )


SMALL: dict[str, Small] = {
    "whisper": Small(t.WhisperForConditionalGeneration, whisper, three_seconds, "whisper"),
    "moonshine": Small(t.MoonshineForConditionalGeneration, moonshine, lambda: waves("layer"), "pieces"),
    "wav2vec2": Small(
        t.Wav2Vec2ForCTC, lambda: convolutional(t.Wav2Vec2Config, "group"), lambda: waves("group"), "letters"
    ),
    "wav2vec2-layer-norm": Small(
        t.Wav2Vec2ForCTC,
        lambda: convolutional(t.Wav2Vec2Config, "layer", do_stable_layer_norm=True),
        lambda: waves("layer"),
        "letters",
    ),
    "hubert": Small(t.HubertModel, lambda: convolutional(t.HubertConfig, "layer"), lambda: waves("layer")),
    "wavlm": Small(t.WavLMForCTC, lambda: convolutional(t.WavLMConfig, "layer"), lambda: waves("layer"), "letters"),
    "data2vec-audio": Small(
        t.Data2VecAudioModel, lambda: convolutional(t.Data2VecAudioConfig, "layer"), lambda: waves("layer")
    ),
    "wav2vec2-conformer": Small(
        t.Wav2Vec2ConformerModel,
        lambda: convolutional(
            t.Wav2Vec2ConformerConfig, "layer", conv_depthwise_kernel_size=5, max_source_positions=300
        ),
        lambda: waves("layer"),
    ),
    "wav2vec2-bert": Small(t.Wav2Vec2BertForCTC, stacked_bert, stacked_features, "letters"),
    "parakeet": Small(t.ParakeetForCTC, parakeet, lambda: t.ParakeetFeatureExtractor(feature_size=16), "letters"),
    "speech_to_text": Small(
        t.Speech2TextForConditionalGeneration,
        speech_to_text,
        lambda: t.Speech2TextFeatureExtractor(feature_size=20, num_mel_bins=20),
        "slow pieces",
    ),
    "seamless_m4t": Small(
        t.SeamlessM4TForSpeechToText, lambda: seamless(t.SeamlessM4TConfig), stacked_features, "pieces"
    ),
    "seamless_m4t_v2": Small(
        t.SeamlessM4Tv2ForSpeechToText, lambda: seamless(t.SeamlessM4Tv2Config), stacked_features, "pieces"
    ),
    "unispeech": Small(t.UniSpeechModel, lambda: convolutional(t.UniSpeechConfig, "layer"), lambda: waves("layer")),
    "unispeech-sat": Small(
        t.UniSpeechSatModel, lambda: convolutional(t.UniSpeechSatConfig, "layer"), lambda: waves("layer")
    ),
}
