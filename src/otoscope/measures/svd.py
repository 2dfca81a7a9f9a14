"""Singular values and vectors, by the cheaper route where matrices are large."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

__all__ = ["left_svd", "singular_values"]

LARGE = 96  # singular values of smaller matrices cost next to nothing by the exact route
TRIES = 3

LinAlgError: type[Exception] = torch.linalg.LinAlgError  # type: ignore[attr-defined]


def left_svd(A: Tensor) -> tuple[Tensor, Tensor]:
    """U and the singular values of A = U diag(s) Vᵀ, largest first, in float64; U has min(rows, columns) columns.

    Large matrices that are not taller than wide go by the eigenvectors of AAᵀ, in half the time, and sᵢ = ‖Aᵀuᵢ‖:
    an error δ of the eigenvectors enters s by its square only.

    The divide-and-conquer routine (gesdd) fails now and then to converge on a matrix with many equal singular values,
    such as the identity that a layer compared with itself gives, up to rounding. Turning the rows by an orthogonal Q
    changes the rounding and nothing else: QA = (QU) diag(s) Vᵀ. Raises torch.linalg.LinAlgError where that fails too.

    >>> U, s = left_svd(torch.tensor([[3.0, 0.0], [0.0, -4.0]]))
    >>> s.tolist()
    [4.0, 3.0]
    """
    A = A.double()
    if LARGE < len(A) <= A.shape[1]:
        U = _eigenvectors(A @ A.T).flip(1)
        s, order = torch.linalg.vector_norm(A.T @ U, dim=0).sort(descending=True, stable=True)
        return U[:, order], s
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
    """The singular values of A, largest first.

    Large matrices go by the eigenvalues of AAᵀ: sums of singular values are good to rounding, single ones that are
    below 10⁻⁸ of the largest are not.
    """
    values: Tensor
    if len(A) > A.shape[1]:
        A = A.T
    if len(A) > LARGE:
        squares = A @ A.T
        on_cpu = squares.device.type == "cpu"  # where numpy's LAPACK is the faster at this
        values = torch.from_numpy(np.linalg.eigvalsh(squares.numpy())) if on_cpu else torch.linalg.eigvalsh(squares)
        return values.flip(0).clamp_min(0).sqrt()
    try:
        values = torch.linalg.svdvals(A)
        return values
    except LinAlgError:
        return left_svd(A)[1]


def _eigenvectors(A: Tensor) -> Tensor:
    if A.device.type == "cpu":
        return torch.from_numpy(np.linalg.eigh(A.numpy())[1])
    vectors: Tensor = torch.linalg.eigh(A)[1]
    return vectors


def _orthogonal(size: int, seed: int, like: Tensor) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    Q: Tensor = torch.linalg.qr(torch.randn(size, size, generator=generator, dtype=torch.float64)).Q
    return Q.to(like)
