"""What a look at a model must leave as it was."""

import random

import numpy as np
import pytest
import torch
from torch import nn

from otoscope.watching import undisturbed


class Restless(nn.Module):
    """Everything that a forward pass can change: statistics, a counter, three generators."""

    def __init__(self):
        super().__init__()
        self.linear, self.norm, self.dropout = nn.Linear(4, 4), nn.BatchNorm1d(4), nn.Dropout(0.5)
        self.register_buffer("calls", torch.zeros(()))

    def forward(self, x):
        self.calls += 1
        x = nn.functional.batch_norm(
            self.norm(self.linear(x)), self.norm.running_mean, self.norm.running_var, training=True
        )
        return self.dropout(x) + torch.rand(()) + random.random() + np.random.rand()


def state(model):
    tensors = {k: v.clone() for k, v in model.state_dict().items()}
    return (
        tensors,
        torch.get_rng_state(),
        random.getstate(),
        np.random.get_state()[1].tolist(),
        [m.training for m in model.modules()],
    )


@pytest.mark.parametrize("fails", [False, True])
def test_everything_is_put_back(fails):
    torch.manual_seed(0)
    model = Restless()
    model.norm.eval()  # a frozen part of a model in training
    model(torch.randn(8, 4)).sum().backward()
    before, gradient = state(model), model.linear.weight.grad.clone()
    try:
        with undisturbed(model):
            assert not any(part.training for part in model.modules())
            out = model(torch.ones(8, 4))
            if fails:
                raise KeyboardInterrupt
    except KeyboardInterrupt:
        pass
    assert not out.requires_grad
    after = state(model)
    for name, tensor in before[0].items():
        assert torch.equal(tensor, after[0][name]), name
    assert torch.equal(before[1], after[1])
    assert before[2:] == after[2:]
    assert torch.equal(model.linear.weight.grad, gradient)


class Cached(nn.Module):
    """A model that makes its positions when first needed and keeps them, as many do."""

    def __init__(self):
        super().__init__()
        self.linear, self.positions = nn.Linear(4, 4), None

    def forward(self, x):
        if self.positions is None:
            self.positions = torch.arange(x.shape[1])[:, None] / 10
        return self.linear(x * self.positions)


def test_what_a_model_keeps_from_a_look_can_be_trained_through():
    model = Cached()
    with torch.inference_mode(), undisturbed(model):  # trainers validate in inference mode
        model(torch.ones(2, 3, 4))
    model(torch.ones(2, 3, 4)).sum().backward()
    assert model.linear.weight.grad.abs().sum() > 0
