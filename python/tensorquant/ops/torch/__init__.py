"""Quantizers and rounded arithmetic as ops of PyTorch."""

from tensorquant.ops.torch import devices  # noqa: F401 - it registers the ops
from tensorquant.ops.torch.compiler import (
    has_numbers,
    in_transform,
    is_in_backward_pass,
    not_compiled,
    without_gradients,
)
from tensorquant.ops.torch.functions import (
    arithmetic,
    has_scales,
    quantize,
    quantize_in,
    quantize_last,
    quantize_last_in,
    scales,
    scales_in,
)
from tensorquant.ops.torch.memory import Spare, version

__all__ = [
    "Spare",
    "arithmetic",
    "has_numbers",
    "has_scales",
    "in_transform",
    "is_in_backward_pass",
    "not_compiled",
    "quantize",
    "quantize_in",
    "quantize_last",
    "quantize_last_in",
    "scales",
    "scales_in",
    "version",
    "without_gradients",
]
