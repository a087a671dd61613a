"""The ops on other devices than the CPU: registered with PyTorch's dispatcher."""

import torch

from tensorquant.ops.torch import composite
from tensorquant.ops.torch.formats import format_of
from tensorquant.ops.torch.library import (
    arithmetic_op,
    gradient_op,
    inside_op,
    library,
    quantize_op,
    scales_op,
)


def _implementation(x: torch.Tensor):
    """What quantizes on a device: for NVIDIA's and AMD's GPUs Triton's kernels."""
    if x.device.type != "cuda":
        return composite
    from tensorquant.ops.torch import triton

    return triton


def quantize(x, spec, seed, stream, step, axes):
    """The op of this name. What has no formula is computed on the CPU."""
    if x.numel() == 0:
        return torch.empty_like(x)
    if format_of(spec, x.dtype) is None:
        step = None if step is None else step.cpu()
        return _like(x, quantize_op(x.cpu(), spec, seed, stream, step, axes))
    return _implementation(x).quantize(x, spec, seed, stream, step, axes)


def quantize_in_place(x, *arguments):
    x.copy_(quantize(x, *arguments))


def inside(x, spec, axes):
    if x.numel() == 0:
        return torch.empty_like(x, dtype=torch.bool)
    if format_of(spec, x.dtype) is None:
        return _like(x, inside_op(x.cpu(), spec, axes))
    return composite.inside(x, spec, axes)


def gradient(x, y, dy, spec, axes):
    """A user's own gradient, in Python."""
    return gradient_op(x.cpu(), y.cpu(), dy.cpu(), spec, axes).to(x.device)


def scales(x, spec, axes):
    return scales_op(x.cpu(), spec, axes).to(x.device)


def arithmetic(inputs, operation, marks, step):
    step = None if step is None else step.cpu()
    results = arithmetic_op([x.cpu() for x in inputs], operation, marks, step)
    return tuple(result.to(inputs[0].device) for result in results)


def _like(x: torch.Tensor, result: torch.Tensor) -> torch.Tensor:
    """A result of the CPU on x's device, of x's strides."""
    return torch.empty_like(x, dtype=result.dtype).copy_(result)


for _name, _function in (
    ("quantize", quantize),
    ("quantize_", quantize_in_place),
    ("inside", inside),
    ("gradient", gradient),
    ("scales", scales),
    ("arithmetic", arithmetic),
):
    library.impl(_name, _function, "CompositeExplicitAutograd")
