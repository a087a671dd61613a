"""The original's quantizers by their class names; each gives a `tensorquant.Quantizer`.

Their numbers are those of the strings in docs/from_tensorquant_1.md, where what differs from the
original is told.

Example:
    >>> FixedPointQuantizer_nearest(16, 8)
    Quantizer('nearest,16,8')
    >>> TernaryQuantizer(1, auto_threshold=False, threshold=0.25)
    Quantizer('ternary,1,0.25')
"""

from tensorquant import Quantizer

__all__ = [
    "BinaryQuantizer",
    "FixedPointQuantizer_down",
    "FixedPointQuantizer_nearest",
    "FixedPointQuantizer_stochastic",
    "FixedPointQuantizer_zero",
    "HalffpQuantizer",
    "LogarithmicQuantizer",
    "NoQuantizer",
    "SparseQuantizer",
    "TernaryQuantizer",
]


def FixedPointQuantizer_zero(fixed_size: int, fixed_prec: int) -> Quantizer:
    """Fixed point of fixed_size bits, fixed_prec of them behind the point, toward zero."""
    return _quantizer("zero", fixed_size, fixed_prec)


def FixedPointQuantizer_down(fixed_size: int, fixed_prec: int) -> Quantizer:
    """The same, toward minus infinity."""
    return _quantizer("down", fixed_size, fixed_prec)


def FixedPointQuantizer_nearest(fixed_size: int, fixed_prec: int) -> Quantizer:
    """The same, to the nearest value, ties away from zero."""
    return _quantizer("nearest", fixed_size, fixed_prec)


def FixedPointQuantizer_stochastic(fixed_size: int, fixed_prec: int) -> Quantizer:
    """The same, up with a probability equal to the distance from the value below."""
    return _quantizer("stochastic", fixed_size, fixed_prec)


def LogarithmicQuantizer() -> Quantizer:
    """The closest power of two."""
    return _quantizer("logarithmic")


def SparseQuantizer(threshold: float) -> Quantizer:
    """Zero for magnitudes below the threshold."""
    return _quantizer("sparse", threshold)


def HalffpQuantizer() -> Quantizer:
    """IEEE 754 binary16."""
    return _quantizer("fp16")


def BinaryQuantizer(marginal: float) -> Quantizer:
    """+marginal and -marginal."""
    return _quantizer("binary", marginal)


def TernaryQuantizer(
    marginal: float, auto_threshold: bool = True, threshold: float = 0.5
) -> Quantizer:
    """+marginal, -marginal and 0 below the threshold: 0.7 of the mean magnitude, or a given one."""
    return _quantizer("ternary", marginal, *([] if auto_threshold else [threshold]))


def NoQuantizer() -> Quantizer:
    """Leaves numbers as they are."""
    return _quantizer("none")


def _quantizer(name: str, *arguments: float) -> Quantizer:
    return Quantizer(",".join([name, *map(str, arguments)]))
