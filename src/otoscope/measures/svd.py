"""Eigenvalues and singular values, by the cheaper route where matrices are large."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

__all__ = ["eigh", "left_svd", "singular_values"]

LARGE = 96  # singular values of smaller matrices cost next to nothing by the exact route
TRIES = 3

LinAlgError: type[Exception] = torch.linalg.LinAlgError  # type: ignore[attr-defined]


def eigh(A: Tensor) -> tuple[Tensor, Tensor]:
    """The eigenvalues of a symmetric matrix, smallest first, and its eigenvectors as columns."""
    if A.device.type == "cpu":  # where numpy's LAPACK is faster than torch's
        values, vectors = np.linalg.eigh(A.numpy())
        return torch.from_numpy(values), torch.from_numpy(vectors)
    return torch.linalg.eigh(A)  # type: ignore[no-any-return]


def left_svd(A: Tensor) -> tuple[Tensor, Tensor]:
    """U and the singular values of A = U diag(s) Vᵀ, largest first, in float64; U has min(rows, columns) columns.

    Large matrices that are not taller than wide go by the eigendecomposition of AAᵀ, in half the time; values below
    10⁻⁸ of the largest are rounding then.

    The divide-and-conquer routine (gesdd) fails now and then to converge on a matrix with many equal singular values,
    such as the identity that a layer compared with itself gives, up to rounding. Turning the rows by an orthogonal Q
    changes the rounding and nothing else: QA = (QU) diag(s) Vᵀ. Raises torch.linalg.LinAlgError where that fails too.

    >>> U, s = left_svd(torch.tensor([[3.0, 0.0], [0.0, -4.0]]))
    >>> s.tolist()
    [4.0, 3.0]
    """
    A = A.double()
    if LARGE < len(A) <= A.shape[1]:
        squares, U = eigh(_of_squares(A))
        return U.flip(1), squares.flip(0).clamp_min(0).sqrt()
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
    """The singular values of A, largest first, in float64.

    Large matrices go by the eigenvalues of AAᵀ: sums of singular values are good to rounding, single ones that are
    below 10⁻⁸ of the largest are not.
    """
    values: Tensor
    A = A.double() if len(A) <= A.shape[1] else A.double().T
    if len(A) > LARGE:
        squares = _of_squares(A)
        on_cpu = squares.device.type == "cpu"
        values = torch.from_numpy(np.linalg.eigvalsh(squares.numpy())) if on_cpu else torch.linalg.eigvalsh(squares)
        return values.flip(0).clamp_min(0).sqrt()
    try:
        values = torch.linalg.svdvals(A)
        return values
    except LinAlgError:
        return left_svd(A)[1]


def _of_squares(A: Tensor) -> Tensor:
    """AAᵀ."""
    if A.device.type == "cpu":
        a = A.numpy()
        return torch.from_numpy(a @ a.T)  # numpy sees that it is symmetric, and makes half of it
    return A @ A.T


def _orthogonal(size: int, seed: int, like: Tensor) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    Q: Tensor = torch.linalg.qr(torch.randn(size, size, generator=generator, dtype=torch.float64)).Q
    return Q.to(like)
