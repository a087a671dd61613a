"""Activations of PyTorch that are several operations, rounded one by one.

Like those of `rounded.py`, which has their table.
"""

import torch

from tensorquant.frontend import activations
from tensorquant.torch.rounded_values import (
    add_tensors,
    divide_tensors,
    function,
    multiply,
    softmax,
    subtract_tensors,
)

_BINARY = {
    "add": add_tensors,
    "subtract": subtract_tensors,
    "multiply": multiply,
    "divide": divide_tensors,
}


class _Functions:
    """Those that activations of several operations are made of."""

    function = staticmethod(function)
    where = staticmethod(torch.where)
    absolute = staticmethod(torch.abs)

    @staticmethod
    def binary(rounding, name, x, y):
        return _BINARY[name](rounding, x, y)


def _leaky_relu(rounding, input, negative_slope=0.01, inplace=False):
    return torch.where(input > 0, input, multiply(rounding, input, negative_slope))


def _elu(rounding, input, alpha=1.0, inplace=False):
    return activations.elu(_Functions, rounding, input, alpha)


def _celu(rounding, input, alpha=1.0, inplace=False):
    return activations.celu(_Functions, rounding, input, alpha)


def _soft_shrink(rounding, input, lambd=0.5):
    return activations.soft_shrink(_Functions, rounding, input, lambd)


def _of_nothing_else(of_all):
    def rounded(rounding, input, inplace=False):
        return of_all(_Functions, rounding, input)

    return rounded


def _prelu(rounding, input, weight):
    torch.prelu(input.detach().to("meta"), weight.detach().to("meta"))  # wrong sizes: its errors
    if weight.numel() > 1:
        weight = weight.reshape(-1, *(1,) * (input.dim() - 2))
    return torch.where(input > 0, input, multiply(rounding, input, weight))


def _softmin(rounding, input, dim=None, _stacklevel=3, dtype=None):
    return softmax(rounding, -input, dim, dtype=dtype)


def _glu(rounding, input, dim=-1):
    a, b = input.chunk(2, dim)
    return multiply(rounding, a, function(rounding.part("gate"), "sigmoid", b))


FUNCTIONS = {
    "leaky_relu": _leaky_relu,
    "prelu": _prelu,
    "elu": _elu,
    "celu": _celu,
    "selu": _of_nothing_else(activations.selu),
    "mish": _of_nothing_else(activations.mish),
    "log_sigmoid": _of_nothing_else(activations.log_sigmoid),
    "softsign": _of_nothing_else(activations.softsign),
    "tanhshrink": _of_nothing_else(activations.tanh_shrink),
    "softshrink": _soft_shrink,
    "softmin": _softmin,
    "glu": _glu,
}
