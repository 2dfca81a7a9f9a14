"""What models of transformers write, and what their decoders are fed."""

import math

import pytest
import torch
import transformers
from tokenizers import Tokenizer, models, pre_tokenizers

from otoscope import CaptureError, reduce
from otoscope.adapters.huggingface import HuggingFaceRecogniser
from otoscope.adapters.huggingface.teacher import PANGRAM, Teacher, words_of, writes_lower_case
from otoscope.capture import Speech
from tests.adapters.huggingface_small import SMALL, convolutional, letters, pieces, speech, waves, whisper_tokens


def recogniser_of(name, folder, **settings):
    model, extractor, tokeniser = SMALL[name].build(folder)
    return HuggingFaceRecogniser(model, feature_extractor=extractor, tokeniser=tokeniser, **settings)


@pytest.mark.parametrize("name", ["whisper", "moonshine", "speech_to_text", "seamless_m4t"])
def test_a_decoder_writes_what_a_search_by_hand_finds(name, tmp_path):
    """Token by token from the prompt, always the likeliest, by whole forward passes without a cache."""
    recogniser = recogniser_of(name, tmp_path)
    teacher, model = recogniser.teacher, recogniser.module
    some = speech(18_001, 9_200)
    written = recogniser.transcribe(some)
    assert len(written) == 2
    for text, one in zip(written, some, strict=True):
        features = recogniser.feature_extractor(one.audio, sampling_rate=16_000, return_tensors="pt")
        ids = list(teacher.prompt)
        samples = max(len(u.audio) for u in some) if name == "whisper" else len(one.audio)  # those that run together
        room = math.ceil(samples / 16_000 * (6.5 if name == "moonshine" else 25))
        for _ in range(min(teacher.most - len(teacher.prompt), max(8, room))):
            with torch.inference_mode():
                logits = model(**features, decoder_input_ids=torch.tensor([ids])).logits[0, -1]
            ids.append(int(logits.argmax()))
            if ids[-1] == teacher.end:
                break
        expected = recogniser.tokeniser.decode(ids[len(teacher.prompt) :], skip_special_tokens=True)
        assert text == " ".join(expected.split())


@pytest.mark.parametrize("name", ["wav2vec2", "wavlm", "wav2vec2-bert", "parakeet"])
def test_ctc_writes_the_likeliest_path_without_repeats_and_blanks(name, tmp_path):
    recogniser = recogniser_of(name, tmp_path)
    some = speech(18_001, 9_200)
    alphabet = {v: k for k, v in recogniser.tokeniser.get_vocab().items()}
    for text, one in zip(recogniser.transcribe(some), some, strict=True):
        output = recogniser.run(recogniser.prepare([one]))[0]
        n = recogniser.layers()[-1].frames([len(one.audio)], recogniser.frame_shift)[0]
        path = [alphabet[i] for i in output.logits[0, :n].argmax(-1).tolist()]
        kept = [c for before, c in zip([None, *path], path, strict=False) if c != before and c != "<pad>"]
        said = "".join(" " if c == "|" else "" if c.startswith("<") else c for c in kept)
        assert text == " ".join(said.split())


def test_double_letters_stay_double(tmp_path):
    """Blank between two of a kind keeps both: the tokeniser must not take repeats out a second time."""
    recogniser = recogniser_of("wav2vec2", tmp_path)
    path = torch.tensor(
        [recogniser.tokeniser.convert_tokens_to_ids(c) for c in ["B", "E", "E", "<pad>", "E", "|", "A"]]
    )

    class Path(torch.nn.Module):
        main_input_name = "input_values"

        def forward(self, hidden):
            frames = path.repeat_interleave(-(-hidden.shape[1] // len(path)))[: hidden.shape[1]]
            return torch.nn.functional.one_hot(frames, 31).float()[None]

    recogniser.module.lm_head = Path()
    assert recogniser.transcribe(speech(9_200)) == ["BEE A"]


def test_a_model_without_a_head_says_so(tmp_path):
    model, extractor, _ = SMALL["hubert"].build(tmp_path)
    recogniser = HuggingFaceRecogniser(model, feature_extractor=extractor, tokeniser=letters(tmp_path))
    with pytest.raises(CaptureError, match="has neither a decoder nor a CTC head and cannot write"):
        recogniser.transcribe(speech(9_200))


def test_a_classifier_says_so_too(tmp_path):
    torch.manual_seed(0)
    model = transformers.Wav2Vec2ForAudioFrameClassification(convolutional(transformers.Wav2Vec2Config, "group")).eval()
    recogniser = HuggingFaceRecogniser(model, feature_extractor=waves("group"), tokeniser=letters(tmp_path))
    with pytest.raises(CaptureError, match="has neither a decoder nor a CTC head and cannot write"):
        recogniser.transcribe(speech(9_200))


# What decoders are fed


def test_the_prompt_of_an_english_whisper(tmp_path):
    recogniser = recogniser_of("whisper", tmp_path)
    names = recogniser.tokeniser.convert_ids_to_tokens(list(recogniser.teacher.prompt))
    assert names == ["<|startoftranscript|>", "<|notimestamps|>"]
    batch = recogniser.prepare([Speech(speech(9_200)[0].audio, "THE  CAT ")])
    tokens = recogniser.tokeniser(" THE CAT")["input_ids"]
    assert recogniser.tokenise("THE CAT") == tokens
    assert batch.inputs[0]["decoder_input_ids"].tolist() == [[*recogniser.teacher.prompt, *tokens]]
    assert batch.fed.start == 1
    assert batch.fed.tokens == [[*tokens, recogniser.teacher.end]]
    assert batch.fed.words == [[0, 1, -1]]


@pytest.mark.parametrize("language", ["en", "de"])
def test_the_prompt_of_a_multilingual_whisper_names_language_and_task(language, tmp_path):
    model, extractor, tokeniser = SMALL["whisper"].build(tmp_path)
    model.generation_config.is_multilingual = True
    recogniser = HuggingFaceRecogniser(model, feature_extractor=extractor, tokeniser=tokeniser, language=language)
    names = tokeniser.convert_ids_to_tokens(list(recogniser.teacher.prompt))
    assert names == ["<|startoftranscript|>", f"<|{language}|>", "<|transcribe|>", "<|notimestamps|>"]
    assert recogniser.prepare(speech(9_200)).fed.start == 3


def test_a_language_that_a_model_does_not_know_is_refused(tmp_path):
    model, extractor, tokeniser = SMALL["whisper"].build(tmp_path)
    model.generation_config.is_multilingual = True
    recogniser = HuggingFaceRecogniser(model, feature_extractor=extractor, tokeniser=tokeniser, language="xx")
    unfed(recogniser, r"the tokeniser has no token <\|xx\|>: give a language")
    unfed(recogniser_of("seamless_m4t", tmp_path, language="xx"), "the tokeniser has no token __xx__")


def unfed(recogniser, message, text="THE CAT"):
    """Encoders run whatever is the matter with the decoder, whose layers say what it is."""
    batch = recogniser.prepare([*speech(9_200), Speech(speech(9_200)[0].audio, text)])
    assert batch.fed is None
    encoder, decoder = (layers[-1].name for layers in (recogniser.layers(), recogniser.decoder_layers()))
    plain = recogniser.prepare([Speech(one.audio) for one in 2 * speech(9_200)])
    assert torch.equal(recogniser.outputs(batch, [encoder])[encoder], recogniser.outputs(plain, [encoder])[encoder])
    for _ in range(2):
        with pytest.raises(CaptureError, match=message):
            recogniser.outputs(batch, [encoder, decoder])


def test_a_transcript_longer_than_the_decoder_is_refused_by_the_decoder_alone(tmp_path):
    recogniser, long = recogniser_of("whisper", tmp_path), " ".join(["CAT"] * 60)
    message = r"the transcript 'CAT CAT CAT CAT CAT CAT…' has 60 tokens and the decoder room for 46: cut the utterance"
    unfed(recogniser, message, long)
    views = [layer.name for layer in recogniser.layers()]
    audio = speech(9_200)[0].audio
    moments = reduce({"x": recogniser}, [recogniser.prepare([Speech(audio, long), Speech(audio, "CAT")])])
    assert list(moments.widths) == [f"x:{name}" for name in views]
    with pytest.raises(CaptureError, match=message):
        reduce(
            {"x": recogniser}, [recogniser.prepare([Speech(audio, long)])], layers={"x": recogniser.decoder_layers()}
        )


def test_a_decoder_without_a_start_is_refused(tmp_path):
    model, extractor, tokeniser = SMALL["moonshine"].build(tmp_path)
    model.generation_config.eos_token_id = model.config.eos_token_id = None
    recogniser = HuggingFaceRecogniser(model, feature_extractor=extractor, tokeniser=tokeniser)
    unfed(recogniser, "does not say which token its decoder starts from and ends with")
    with pytest.raises(CaptureError, match="does not say which token"):
        recogniser.transcribe(speech(9_200))


@pytest.mark.parametrize("kind", ["fast", "slow"])
def test_a_word_that_becomes_no_token_is_named(kind, tmp_path):
    """One of letters that no token stands for, not even one for the unknown; a character of no width."""
    word = "&" if kind == "fast" else "\u200b"
    if kind == "fast":
        backend = Tokenizer(models.BPE({c: i for i, c in enumerate("ACEHT")}, []))
        backend.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
        tokeniser = transformers.PreTrainedTokenizerFast(tokenizer_object=backend)
    else:
        tokeniser = pieces(tmp_path, slow=True)
    with pytest.raises(CaptureError) as told:
        Teacher(tokeniser, (0,), 1).tokens(f"THE {word} CAT")
    start = f"the tokeniser gives the word {word!r} of the transcript {f'THE {word} CAT'!r} no token: take it out"
    assert str(told.value).startswith(start)


def test_an_empty_transcript_is_its_end_alone(tmp_path):
    recogniser = recogniser_of("whisper", tmp_path)
    batch = recogniser.prepare([Speech(speech(9_200)[0].audio)])
    assert batch.fed.tokens == [[recogniser.teacher.end]]
    assert batch.fed.words == [[-1]]


def test_a_bare_tokeniser_of_the_tokenizers_library_does(tmp_path):
    model, extractor, tokeniser = SMALL["whisper"].build(tmp_path)
    bare = HuggingFaceRecogniser(model, feature_extractor=extractor, tokeniser=tokeniser.backend_tokenizer)
    wrapped = HuggingFaceRecogniser(model, feature_extractor=extractor, tokeniser=tokeniser)
    assert bare.prepare(speech(9_200)).fed == wrapped.prepare(speech(9_200)).fed


@pytest.mark.parametrize("kind", ["whisper", "pieces", "slow pieces", "words"])
@pytest.mark.parametrize("text", ["THE CAT SAT ON A MAT", "NO", "DOG'S CATS, AND: A DOG", "MATSATCAT TOT NANO ODD"])
def test_every_word_has_its_tokens_and_no_other(kind, text, tmp_path):
    """Tokens of one word, written out, are that word."""
    if kind == "words":
        words = {word: i for i, word in enumerate(["<unk>", *text.replace(",", " ,").replace(":", " :").split()])}
        backend = Tokenizer(models.WordLevel(words, unk_token="<unk>"))
        backend.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
        tokeniser = transformers.PreTrainedTokenizerFast(tokenizer_object=backend, unk_token="<unk>")
    else:
        tokeniser = whisper_tokens() if kind == "whisper" else pieces(tmp_path, slow=kind == "slow pieces")
    tokens, words = words_of(tokeniser, f" {text}" if kind == "whisper" else text)
    assert sorted({word for word in words if word >= 0}) == list(range(len(text.split())))
    for number, word in enumerate(text.split()):
        own = [token for token, of in zip(tokens, words, strict=True) if of == number]
        if tokeniser.unk_token_id not in own:
            assert tokeniser.decode(own).strip() == word
    assert words == sorted(words), "in order, and every token is a part of some word"


def test_tokens_of_lower_case_are_told_from_those_of_capitals():
    """Letters of one case are in the vocabulary as pieces of two, those of the other one by one."""
    words = PANGRAM.split()
    for case in (str.lower, str.upper):
        vocabulary = {c: i for i, c in enumerate([*"abcdefghijklmnopqrstuvwxyz", *"ABCDEFGHIJKLMNOPQRSTUVWXYZ"])}
        vocabulary |= {case(word): len(vocabulary) + i for i, word in enumerate(dict.fromkeys(words))}
        merges = [(case(word[:k]), case(word[k])) for word in words for k in range(1, len(word))]
        parts = [a + b for a, b in merges if a + b not in vocabulary]
        vocabulary |= {part: len(vocabulary) + i for i, part in enumerate(dict.fromkeys(parts))}
        tokeniser = Tokenizer(models.BPE(vocabulary, merges))
        tokeniser.pre_tokenizer = pre_tokenizers.Whitespace()
        wrapped = transformers.PreTrainedTokenizerFast(tokenizer_object=tokeniser)
        assert writes_lower_case(wrapped) == (case is str.lower)
