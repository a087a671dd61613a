"""The ops of the framework that Keras runs on."""

import contextlib

import keras

from tensorquant.frontend.tensor_quantizer import TensorQuantizer
from tensorquant.frontend.tensor_scales import TensorScales
from tensorquant.keras.tensor_quantizer import quantize_tensor
from tensorquant.ops import backend
from tensorquant.ops.common import has_scales, traits

_framework = backend(keras.backend.backend())


def as_tensor(x):
    """A tensor of the framework from an array, a number or a layer's variable."""
    return keras.ops.convert_to_tensor(x)


def quantize(x, quantizer, context):
    """A quantized tensor, differentiable as the quantizer says."""
    if isinstance(quantizer, TensorQuantizer):
        return quantize_tensor(x, quantizer, context.axes)
    return _framework.quantize_in(x, quantizer, context)


def quantize_last(box, quantizer, context):
    """The same for the one tensor in a list, which is taken out of it and may be overwritten."""
    if hasattr(_framework, "quantize_last_in") and not isinstance(quantizer, TensorQuantizer):
        return _framework.quantize_last_in(box, quantizer, context)
    return quantize(box.pop(), quantizer, context)  # the framework reuses memory itself


def not_compiled(function):
    """Decorator: a compiler that traces Python's own code calls this function as it is."""
    return _framework.not_compiled(function) if hasattr(_framework, "not_compiled") else function


def version(x):
    """A value that changes when a tensor's values do; None where that cannot be told."""
    return _framework.version(x) if hasattr(_framework, "version") else 0  # they never change


def has_numbers(x):
    """Whether a tensor has numbers by now, and does not stand for those of a later computation."""
    return _framework.has_numbers(x)


def without_gradients():
    """A context in which nothing is kept for gradients, where the framework would do so unasked."""
    if hasattr(_framework, "without_gradients"):
        return _framework.without_gradients()
    return contextlib.nullcontext()


def is_in_backward_pass():
    """Whether this runs for a gradient that is being computed, where that can be told."""
    return hasattr(_framework, "is_in_backward_pass") and _framework.is_in_backward_pass()


def find_scales(x, quantizer, axes):
    """The TensorScales of what quantize() makes of a tensor; None for one without."""
    dtype = keras.backend.standardize_dtype(x.dtype)
    if isinstance(quantizer, TensorQuantizer) or not has_scales(quantizer.spec, dtype):
        return None
    spec = quantizer.spec
    return TensorScales(spec, traits(spec).per, _framework.scales_in(x, spec, axes))


def arithmetic(operation, inputs, float_function, step, scales=()):
    """The result of one of tensorquant.ops' operations, with the gradient of `float_function`."""
    tensors = map(as_tensor, inputs)
    return _framework.arithmetic(
        operation, *tensors, float_function=float_function, step=step, scales=scales
    )
