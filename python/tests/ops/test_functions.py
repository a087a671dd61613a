"""Functions of every bfloat16 number are rounded once from the exact result: against mpmath."""

import mpmath
import numpy as np
import pytest
import torch
from mpmath import mpf

from tensorquant import ops

BITS = 400  # of mpmath: more than lie between a result and a border, but where `far` is asked
_TINY = 2.0**-200
_CUBE = mpf(44715) / 10**6  # gelu_tanh's constant


@pytest.fixture(autouse=True)
def _enough_bits():
    with mpmath.workprec(BITS):
        yield


def _exact(name, x):
    v = mpf(x)
    return {
        "exp": lambda: mpmath.exp(v),
        "log": lambda: mpmath.log(v),
        "sqrt": lambda: mpmath.sqrt(v),
        "rsqrt": lambda: 1 / mpmath.sqrt(v),
        "reciprocal": lambda: 1 / v,
        "erf": lambda: mpmath.erf(v),
        "tanh": lambda: mpmath.tanh(v),
        "sigmoid": lambda: 1 / (1 + mpmath.exp(-v)),
        "silu": lambda: v / (1 + mpmath.exp(-v)),
        "gelu": lambda: v * mpmath.erfc(-v / mpmath.sqrt(2)) / 2,
        # x / 2 (1 + tanh(u)) = x / (1 + exp(-2 u))
        "gelu_tanh": lambda: (
            v / (1 + mpmath.exp(-2 * mpmath.sqrt(2 / mpmath.pi) * (v + _CUBE * v**3)))
        ),
        "softplus": lambda: mpmath.log1p(mpmath.exp(v)),
    }[name]()


def _far(name, x):
    """A number and on which side of it, infinitely near, the result lies; None where it is not."""
    sign, size = (1 if x > 0 else -1), abs(x)
    zero, one, v = mpf(0), mpf(1), mpf(x)
    if size < _TINY:  # the first term of the series, and the sign of the second one
        return {
            "exp": (one, sign),
            "sigmoid": (one / 2, sign),
            "softplus": (mpmath.log(2), 0),
            "tanh": (v, -sign),
            "silu": (v / 2, 1),
            "gelu": (v / 2, 1),
            "gelu_tanh": (v / 2, 1),
        }.get(name)
    below, above = {  # where, and what
        "exp": (-300, 300),
        "erf": (-14, 14),
        "tanh": (-100, 100),
        "sigmoid": (-300, 250),
        "silu": (-300, 250),
        "gelu": (-40, 14),
        "gelu_tanh": (-12, 12),
        "softplus": (-300, 200),
    }.get(name, (-np.inf, np.inf))
    if below <= x <= above:
        return None
    if name in ("erf", "tanh"):
        return mpf(sign), -sign
    if x < 0:
        return zero, -1 if name in ("silu", "gelu", "gelu_tanh") else 1
    return {"exp": (mpf(2) ** 300, 0), "sigmoid": (one, -1), "softplus": (v, 1)}.get(name, (v, -1))


def _float32(number, side, is_upwards):
    """The bits of a number, or of one infinitely near to it, rounded to even or upwards."""
    sign, significand, exponent, _ = number._mpf_
    negative = bool(sign) if significand else side < 0
    sign_bit = 1 << 31 if negative else 0
    k = (int(significand) << 64) + (-side if negative else side)
    exponent -= 64
    if significand == 0:
        return (sign_bit | (is_upwards and not negative)) if side else 0
    last = max(k.bit_length() + exponent - 24, -149)
    shift = max(last - exponent, 0)
    k, rest, half = k >> shift, k & ((1 << shift) - 1), (1 << shift) >> 1
    if is_upwards:
        k += rest != 0 and not negative
    else:
        k += rest > half or (rest == half and rest != 0 and k & 1)
    bits = k + ((last + 149) << 23)  # a hidden bit, or a carry, goes on into the exponent
    if bits >= 0x7F800000:
        bits = 0x7F7FFFFF if is_upwards and negative else 0x7F800000
    return sign_bit | bits


@pytest.mark.parametrize("product", ["none", "float,8,23,rounding=up"])
@pytest.mark.parametrize(
    "name",
    [
        *("exp", "log", "sqrt", "rsqrt", "reciprocal", "erf", "tanh", "sigmoid", "silu", "gelu"),
        *("gelu_tanh", "softplus"),
    ],
)
def test_a_function_of_every_bfloat16_number_is_rounded_once(name, product):
    x = (np.arange(1 << 16, dtype=np.uint32) << 16).view(np.float32)
    x = x[np.isfinite(x) & (x != 0)]
    if name in ("log", "sqrt", "rsqrt"):
        x = x[x > 0]
    operation = ops.elementwise(product, "none", function=name)
    y = ops.backend("torch").arithmetic(operation, torch.from_numpy(x)).numpy().view(np.uint32)
    is_upwards = product != "none"
    wanted = [
        _float32(*(_far(name, one) or (_exact(name, one), 0)), is_upwards) for one in x.tolist()
    ]
    different = np.flatnonzero(y != np.array(wanted, np.uint32))
    assert different.size == 0, (
        f"{different.size} of {x.size} differ, the first at {x[different[0]]}"
    )
