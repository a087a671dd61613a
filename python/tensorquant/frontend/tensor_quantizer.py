"""Quantizers written in the operations of a framework."""

from tensorquant.numbers.context import NO_AXES, axes_in_range
from tensorquant.numbers.user_quantizer import PythonQuantizer


class TensorQuantizer(PythonQuantizer):
    """A quantizer of your own in framework operations: derive from it and write quantize().

    It stands in maps of weights and outputs, where the framework differentiates it and compiles it
    with the rest of the model; the framework gives its gradient, for example by
    `tf.custom_gradient`, `torch.autograd.Function` or `jax.custom_vjp`. The intrinsic map cannot take
    it, nor can anything outside Keras and PyTorch. Objects must not change once they are used.

    Set needs_layout = True in a class whose results depend on what the tensor's axes mean. Its
    quantize() takes the keywords channel_axes and reduction_axes: tuples of the axes, counted from
    0, whose indices are the channels, and that a dot product sums over; None where nobody has said.

    A Keras model is saved and copied with it if the class has what Keras asks of a class:
    `get_config()`, the keywords of its constructor, and `keras.saving.register_keras_serializable`.

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

    needs_layout = False

    def quantize(self, tensor):
        """Quantizes a tensor of the framework.

        Args:
            tensor: Of floating-point numbers; in compiled models a symbolic or traced one.

        Returns:
            A tensor of the same shape and type.
        """
        raise NotImplementedError(f"{type(self).__name__} has no method quantize(self, tensor)")

    def __call__(self, tensor):
        return self.quantize_in(tensor, NO_AXES)

    def quantize_in(self, tensor, axes):
        """quantize() of a tensor whose Axes are known."""
        if not self.needs_layout:
            return self.quantize(tensor)
        rank = len(tensor.shape)
        return self.quantize(
            tensor,
            channel_axes=axes_in_range(axes.channel, rank),
            reduction_axes=axes_in_range(axes.reduction, rank),
        )

    def __str__(self):
        return type(self).__name__

    def gradient(self, x, y, dy):
        """Not available: the framework differentiates quantize() itself."""
        raise NotImplementedError(f"{self}: the framework differentiates its quantize() itself")

    def report(self, x):
        """Not available: outside the framework nobody can call quantize()."""
        raise NotImplementedError(f"{self}: its quantize() takes tensors of the framework alone")

    @classmethod
    def from_config(cls, config):
        return cls(**config)

    @property
    def _traits(self):
        return self._identity(), False, False, self.needs_layout
