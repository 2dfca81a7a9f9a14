"""CTC beam search with a lexicon and an n-gram language model, by flashlight-text. Needs the extra `beam`."""

from __future__ import annotations

import copy
import math
import tempfile
from collections.abc import Iterable
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from otoscope.asr.decoding.arpa import write_arpa
from otoscope.asr.decoding.base import Hypothesis, flashlight, silent
from otoscope.asr.decoding.kneser_ney import kneser_ney
from otoscope.asr.decoding.ngram import NgramModel
from otoscope.asr.decoding.spelling import IMPOSSIBLE, spelling_model
from otoscope.asr.settings import expect, is_number, is_whole
from otoscope.asr.tokens import BLANK, PieceTokens, Tokens
from otoscope.errors import TrainingError

__all__ = ["BeamSearch"]

LOG10 = math.log(10)


class BeamSearch:
    """The best texts by log p(text | speech) + lm_weight · log p(text) + word_bonus · words, all in nats.

    p(text | speech) is CTC's: the sum over all alignments that stay in the beam (a prefix beam search). With a
    `lexicon` every word of a hypothesis is one of it and the language model is one of words. Without, the vocabulary
    is open: any string of tokens, and a language model of token symbols (`Tokens.symbol`), or none.

    Args:
        tokens: the recogniser's tokens.
        lexicon: the words that can be heard; None: any string of tokens.
        language_model: an `NgramModel` of order 2 or more, or the path of an ARPA (or KenLM binary) file.
        lm_weight: the weight of the language model's log-probability; `tune` finds one.
        word_bonus: nats for each word, which makes up for what each costs; only with a lexicon.
        beam_size: hypotheses kept after each frame.
        token_beam: the best tokens of each frame that hypotheses go on with.
        threshold: nats below the best at which a hypothesis is dropped.

    Raises:
        StudyError: a setting that cannot be.
        TrainingError: flashlight-text is not installed; a lexicon that the tokens cannot write; a file that is no
            language model.

    Source: Collobert et al., Wav2Letter, 2016; Hannun et al., First-Pass Large Vocabulary Continuous Speech
    Recognition using Bi-Directional Recurrent DNNs, 2014.

    >>> from otoscope.asr import CharacterTokens, greedy
    >>> tokens = CharacterTokens((" ", "A", "B"))
    >>> heard = torch.tensor([[[0.1, 0.1, 0.5, 0.3], [0.2, 0.1, 0.3, 0.4]]]).log()
    >>> greedy(heard, torch.tensor([2]), tokens)  # the best alignment
    ['AB']
    >>> BeamSearch(tokens).decode(heard, torch.tensor([2]))  # all alignments together
    ['A']
    >>> BeamSearch(tokens, lexicon=["AB", "B"]).decode(heard, torch.tensor([2]))
    ['B']
    """

    def __init__(
        self,
        tokens: Tokens,
        *,
        lexicon: Iterable[str] | None = None,
        language_model: NgramModel | Path | None = None,
        lm_weight: float = 0.5,
        word_bonus: float = 0.0,
        beam_size: int = 50,
        token_beam: int = 32,
        threshold: float = 50.0,
    ) -> None:
        expect(is_whole(beam_size, 1), "beam_size", beam_size, "a whole number of at least 1")
        expect(is_whole(token_beam, 1), "token_beam", token_beam, "a whole number of at least 1")
        expect(is_number(threshold) and threshold > 0, "threshold", threshold, "a number above 0")
        self.tokens = tokens
        self.beam_size, self.token_beam = beam_size, token_beam
        self.threshold = float(threshold)
        self._library = flashlight("decoder")
        self._words = sorted(set(lexicon)) if lexicon is not None else None
        self._lm = self._language_model(language_model)
        self._spellings = [self._spelt(word) for word in self._words or ()]
        # Words of pieces take the search without a lexicon: `spelling.py` says why.
        self._by_words = self._words is not None and not isinstance(tokens, PieceTokens)
        self._trie = self._lexicon_trie() if self._by_words else None
        self._set_weights(lm_weight, word_bonus)

    @classmethod
    def of_text(
        cls, tokens: Tokens, texts: Iterable[str], *, order: int = 3, open_vocabulary: bool = False, **settings: Any
    ) -> BeamSearch:
        """A search that knows a training text: its words and their n-grams, or the n-grams of its tokens.

        Args:
            tokens: the recogniser's tokens.
            texts: the training transcripts.
            order: of the n-grams; characters need more than words, such as 5.
            open_vocabulary: no lexicon, and n-grams of tokens instead of words.
            **settings: those of `BeamSearch`.
        """
        texts = list(texts)
        if open_vocabulary:
            units = [[tokens.symbol(i) for i in tokens.encode(text)] for text in texts]
            return cls(tokens, language_model=kneser_ney(units, order=order), **settings)
        words = [text.split() for text in texts]
        lexicon = {word for sentence in words for word in sentence}
        return cls(tokens, lexicon=lexicon, language_model=kneser_ney(words, order=order), **settings)

    def weighted(self, *, lm_weight: float, word_bonus: float = 0.0) -> BeamSearch:
        """The same search with other weights; lexicon and language model are shared."""
        other = copy.copy(self)
        other._set_weights(lm_weight, word_bonus)
        return other

    def decode(self, log_probs: Tensor, lengths: Tensor) -> list[str]:
        """Log-probabilities (batch, frames, tokens) and true lengths (batch,) to the best text of each utterance."""
        return [best[0].text for best in self.n_best(log_probs, lengths, n=1)]

    def n_best(self, log_probs: Tensor, lengths: Tensor, *, n: int = 10) -> list[list[Hypothesis]]:
        """The best `n` different texts of each utterance (fewer where the beam held fewer), best first."""
        decoder = self._decoder()
        rows = log_probs.detach().to("cpu", torch.float32).clamp_min(IMPOSSIBLE)
        return [self._search(decoder, row[:length])[:n] for row, length in zip(rows, lengths.tolist(), strict=True)]

    def _search(self, decoder: Any, frames: Tensor) -> list[Hypothesis]:
        """Every different text in the final beam; what differs in spaces or alignment only is added up."""
        emissions = self._framed(frames)
        results = decoder.decode(emissions.data_ptr(), *emissions.shape)
        found: dict[str, Hypothesis] = {}
        for result in sorted(results, key=lambda r: -r.score):
            text = self._text(result)
            bonus = self.word_bonus * len(text.split())
            if self._spelling is None:
                language = result.lmScore * LOG10
            else:  # weighed already, bonus and all
                language = (result.lmScore - bonus) / self.lm_weight if self.lm_weight else 0.0
            score = result.score
            if text in found:
                score = float(np.logaddexp(score, found[text].score))
            found[text] = Hypothesis(text, score, score - bonus - self.lm_weight * language, language)
        return sorted(found.values(), key=lambda h: -h.score)

    def _framed(self, frames: Tensor) -> Tensor:
        """The emissions with what flashlight wants: a silence token, and with a lexicon a frame that ends a word."""
        if not self._by_words:
            # Without flashlight's lexicon a search starts as if after silence, so that its first frame cannot begin
            # with that token: one that no frame has stands in.
            return torch.nn.functional.pad(frames, (0, 1), value=IMPOSSIBLE).contiguous()
        if self.tokens.separator is None:
            frames = torch.nn.functional.pad(frames, (0, 1), value=IMPOSSIBLE)
        last = torch.full((1, frames.shape[1]), IMPOSSIBLE)
        last[0, self._silence] = 0.0
        return torch.cat([frames, last]).contiguous()

    def _text(self, result: Any) -> str:
        if self._by_words and self._words is not None:
            return " ".join(self._words[i] for i in result.words if i >= 0)
        path = [token for token, _ in groupby(result.tokens[1:-1])]  # its ends are the silence before and after
        return " ".join(self.tokens.decode([t for t in path if t != BLANK]).split())

    @property
    def _silence(self) -> int:
        """Flashlight's silence token: the separator; where there is none, a token beyond the last."""
        separator = self.tokens.separator
        return len(self.tokens) if separator is None or not self._by_words else separator

    def _set_weights(self, lm_weight: float, word_bonus: float) -> None:
        expect(is_number(lm_weight) and lm_weight >= 0, "lm_weight", lm_weight, "a number of at least 0")
        usable = is_number(word_bonus) and (word_bonus == 0 or self._words is not None)
        expect(usable, "word_bonus", word_bonus, "a number, and 0 without a lexicon")
        self.lm_weight, self.word_bonus = float(lm_weight), float(word_bonus)
        self._spelling = None
        if self._words is not None and not self._by_words:
            self._spelling = spelling_model(
                self.tokens, self._spellings, self._lm, weight=self.lm_weight * LOG10, bonus=self.word_bonus
            )

    def _decoder(self) -> Any:
        library = self._library
        options: dict[str, Any] = {
            "beam_size": self.beam_size,
            "beam_size_token": self.token_beam,
            "beam_threshold": self.threshold,
            "lm_weight": self.lm_weight * LOG10,  # KenLM's logarithms are of base 10
            "sil_score": 0.0,
            "log_add": True,
            "criterion_type": library.CriterionType.CTC,
        }
        if not self._by_words:
            model = self._lm
            if self._spelling is not None:
                options["lm_weight"], model = 1.0, self._spelling
            return library.LexiconFreeDecoder(
                library.LexiconFreeDecoderOptions(**options), model, self._silence, BLANK, []
            )
        options |= {"word_score": self.word_bonus, "unk_score": -math.inf}
        return library.LexiconDecoder(
            library.LexiconDecoderOptions(**options), self._trie, self._lm, self._silence, BLANK, -1, [], False
        )

    def _language_model(self, model: NgramModel | Path | None) -> Any:
        if model is None:
            return self._library.ZeroLM()
        if isinstance(model, NgramModel):
            expect(model.order >= 2, "language_model", f"of order {model.order}", "2 or more: KenLM takes no other")
            with tempfile.TemporaryDirectory() as folder:
                path = Path(folder) / "language-model.arpa"
                write_arpa(model, path)
                return self._language_model(path)
        entries = self._words
        if entries is None:
            entries = [*(self.tokens.symbol(i) for i in range(len(self.tokens))), "<silence>"]  # see `_framed`
        dictionary = flashlight("dictionary").Dictionary()
        for i, entry in enumerate(entries):
            dictionary.add_entry(entry, i)
        try:
            with silent():
                return flashlight("decoder.kenlm").KenLM(str(model), dictionary)
        except RuntimeError as error:
            raise TrainingError(f"{model} cannot be read as an n-gram language model by KenLM: {error}") from error

    def _spelt(self, word: str) -> list[int]:
        try:
            return self.tokens.encode(word)
        except KeyError as error:
            raise TrainingError(
                f"the word {word!r} of the lexicon has {error.args[0]!r}, which the tokens cannot write: leave it "
                "out, or take tokens of a text that has it"
            ) from error

    def _lexicon_trie(self) -> Any:
        """The spellings as flashlight's trie, each with its separator, each node with the best unigram below it."""
        trie = self._library.Trie(len(self.tokens) + 1, self._silence)
        start = self._lm.start(True)
        for word, spelling in enumerate(self._spellings):
            trie.insert([*spelling, self._silence], word, self._lm.score(start, word)[1])
        trie.smear(self._library.SmearingMode.MAX)
        return trie
