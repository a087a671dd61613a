"""The frameworks behind one interface of NumPy arrays, so that a test runs on each of them."""

import contextlib
import importlib.util

import ml_dtypes
import numpy as np

import tensorquant
from tensorquant import ops

NAMES = ("torch", "tensorflow", "jax")


def is_installed(name: str) -> bool:
    return importlib.util.find_spec(name) is not None


class Torch:
    name = "torch"

    def __init__(self):
        import torch

        self.torch = torch
        self.errors = tensorquant.Error
        self.transposed = torch.t
        self.ops = ops.backend("torch")

    def tensor(self, array):
        if array.dtype == ml_dtypes.bfloat16:
            return self.torch.from_numpy(array.view(np.int16).copy()).view(self.torch.bfloat16)
        return self.torch.from_numpy(array.copy())

    def array(self, tensor):
        tensor = tensor.detach()
        if tensor.dtype == self.torch.bfloat16:
            return tensor.view(self.torch.int16).numpy().view(ml_dtypes.bfloat16)
        return tensor.numpy()

    def types(self, array):
        return contextlib.nullcontext()

    def vjp(self, function, inputs, dy):
        """The results and the gradients of inputs, by dy."""
        inputs = [self.tensor(x).requires_grad_() for x in inputs]
        y = function(*inputs)
        gradients = self.torch.autograd.grad(y, inputs, self.tensor(dy))
        return self.array(y), [self.array(g) for g in gradients]

    def compiled(self, function, may_break=False):
        """With `may_break`, parts of it may run outside of the graph."""
        self.torch.compiler.reset()  # what it has compiled of other tests counts towards a limit
        return self.torch.compile(function, backend="aot_eager", fullgraph=not may_break)

    def vmapped(self, function):
        return self.torch.vmap(function)


class TensorFlow:
    name = "tensorflow"

    def __init__(self):
        import tensorflow as tf

        self.tf = tf
        self.errors = tf.errors.InvalidArgumentError, ValueError
        self.transposed = tf.transpose
        self.ops = ops.backend("tensorflow")

    def tensor(self, array):
        return self.tf.constant(array)

    def array(self, tensor):
        return tensor.numpy()

    def types(self, array):
        return contextlib.nullcontext()

    def vjp(self, function, inputs, dy):
        inputs = [self.tensor(x) for x in inputs]
        with self.tf.GradientTape() as tape:
            tape.watch(inputs)
            y = function(*inputs)
        gradients = tape.gradient(y, inputs, self.tensor(dy))
        return self.array(y), [self.array(g) for g in gradients]

    def compiled(self, function, may_break=False):
        return self.tf.function(function)

    def vmapped(self, function):
        return lambda *tensors: self.tf.vectorized_map(lambda t: function(*t), tensors)


class Jax:
    name = "jax"

    def __init__(self):
        import jax

        self.jax = jax
        self.errors = tensorquant.Error
        self.transposed = jax.numpy.transpose
        self.ops = ops.backend("jax")

    def tensor(self, array):
        return self.jax.numpy.asarray(array)

    def array(self, tensor):
        return np.asarray(tensor)

    def types(self, array):
        """JAX has float64 only where it is asked for."""
        return self.jax.enable_x64(array.dtype == np.float64)

    def vjp(self, function, inputs, dy):
        y, gradient = self.jax.vjp(function, *map(self.tensor, inputs))
        return self.array(y), [self.array(g) for g in gradient(self.tensor(dy))]

    def compiled(self, function, may_break=False):
        return self.jax.jit(function)

    def vmapped(self, function):
        return self.jax.vmap(function)


CLASSES = {"torch": Torch, "tensorflow": TensorFlow, "jax": Jax}


def bits(array):
    return array.view(f"u{array.dtype.itemsize}")


def assert_same_bits(found, wanted):
    """Signs of zeros and payloads of NaN count."""
    found, wanted = np.asarray(found), np.asarray(wanted)
    assert found.dtype == wanted.dtype
    assert found.shape == wanted.shape
    np.testing.assert_array_equal(bits(found), bits(wanted))
