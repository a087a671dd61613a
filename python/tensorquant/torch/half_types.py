"""Formats with values that a model in float16 or bfloat16 cannot hold."""

import warnings

import torch

from tensorquant.numbers.quantizer import Quantizer, misfit_of

_NAMES = {torch.float16: "float16", torch.bfloat16: "bfloat16"}


class Misfits:
    """What is to be told of them, once for each format and type."""

    def __init__(self):
        self._places = {}  # the first of each message

    def look_at(self, name, quantizer, dtype):
        """Notes whether values of a quantizer, or None, are rounded to a type.

        Args:
            name: Of the layer or parameter.
            quantizer: A Quantizer; of a TensorQuantizer nobody knows.
            dtype: The type of the tensor, or None where it is not known.
        """
        if dtype in _NAMES and isinstance(quantizer, Quantizer):
            message = misfit_of(quantizer._native, _NAMES[dtype])
            if message is not None:
                self._places.setdefault(message, name)

    def warn(self, stacklevel):
        """Warns of what was noted."""
        for message, name in self._places.items():
            warnings.warn(f"'{name}': {message}", stacklevel=stacklevel + 1)


def type_of(tensors):
    """The one type of the floating-point tensors among some; None where there are several or none."""
    found = {x.dtype for x in tensors if x.dtype.is_floating_point}
    return found.pop() if len(found) == 1 else None
