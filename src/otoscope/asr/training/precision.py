"""Whether a training computes in bfloat16."""

from __future__ import annotations

import torch

__all__ = ["PRECISIONS", "in_bfloat16"]

PRECISIONS = ("float32", "bfloat16", "auto")


def in_bfloat16(precision: str, device: torch.device) -> bool:
    """Whether `precision` means bfloat16 on this device; "auto" does where the device multiplies in it by itself.

    That is every GPU that CUDA names so, and processors with AVX512-BF16 or AMX. Elsewhere bfloat16 is emulated, and
    slower than float32.

    >>> in_bfloat16("float32", torch.device("cpu")), in_bfloat16("bfloat16", torch.device("cpu"))
    (False, True)
    """
    if precision != "auto":
        return precision == "bfloat16"
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    # Not public in torch, and perhaps gone one day: then float32, which is right everywhere.
    known = (getattr(torch.cpu, name, None) for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported"))
    return any(supported is not None and supported() for supported in known)
