"""Numbers at which formats of PyTorch's tensors may go wrong, as tensors of three axes."""

import numpy as np
import torch

INTEGERS = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}


def bits(x: torch.Tensor) -> torch.Tensor:
    return x.view(INTEGERS[x.element_size()])


def numbers(dtype: torch.dtype, step: int = 1) -> torch.Tensor:
    """Every number of 16 bits; else every step-th top half with low halves around ties."""
    random = np.random.default_rng(5)
    if dtype in (torch.float16, torch.bfloat16):
        found = np.arange(0, 65536, dtype=np.uint16)
    elif dtype == torch.float32:
        top = np.arange(0, 65536, step, dtype=np.uint32) << 16
        lows = [top | low for low in (0, 1, 0x7FFF, 0x8000, 0x8001, 0xFFFF)]
        found = np.concatenate([*lows, random.integers(0, 2**32, 16384 // step, np.uint32)])
    else:
        top = np.arange(0, 65536, step, dtype=np.uint64) << 48
        lows = [top | low for low in map(np.uint64, (0, 1, 2**47, 2**47 + 1, 2**48 - 1))]
        narrow = random.normal(size=16384 // step).astype(np.float32).astype(np.float64)
        found = np.concatenate([*lows, narrow.view(np.uint64)])
    found = found[: len(found) // 128 * 128]
    signed = found.view(f"i{found.itemsize}")
    return torch.from_numpy(signed.copy()).view(dtype).reshape(16, -1, 8)


def ties(step: int = 1) -> torch.Tensor:
    """Of float32: at each place of a significand what lies half-way there, and its neighbours."""
    exponents = np.arange(0, 255, step) << 23
    random = np.random.default_rng(6).integers(0, 2**23, (24, 3))
    found = []
    for place in range(24):
        kept = random[place] >> place << place
        for low in (0, (1 << place) >> 1, ((1 << place) >> 1) + 1, ((1 << place) >> 1) - 1):
            found.append(exponents[:, None] | ((kept + low) & 0x7FFFFF))
    found = np.concatenate([a.ravel() for a in found]).astype(np.uint32)
    found = np.concatenate([found, found | 0x80000000])
    found = found[: len(found) // 128 * 128]
    return torch.from_numpy(found.view(np.int32)).view(torch.float32).reshape(16, -1, 8)


def finite(x: torch.Tensor) -> torch.Tensor:
    """For scales, which one infinity makes NaN."""
    return torch.where(torch.isfinite(x), x, 1)
