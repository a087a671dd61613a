"""The original's functions for fixed point. Their gradients are straight-through."""

import numpy as np

from tensorquant.numbers.quantizer import Quantizer
from tensorquant.original import Quantizers

__all__ = [
    "ZERO_ROUND",
    "FixedPointOp",
    "round_down",
    "round_nearest",
    "round_stochastic",
    "round_zero",
    "toFixed",
]


def round_zero(input1, fixed_size, fixed_prec):
    """A tensor in fixed point of fixed_size bits, fixed_prec of them fractional, toward zero."""
    return Quantizers.FixedPointQuantizer_zero(fixed_size, fixed_prec).quantize(input1)


def round_down(input1, fixed_size, fixed_prec):
    """The same, toward minus infinity."""
    return Quantizers.FixedPointQuantizer_down(fixed_size, fixed_prec).quantize(input1)


def round_nearest(input1, fixed_size, fixed_prec):
    """The same, to the nearest value, ties away from zero."""
    return Quantizers.FixedPointQuantizer_nearest(fixed_size, fixed_prec).quantize(input1)


def round_stochastic(input1, fixed_size, fixed_prec):
    """The same, up with a probability equal to the distance from the value below."""
    return Quantizers.FixedPointQuantizer_stochastic(fixed_size, fixed_prec).quantize(input1)


def toFixed(fp_number, fixed_size, fixed_prec):
    """round_zero() for a NumPy array or a number.

    Example:
        >>> toFixed(np.array([0.3, -9.0]), 8, 4)
        array([ 0.25, -8.  ])
    """
    numbers = np.asarray(fp_number)
    if not np.issubdtype(numbers.dtype, np.floating):
        numbers = numbers.astype(np.float64)
    return Quantizer(f"zero,{fixed_size},{fixed_prec}")(numbers)[()]


ZERO_ROUND = False


def FixedPointOp(tensor, fixed_size, fixed_prec):
    """round_zero() where ZERO_ROUND is set, else round_down()."""
    return (round_zero if ZERO_ROUND else round_down)(tensor, fixed_size, fixed_prec)
