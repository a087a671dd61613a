"""Operations on values, rounded: functions, additions, products, softmax; and layers of one alone."""

import math
import operator

from keras import activations, backend, layers, ops

from tensorquant._core import Error
from tensorquant.frontend.attention import attention_weights

_FLOAT_FUNCTIONS = {
    "exp": ops.exp,
    "rsqrt": ops.rsqrt,
    "tanh": ops.tanh,
    "sigmoid": ops.sigmoid,
    "silu": ops.silu,
    "gelu": activations.gelu,
    "softplus": ops.softplus,
    "hardsigmoid": ops.hard_sigmoid,
    "hardswish": ops.hard_silu,
    "add": operator.add,
    "subtract": operator.sub,
    "multiply": operator.mul,
    "divide": operator.truediv,
}


def function(rounding, name, x):
    """P(f(x)), of a function that the core knows by this name."""
    return rounding.run_on_values("elementwise", (x,), _FLOAT_FUNCTIONS[name], function=name)


def binary(rounding, name, x, y):
    """A or P of two tensors, which are broadcast, or of one and a number, in float32 at least."""
    if isinstance(y, (int, float)):
        wide = ops.cast(x, computing_type(x))
        other = ops.full_like(wide, y)
    else:
        wide, other = _of_one_shape(x, ops.cast(y, x.dtype))
    y = rounding.run_on_values("elementwise", (wide, other), _FLOAT_FUNCTIONS[name], function=name)
    return ops.cast(y, x.dtype)


def computing_type(x):
    """What Keras' normalizations of a tensor compute in."""
    return backend.result_type(x.dtype, "float32")


def _of_one_shape(x, y):
    if None not in x.shape and tuple(x.shape) == tuple(y.shape):
        return x, y
    rank = max(len(x.shape), len(y.shape))
    sizes = ((1,) * (rank - len(z.shape)) + tuple(ops.shape(z)) for z in (x, y))
    shape = tuple(_common_size(*pair) for pair in zip(*sizes))
    return ops.broadcast_to(x, shape), ops.broadcast_to(y, shape)


def _common_size(a, b):
    """Of two sizes that are numbers, or tensors where a graph does not know them."""
    if isinstance(a, int):
        return b if a == 1 else a
    if isinstance(b, int):
        return a if b == 1 else b
    return ops.where(a == 1, b, a)


class Transposition:
    """Brings the axes of tensors into an order, and back."""

    def __init__(self, order):
        self._order = tuple(order)
        self._inverse = tuple(self._order.index(axis) for axis in range(len(self._order)))

    def of(self, x):
        return x if self._is_none() else ops.transpose(x, self._order)

    def back(self, y):
        return y if self._is_none() else ops.transpose(y, self._inverse)

    def _is_none(self):
        return self._order == tuple(range(len(self._order)))


class AxesLast(Transposition):
    """That of some axes to the end.

    Attributes:
        axes: These axes, sorted and counted from 0.
    """

    def __init__(self, axes, rank):
        axes = (axes,) if isinstance(axes, int) else axes
        self.axes = tuple(sorted({axis % rank for axis in axes}))
        super().__init__([*(d for d in range(rank) if d not in self.axes), *self.axes])


def _joined(x, axes):
    """A tensor whose last so many axes are one, as Keras knows their sizes."""
    if axes == 1:
        return x
    shape = ops.shape(x)
    return ops.reshape(x, (*shape[:-axes], math.prod(shape[-axes:])))


def softmax(rounding, x, axis=-1, logarithm=False):
    """Softmax along an axis, or along several as one."""
    last = AxesLast(axis, len(x.shape))
    moved = last.of(x)
    float_function = ops.log_softmax if logarithm else ops.softmax
    joined = _joined(moved, len(last.axes))
    y = rounding.run_on_values("softmax", (joined,), float_function, logarithm=logarithm)
    return last.back(ops.reshape(y, ops.shape(moved)))


def sum_of(rounding, x, axis):
    """The A-sum along an axis, or along several as one, which are kept with the size 1."""
    last = AxesLast(axis, len(x.shape))
    moved = last.of(x)
    joined = _joined(moved, len(last.axes))
    size = joined.shape[-1]
    if size is None:
        raise Error("a rounded sum needs inputs of known size")
    kept = ops.shape(joined)[:-1]
    y = rounding.run_on_values(
        "average_pool",
        (ops.reshape(joined, (1, -1, size)),),
        _float_sum,
        kernel=(size,),
        divisor=1,
        product="none",
    )
    return last.back(ops.reshape(y, (*kept, *(1,) * len(last.axes))))


def _float_sum(rows):
    return ops.sum(rows, axis=-1, keepdims=True)


def normalized(rounding, x, axis, epsilon):
    """x times the reciprocal of its Euclidean norm along axes, which is 1 / epsilon at most."""
    squares = binary(rounding.part("squares"), "multiply", x, x)
    total = sum_of(rounding.part("sum"), squares, axis)
    reciprocal = function(rounding.part("root"), "rsqrt", total)
    return binary(rounding, "multiply", x, ops.minimum(reciprocal, 1 / epsilon))


class SoftmaxFunctions:
    """Those of attention_weights(), for softmax along an axis, or along several as one."""

    def __init__(self, axis):
        self._axis = axis

    @staticmethod
    def multiply(rounding, x, number):
        return binary(rounding, "multiply", x, number)

    @staticmethod
    def where(condition, x, number):
        return ops.where(condition, x, number)

    def softmax(self, rounding, x):
        return softmax(rounding, x, self._axis)

    def all_of(self, condition):
        return ops.all(condition, axis=self._axis, keepdims=True)


def _softmax_layer(layer, rounding, inputs, mask=None):
    if mask is None:
        return softmax(rounding, inputs, layer.axis)
    visible = ops.cast(mask, "bool")
    axis = tuple(layer.axis) if isinstance(layer.axis, list) else layer.axis
    y = attention_weights(SoftmaxFunctions(axis), rounding, inputs, None, visible)
    return ops.where(visible, y, 0.0)


def _of_one_rank(inputs):
    """As layers that merge take them: axes come behind the batch's."""
    rank = max(len(x.shape) for x in inputs)
    for x in inputs:
        while len(x.shape) < rank:
            x = ops.expand_dims(x, axis=1)
        yield x


def _merged(name):
    def rounded(layer, rounding, inputs):
        first, *others = _of_one_rank(inputs)
        for number, x in enumerate(others):
            part = rounding.part(f"input{number + 1}") if number else rounding
            first = binary(part, name, first, x)
        return first

    return rounded


_add = _merged("add")


def _average(layer, rounding, inputs):
    total = _add(layer, rounding.part("sum"), inputs)
    return binary(rounding, "divide", total, len(inputs))


def _unit_normalization(layer, rounding, inputs):
    return normalized(rounding, inputs, layer.axis, 1e-12)


LAYERS = {
    layers.Add: _add,
    layers.Subtract: _merged("subtract"),
    layers.Multiply: _merged("multiply"),
    layers.Average: _average,
    layers.Softmax: _softmax_layer,
    layers.UnitNormalization: _unit_normalization,
}
