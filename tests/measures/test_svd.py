"""Singular values where LAPACK's fast routine gives up."""

import pytest
import torch

from otoscope.measures.svd import left_svd, singular_values


@pytest.fixture
def failing_once(monkeypatch):
    """LAPACK fails on few matrices and not on every processor: the first call is made to fail as it does there."""
    calls = []

    def fail_first(original):
        def call(A, **options):
            calls.append(A)
            if len(calls) == 1:
                raise torch.linalg.LinAlgError("the algorithm failed to converge")
            return original(A, **options)

        return call

    for name in ("svd", "svdvals"):
        monkeypatch.setattr(torch.linalg, name, fail_first(getattr(torch.linalg, name)))
    return calls


@pytest.mark.parametrize("shape", [(6, 6), (8, 5), (5, 8)])
def test_a_second_try_gives_the_same_decomposition(failing_once, shape):
    A = torch.randn(shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    U, s = left_svd(A)
    assert len(failing_once) == 2
    assert U.shape == (shape[0], min(shape))
    torch.testing.assert_close(U.T @ U, torch.eye(min(shape), dtype=torch.float64))
    torch.testing.assert_close(U.T @ A @ A.T @ U, torch.diag(s**2))


def test_singular_values_after_a_failure(failing_once):
    A = torch.eye(7, dtype=torch.float64) + 1e-9
    torch.testing.assert_close(singular_values(A), torch.linalg.svdvals(A))


def test_what_cannot_be_decomposed_stays_an_error():
    with pytest.raises(torch.linalg.LinAlgError):
        left_svd(torch.full((3, 3), float("nan"), dtype=torch.float64))
