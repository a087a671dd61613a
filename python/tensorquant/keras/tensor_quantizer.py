"""Quantizers written in the operations of the framework that Keras runs on."""

import keras

import tensorquant as tq
from tensorquant._user_quantizer import PythonQuantizer


class TensorQuantizer(PythonQuantizer):
    """A quantizer of your own in framework operations: derive from it and write quantize().

    It stands in maps of weights and outputs, where the framework differentiates it and compiles it
    with the rest of the model; the framework gives its gradient, for example by
    `tf.custom_gradient`, `torch.autograd.Function` or `jax.custom_vjp`. The intrinsic map cannot take
    it, nor can anything outside Keras. Objects must not change once they are used.

    A model is saved and copied with it if the class has what Keras asks of a class: `get_config()`,
    the keywords of its constructor, and `keras.saving.register_keras_serializable`.

    Example:
        >>> import keras
        >>> from tensorquant.keras import TensorQuantizer, quantize_model
        >>> class Halves(TensorQuantizer):
        ...     def quantize(self, tensor):
        ...         rounded = keras.ops.round(tensor * 2) / 2
        ...         return tensor + keras.ops.stop_gradient(rounded - tensor)  # straight-through
        >>> layer = keras.layers.Dense(2, kernel_initializer="ones")
        >>> layer = quantize_model(layer, extrinsic=Halves())
        >>> y = layer(keras.ops.array([[0.3, 0.4]]))
        >>> keras.ops.convert_to_numpy(y).tolist()
        [[0.5, 0.5]]
    """

    def quantize(self, tensor):
        """Quantizes a tensor of the framework.

        Args:
            tensor: Of floating-point numbers; in compiled models a symbolic or traced one.

        Returns:
            A tensor of the same shape and type.
        """
        raise NotImplementedError(f"{type(self).__name__} has no method quantize(self, tensor)")

    def __call__(self, tensor):
        return self.quantize(tensor)

    def __str__(self):
        return type(self).__name__

    def gradient(self, x, y, dy):
        """Not available: the framework differentiates quantize() itself."""
        raise NotImplementedError(f"{self}: the framework differentiates its quantize() itself")

    @classmethod
    def from_config(cls, config):
        return cls(**config)

    @property
    def _traits(self):
        return self._identity(), False, False


def quantize_tensor(x, quantizer):
    """What a TensorQuantizer makes of a tensor, which has to be alike.

    Raises:
        tensorquant.Error: It is something else.
    """
    y = quantizer.quantize(x)
    if not keras.ops.is_tensor(y) or y.dtype != x.dtype or not _fits(x.shape, y.shape):
        raise tq.Error(
            f"quantizer {quantizer}: quantize() returned {_kind(y)}, expected {_kind(x)}"
        )
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
        raise tq.Error(
            f"the quantizer {quantizer} cannot be saved or copied: give its class a get_config() and "
            "register it by keras.saving.register_keras_serializable"
        )
    return keras.saving.serialize_keras_object(quantizer)


def load(data):
    """The quantizer that save() told."""
    if isinstance(data, str):
        return tq.Quantizer(data)
    return keras.saving.deserialize_keras_object(data)


def _fits(wanted, found):
    if hasattr(wanted, "is_compatible_with"):  # TensorFlow's, which may be unknown in part
        return wanted.is_compatible_with(found)
    return tuple(wanted) == tuple(found)


def _kind(x):
    if not keras.ops.is_tensor(x):
        return f"{type(x).__name__}, which is no tensor"
    return f"a tensor of {keras.backend.standardize_dtype(x.dtype)} and shape {tuple(x.shape)}"
