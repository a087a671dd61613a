"""A quantizer written in the operations of each framework, with a gradient of its own."""

import keras

from tensorquant.keras import TensorQuantizer

if keras.backend.backend() == "tensorflow":
    import tensorflow as tf

    @tf.custom_gradient
    def quarters(tensor):
        def grad(dy):
            return dy / 2

        return tf.round(tensor * 4) / 4, grad

elif keras.backend.backend() == "torch":
    import torch

    class _Quarters(torch.autograd.Function):
        @staticmethod
        def forward(ctx, tensor):
            return torch.round(tensor * 4) / 4

        @staticmethod
        def backward(ctx, dy):
            return dy / 2

    quarters = _Quarters.apply

else:
    import jax
    import jax.numpy as jnp

    @jax.custom_vjp
    def quarters(tensor):
        return jnp.round(tensor * 4) / 4

    quarters.defvjp(lambda tensor: (quarters(tensor), None), lambda _, dy: (dy / 2,))


class Quarters(TensorQuantizer):
    """Multiples of 1/4; half of the gradient passes."""

    def quantize(self, tensor):
        return quarters(tensor)


@keras.saving.register_keras_serializable("tests")
class Multiples(TensorQuantizer):
    """Multiples of a step, straight-through; Keras can save it."""

    def __init__(self, step):
        self.step = step

    def quantize(self, tensor):
        rounded = keras.ops.round(tensor / self.step) * self.step
        return tensor + keras.ops.stop_gradient(rounded - tensor)

    def get_config(self):
        return {"step": self.step}
