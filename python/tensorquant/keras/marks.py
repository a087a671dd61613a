"""What is known of tensors that a quantizer made: its name, and the scales that it found.

In a chain of layers with one output quantizer, a ReLU, a padding or a reshape passes on values that
the quantizer has made.
"""

import keras

from tensorquant.frontend.marks import are_values, leaves_its_values
from tensorquant.keras.backend import version
from tensorquant.keras.keras_internals import get_tensor_attribute, set_tensor_attribute
from tensorquant.keras.moving import incoming_numbers

_QUANTIZED = "_tensorquant_quantized"  # an attribute of tensors: a string and a version
_SCALES = "_tensorquant_scales"  # another: TensorScales


def mark_quantized(x, quantizer):
    """Notes that a tensor has values of a quantizer alone, if it leaves its own values as they are."""
    if leaves_its_values(quantizer, _type(x)):
        count = version(x)
        if count is not None:
            set_tensor_attribute(x, _QUANTIZED, (quantizer.spec, count))


def passes_on_quantized(layer, x, y, quantizer):
    """Whether a layer's output y has values of a quantizer alone because its input x has no others."""
    numbers = () if y is x else incoming_numbers(layer)
    if numbers is None:
        return False
    mark = get_tensor_attribute(x, _QUANTIZED)
    if mark is None or mark != (quantizer.spec, version(x)):
        return False
    return are_values(numbers, quantizer.spec, _type(x))


def mark_scales(x, scales):
    """Notes the TensorScales of a tensor; None for one without, whatever it was before."""
    if scales is not None or scales_of(x) is not None:
        set_tensor_attribute(x, _SCALES, scales)


def scales_of(x):
    """The TensorScales of a tensor, or None."""
    return get_tensor_attribute(x, _SCALES)


def _type(x):
    return keras.backend.standardize_dtype(x.dtype)
