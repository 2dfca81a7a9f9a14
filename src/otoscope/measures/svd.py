"""Singular values and left singular vectors, also where LAPACK's fast routine gives up."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["left_svd", "singular_values"]

TRIES = 3

LinAlgError: type[Exception] = torch.linalg.LinAlgError  # type: ignore[attr-defined]


def left_svd(A: Tensor) -> tuple[Tensor, Tensor]:
    """U and the singular values of A = U diag(s) Vᵀ, largest first; U has min(rows, columns) columns.

    The divide-and-conquer routine (gesdd) fails now and then to converge on a matrix with many equal singular values,
    such as the identity that a layer compared with itself gives, up to rounding. Turning the rows by an orthogonal Q
    changes the rounding and nothing else: QA = (QU) diag(s) Vᵀ. Raises torch.linalg.LinAlgError where that fails too.

    >>> U, s = left_svd(torch.tensor([[3.0, 0.0], [0.0, -4.0]]))
    >>> s.tolist()
    [4.0, 3.0]
    """
    try:
        U, s, _ = torch.linalg.svd(A, full_matrices=False)
        return U, s
    except LinAlgError as error:
        for seed in range(TRIES):
            Q = _orthogonal(len(A), seed, A)
            try:
                U, s, _ = torch.linalg.svd(Q @ A, full_matrices=False)
                return Q.T @ U, s
            except LinAlgError:
                continue
        raise error


def singular_values(A: Tensor) -> Tensor:
    """The singular values of A, largest first; see `left_svd`."""
    try:
        values: Tensor = torch.linalg.svdvals(A)
        return values
    except LinAlgError:
        return left_svd(A)[1]


def _orthogonal(size: int, seed: int, like: Tensor) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    Q: Tensor = torch.linalg.qr(torch.randn(size, size, generator=generator, dtype=torch.float64)).Q
    return Q.to(like)
