"""What a layer computes with rounded arithmetic, as a value that all frameworks take."""

import functools
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from tensorquant import _core as native
from tensorquant.numbers.checks import Range, Seed, Stream, check_integer, checked, wrong
from tensorquant.numbers.outer_sum import OuterSum
from tensorquant.ops.common import spec_of, traits


@dataclass(frozen=True)
class Operation:
    """A linear layer, convolution or average pool with each product and each sum rounded.

    Made by `linear`, `convolution` and `average_pool`; equal operations have equal texts.
    """

    text: str  # JSON, read by the C++ core
    is_random: bool
    clips_gradient: bool  # dy = 0 where the last sum lies outside the accumulator's range

    @checked
    def result_shape(self, *shapes: Sequence[int]) -> tuple[int, ...]:
        """The shape of the result for inputs of these shapes; -1 stands for an unknown size.

        Raises:
            tensorquant.Error: the shapes do not fit to each other.
        """
        return native.op_result_shape(self.text, shapes)


@checked
def linear(
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
    """y (..., outputs) from x (..., inputs), w (outputs, inputs) and perhaps a bias (outputs).

    Args:
        product: the quantizer of each product, a string or an object with one as its ``spec``; "none" is the exact product.
        accumulator: the quantizer of each sum; "none" rounds to the tensor's type. With
            "grad=clipped" no gradient passes where the last sum lies outside its range.
        accumulate: "step", "once", "chunk:N", "align:N:F" or "fused".
        outer: a second accumulator: a dictionary of its "accumulator", as above, and "every", after
            how many products it adds up; or None. "grad=clipped" is then its matter.
        order: in which order convolutions add up: "channel" or "tap".
        x_format, w_format: quantizers of whose values x and w are made: "align" takes the exponents
            of subnormal ones from them, and the elements of those with scales are found by them
            where `arithmetic` is given these. None for the tensor's type.
        seed, product_stream, accumulator_stream: where random rounding takes its numbers from.

    Raises:
        tensorquant.Error: a string is wrong, or its quantizer does not round to a grid.

    Example:
        >>> from tensorquant import ops
        >>> ops.linear("nearest,8,4", "nearest,16,8").result_shape((5, 3), (2, 3))
        (5, 2)
    """
    sums = (product, accumulator, accumulate, outer, order)
    formats = {"x_format": x_format, "w_format": w_format}
    return _operation("linear", sums, formats, (seed, product_stream, accumulator_stream), {})


@checked
def convolution(
    product: Any,
    accumulator: Any,
    accumulate: str = "step",
    *,
    outer: Any = None,
    order: str = "channel",
    x_format: Any = None,
    w_format: Any = None,
    stride: Sequence[int],
    dilation: Sequence[int] | None = None,
    padding_begin: Sequence[int] | None = None,
    padding_end: Sequence[int] | None = None,
    groups: Annotated[int, Range(1, 2**63 - 1)] = 1,
    transposed: bool = False,
    output_padding: Sequence[int] | None = None,
    seed: Seed = 0,
    product_stream: Stream = 0,
    accumulator_stream: Stream = 1,
) -> Operation:
    """y (batch, outputs, space...) from x (batch, channels, space...), w (outputs, channels /
    groups, kernel...) and perhaps a bias (outputs). Transposed, w is (channels, outputs / groups,
    kernel...).

    Args:
        stride: one number for each spatial dimension; so are the next three.
        dilation: 1 where it is left out.
        padding_begin, padding_end: zeros before and behind the input; none where left out. They
            take part in the sum.
        groups: into how many the channels are divided.
        transposed: whether x takes the place of the result: the paddings, both alike, are then cut
            off from it.
        output_padding: of a transposed one, how much larger the result is; 0 where left out.

    `linear` explains the other arguments and the errors; ValueError for numbers out of range.

    Example:
        >>> from tensorquant import ops
        >>> strided = ops.convolution("nearest,8,4", "nearest,16,8", stride=(2, 2))
        >>> strided.result_shape((1, 3, 9, 9), (4, 3, 3, 3))
        (1, 4, 4, 4)
    """
    stride = _sizes("stride", stride, len(stride), 1, 1)
    dimensions = len(stride)
    shape = {
        "stride": stride,
        "dilation": _sizes("dilation", dilation, dimensions, 1, 1),
        "padding_begin": _sizes("padding_begin", padding_begin, dimensions, 0, 0),
        "padding_end": _sizes("padding_end", padding_end, dimensions, 0, 0),
        "groups": groups,
    }
    if transposed:
        shape["output_padding"] = _sizes("output_padding", output_padding, dimensions, 0, 0)
    elif output_padding is not None:
        raise ValueError("output_padding: the convolution is not transposed")
    sums = (product, accumulator, accumulate, outer, order)
    formats = {"x_format": x_format, "w_format": w_format}
    return _operation(
        "convolution", sums, formats, (seed, product_stream, accumulator_stream), shape
    )


@checked
def average_pool(
    product: Any,
    accumulator: Any,
    accumulate: str = "step",
    *,
    outer: Any = None,
    order: str = "channel",
    x_format: Any = None,
    kernel: Sequence[int],
    stride: Sequence[int] | None = None,
    padding_begin: Sequence[int] | None = None,
    padding_end: Sequence[int] | None = None,
    count_include_pad: bool = True,
    ceil_mode: bool = False,
    divisor: Annotated[int, Range(-(2**63), 2**63 - 1)] | None = None,
    seed: Seed = 0,
    product_stream: Stream = 0,
    accumulator_stream: Stream = 1,
) -> Operation:
    """y (batch, channels, space...) from x (batch, channels, space...): the sum of each window,
    rounded by the accumulator, divided by the window's size, rounded by the product's quantizer.

    Args:
        kernel: the window's size; one number for each spatial dimension, as the next three.
        stride: the kernel where it is left out.
        padding_begin, padding_end: zeros before and behind the input; none where left out.
        count_include_pad: whether they count in the window's size.
        ceil_mode: whether a last window that begins in the input may end outside of it.
        divisor: what the sums are divided by in place of the window's size.

    `linear` explains the other arguments and the errors; ValueError for numbers out of range.

    Example:
        >>> from tensorquant import ops
        >>> ops.average_pool("none", "nearest,16,8", kernel=(2,)).result_shape((1, 3, 8))
        (1, 3, 4)
    """
    kernel = _sizes("kernel", kernel, len(kernel), 1, 1)
    dimensions = len(kernel)
    shape = {
        "kernel": kernel,
        "stride": kernel if stride is None else _sizes("stride", stride, dimensions, 1, 1),
        "padding_begin": _sizes("padding_begin", padding_begin, dimensions, 0, 0),
        "padding_end": _sizes("padding_end", padding_end, dimensions, 0, 0),
        "count_include_pad": bool(count_include_pad),
        "ceil_mode": ceil_mode,
        **({} if divisor is None else {"divisor": divisor}),
    }
    sums = (product, accumulator, accumulate, outer, order)
    return _operation(
        "average_pool",
        sums,
        {"x_format": x_format},
        (seed, product_stream, accumulator_stream),
        shape,
    )


@functools.lru_cache(maxsize=4096)
def text_with_scales(text: str, x: bool, w: bool) -> str:
    """The text of an Operation that has the scales of x or of the weights as further inputs.

    Raises:
        tensorquant.Error: It has no x_format or w_format with scales.
    """
    text = json.dumps({**json.loads(text), "scales": {"x": x, "w": w}})
    native.op_check(text)
    return text


def operation_with_scales(
    operation: Operation, scales: Sequence, with_scales: Callable = text_with_scales
) -> tuple:
    """What `arithmetic` computes if it is given scales, and those that are further inputs.

    Args:
        operation: The Operation without them.
        scales: Of x and of the weights, or None; perhaps fewer.
        with_scales: text_with_scales(), as a compiler wants it.
    """
    x, w, *more = (*scales, None, None)
    if any(one is not None for one in more):
        raise ValueError("scales: expected those of x and of the weights")
    if x is None and w is None:
        return operation, ()
    text = with_scales(operation.text, x is not None, w is not None)
    given = tuple(one for one in (x, w) if one is not None)
    return Operation(text, operation.is_random, operation.clips_gradient), given


def check_operation(operation: Any, float_function: Any) -> None:
    """Of what the frameworks' functions `arithmetic` take."""
    if not isinstance(operation, Operation):
        raise wrong("operation", "an Operation", operation)
    if float_function is not None and not callable(float_function):
        raise wrong("float_function", "a function or None", float_function)


def _sizes(
    name: str, sizes: Sequence[int] | None, dimensions: int, least: int, default: int
) -> list[int]:
    if sizes is None:
        return [default] * dimensions
    if not sizes or len(sizes) != dimensions:
        raise ValueError(f"{name}: expected {max(dimensions, 1)} numbers, found {list(sizes)}")
    return [check_integer(name, size, least, 2**63 - 1) for size in sizes]


def _operation(kind: str, sums: tuple, formats: dict, numbers: tuple, shape: dict) -> Operation:
    product, accumulator, accumulate, outer, order = sums
    product, accumulator = spec_of(product, "product"), spec_of(accumulator, "accumulator")
    seed, product_stream, accumulator_stream = numbers
    outer = OuterSum.of(outer)
    text = json.dumps(
        {
            "kind": kind,
            "product": product,
            "accumulator": accumulator,
            "accumulate": accumulate,
            **({"outer": outer._json} if outer else {}),
            "order": order,
            **{
                name: spec_of(format, name)
                for name, format in formats.items()
                if format is not None
            },
            "seed": seed,
            "product_stream": product_stream,
            "accumulator_stream": accumulator_stream,
            **shape,
        }
    )
    native.op_check(text)
    last = outer._json["accumulator"] if outer else accumulator
    return Operation(
        text,
        is_random=any(traits(spec).is_random for spec in (product, accumulator, last)),
        clips_gradient=not traits(last).is_straight_through,
    )
