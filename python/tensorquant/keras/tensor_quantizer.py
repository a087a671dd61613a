"""What a TensorQuantizer does to Keras' tensors, and how quantizers are saved."""

import keras

from tensorquant._core import Error
from tensorquant.frontend.tensor_quantizer import TensorQuantizer
from tensorquant.numbers.quantizer import Quantizer


def quantize_tensor(x, quantizer, axes):
    """What a TensorQuantizer makes of a tensor of such Axes, which has to be alike.

    Raises:
        tensorquant.Error: It is something else.
    """
    y = quantizer.quantize_in(x, axes)
    if not keras.ops.is_tensor(y) or y.dtype != x.dtype or not _fits(x.shape, y.shape):
        raise Error(f"quantizer {quantizer}: quantize() returned {_kind(y)}, expected {_kind(x)}")
    if hasattr(y, "set_shape"):  # TensorFlow may have lost it on the way
        y.set_shape(x.shape)
    return y


def save(quantizer):
    """A quantizer as plain data: its string, or what Keras makes of an object.

    Raises:
        tensorquant.Error: Its class does not say how.
    """
    if not isinstance(quantizer, TensorQuantizer):
        return quantizer.spec
    if not hasattr(quantizer, "get_config"):
        raise Error(
            f"the quantizer {quantizer} cannot be saved or copied: give its class a get_config() and "
            "register it by keras.saving.register_keras_serializable"
        )
    return keras.saving.serialize_keras_object(quantizer)


def load(data):
    """The quantizer that save() told."""
    if isinstance(data, str):
        return Quantizer(data)
    return keras.saving.deserialize_keras_object(data)


def _fits(wanted, found):
    if hasattr(wanted, "is_compatible_with"):  # TensorFlow's, which may be unknown in part
        return wanted.is_compatible_with(found)
    return tuple(wanted) == tuple(found)


def _kind(x):
    if not keras.ops.is_tensor(x):
        return f"{type(x).__name__}, which is no tensor"
    return f"a tensor of {keras.backend.standardize_dtype(x.dtype)} and shape {tuple(x.shape)}"
