"""Quantizers and rounded arithmetic as ops of PyTorch, for tensors on the CPU."""

from tensorquant.ops.torch.compiler import is_in_backward_pass, not_compiled
from tensorquant.ops.torch.functions import arithmetic, quantize, quantize_last
from tensorquant.ops.torch.memory import version

__all__ = [
    "arithmetic",
    "is_in_backward_pass",
    "not_compiled",
    "quantize",
    "quantize_last",
    "version",
]
