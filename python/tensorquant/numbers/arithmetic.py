"""Sums of products with every operation rounded."""

from collections.abc import Callable, Sequence
from typing import Annotated, Any, NamedTuple

import numpy as np

from tensorquant import _core
from tensorquant._core import Error
from tensorquant.numbers.arrays import Array, borrow
from tensorquant.numbers.checks import Range, Seed, Step, Stream, checked
from tensorquant.numbers.outer_sum import OuterSum
from tensorquant.numbers.quantizer import Quantizer

Format = str | Quantizer | None
Outer = Any  # as OuterSum.of() takes


class Ranges(_core.Ranges):
    """What products and sums have needed: pass one as ranges= to matmul(), convolve() or
    average_pool(), to as many calls as you like. It counts on. Numbers that are not finite do not
    count.

    Attributes:
        products: How many products were rounded.
        clamped_products: How many of them lay beyond the product format's ends.
        sums: How many sums were rounded.
        clamped_sums: How many of them lay beyond the accumulator format's ends.
        largest_product: The largest magnitude of a product, before it was rounded.
        lowest_sum: The lowest running sum of the rounded products, without the accumulator's
            rounding.
        highest_sum: The highest.

    Example:
        >>> ranges = Ranges()
        >>> a = np.full((1, 4), 3, np.float32)
        >>> matmul(a, a.T, product="nearest,8,0", accumulator="nearest,5,0", ranges=ranges)
        array([[15.]], dtype=float32)
        >>> ranges.clamped_sums, ranges.sums
        (3, 4)
        >>> ranges.sufficient_bits(0)
        7
    """

    def __init__(self) -> None:
        super().__init__()

    @checked
    def merge(self, other: "Ranges") -> None:
        """Adds what another one has counted."""
        super().merge(other)

    @checked
    def sufficient_bits(self, fraction: Annotated[int, Range(-(2**31), 2**31 - 1)]) -> int:
        """The bits of a fixed-point accumulator with this fraction that none of the sums leaves."""
        return super().sufficient_bits(fraction)


class Plan(NamedTuple):
    """Which loop computed a result, and why. All loops give the same bits.

    Attributes:
        kernel: The loop's name; docs/arithmetic.md lists them.
        clamps_products: False where the factors' ranges prove that no product saturates.
        clamps_sums: Likewise for the sums.
        rounds_sums: False where every sum is a value of the accumulator's format.
        reason: Why it was chosen, for people to read.
    """

    kernel: str
    clamps_products: bool
    clamps_sums: bool
    rounds_sums: bool
    reason: str


@checked
def matmul(
    a: Any,
    b: Any,
    bias: Any = None,
    *,
    product: Format = None,
    accumulator: Format = None,
    accumulate: str = "step",
    outer: Outer = None,
    order: str = "channel",
    a_format: Format = None,
    b_format: Format = None,
    seed: Seed = 0,
    product_stream: Stream = 0,
    accumulator_stream: Stream = 1,
    step: Step = 0,
    ranges: Ranges | None = None,
    on_plan: Callable[[Plan], None] | None = None,
) -> Any:
    """The product of two matrices, or of those of two batches, with everything rounded.

    Every output begins with 0 and adds its products in the order of the taps, then the bias.
    Products and sums are exact real numbers that are rounded once; docs/arithmetic.md defines them.

    Args:
        a: An array of shape (..., taps) of any of the libraries, float32 or float64.
        b: An array of shape (taps, columns), of a's library and type; or one of (..., taps,
            columns), where what is before the last two dimensions of both is broadcast, as in
            numpy.matmul().
        bias: None, or an array of shape (columns,).
        product: Format of the products: a quantizer string, a Quantizer, or None for exact ones.
        accumulator: Format of the sums; None for the arrays' type.
        accumulate: "step" rounds after every addition, "once" at the end, "chunk:N" after every N
            products, "fused" after every addition of an exact product; "align:N:F" adds N products
            as a tensor core does.
        outer: A second accumulator, which adds up the first one's sums and the bias: a dictionary
            of its "accumulator", a format, and "every", after how many products it does so. None
            for a single one.
        order: "channel" or "tap", as in convolve(); for a matrix product both are the same.
        a_format: A quantizer string, or a Quantizer. One with scales, such as "mxfp4", quantizes a
            along the taps first: products and sums are of the numbers before the scales, and the
            outer accumulator adds them up times their scales. "per=row" and "per=channel" are a
            scale for each row, "per=tensor" is one for all of a. Any other only says of whose values a is made: "align" takes the
            exponents of subnormal ones from it. None for the arrays' type.
        b_format: Likewise of b, with a scale for each column. Random rounding of a and b takes the
            streams 2 and 3.
        seed: Of random rounding, with the streams and the step; see Quantizer.__call__().
        product_stream: Of the products.
        accumulator_stream: Of the sums.
        step: Of both.
        ranges: Counts what was clamped, if given: a Ranges. For float32 alone, and slower.
        on_plan: Is called with the Plan of the computation, if given.

    Returns:
        A new array of shape (..., columns).

    Raises:
        TypeError: An array is none, or of another library or type.
        Error: Shapes do not fit; a quantizer cannot round products or sums; accumulate is wrong.

    Example:
        >>> a = np.array([[0.75, 3.0]], np.float32)
        >>> b = np.array([[0.75], [3.0]], np.float32)
        >>> matmul(a, b, product="nearest,8,2", accumulator="nearest,6,2")
        array([[7.75]], dtype=float32)
        >>> plans = []
        >>> _ = matmul(a, b, product="nearest,8,2", accumulator="nearest,6,2", on_plan=plans.append)
        >>> plans[0].kernel
        'fixed_int'
    """
    x, w, addend = _borrow(bias, a=a, b=b)
    if x.data.ndim < 1 or w.data.ndim < 2 or x.data.shape[-1] != w.data.shape[-2]:
        raise Error(
            f"matmul: expected shapes (..., taps) and (..., taps, columns), got {x.data.shape} and"
            f" {w.data.shape}"
        )
    columns = w.data.shape[-1]
    if addend is not None and addend.data.shape != (columns,):
        raise Error(f"matmul: expected a bias of shape ({columns},), got {addend.data.shape}")
    setting = _setting(
        (product, accumulator, accumulate, outer, order),
        (a_format, b_format),
        (seed, product_stream, accumulator_stream, step),
    )
    multiply = _matrix_product if w.data.ndim == 2 else _matrix_products
    y, plan = multiply(setting, x, w, addend and addend.data, ranges)
    _report(plan, on_plan)
    return x.give_back(y)


@checked
def convolve(
    x: Any,
    w: Any,
    bias: Any = None,
    *,
    stride: int | Sequence[int] = 1,
    padding: int | Sequence[int | tuple[int, int]] = 0,
    dilation: int | Sequence[int] = 1,
    groups: int = 1,
    transposed: bool = False,
    output_padding: int | Sequence[int] = 0,
    product: Format = None,
    accumulator: Format = None,
    accumulate: str = "step",
    outer: Outer = None,
    order: str = "channel",
    x_format: Format = None,
    w_format: Format = None,
    seed: Seed = 0,
    product_stream: Stream = 0,
    accumulator_stream: Stream = 1,
    step: Step = 0,
    ranges: Ranges | None = None,
    on_plan: Callable[[Plan], None] | None = None,
) -> Any:
    """A convolution of any number of dimensions with every product and every sum rounded.

    Products are added up in the order of (input channel, kernel position), or as `order` says,
    padding included.

    Args:
        x: An array of shape (batch, channels, *sizes) of any of the libraries, float32 or float64.
        w: An array of shape (outputs, channels / groups, *kernel); transposed: (channels,
            outputs / groups, *kernel).
        bias: None, or an array of shape (outputs,).
        stride: One number for all dimensions, or one for each.
        padding: Zeros on both sides: likewise, or a pair (before, after) for each dimension.
        dilation: As stride.
        groups: Of channels that are convolved apart.
        transposed: Whether to compute the gradient of such a convolution by its input instead.
        output_padding: As stride, transposed only: added to the output's end.
        product: As the following arguments, see matmul().
        accumulator: See matmul().
        accumulate: See matmul().
        outer: See matmul().
        order: "channel" adds up for each input channel all kernel positions, "tap" for each kernel
            position all input channels.
        x_format: As a_format in matmul(), without scales.
        w_format: Likewise of w.
        seed: See matmul().
        product_stream: See matmul().
        accumulator_stream: See matmul().
        step: See matmul().
        ranges: See matmul().
        on_plan: See matmul(); it gets the first group's plan.

    Returns:
        A new array of shape (batch, outputs, *sizes).

    Raises:
        TypeError: An array is none, or of another library or type.
        Error: Shapes do not fit; a quantizer cannot round products or sums; accumulate is wrong.

    Example:
        >>> x = np.array([[[1.0, 2.0, 3.0]]], np.float32)
        >>> convolve(x, np.array([[[1.0, 1.0]]], np.float32), accumulator="nearest,4,1")
        array([[[3. , 3.5]]], dtype=float32)
    """
    source, weights, addend = _borrow(bias, x=x, w=w)
    dimensions = max(weights.data.ndim - 2, 0)
    operation = _core.ConvolutionOperation()
    operation.groups = groups
    operation.stride = _expanded(stride, dimensions, "stride")
    operation.dilation = _expanded(dilation, dimensions, "dilation")
    operation.padding_begin, operation.padding_end = _pairs(padding, dimensions)
    operation.is_transposed = transposed
    operation.output_padding = _expanded(output_padding, dimensions, "output_padding")
    setting = _setting(
        (product, accumulator, accumulate, outer, order),
        (x_format, w_format),
        (seed, product_stream, accumulator_stream, step),
    )
    inputs = [source, weights] if addend is None else [source, weights, addend]
    y, plan = _run("convolve", operation, setting, inputs, ranges)
    _report(plan, on_plan)
    return source.give_back(y)


@checked
def average_pool(
    x: Any,
    kernel: int | Sequence[int],
    *,
    stride: int | Sequence[int] | None = None,
    padding: int | Sequence[int | tuple[int, int]] = 0,
    count_include_pad: bool = True,
    divisor: int | None = None,
    product: Format = None,
    accumulator: Format = None,
    accumulate: str = "step",
    outer: Outer = None,
    order: str = "channel",
    x_format: Format = None,
    seed: Seed = 0,
    product_stream: Stream = 0,
    accumulator_stream: Stream = 1,
    step: Step = 0,
    ranges: Ranges | None = None,
) -> Any:
    """An average pool with every sum and the quotient rounded.

    Args:
        x: An array of shape (batch, channels, *sizes) of any of the libraries, float32 or float64.
        kernel: Size of the window: one number for all dimensions, or one for each.
        stride: Likewise; the kernel if left out.
        padding: Zeros on both sides: likewise, or a pair (before, after) for each dimension.
        count_include_pad: Whether padding counts in the divisor.
        divisor: What every sum is divided by; the number of the window's elements if left out.
        product: Format of the quotients; the others as in matmul().
        accumulator: See matmul().
        accumulate: See matmul().
        outer: See matmul().
        order: "channel" or "tap"; for a pool both are the same.
        x_format: As a_format in matmul(), without scales.
        seed: See matmul().
        product_stream: See matmul().
        accumulator_stream: See matmul().
        step: See matmul().
        ranges: See matmul().

    Returns:
        A new array of shape (batch, channels, *sizes).

    Raises:
        TypeError: x is no such array.
        Error: Shapes do not fit; a quantizer cannot round products or sums; accumulate is wrong.

    Example:
        >>> x = np.array([[[1.0, 2.0, 3.0, 5.0]]], np.float32)
        >>> average_pool(x, 2, product="down,8,0")
        array([[[1., 4.]]], dtype=float32)
    """
    source, _ = _borrow(None, x=x)
    dimensions = max(source.data.ndim - 2, 0)
    operation = _core.AveragePoolOperation()
    operation.kernel = _expanded(kernel, dimensions, "kernel")
    operation.stride = (
        operation.kernel if stride is None else _expanded(stride, dimensions, "stride")
    )
    operation.padding_begin, operation.padding_end = _pairs(padding, dimensions)
    operation.count_include_pad = count_include_pad
    operation.divisor = divisor
    setting = _setting(
        (product, accumulator, accumulate, outer, order),
        (x_format, None),
        (seed, product_stream, accumulator_stream, step),
    )
    y, _ = _run("average_pool", operation, setting, [source], ranges)
    return source.give_back(y)


def _matrix_product(
    setting: _core.Setting, x: Array, w: Array, bias: np.ndarray | None, ranges: Ranges | None
) -> tuple[np.ndarray, Any]:
    """All of x as one matrix."""
    *leading, taps = x.data.shape
    columns = w.data.shape[1]
    y = x.empty((*leading, columns))
    rows = int(np.prod(leading, dtype=np.int64))
    plan = _core.matrix_product(setting, x.data, w.data, bias, y, rows, taps, columns, ranges)
    return y, plan


def _matrix_products(
    setting: _core.Setting, x: Array, w: Array, bias: np.ndarray | None, ranges: Ranges | None
) -> tuple[np.ndarray, Any]:
    """One for each matrix of w."""
    a = x.data if x.data.ndim > 1 else x.data[np.newaxis]
    try:
        shape = _core.result_shape(_core.MatrixProductOperation(), [a.shape, w.data.shape])
    except Error as error:
        raise Error(f"matmul: {error}") from None
    y = x.empty(shape)
    plan = _core.matrix_products(setting, a, w.data, bias, y, ranges)
    return (y if x.data.ndim > 1 else y[..., 0, :]), plan


def _run(
    function: str,
    operation: Any,
    setting: _core.Setting,
    inputs: list[Array],
    ranges: Ranges | None,
) -> tuple[np.ndarray, Any]:
    """A new array and the plan of the sums of products, if there are any."""
    arrays = [x.data for x in inputs]
    shapes = [array.shape for array in arrays]
    try:
        y = inputs[0].empty(_core.result_shape(operation, shapes))
        plan = _core.run_operation(setting, operation, shapes, arrays, y, ranges)
    except Error as error:
        raise Error(f"{function}: {error}") from None
    return y, plan


def _borrow(bias: Any, **arrays: Any) -> list[Array | None]:
    """The arrays and the bias, which may be None; all alike in library and type."""
    borrowed = {name: borrow(x, name) for name, x in arrays.items()}
    if bias is not None:
        borrowed["bias"] = borrow(bias, "bias")
    first_name, first = next(iter(borrowed.items()))
    for name, array in borrowed.items():
        if array.dtype not in ("float32", "float64"):
            raise TypeError(f"{name}: has the type {array.dtype}, expected float32 or float64")
        if (array.library, array.dtype) != (first.library, first.dtype):
            raise TypeError(
                f"{name}: is of {array.library} and {array.dtype}, {first_name} of"
                f" {first.library} and {first.dtype}"
            )
    return [*(borrowed[name] for name in arrays), borrowed.get("bias")]


def _setting(arithmetic: tuple, formats: tuple, numbers: tuple) -> _core.Setting:
    product, accumulator, accumulate, outer, order = arithmetic
    outer = OuterSum.of(outer)
    return _core.Setting(
        *map(_quantizer, (product, accumulator)),
        accumulate,
        outer and outer._native,
        order,
        *map(_quantizer, formats),
        *numbers,
    )


def _quantizer(format: Format) -> _core.Quantizer:
    if isinstance(format, Quantizer):
        return format._native
    return _core.make_quantizer("none" if format is None else format)


def _pairs(padding: Any, dimensions: int) -> tuple[list[int], list[int]]:
    sides = [
        (side, side) if isinstance(side, int) else side
        for side in _expanded(padding, dimensions, "padding")
    ]
    before, after = ([side[i] for side in sides] for i in (0, 1))
    return before, after


def _expanded(value: Any, dimensions: int, name: str) -> list[Any]:
    """One entry for each dimension."""
    sizes = [value] * dimensions if isinstance(value, int) else list(value)
    if len(sizes) != dimensions:
        raise Error(f"{name}: has {len(sizes)} numbers, expected {dimensions}")
    return sizes


def _report(plan: _core.Plan, on_plan: Callable[[Plan], None] | None) -> None:
    if on_plan is not None:
        on_plan(Plan(*(getattr(plan, field) for field in Plan._fields)))
