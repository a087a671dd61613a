"""Functions that are no layers, such as `x + y`: what they are called, and what watches them."""

import torch
from torch.overrides import TorchFunctionMode

from tensorquant.torch import frames

# By the names of PyTorch's functions, what they are called. What only moves or selects values has none.
FUNCTIONS = {
    **dict.fromkeys(("add", "__radd__", "__iadd__"), "add"),
    **dict.fromkeys(("sub", "subtract", "rsub", "__rsub__", "__isub__"), "sub"),
    **dict.fromkeys(("mul", "multiply", "__rmul__", "__imul__"), "mul"),
    **dict.fromkeys(("div", "divide", "true_divide", "__rdiv__", "__rtruediv__"), "div"),
    **dict.fromkeys(("matmul", "__rmatmul__", "mm", "bmm", "baddbmm", "einsum"), "matmul"),
    **dict.fromkeys(("linalg_matmul", "mv", "dot", "inner", "tensordot", "addbmm"), "matmul"),
    **dict.fromkeys(("grouped_mm", "_grouped_mm"), "matmul"),  # of experts
    **dict.fromkeys(("pow", "__rpow__", "__ipow__"), "pow"),
    **dict.fromkeys(("norm", "linalg_norm", "linalg_vector_norm"), "norm"),
    "scaled_dot_product_attention": "sdpa",
    **{
        name: name
        for name in (
            *("addmm", "linear", "bilinear", "softmax", "log_softmax", "mean", "sum", "rsqrt"),
            *("relu", "relu6", "gelu", "silu", "tanh", "sigmoid", "layer_norm", "rms_norm"),
            *("hardtanh", "hardswish", "hardsigmoid", "group_norm", "batch_norm", "interpolate"),
            *("leaky_relu", "prelu", "elu", "celu", "selu", "mish", "softplus", "glu"),
            *("log_sigmoid", "softsign", "tanhshrink", "softshrink", "softmin"),
            *("exp", "log", "log1p", "logsumexp", "sqrt", "square", "reciprocal", "sin", "cos"),
            *("erf", "instance_norm", "normalize", "var", "std", "prod", "cumsum", "index_add"),
            *("scatter_add", "addcmul", "addcdiv", "lerp"),
            *(f"conv{n}d" for n in (1, 2, 3)),
            *(f"conv_transpose{n}d" for n in (1, 2, 3)),
            *(f"{kind}avg_pool{n}d" for kind in ("", "adaptive_") for n in (1, 2, 3)),
        )
    },
}
NAMES = tuple(dict.fromkeys(FUNCTIONS.values()))
_LAST = {"matmul", "addmm", "linear", "bilinear", "sdpa", "softmax", "layer_norm", "rms_norm"}
_INPLACE_OPERATORS = {"__iadd__", "__isub__", "__imul__", "__ipow__"}
_HAVE_FLAG = {
    *("relu", "relu6", "silu", "hardtanh", "hardswish", "hardsigmoid"),
    *("leaky_relu", "elu", "celu", "selu", "mish"),
}


@torch.compiler.assume_constant_result  # a compiler does not know it of methods
def name_of(function):
    """The name of a function or method of PyTorch."""
    return function.__name__


def operation_of(function):
    """What a function of PyTorch is called in models, or None.

    In-place, reflected and method forms have one name.
    """
    name = name_of(function)
    found = FUNCTIONS.get(name)
    if found is None and name.endswith("_") and not name.endswith("__"):
        return FUNCTIONS.get(name[:-1])
    return found


def channel_axis(operation):
    """The axis of the channels in the result of an operation."""
    if operation in _LAST:
        return -1
    is_spatial = operation.startswith("conv") or "pool" in operation
    return -1 - int(operation[-2]) if is_spatial else 1


def run_apart(function, compute, args, kwargs):
    """Runs a function without changing its arguments.

    Args:
        function: The function.
        compute: What gives its result: the function itself, or another for it.
        args, kwargs: Its arguments.

    Returns:
        Its result, and the tensor that it would have overwritten with it, or None.
    """
    kwargs = dict(kwargs)
    if kwargs.get("out") is not None:
        target = kwargs.pop("out")
        return compute(*args, **kwargs), target
    if not _is_in_place(name_of(function), args, kwargs):
        return compute(*args, **kwargs), None
    target = args[0] if args else kwargs.pop("input")
    return compute(target.clone(), *args[1:], **kwargs), target


def _is_in_place(name, args, kwargs):
    if name in _HAVE_FLAG:
        return kwargs.get("inplace") is True or any(x is True for x in args[1:])
    return name in _INPLACE_OPERATORS or (name.endswith("_") and not name.endswith("__"))


class Watching(TorchFunctionMode):
    """A context in which the running forward sees the functions that are called.

    Not what they call themselves: PyTorch takes the mode away meanwhile.
    """

    def __torch_function__(self, function, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        frame = frames.top()
        # A compiler calls the ops of its graphs, which are no functions of the forward any more.
        if frame is None or frame.is_quiet or isinstance(function, torch._ops.OpOverload):
            return function(*args, **kwargs)
        return frame.plan.run_function(frame, function, args, kwargs)


def is_float_tensor(x):
    return isinstance(x, torch.Tensor) and x.is_floating_point()
