"""Canonical directions belong together, also where correlations vanish and layers differ in width."""

import pytest
import torch

from otoscope.measures.canonical import Canonical


@pytest.mark.parametrize("shape", [(4, 6), (6, 4), (5, 5), (100, 120), (120, 100)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("turned", [False, True])
def test_both_sides_make_the_matrix_again(shape, dtype, turned):
    generator = torch.Generator().manual_seed(0)
    Q, R = (torch.linalg.qr(torch.randn(n, n, generator=generator, dtype=torch.float64)).Q for n in shape)
    values = torch.linspace(0.9, 0.1, min(shape), dtype=torch.float64)
    values[-2:] = 0  # without any direction of their own
    T = (Q[:, : len(values)] * values @ R[:, : len(values)].T).to(dtype)
    found = Canonical(None, None, T, {})  # type: ignore[arg-type]  (the spectra have no part in it)
    if turned:
        found, T = found.transposed(), T.T
    near = 1e-6 if dtype == torch.float32 else 1e-12
    # Large matrices go by AAᵀ: what is 0 is known to the root of the rounding.
    torch.testing.assert_close(found.correlations, values, atol=1e-7 if dtype == torch.float64 else 1e-3, rtol=0)
    U, V = found.matched()
    assert U.dtype == V.dtype == torch.float64
    assert U.shape == (len(T), len(values))
    assert V.shape == (T.shape[1], len(values))
    torch.testing.assert_close((U * found.correlations) @ V.T, T.double(), atol=near, rtol=0)
    held = found.correlations > 1e-2
    torch.testing.assert_close(U[:, held].T @ U[:, held], torch.eye(int(held.sum())).double(), atol=1e-4, rtol=0)
    torch.testing.assert_close(found.left[:, held].abs(), U[:, held].abs(), atol=1e-4, rtol=0)
