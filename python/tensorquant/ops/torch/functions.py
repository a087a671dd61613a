"""What users call."""

from collections.abc import Callable, Sequence

import torch

from tensorquant.numbers.context import Axes, Context
from tensorquant.ops.common import (
    SCALE_TYPES,
    as_signed,
    check_has_scales,
    context_of,
    needed,
    spec_of,
)
from tensorquant.ops.operation import (
    Operation,
    check_operation,
    operation_with_scales,
    text_with_scales,
)
from tensorquant.ops.torch import memory
from tensorquant.ops.torch.autograd import (
    WITH_TANGENTS,
    Clipped,
    StraightThrough,
    WithGradient,
    rounded_arithmetic,
)
from tensorquant.ops.torch.checks import check, step_tensor_of
from tensorquant.ops.torch.compiler import are_ops_recorded, in_forward_mode, in_transform
from tensorquant.ops.torch.library import (
    arithmetic_op,
    quantize_in_place_op,
    quantize_memory,
    quantize_on_cpu,
    quantize_op,
    scales_op,
    traits,
)
from tensorquant.ops.torch.memory import is_plain

_SCALE_TYPES = frozenset(getattr(torch, name) for name in SCALE_TYPES)


@torch.compiler.assume_constant_result  # a compiler cannot look into the core
def _with_scales(text: str, x: bool, w: bool) -> str:
    return text_with_scales(text, x, w)


def quantize(
    x: torch.Tensor,
    spec: str,
    *,
    seed: int = 0,
    stream: int = 0,
    step: int | torch.Tensor = 0,
    reduction_axis: int | None = None,
    channel_axis: int | None = None,
) -> torch.Tensor:
    """The quantized tensor, of x's type, shape and memory format.

    Args:
        x: float32, float64, float16 or bfloat16.
        spec: a quantizer string, or an object with one as its ``spec``.
        seed, stream, step: where random rounding takes its numbers from; a tensor of one integer
            is a step, too.
        reduction_axis: the axis that blocks and rows run along, from the end where negative; the
            whole tensor in C order if left out.
        channel_axis: the axis of the channels, for per=channel.

    The gradient is what the quantizer says: straight-through, clipped, or a user's own.

    Raises:
        tensorquant.Error: the string is wrong; x has no such axis; per=channel without a
            channel_axis.
        TypeError: x is no tensor of such a type.

    Example:
        >>> import torch
        >>> from tensorquant.ops.torch import quantize
        >>> quantize(torch.tensor([0.3, -0.3, 9.0]), "nearest,4,1")
        tensor([ 0.5000, -0.5000,  3.5000])
    """
    context = _context_of(x, spec, seed, stream, step, reduction_axis, channel_axis)
    return quantize_in(x, spec, context)


def quantize_last(
    box: list[torch.Tensor],
    spec: str,
    *,
    seed: int = 0,
    stream: int = 0,
    step: int | torch.Tensor = 0,
    reduction_axis: int | None = None,
    channel_axis: int | None = None,
) -> torch.Tensor:
    """`quantize` for a tensor that its owner gives up: in its own memory where that is unseen.

    Fresh memory is most of the cost of a large tensor. The result is the same as of `quantize`; a
    tensor that somebody else holds, or whose memory another tensor shares, is not touched.

    Args:
        box: a list of the one tensor, which is taken out of it. The caller keeps no reference.

    Example:
        >>> import torch
        >>> from tensorquant.ops.torch import quantize_last
        >>> quantize_last([torch.tensor([0.3, -0.3, 9.0])], "nearest,4,1")
        tensor([ 0.5000, -0.5000,  3.5000])
    """
    context = _context_of(box[0], spec, seed, stream, step, reduction_axis, channel_axis)
    return quantize_last_in(box, spec, context)


def quantize_in(
    x: torch.Tensor, spec: str, context: Context, spare: memory.Spare | None = None
) -> torch.Tensor:
    """quantize() in a Context, which is not checked but for its step; in a Spare's memory, if told."""
    return _quantized(x, spec, context, in_place=False, spare=spare)


def quantize_last_in(box: list[torch.Tensor], spec: str, context: Context) -> torch.Tensor:
    """quantize_last() likewise."""
    x = box.pop()
    in_place = False
    if not torch.compiler.is_compiling():
        holders = memory.holders(x)
        in_place = holders is not None and holders == memory.UNSEEN[x._is_view()]
    return _quantized(x, spec, context, in_place)


def _context_of(x, spec, seed, stream, step, *axes):
    check(x)
    step_tensor_of(step)  # raises, also where nothing is random
    return context_of(seed, stream, step, spec_of(spec), *axes, x.dim())


def _quantized(x, spec, context, in_place, spare=None):
    spec = spec_of(spec)
    its = traits(spec)
    check(x)
    seed, stream, step, axes = needed(context, its)
    arguments = (x, spec, as_signed(seed), stream, step_tensor_of(step), axes.numbers)
    needs_gradient = x.requires_grad and torch.is_grad_enabled()
    if needs_gradient or in_transform() or in_forward_mode():
        function = StraightThrough
        if not its.is_straight_through:
            function = Clipped if its.clips_gradient else WithGradient
        if in_forward_mode():
            function = WITH_TANGENTS[function]
        found = function.apply(*arguments[:-1], *axes.numbers)
        return found if its.is_straight_through else found[0]
    in_place = in_place and not x.requires_grad and memory.is_in_any_order(x, its)
    if not are_ops_recorded() and is_plain(x):  # past the dispatcher, which takes longer
        y = x if in_place else spare and spare.like(x)
        if y is None:
            return quantize_on_cpu(*arguments)
        quantize_memory(x, y, *arguments[1:])
        return y
    if not in_place:
        return quantize_op(*arguments)
    quantize_in_place_op(*arguments)
    return x


def scales(
    x: torch.Tensor,
    spec: str,
    *,
    reduction_axis: int | None = None,
    channel_axis: int | None = None,
) -> torch.Tensor:
    """The scales that a quantizer finds in a tensor: `quantize` gives elements times these.

    Of as many axes as x, and of its type. An axis whose indices share a scale has the size 1, one
    with blocks the number of them; every other has x's. So what transposes x transposes these.

    Args:
        x: float32 or float64.
        spec: a quantizer string with scales, or an object with one as its ``spec``.
        reduction_axis, channel_axis: as `quantize` has them.

    It has no gradient.

    Raises:
        tensorquant.Error: as `quantize`; the quantizer has no scales; its blocks run along several
            axes.
        TypeError: x is no tensor of such a type.

    Example:
        >>> import torch
        >>> from tensorquant.ops.torch import scales
        >>> scales(torch.tensor([[254.0, 1.0], [0.0, 127.0]]), "int,8,per=channel,scale=max", channel_axis=0)
        tensor([[2.],
                [1.]])
    """
    check(x)
    spec = spec_of(spec)
    context = context_of(0, 0, 0, spec, reduction_axis, channel_axis, x.dim())
    return scales_in(x, spec, context.axes)


def scales_in(x: torch.Tensor, spec: str, axes: Axes) -> torch.Tensor:
    """scales() of Axes, which are not checked."""
    check(x)
    if not has_scales(spec, x.dtype):
        check_has_scales(spec, str(x.dtype).removeprefix("torch."))
    return scales_op(x.detach(), spec, axes.numbers)


def has_scales(spec: str, dtype: torch.dtype) -> bool:
    """Whether scales() finds some in tensors of a type."""
    return dtype in _SCALE_TYPES and traits(spec).per != ""


def arithmetic(
    operation: Operation,
    *inputs: torch.Tensor,
    scales: Sequence[torch.Tensor | None] = (),
    float_function: Callable[..., torch.Tensor] | None = None,
    step: int | torch.Tensor = 0,
) -> torch.Tensor:
    """A layer's result with every product and sum rounded.

    Args:
        operation: of `tensorquant.ops.linear`, `convolution` or `average_pool`.
        inputs: x, the weights and the bias, as far as the operation has them; of one type.
        float_function: computes the same from the same tensors without rounding, differentiably:
            the gradient is its. Without it there is none.
        scales: of x and of the weights, as the function `scales` gives them; None or nothing for one
            without. The formats of the operation say whose they are: products are those of elements
            then, and the outer accumulator adds up sums times scales.
        step: of random rounding.

    Raises:
        tensorquant.Error: the shapes do not fit to each other; an input is not made of its scales.
        TypeError: the inputs are no tensors of one type that can be quantized.
        ValueError: a gradient would be needed and there is no float_function.

    Example:
        >>> import torch
        >>> from tensorquant import ops
        >>> product = ops.linear("nearest,8,4", "nearest,16,8")
        >>> ops.backend("torch").arithmetic(product, torch.ones(1, 3), torch.full((2, 3), 0.3))
        tensor([[0.9375, 0.9375]])
    """
    check_operation(operation, float_function)
    operation, factors = operation_with_scales(operation, scales, _with_scales)
    count = len(inputs)
    inputs = (*inputs, *factors)
    for tensor in inputs:
        check(tensor)
        if tensor.dtype != inputs[0].dtype:
            raise TypeError(
                f"expected tensors of one type, found {inputs[0].dtype} and {tensor.dtype}"
            )
    step_tensor = step_tensor_of(step)
    if not operation.is_random:
        step_tensor = None
    needs_gradient = torch.is_grad_enabled() and any(tensor.requires_grad for tensor in inputs)
    may_need_it = float_function is not None and (in_transform() or in_forward_mode())
    if not needs_gradient and not may_need_it:
        return arithmetic_op(list(inputs), operation.text, False, step_tensor)[0]
    if float_function is None:
        raise ValueError("rounded arithmetic has a gradient only with a float_function")
    return rounded_arithmetic(operation, float_function, step_tensor, count, *inputs)[0]
