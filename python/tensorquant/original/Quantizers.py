"""The original's quantizers: functions of tensors, with straight-through gradients.

Their numbers are those of the strings in docs/from_tensorquant_1.md, where what differs from the
original is told. Derive from `Quantizer_if` for one of your own.

Example:
    >>> FixedPointQuantizer_nearest(16, 8)
    Quantizer('nearest,16,8')
    >>> TernaryQuantizer(1, auto_threshold=False, threshold=0.25)
    Quantizer('ternary,1,0.25')
"""

from tensorquant.keras import TensorQuantizer
from tensorquant.keras.backend import as_tensor, quantize
from tensorquant.numbers.context import Context
from tensorquant.numbers.quantizer import Quantizer

__all__ = [
    "BinaryQuantizer",
    "FixedPointQuantizer_down",
    "FixedPointQuantizer_nearest",
    "FixedPointQuantizer_stochastic",
    "FixedPointQuantizer_zero",
    "HalffpQuantizer",
    "LogarithmicQuantizer",
    "NoQuantizer",
    "Quantizer_if",
    "SparseQuantizer",
    "StringQuantizer",
    "TernaryQuantizer",
    "quantizer_of",
]

Quantizer_if = TensorQuantizer


class StringQuantizer(Quantizer_if):
    """The quantizer of a quantizer string, on the tensors of the framework that Keras runs on.

    In maps it is what its string is there; a derived class with a quantize() of its own is what that
    says. Random rounding outside maps has the seed, stream and step 0.

    Args:
        string: A quantizer string.
        arguments: Attributes of the object, which cannot be set later.

    Raises:
        tensorquant.Error: The string is wrong.
    """

    def __init__(self, string, **arguments):
        vars(self).update(arguments, _arguments=frozenset(arguments), _of_string=Quantizer(string))

    def quantize(self, tensor):
        return quantize(as_tensor(tensor), self._of_string, Context())

    def C_quantize(self, tensor):
        """The same numbers as quantize(), which in the original had two implementations."""
        return StringQuantizer.quantize(self, tensor)

    @property
    def _native(self):
        is_replaced = getattr(self.quantize, "__func__", None) is not StringQuantizer.quantize
        return super()._native if is_replaced else self._of_string._native

    def __setattr__(self, name, value):
        if name in self._arguments:
            raise AttributeError(f"{name} of a {self} never changes; make a new one")
        super().__setattr__(name, value)

    __repr__ = Quantizer.__repr__


class _FixedPoint(StringQuantizer):
    """Fixed point of fixed_size bits, fixed_prec of them behind the point."""

    def __init__(self, fixed_size, fixed_prec):
        super().__init__(
            f"{self._rounding},{fixed_size},{fixed_prec}",
            fixed_size=fixed_size,
            fixed_prec=fixed_prec,
        )

    @property
    def fixed_min_signed(self):
        """The lowest value."""
        return self._of_string.facts.lowest

    @property
    def fixed_max_signed(self):
        """The highest value."""
        return self._of_string.facts.highest


class FixedPointQuantizer_zero(_FixedPoint):
    """Fixed point of fixed_size bits, fixed_prec of them behind the point, toward zero."""

    _rounding = "zero"


class FixedPointQuantizer_down(_FixedPoint):
    """The same, toward minus infinity."""

    _rounding = "down"


class FixedPointQuantizer_nearest(_FixedPoint):
    """The same, to the nearest value, ties away from zero."""

    _rounding = "nearest"


class FixedPointQuantizer_stochastic(_FixedPoint):
    """The same, up with a probability equal to the distance from the value below."""

    _rounding = "stochastic"


class LogarithmicQuantizer(StringQuantizer):
    """The closest power of two."""

    def __init__(self):
        super().__init__("logarithmic")

    def P_quantize(self, tensor):
        """The same numbers as quantize()."""
        return self.C_quantize(tensor)


class SparseQuantizer(StringQuantizer):
    """Zero for magnitudes below the threshold."""

    def __init__(self, threshold):
        super().__init__(f"sparse,{threshold}", threshold=threshold)


class HalffpQuantizer(StringQuantizer):
    """IEEE 754 binary16."""

    def __init__(self):
        super().__init__("fp16")


class BinaryQuantizer(StringQuantizer):
    """+marginal and -marginal."""

    def __init__(self, marginal):
        super().__init__(f"binary,{marginal}", marginal=marginal)


class TernaryQuantizer(StringQuantizer):
    """+marginal, -marginal and 0 below the threshold: 0.7 of the mean magnitude, or a given one."""

    def __init__(self, marginal, auto_threshold=True, threshold=0.5):
        super().__init__(
            f"ternary,{marginal}" if auto_threshold else f"ternary,{marginal},{threshold}",
            marginal=marginal,
            auto_threshold=auto_threshold,
            threshold=threshold,
        )


class NoQuantizer(StringQuantizer):
    """Leaves numbers as they are."""

    def __init__(self):
        super().__init__("none")


_CLASSES = {  # what makes a quantizer of a string's name and its arguments, which are numbers
    "none": NoQuantizer,
    "zero": FixedPointQuantizer_zero,
    "down": FixedPointQuantizer_down,
    "nearest": FixedPointQuantizer_nearest,
    "stochastic": FixedPointQuantizer_stochastic,
    "sparse": SparseQuantizer,
    "logarithmic": LogarithmicQuantizer,
    "fp16": HalffpQuantizer,
    "binary": lambda marginal=1: BinaryQuantizer(marginal),
    "ternary": lambda marginal=1, *threshold: TernaryQuantizer(marginal, not threshold, *threshold),
}


def quantizer_of(string):
    """The original's quantizer for a string; a StringQuantizer for what the original had not.

    Example:
        >>> quantizer_of("nearest,16,8").fixed_prec
        8
        >>> type(quantizer_of("nearest,16,8,overflow=wrap")).__name__
        'StringQuantizer'
    """
    name, *arguments = Quantizer(string).spec.split(",")
    try:
        numbers = [int(text) if text.lstrip("-").isdigit() else float(text) for text in arguments]
        return _CLASSES[name](*numbers)
    except (KeyError, ValueError):  # a name, or an argument that is no number, of this project
        return StringQuantizer(string)
