"""Greedy CTC decoding."""

import itertools

import torch
from hypothesis import given
from hypothesis import strategies as st

from otoscope.asr.decoding import Greedy, greedy
from otoscope.asr.tokens import CharacterTokens


@given(st.text("AB '", max_size=12))
def test_decoding_gives_back_the_text_of_a_path_with_blanks_between(text):
    tokens = CharacterTokens.of(["AB '"])
    path = [0, *itertools.chain.from_iterable((t, t, 0) for t in tokens.encode(text))]
    log_probs = torch.nn.functional.one_hot(torch.tensor([path]), len(tokens)).float()
    assert greedy(log_probs, torch.tensor([len(path)]), tokens) == [" ".join(text.split())]


def test_decoding_stops_at_the_true_length():
    tokens = CharacterTokens.of(["AB"])
    log_probs = torch.nn.functional.one_hot(torch.tensor([[1, 2, 1]]), 3).float()
    assert greedy(log_probs, torch.tensor([2]), tokens) == ["AB"]
    assert Greedy(tokens).decode(log_probs, torch.tensor([1])) == ["A"]
