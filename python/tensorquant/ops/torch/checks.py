"""What the ops take."""

import torch

from tensorquant.ops import common
from tensorquant.ops.torch.library import TYPES


def check(x: torch.Tensor) -> None:
    if not isinstance(x, torch.Tensor):
        raise common.wrong("x", "a tensor of PyTorch", x)
    if x.dtype not in TYPES:
        common.type_number(str(x.dtype).removeprefix("torch."))
    if x.is_nested or not _is_strided(x):
        raise TypeError(f"expected a dense tensor, found one of layout {_layout(x)}")


def _is_strided(x: torch.Tensor) -> bool:
    """A compiler does not say so in a backward pass, and has no others."""
    return torch.compiler.is_compiling() or x.layout == torch.strided


def _layout(x: torch.Tensor) -> str:
    return "nested" if x.is_nested else str(x.layout).removeprefix("torch.")


def step_tensor_of(step: int | torch.Tensor) -> torch.Tensor | None:
    if isinstance(step, torch.Tensor):
        if step.is_floating_point() or step.dtype == torch.bool or step.numel() != 1:
            raise TypeError(f"step: expected one integer, got {step.dtype} of {tuple(step.shape)}")
        return step
    return torch.tensor(step, dtype=torch.int64) if common.check_step(step) else None
