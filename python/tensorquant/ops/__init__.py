"""One op per framework, all over the same C++ functions: equal arrays give equal bits.

The modules ``tensorquant.ops.torch``, ``.tensorflow`` and ``.jax`` have the same two functions,
``quantize(x, spec, *, seed, stream, step, reduction_axis, channel_axis)`` and
``arithmetic(operation, *inputs, float_function, step)``. No framework is imported before its module
is.
"""

from tensorquant.ops.frameworks import backend
from tensorquant.ops.operation import Operation, average_pool, convolution, linear
from tensorquant.ops.value_operations import (
    batch_norm,
    elementwise,
    group_norm,
    layer_norm,
    matmul,
    rms_norm,
    softmax,
)

__all__ = [
    "Operation",
    "average_pool",
    "backend",
    "batch_norm",
    "convolution",
    "elementwise",
    "group_norm",
    "layer_norm",
    "linear",
    "matmul",
    "rms_norm",
    "softmax",
]
