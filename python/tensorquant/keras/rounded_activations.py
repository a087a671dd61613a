"""Activation functions, rounded, and the layers that are one."""

import functools

from keras import activations, layers, ops

from tensorquant._core import Error
from tensorquant.frontend import activations as several
from tensorquant.keras.moving import numbers_of_activation
from tensorquant.keras.rounded_values import binary, function, softmax
from tensorquant.keras.twin import float_class


def _log_softmax(rounding, x):
    return softmax(rounding, x, logarithm=True)


def _leaky_relu(rounding, x, slope=0.2):
    return ops.where(x > 0, x, binary(rounding, "multiply", x, slope))


class _Functions:
    """Those that activations of several operations are made of."""

    function = staticmethod(function)
    binary = staticmethod(binary)
    where = staticmethod(ops.where)
    absolute = staticmethod(ops.abs)


def _elu(rounding, x, alpha=1.0):
    return several.elu(_Functions, rounding, x, alpha)


def _glu(rounding, x):
    x, gate = ops.split(x, 2, axis=-1)
    return binary(rounding, "multiply", x, function(rounding.part("gate"), "sigmoid", gate))


_FUNCTIONS = {
    "gelu": "gelu",
    "silu": "silu",
    "tanh": "tanh",
    "sigmoid": "sigmoid",
    "softplus": "softplus",
    "exponential": "exp",
    "hard_sigmoid": "hardsigmoid",
    "hard_silu": "hardswish",
}
_ACTIVATIONS = {  # by the function of keras.activations
    **{
        getattr(activations, name): functools.partial(function, name=known)
        for name, known in _FUNCTIONS.items()
    },
    activations.softmax: softmax,
    activations.log_softmax: _log_softmax,
    activations.leaky_relu: _leaky_relu,
    activations.elu: _elu,
    activations.glu: _glu,
    **{
        getattr(activations, name): functools.partial(getattr(several, name), _Functions)
        for name in (
            "celu",
            "log_sigmoid",
            "mish",
            "selu",
            "soft_shrink",
            "softsign",
            "tanh_shrink",
        )
    },
}


def activated(layer, rounding, x):
    """What the activation of a layer makes of a tensor."""
    refuse_activation(layer)  # it may be another one by now
    activation = layer.activation
    if activation is None or numbers_of_activation(activation) is not None:
        return x if activation is None else activation(x)
    return _ACTIVATIONS[activation](rounding.part("activation"), x=x)


def refuse_activation(layer):
    """Raises a tensorquant.Error where a layer has an activation that cannot be rounded."""
    activation = getattr(layer, "activation", None)
    if activation is None or numbers_of_activation(activation) is not None:
        return
    if not _is_known(activation):
        name = getattr(activation, "__name__", type(activation).__name__)
        raise Error(f"its activation '{name}' cannot be rounded")


def _is_known(activation):
    try:
        return activation in _ACTIVATIONS
    except TypeError:  # a callable object that has no hash
        return False


def is_rounded(layer):
    """Whether what one of LAYERS computes can be rounded."""
    kind = float_class(layer)
    if kind is layers.Activation:
        return _is_known(layer.activation)
    if kind is layers.ReLU:
        return bool(layer.negative_slope) and layer.max_value is None and not layer.threshold
    return True


def _activation(layer, rounding, inputs):
    return _ACTIVATIONS[layer.activation](rounding, x=inputs)


def _of_slope(layer, rounding, inputs):
    return _leaky_relu(rounding, inputs, layer.negative_slope)


def _prelu(layer, rounding, inputs):
    return _leaky_relu(rounding, inputs, layer.alpha)


def _elu_layer(layer, rounding, inputs):
    return _elu(rounding, inputs, layer.alpha)


LAYERS = {
    layers.Activation: _activation,
    layers.ReLU: _of_slope,
    layers.LeakyReLU: _of_slope,
    layers.PReLU: _prelu,
    layers.ELU: _elu_layer,
}
