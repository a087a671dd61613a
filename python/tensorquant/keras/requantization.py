"""Where a second quantizer would change nothing.

In a chain of layers with one output quantizer, a ReLU, a padding or a reshape passes on values that
the quantizer has made already.
"""

import functools

import keras
import numpy as np

import tensorquant as tq
from tensorquant.keras.backend import version
from tensorquant.keras.keras_internals import get_tensor_attribute, set_tensor_attribute
from tensorquant.keras.moving import incoming_numbers
from tensorquant.keras.tensor_quantizer import TensorQuantizer
from tensorquant.ops._common import traits

_QUANTIZED = "_tensorquant_quantized"  # an attribute of tensors: a string and a version
_EXACT_TYPES = ("float32", "float64")  # the others may not have all values of a format


def mark_quantized(x, quantizer):
    """Notes that a tensor has values of a quantizer alone, if it leaves its own values as they are."""
    if isinstance(quantizer, TensorQuantizer):  # nobody knows what it does
        return
    its = traits(quantizer.spec)
    if its.is_elementwise and its.is_straight_through and _type(x) in _EXACT_TYPES:
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
    return _are_values(numbers, quantizer.spec, _type(x))


@functools.lru_cache(maxsize=4096)
def _are_values(numbers, spec, dtype):
    array = np.array(numbers, dtype)
    return array.tobytes() == tq.Quantizer(spec)(array).tobytes()


def _type(x):
    return keras.backend.standardize_dtype(x.dtype)
