"""Layers that work on values, and batches of matrices, as Operations; beside `operation.py`.

P, the product's quantizer, rounds products, quotients, roots and functions; A, the last
accumulator's, sums and differences. Each is the exact number rounded once. `linear` explains the
arguments that all have, and the errors.
"""

from typing import Annotated, Any

from tensorquant.numbers.checks import Range, Seed, Stream, checked
from tensorquant.ops.operation import Operation, _operation

_Size = Annotated[int, Range(1, 2**63 - 1)]


@checked
def matmul(
    product: Any,
    accumulator: Any,
    accumulate: str = "step",
    *,
    outer: Any = None,
    order: str = "channel",
    x_format: Any = None,
    w_format: Any = None,
    seed: Seed = 0,
    product_stream: Stream = 0,
    accumulator_stream: Stream = 1,
) -> Operation:
    """y (..., rows, columns) from a (..., rows, taps) and b (..., taps, columns).

    What is before the last two dimensions is broadcast.

    Example:
        >>> from tensorquant import ops
        >>> ops.matmul("none", "nearest,16,8").result_shape((8, 1, 2, 3), (5, 3, 4))
        (8, 5, 2, 4)
    """
    sums = (product, accumulator, accumulate, outer, order)
    return _operation(
        "matmul",
        sums,
        {"x_format": x_format, "w_format": w_format},
        (seed, product_stream, accumulator_stream),
        {},
    )


@checked
def elementwise(
    product: Any,
    accumulator: Any,
    accumulate: str = "step",
    *,
    outer: Any = None,
    order: str = "channel",
    function: str,
    seed: Seed = 0,
    product_stream: Stream = 0,
    accumulator_stream: Stream = 1,
) -> Operation:
    """y = P(f(x)), or of two tensors of one shape A(a + b), A(a - b), P(a * b) or P(a / b).

    Args:
        function: "exp", "log", "sqrt", "rsqrt", "reciprocal", "erf", "tanh", "sigmoid", "silu", "gelu",
            "gelu_tanh", "softplus", "hardsigmoid", "hardswish"; "add", "subtract", "multiply", "divide".

    Example:
        >>> from tensorquant import ops
        >>> ops.elementwise("bf16", "none", function="gelu").result_shape((2, 3))
        (2, 3)
    """
    sums = (product, accumulator, accumulate, outer, order)
    return _operation(
        "elementwise", sums, {}, (seed, product_stream, accumulator_stream), {"function": function}
    )


@checked
def softmax(
    product: Any,
    accumulator: Any,
    accumulate: str = "step",
    *,
    outer: Any = None,
    order: str = "channel",
    logarithm: bool = False,
    seed: Seed = 0,
    product_stream: Stream = 0,
    accumulator_stream: Stream = 1,
) -> Operation:
    """Of the last dimension: d = A(x - max x), e = P(exp(d)), y = P(e / A-sum of e).

    Args:
        logarithm: whether y is A(d - P(log(A-sum of e))).

    Example:
        >>> from tensorquant import ops
        >>> ops.softmax("bf16", "float,8,23").result_shape((2, 3))
        (2, 3)
    """
    sums = (product, accumulator, accumulate, outer, order)
    return _operation(
        "log_softmax" if logarithm else "softmax",
        sums,
        {},
        (seed, product_stream, accumulator_stream),
        {},
    )


@checked
def layer_norm(
    product: Any,
    accumulator: Any,
    accumulate: str = "step",
    *,
    outer: Any = None,
    order: str = "channel",
    dimensions: _Size = 1,
    epsilon: float = 1e-5,
    seed: Seed = 0,
    product_stream: Stream = 0,
    accumulator_stream: Stream = 1,
) -> Operation:
    """y = A(P(P(c r) gamma) + beta) from x (..., sizes...), gamma and beta (sizes...), or without.

    m = P(A-sum x / n), c = A(x - m), v = P(A-sum P(c c) / n), r = P(1 / P(sqrt(v + epsilon))).

    Args:
        dimensions: how many of the last ones are normalized together.

    Example:
        >>> from tensorquant import ops
        >>> ops.layer_norm("bf16", "float,8,23").result_shape((2, 3), (3,), (3,))
        (2, 3)
    """
    sums = (product, accumulator, accumulate, outer, order)
    return _operation(
        "layer_norm",
        sums,
        {},
        (seed, product_stream, accumulator_stream),
        {"dimensions": dimensions, "epsilon": epsilon},
    )


@checked
def rms_norm(
    product: Any,
    accumulator: Any,
    accumulate: str = "step",
    *,
    outer: Any = None,
    order: str = "channel",
    dimensions: _Size = 1,
    epsilon: float = 1e-5,
    seed: Seed = 0,
    product_stream: Stream = 0,
    accumulator_stream: Stream = 1,
) -> Operation:
    """y = P(P(x r) gamma) from x (..., sizes...) and gamma (sizes...), or without it.

    v = P(A-sum P(x x) / n), r = P(1 / P(sqrt(v + epsilon))).

    Args:
        dimensions: how many of the last ones are normalized together.

    Example:
        >>> from tensorquant import ops
        >>> ops.rms_norm("bf16", "float,8,23").result_shape((2, 3), (3,))
        (2, 3)
    """
    sums = (product, accumulator, accumulate, outer, order)
    return _operation(
        "rms_norm",
        sums,
        {},
        (seed, product_stream, accumulator_stream),
        {"dimensions": dimensions, "epsilon": epsilon},
    )


@checked
def group_norm(
    product: Any,
    accumulator: Any,
    accumulate: str = "step",
    *,
    outer: Any = None,
    order: str = "channel",
    groups: _Size = 1,
    epsilon: float = 1e-5,
    seed: Seed = 0,
    product_stream: Stream = 0,
    accumulator_stream: Stream = 1,
) -> Operation:
    """What `layer_norm` computes, of groups of channels: x (batch, channels, space...), gamma and
    beta (channels), or without. An instance norm has as many groups as channels.

    Example:
        >>> from tensorquant import ops
        >>> ops.group_norm("bf16", "float,8,23", groups=2).result_shape((2, 4, 5), (4,), (4,))
        (2, 4, 5)
    """
    sums = (product, accumulator, accumulate, outer, order)
    return _operation(
        "group_norm",
        sums,
        {},
        (seed, product_stream, accumulator_stream),
        {"groups": groups, "epsilon": epsilon},
    )


@checked
def batch_norm(
    product: Any,
    accumulator: Any,
    accumulate: str = "step",
    *,
    outer: Any = None,
    order: str = "channel",
    epsilon: float = 1e-5,
    seed: Seed = 0,
    product_stream: Stream = 0,
    accumulator_stream: Stream = 1,
) -> Operation:
    """y = A(P(x s) + A(beta - P(mean s))) from x (batch, channels, space...), mean, variance and,
    if given, gamma and beta (channels); s = P(gamma P(1 / P(sqrt(variance + epsilon)))).

    Example:
        >>> from tensorquant import ops
        >>> ops.batch_norm("bf16", "float,8,23").result_shape((2, 4, 5), (4,), (4,))
        (2, 4, 5)
    """
    sums = (product, accumulator, accumulate, outer, order)
    return _operation(
        "batch_norm", sums, {}, (seed, product_stream, accumulator_stream), {"epsilon": epsilon}
    )
