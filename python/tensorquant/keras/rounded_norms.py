"""Normalizations, rounded."""

import functools

from keras import config, layers, ops

from tensorquant._core import Error
from tensorquant.keras.rounded_values import AxesLast, Transposition, computing_type


def refuse_norm(layer):
    """Raises a tensorquant.Error where a normalization is of a kind that cannot be rounded."""
    if getattr(layer, "renorm", False):
        raise Error("batch renormalization cannot be rounded")
    if getattr(layer, "synchronized", False):
        raise Error("a batch normalization that is synchronized cannot be rounded")
    if getattr(layer, "rms_scaling", False):
        raise Error("a LayerNormalization with rms_scaling cannot be rounded: use RMSNormalization")


def _gamma_and_beta(gamma, beta, x, shape):
    """As far as there are some: of a tensor's type, and of a shape."""
    if gamma is None and beta is not None:
        gamma = ops.ones_like(ops.convert_to_tensor(beta))
    found = (one for one in (gamma, beta) if one is not None)
    return [ops.reshape(ops.cast(one, x.dtype), shape) for one in found]


def _norm_of_axes(kind, layer, rounding, inputs, gamma, beta):
    x = ops.cast(inputs, computing_type(inputs))
    last = AxesLast(layer.axis, len(x.shape))
    epsilon = config.epsilon() if layer.epsilon is None else layer.epsilon
    parameters = _gamma_and_beta(gamma, beta, x, [x.shape[axis] for axis in last.axes])
    y = rounding.run_on_values(
        kind,
        (last.of(x), *parameters),
        _float_norm_of_axes(kind, len(last.axes), epsilon),
        dimensions=len(last.axes),
        epsilon=epsilon,
    )
    return last.back(y)


@functools.lru_cache(maxsize=4096)  # the same function for the same layer: JAX compiles it once
def _float_norm_of_axes(kind, dimensions, epsilon):
    axes = tuple(range(-dimensions, 0))

    def norm(x, gamma=None, beta=None):
        if kind == "rms_norm":
            y = x * ops.rsqrt(ops.mean(ops.square(x), axes, keepdims=True) + epsilon)
        else:
            y = _standardized(x, axes, epsilon)
        return _affine(y, gamma, beta)

    return norm


def _standardized(x, axes, epsilon):
    mean, variance = ops.moments(x, axes, keepdims=True)
    return (x - mean) * ops.rsqrt(variance + epsilon)


def _affine(y, gamma, beta):
    y = y if gamma is None else y * gamma
    return y if beta is None else y + beta


def _layer_normalization(layer, rounding, inputs):
    y = _norm_of_axes("layer_norm", layer, rounding, inputs, layer.gamma, layer.beta)
    return ops.cast(y, layer.compute_dtype)


def _rms_normalization(layer, rounding, x):
    return ops.cast(_norm_of_axes("rms_norm", layer, rounding, x, layer.scale, None), x.dtype)


class _ChannelsSecond(Transposition):
    """That of the axis of the channels behind the batch's."""

    def __init__(self, axis, rank):
        self.axis = axis % rank
        self.others = tuple(d for d in range(rank) if d != self.axis)
        super().__init__([self.others[0], self.axis, *self.others[1:]])


def _group_normalization(layer, rounding, inputs):
    x = ops.cast(inputs, computing_type(inputs))
    second = _ChannelsSecond(layer.axis, len(x.shape))
    y = rounding.run_on_values(
        "group_norm",
        (second.of(x), *_gamma_and_beta(layer.gamma, layer.beta, x, (-1,))),
        _float_group_norm(layer.groups, layer.epsilon),
        groups=layer.groups,
        epsilon=layer.epsilon,
    )
    return ops.cast(second.back(y), layer.compute_dtype)


@functools.lru_cache(maxsize=4096)
def _float_group_norm(groups, epsilon):
    def norm(x, gamma=None, beta=None):
        shape = ops.shape(x)
        rows = ops.reshape(x, (shape[0], groups, -1))
        y = ops.reshape(_standardized(rows, (-1,), epsilon), shape)
        of_channel = (-1, *(1,) * (len(x.shape) - 2))
        numbers = (p if p is None else ops.reshape(p, of_channel) for p in (gamma, beta))
        return _affine(y, *numbers)

    return norm


def _batch_normalization(layer, rounding, inputs, training=None, mask=None):
    """In training with the float statistics of the batch, which it moves as the float layer."""
    x = ops.cast(inputs, computing_type(inputs))
    second = _ChannelsSecond(layer.axis, len(x.shape))
    is_training = bool(training and layer.trainable)
    mean, variance = (ops.cast(one, x.dtype) for one in (layer.moving_mean, layer.moving_variance))
    if is_training:
        if mask is not None:
            raise Error("a batch normalization over a mask cannot be rounded in training")
        moving = mean, variance
        mean, variance = map(ops.stop_gradient, ops.moments(x, second.others))
        for variable, old, new in zip(
            (layer.moving_mean, layer.moving_variance), moving, (mean, variance)
        ):
            variable.assign(old * layer.momentum + new * (1.0 - layer.momentum))
    gamma, beta = layer.gamma if layer.scale else None, layer.beta if layer.center else None
    y = rounding.run_on_values(
        "batch_norm",
        (second.of(x), mean, variance, *_gamma_and_beta(gamma, beta, x, (-1,))),
        _float_batch_norm(second.axis, len(x.shape), layer.epsilon, is_training),
        epsilon=layer.epsilon,
    )
    return ops.cast(second.back(y), layer.compute_dtype)


@functools.lru_cache(maxsize=4096)
def _float_batch_norm(axis, rank, epsilon, is_training):
    second = _ChannelsSecond(axis, rank)

    def norm(x, mean, variance, gamma=None, beta=None):
        x = second.back(x)
        if is_training:
            mean, variance = ops.moments(x, second.others)
        y = ops.batch_normalization(x, mean, variance, axis, beta, gamma, epsilon)
        return second.of(y)

    return norm


LAYERS = {
    layers.BatchNormalization: _batch_normalization,
    layers.GroupNormalization: _group_normalization,
    layers.LayerNormalization: _layer_normalization,
    layers.RMSNormalization: _rms_normalization,
}
