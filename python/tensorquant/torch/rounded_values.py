"""Functions of PyTorch that work on values, rounded: additions, products, functions, softmax, norms.

Like those of `rounded.py`, which has their table.
"""

import functools

import torch
from torch.nn import functional as F

from tensorquant._core import Error
from tensorquant.frontend.rounding import ROOTS, factors_of


def on_tensors(rounding, kind, operands, float_function, **options):
    """One of tensorquant.ops' operations on values: of two accumulators it knows the outer one.

    Operands of several types are brought to one, and the result to that of the first: as PyTorch's
    layers do that have float32 parameters and an input of a half type.
    """
    common = _common_type(operands)
    wide = [x if x is None else x.to(common) for x in operands]
    y = rounding.run(kind, wide, float_function, has_weights=False, on_values=True, **options)
    return y.to(operands[0].dtype)


def _common_type(tensors):
    return functools.reduce(torch.promote_types, (x.dtype for x in tensors if x is not None))


def _computing_type(kind):
    """What PyTorch's functions of one type compute in."""
    return torch.promote_types(kind, torch.float32)


def matrix_products(rounding, a, b):
    """The products of matrices, at least one of which has a batch."""
    return rounding.run("matmul", (a, b), torch.matmul, has_weights=False)


def _elementwise(rounding, name, operands, float_function):
    return on_tensors(rounding, "elementwise", operands, float_function, function=name)


def function(rounding, name, x):
    """P(f(x)), of a function that the core knows by this name."""
    return _elementwise(rounding, name, (x,), _OF_TORCH[name])


def _function(name, of_torch):
    def rounded(rounding, input, *, inplace=False):
        if not input.is_floating_point():
            input = input.to(torch.get_default_dtype())
        return _elementwise(rounding, name, (input,), of_torch)

    return rounded


def _gelu(rounding, input, approximate="none"):
    name = "gelu_tanh" if approximate == "tanh" else "gelu"
    return _elementwise(rounding, name, (input,), lambda x: F.gelu(x, approximate=approximate))


def _softplus(rounding, input, beta=1, threshold=20):
    """log(1 + exp(x)), also above the threshold, where PyTorch takes x: 2.1e-9 less at most."""
    if (beta, threshold) != (1, 20):
        raise Error("softplus with a beta or a threshold of its own cannot be rounded")
    return _elementwise(rounding, "softplus", (input,), F.softplus)


def _silu(rounding, input, inplace=False):
    return _elementwise(rounding, "silu", (input,), F.silu)


def _binary(name, of_torch):
    def rounded(rounding, a, b):
        kind = torch.result_type(a, b)
        if not kind.is_floating_point:
            return of_torch(a, b)
        device = next(x.device for x in (a, b) if isinstance(x, torch.Tensor))

        def operand(x):
            type_of_x = kind if isinstance(x, torch.Tensor) else _computing_type(kind)
            return torch.as_tensor(x, dtype=type_of_x, device=device)

        operands = torch.broadcast_tensors(operand(a), operand(b))
        return _elementwise(rounding, name, operands, of_torch).to(kind)

    return rounded


add_tensors = _binary("add", torch.add)
subtract_tensors = _binary("subtract", torch.sub)
multiply = _binary("multiply", torch.mul)
divide_tensors = _binary("divide", torch.true_divide)


def add(rounding, input, other, *, alpha=1):
    if alpha != 1:
        other = multiply(rounding.part("alpha"), other, alpha)
    return add_tensors(rounding, input, other)


def _subtract(rounding, input, other, *, alpha=1):
    if alpha != 1:
        other = multiply(rounding.part("alpha"), other, alpha)
    return subtract_tensors(rounding, input, other)


def _reflected_subtract(rounding, input, other, *, alpha=1):
    return _subtract(rounding, other, input, alpha=alpha)


def _divide(rounding, input, other, *, rounding_mode=None):
    if rounding_mode is not None:
        raise Error("a division to whole numbers cannot be rounded")
    return divide_tensors(rounding, input, other)


def _reflected_divide(rounding, input, other):
    return divide_tensors(rounding, other, input)


def _power(rounding, input, exponent):
    if exponent in ROOTS:
        name = ROOTS[exponent]
        return _elementwise(rounding, name, (input,), getattr(torch, name))
    y = input
    for factor in range(2, factors_of(exponent) + 1):
        y = multiply(rounding.part(f"factor{factor}"), y, input)
    return y


def _square(rounding, input):
    return _power(rounding, input, 2)


def _reduction(is_mean):
    def rounded(rounding, input, dim=None, keepdim=False, *, dtype=None, axis=None):
        dim = axis if dim is None else dim
        x = input if dtype is None else input.to(dtype)
        if not x.is_floating_point():
            if is_mean:
                raise Error("a mean of whole numbers cannot be rounded")
            return torch.sum(x, dim, keepdim)
        dims = _dimensions(x, dim)
        if x.dim() == 0:
            return rounded(rounding, x.reshape(1), 0).reshape(())
        if not dims or x.numel() == 0:
            return (torch.mean if is_mean else torch.sum)(x, dims, keepdim)
        kept = [d for d in range(x.dim()) if d not in dims]
        rows = x.permute(*kept, *dims).reshape(1, -1, _volume(x.shape[d] for d in dims))
        size = rows.shape[-1]

        def float_function(rows):
            return (torch.mean if is_mean else torch.sum)(rows, -1, keepdim=True)

        options = {} if is_mean else {"divisor": 1, "product": "none"}
        y = on_tensors(rounding, "average_pool", (rows,), float_function, kernel=(size,), **options)
        shape = [1 if d in dims else n for d, n in enumerate(x.shape)]
        return y.reshape(shape if keepdim else [x.shape[d] for d in kept])

    return rounded


def _dimensions(x, dim):
    """Those to add up, from 0; none means all. Wrong ones are PyTorch's errors."""
    x.detach().to("meta").sum(dim)
    dims = (dim,) if isinstance(dim, int) else dim or range(x.dim())
    return sorted(d % max(x.dim(), 1) for d in dims)


def _volume(sizes):
    product = 1
    for size in sizes:
        product *= size
    return product


def _softmax(logarithm):
    of_torch = torch.log_softmax if logarithm else torch.softmax

    def rounded(rounding, input, dim=None, *options, dtype=None, _stacklevel=3):
        if dim is None:
            raise Error("a softmax needs its dim to be rounded")
        # What follows dim is a type in torch, and a _stacklevel before it in torch.nn.functional.
        dtype = next((x for x in options if isinstance(x, torch.dtype)), dtype)
        x = input if dtype is None else input.to(dtype)

        def float_function(last):
            return of_torch(last.movedim(-1, dim), dim).movedim(dim, -1)

        last = x.movedim(dim, -1)
        y = on_tensors(rounding, "softmax", (last,), float_function, logarithm=logarithm)
        return y.movedim(-1, dim)

    return rounded


softmax = _softmax(logarithm=False)


def _layer_norm(rounding, input, normalized_shape, weight=None, bias=None, eps=1e-5):
    shape = tuple(normalized_shape)
    if weight is None and bias is not None:
        weight = torch.ones_like(bias)

    def float_function(x, gamma=None, beta=None):
        return F.layer_norm(x, shape, gamma, beta, eps)

    operands = (input, weight, bias)
    return on_tensors(
        rounding, "layer_norm", operands, float_function, dimensions=len(shape), epsilon=eps
    )


def _rms_norm(rounding, input, normalized_shape, weight=None, eps=None):
    shape = tuple(normalized_shape)
    epsilon = torch.finfo(_computing_type(input.dtype)).eps if eps is None else eps

    def float_function(x, gamma=None):
        return F.rms_norm(x, shape, gamma, epsilon)

    return on_tensors(
        rounding,
        "rms_norm",
        (input, weight),
        float_function,
        dimensions=len(shape),
        epsilon=epsilon,
    )


def _group_norm(rounding, input, num_groups, weight=None, bias=None, eps=1e-5):
    def float_function(x, gamma=None, beta=None):
        return F.group_norm(x, num_groups, gamma, beta, eps)

    return _norm_of_groups(rounding, input, num_groups, weight, bias, eps, float_function)


def _norm_of_groups(rounding, input, groups, weight, bias, eps, float_function):
    if weight is None and bias is not None:
        weight = torch.ones_like(bias)
    operands = (input, weight, bias)
    return on_tensors(rounding, "group_norm", operands, float_function, groups=groups, epsilon=eps)


def _instance_norm(
    rounding,
    input,
    running_mean=None,
    running_var=None,
    weight=None,
    bias=None,
    use_input_stats=True,
    momentum=0.1,
    eps=1e-5,
):
    if running_mean is not None:
        raise Error("an instance norm with running statistics cannot be rounded")

    def float_function(x, gamma=None, beta=None):
        return F.instance_norm(x, None, None, gamma, beta, True, 0.0, eps)

    channels = input.shape[1]
    return _norm_of_groups(rounding, input, channels, weight, bias, eps, float_function)


def _batch_norm(
    rounding,
    input,
    running_mean,
    running_var,
    weight=None,
    bias=None,
    training=False,
    momentum=0.1,
    eps=1e-5,
):
    """In training with the float statistics of the batch."""
    mean, variance = running_mean, running_var
    if weight is None and bias is not None:
        weight = torch.ones_like(bias)
    if training:
        with torch.no_grad():
            if running_mean is not None:  # which it moves, after it has looked at the shape
                F.batch_norm(input, running_mean, running_var, None, None, True, momentum, eps)
            dims = [d for d in range(input.dim()) if d != 1]
            x = input.to(_common_type((input, running_mean, weight)))
            mean, variance = x.mean(dims), x.var(dims, correction=0)

    def float_function(x, mean, variance, gamma=None, beta=None):
        means = (None, None) if training else (mean, variance)
        return F.batch_norm(x, *means, gamma, beta, training, 0.0, eps)

    operands = (input, mean, variance, weight, bias)
    return on_tensors(rounding, "batch_norm", operands, float_function, epsilon=eps)


_OF_TORCH = {
    **{
        name: getattr(torch, name)
        for name in ("exp", "log", "sqrt", "rsqrt", "reciprocal", "erf", "tanh", "sigmoid")
    },
    "softplus": F.softplus,
}
_OF_ONE = {name: _function(name, f) for name, f in _OF_TORCH.items() if name != "softplus"}

FUNCTIONS = {
    **_OF_ONE,
    "expit": _OF_ONE["sigmoid"],
    "hardsigmoid": _function("hardsigmoid", F.hardsigmoid),
    "hardswish": _function("hardswish", F.hardswish),
    "gelu": _gelu,
    "silu": _silu,
    "softplus": _softplus,
    **dict.fromkeys(("add", "__radd__", "__iadd__"), add),
    **dict.fromkeys(("sub", "subtract", "__sub__", "__isub__"), _subtract),
    **dict.fromkeys(("rsub", "__rsub__"), _reflected_subtract),
    **dict.fromkeys(("mul", "multiply", "__rmul__", "__imul__"), multiply),
    **dict.fromkeys(("div", "divide", "true_divide", "__idiv__", "__itruediv__"), _divide),
    **dict.fromkeys(("__rdiv__", "__rtruediv__"), _reflected_divide),
    **dict.fromkeys(("pow", "__ipow__"), _power),
    "square": _square,
    "mean": _reduction(is_mean=True),
    "sum": _reduction(is_mean=False),
    "softmax": softmax,
    "log_softmax": _softmax(logarithm=True),
    "layer_norm": _layer_norm,
    "rms_norm": _rms_norm,
    "group_norm": _group_norm,
    "instance_norm": _instance_norm,
    "batch_norm": _batch_norm,
}
