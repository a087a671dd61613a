"""Products and sums of a layer rounded, as an intrinsic map asks for: function by function.

A layer's own forward() runs, and what it calls of PyTorch is computed by tensorquant.ops instead.
No number is computed here.
"""

import functools

import torch
from torch import nn
from torch.nn import functional as F

from tensorquant._core import Error
from tensorquant.frontend.layer_arithmetic import operation_parts
from tensorquant.frontend.rounding import Rounding as FrontendRounding
from tensorquant.numbers.quantizer import Quantizer
from tensorquant.ops.common import traits
from tensorquant.ops.torch import arithmetic
from tensorquant.torch import rounded_activations, rounded_attention, rounded_values
from tensorquant.torch.autocast import as_autocast_casts
from tensorquant.torch.moving import LAYERS as MOVING
from tensorquant.torch.moving import is_moving
from tensorquant.torch.operations import is_float_tensor, name_of, run_apart
from tensorquant.torch.rounded_values import matrix_products
from tensorquant.torch.scales import moved, needed, pass_on, put_into
from tensorquant.torch.twin import float_class

# Of many operations, each of which is rounded where they are called one by one.
COMPOSED = {"multi_head_attention_forward"}
_SIZES = (1, 2, 3)
_CONVS = tuple(getattr(nn, f"{kind}{n}d") for kind in ("Conv", "ConvTranspose") for n in _SIZES)
_ROUNDED_LAYERS = {
    *(nn.Linear, nn.LazyLinear, nn.modules.linear.NonDynamicallyQuantizableLinear),
    *(
        getattr(nn, f"{kind}{n}d")
        for kind in ("Conv", "ConvTranspose", "LazyConv", "LazyConvTranspose")
        for n in _SIZES
    ),
    *(getattr(nn, f"{kind}AvgPool{n}d") for kind in ("", "Adaptive") for n in _SIZES),
    *(
        getattr(nn, f"{kind}Norm{n}d")
        for kind in ("Batch", "LazyBatch", "Instance")
        for n in _SIZES
    ),
    *(nn.LayerNorm, nn.RMSNorm, nn.GroupNorm, nn.Softmax, nn.Softmax2d, nn.LogSoftmax),
    *(nn.GELU, nn.SiLU, nn.Tanh, nn.Sigmoid, nn.Softplus, nn.Hardsigmoid, nn.Hardswish),
    *(nn.LeakyReLU, nn.PReLU, nn.ELU, nn.CELU, nn.SELU, nn.Mish, nn.LogSigmoid, nn.Softsign),
    *(nn.Tanhshrink, nn.Softshrink, nn.Softmin, nn.GLU, nn.MultiheadAttention),
}


def arithmetic_of(module):
    """What an intrinsic rule finds in a layer: "rounded", "nothing" or "other" arithmetic.

    Of a class that is not PyTorch's own its calls tell.
    """
    kind = float_class(module)
    if kind in MOVING:
        return "nothing"
    if kind in _ROUNDED_LAYERS or not kind.__module__.startswith("torch."):
        return "rounded"
    return "other"


@torch.compiler.assume_constant_result  # a compiler cannot look into the core
def _parts(kind, names, settings, options):
    return operation_parts(kind, names, settings, options)


def refuse_weights(module, arithmetic_of_layer, quantizer):
    """Raises a tensorquant.Error where the scales of a layer's weights do not suit its sums."""
    if isinstance(quantizer, Quantizer) and isinstance(module, _CONVS):
        spec = quantizer.spec
        arithmetic_of_layer.refuse_blocks(spec, traits(spec).per, module.kernel_size)


class Rounding(FrontendRounding):
    """What the rounded functions in a call of a layer are told."""

    def run(self, kind, operands, float_function, **options):
        """The result of one of tensorquant.ops' operations; one on values sees no scales."""
        tensors = [x for x in operands if x is not None]
        if any(x.dtype != tensors[0].dtype for x in tensors):
            kinds = ", ".join(dict.fromkeys(str(x.dtype) for x in tensors))
            raise Error(
                f"its arithmetic cannot be rounded: its tensors are of several types, {kinds}"
            )
        known = [] if options.get("on_values") else [needed(x) for x in tensors[:2]]
        kernel = tensors[1].shape[2:] if kind == "convolution" else ()
        operation = self._operation(kind, known, kernel, parts=_parts, **options)
        return arithmetic(
            operation,
            *tensors,
            scales=[one and one.scales for one in known],
            float_function=float_function,
            step=self._step,
        )


def run_function(function, rounding, args, kwargs):
    """What a function of PyTorch gives in a layer whose arithmetic is rounded.

    Args:
        function: The function.
        rounding: Makes a Rounding for the next product or sum.
        args, kwargs: Its arguments.

    Raises:
        tensorquant.Error: It has arithmetic that cannot be rounded.
    """
    name = name_of(function)
    if _is_rounded(name):
        compute_it = functools.partial(compute, function, rounding())
        y, target = run_apart(function, compute_it, args, kwargs)
        return y if target is None else put_into(target, y)
    result = function(*args, **kwargs)
    if is_float_tensor(result) and not is_moving(name):
        raise Error(f"its arithmetic cannot be rounded: it calls '{name}'")
    pass_on(function, args, kwargs, result)
    return result


def compute(function, rounding, *args, **kwargs):
    """What a function of PyTorch gives, rounded.

    Raises:
        tensorquant.Error: It cannot be rounded.
    """
    name = name_of(function)
    if is_moving(name):
        return function(*args, **kwargs)
    if not _is_rounded(name):
        raise Error(f"an intrinsic rule hits its operation '{name}', which cannot be rounded")
    if name in _PRODUCTS:
        args, kwargs = as_autocast_casts(args, kwargs)
    return _rounded(name)(rounding, *args, **kwargs)


def _rounded(name):
    """What computes the function of a name, or the one that it is in place; or None."""
    if name in _FUNCTIONS or not name.endswith("_") or name.endswith("__"):
        return _FUNCTIONS.get(name)
    return _FUNCTIONS.get(name[:-1])


def _is_rounded(name):
    return _rounded(name) is not None


def _linear(rounding, input, weight, bias=None):
    return rounding.run("linear", (input, weight, bias), F.linear)


def _addmm(rounding, input, mat1, mat2, *, beta=1, alpha=1):
    if (beta, alpha) != (1, 1) or input.dim() != 1:
        raise Error("addmm with factors, or with more than a bias, cannot be rounded")
    return rounding.run(
        "linear", (mat1, moved(torch.t, mat2), input), lambda x, w, b: torch.addmm(b, x, w.t())
    )


def _matmul(rounding, input, other):
    if other.dim() == 1:
        return _matmul(rounding, input, moved(lambda x: x.unsqueeze(1), other)).squeeze(-1)
    if other.dim() == 2:
        return rounding.run(
            "linear",
            (input, moved(torch.t, other)),
            lambda x, w: torch.matmul(x, w.t()),
            has_weights=False,
        )
    if input.dim() == 1:
        return _matmul(rounding, moved(lambda x: x.unsqueeze(0), input), other).squeeze(-2)
    return matrix_products(rounding, input, other)


def _rmatmul(rounding, input, other):
    return _matmul(rounding, other, input)


def _sizes(value, dimensions):
    """One number for each dimension."""
    value = tuple(value) if isinstance(value, (tuple, list)) else (value,)
    return tuple(int(v) for v in (value * dimensions if len(value) == 1 else value))


def _in_batch(x, dimensions, function):
    """function(x), where x may lack the dimension of the batch."""
    if x.dim() != dimensions + 1:
        return function(x)
    return function(moved(lambda x: x.unsqueeze(0), x)).squeeze(0)


def _convolution(dimensions):
    of_torch = getattr(F, f"conv{dimensions}d")

    def rounded(rounding, input, weight, bias=None, stride=1, padding=0, dilation=1, groups=1):
        stride, dilation = _sizes(stride, dimensions), _sizes(dilation, dimensions)
        begin, end = _paddings(padding, weight.shape[2:], dilation)

        def float_function(x, w, b=None):
            if begin == end:
                return of_torch(x, w, b, stride, begin, dilation, groups)
            zeros = [n for pair in zip(reversed(begin), reversed(end)) for n in pair]
            return of_torch(F.pad(x, zeros), w, b, stride, 0, dilation, groups)

        def convolve(x):
            return rounding.run(
                "convolution",
                (x, weight, bias),
                float_function,
                stride=stride,
                dilation=dilation,
                padding_begin=begin,
                padding_end=end,
                groups=groups,
            )

        return _in_batch(input, dimensions, convolve)

    return rounded


def _paddings(padding, kernel, dilation):
    if padding == "same":
        totals = [d * (k - 1) for d, k in zip(dilation, kernel)]
        return tuple(t // 2 for t in totals), tuple(t - t // 2 for t in totals)
    sizes = _sizes(0 if padding == "valid" else padding, len(kernel))
    return sizes, sizes


def _transposed_convolution(dimensions):
    of_torch = getattr(F, f"conv_transpose{dimensions}d")

    def rounded(
        rounding,
        input,
        weight,
        bias=None,
        stride=1,
        padding=0,
        output_padding=0,
        groups=1,
        dilation=1,
    ):
        stride, dilation = _sizes(stride, dimensions), _sizes(dilation, dimensions)
        padding, more = _sizes(padding, dimensions), _sizes(output_padding, dimensions)

        def float_function(x, w, b=None):
            return of_torch(x, w, b, stride, padding, more, groups, dilation)

        def convolve(x):
            return rounding.run(
                "convolution",
                (x, weight, bias),
                float_function,
                stride=stride,
                dilation=dilation,
                padding_begin=padding,
                padding_end=padding,
                groups=groups,
                transposed=True,
                output_padding=more,
            )

        return _in_batch(input, dimensions, convolve)

    return rounded


def _average_pool(dimensions):
    of_torch = getattr(F, f"avg_pool{dimensions}d")

    def rounded(
        rounding,
        input,
        kernel_size,
        stride=None,
        padding=0,
        ceil_mode=False,
        count_include_pad=True,
        divisor_override=None,
    ):
        kernel = _sizes(kernel_size, dimensions)
        stride = kernel if stride is None or stride == () else _sizes(stride, dimensions)
        padding = _sizes(padding, dimensions)
        divisor = () if divisor_override is None else (divisor_override,)

        def float_function(x):
            return of_torch(x, kernel, stride, padding, ceil_mode, count_include_pad, *divisor)

        def pool(x):
            return rounding.run(
                "average_pool",
                (x,),
                float_function,
                has_weights=False,
                kernel=kernel,
                stride=stride,
                padding_begin=padding,
                padding_end=padding,
                ceil_mode=ceil_mode,
                count_include_pad=count_include_pad,
                divisor=divisor_override,
            )

        return _in_batch(input, dimensions, pool)

    return rounded


def _adaptive_pool(dimensions):
    average_pool = _average_pool(dimensions)

    def rounded(rounding, input, output_size):
        inputs = input.shape[-dimensions:]
        asked = output_size if isinstance(output_size, (tuple, list)) else (output_size,)
        asked = asked * dimensions if len(asked) == 1 else asked
        outputs = [n if size is None else size for n, size in zip(inputs, asked)]
        if any(size == 0 or n % size for n, size in zip(inputs, outputs)):
            raise Error(
                f"an average of {tuple(inputs)} numbers as {tuple(outputs)} has windows of several"
                " sizes, which cannot be rounded"
            )
        return average_pool(rounding, input, tuple(n // size for n, size in zip(inputs, outputs)))

    return rounded


_PRODUCTS = {
    **rounded_attention.FUNCTIONS,
    "linear": _linear,
    "addmm": _addmm,
    **dict.fromkeys(("matmul", "mm", "bmm"), _matmul),
    "__rmatmul__": _rmatmul,
    **{f"conv{n}d": _convolution(n) for n in _SIZES},
    **{f"conv_transpose{n}d": _transposed_convolution(n) for n in _SIZES},
}
_FUNCTIONS = {
    **rounded_values.FUNCTIONS,
    **rounded_activations.FUNCTIONS,
    **_PRODUCTS,
    **{f"avg_pool{n}d": _average_pool(n) for n in _SIZES},
    **{f"adaptive_avg_pool{n}d": _adaptive_pool(n) for n in _SIZES},
}
