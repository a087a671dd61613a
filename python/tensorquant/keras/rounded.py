"""Layers with every product and every sum rounded, as an intrinsic map asks for.

The core knows three operations, whose tensors have channels first. Here Keras' layers are brought
into their form; no number is computed here.
"""

import dataclasses
import functools
import math

from keras import layers, ops

from tensorquant._core import Error
from tensorquant.keras import einsum
from tensorquant.keras.backend import arithmetic
from tensorquant.keras.keras_internals import get_keras_mask
from tensorquant.keras.twin import float_class


def can_round(layer):
    """Whether rounded_call() knows the arithmetic of a layer."""
    if float_class(layer) is layers.EinsumDense:
        return einsum.is_matrix_product(layer.equation, layer.bias_axes)
    return float_class(layer) in _ROUNDED


def refuse_masks(layer):
    """Raises a tensorquant.Error where a layer averages over a mask in the graph of a model."""
    if float_class(layer) not in _GLOBAL_POOLS or not layer.supports_masking:
        return
    for node in layer._inbound_nodes:
        if any(get_keras_mask(x) is not None for x in node.input_tensors):
            raise Error(_MASKED)


def rounded_call(layer, arithmetic_of_layer, step, *args, **kwargs):
    """What call() of a layer gives, with its arithmetic rounded and its activation as it is.

    Args:
        layer: A layer of which can_round() holds.
        arithmetic_of_layer: Its LayerArithmetic.
        step: Of random rounding.
        args, kwargs: Those of call().
    """
    return _ROUNDED[float_class(layer)](layer, arithmetic_of_layer, step, *args, **kwargs)


def _activated(layer, outputs):
    return outputs if layer.activation is None else layer.activation(outputs)


def _dense(layer, rounding, step, inputs, training=None):
    operands = [inputs, ops.transpose(layer.kernel)]
    if layer.bias is not None:
        operands.append(layer.bias)
    outputs = arithmetic(rounding.operation("linear"), operands, _float_linear, step)
    return _activated(layer, outputs)


def _float_linear(x, w, bias=None):
    y = ops.matmul(x, ops.transpose(w))
    return y if bias is None else y + bias


def _einsum_dense(layer, rounding, step, inputs, training=None):
    form = einsum.matrix_form(layer.equation, len(inputs.shape))
    operands = [form.flat_inputs(inputs), form.flat_kernel(layer.kernel)]
    if layer.bias is not None:
        operands.append(form.flat_bias(layer.bias, layer.kernel.shape))
    outputs = arithmetic(rounding.operation("linear"), operands, _float_linear, step)
    return _activated(layer, form.outputs(outputs, layer.kernel.shape))


@dataclasses.dataclass(frozen=True)
class _Axes:
    """Where a layer's tensors have their channels."""

    channels_last: bool
    spatial: int  # number of dimensions

    @classmethod
    def of(cls, layer, inputs):
        return cls(layer.data_format == "channels_last", len(inputs.shape) - 2)

    def channels_first(self, x):
        axes = (0, self.spatial + 1, *range(1, self.spatial + 1))
        return ops.transpose(x, axes) if self.channels_last else x

    def as_layer(self, x):
        axes = (0, *range(2, self.spatial + 2), 1)
        return ops.transpose(x, axes) if self.channels_last else x

    def sizes(self, x):
        """The spatial sizes of a tensor of the layer; None where they are unknown."""
        return tuple(x.shape[1:-1] if self.channels_last else x.shape[2:])


def _paddings(padding, sizes, kernel, stride, dilation):
    """How many zeros go before and behind each spatial dimension."""
    extents = [(k - 1) * d + 1 for k, d in zip(kernel, dilation)]
    if padding == "valid":
        return (0,) * len(kernel), (0,) * len(kernel)
    if padding == "causal":
        return tuple(extent - 1 for extent in extents), (0,) * len(kernel)
    totals = []
    for size, extent, s in zip(sizes, extents, stride):
        if size is None and s > 1:
            raise Error("padding 'same' with strides needs inputs of known size")
        # With stride 1 the size does not matter.
        totals.append(
            max(((math.ceil(size / s) - 1) * s + extent - size) if size else extent - 1, 0)
        )
    return tuple(t // 2 for t in totals), tuple(t - t // 2 for t in totals)


def _convolution(layer, rounding, step, inputs, kernel, groups):
    """`kernel`: (spatial..., channels / groups, outputs)."""
    axes = _Axes.of(layer, inputs)
    window = tuple(kernel.shape[:-2])
    stride, dilation = tuple(layer.strides), tuple(layer.dilation_rate)
    begin, end = _paddings(layer.padding, axes.sizes(inputs), window, stride, dilation)
    operation = rounding.operation(
        "convolution",
        stride=stride,
        dilation=dilation,
        padding_begin=begin,
        padding_end=end,
        groups=groups,
    )
    rank = axes.spatial
    weights = ops.transpose(kernel, (rank + 1, rank, *range(rank)))
    operands = [axes.channels_first(inputs), weights]
    if layer.use_bias:
        operands.append(layer.bias)
    float_function = _float_convolution(stride, dilation, begin, end, groups)
    outputs = axes.as_layer(arithmetic(operation, operands, float_function, step))
    return _activated(layer, outputs)


@functools.lru_cache(maxsize=4096)  # the same function for the same layer: JAX compiles it once
def _float_convolution(stride, dilation, begin, end, groups):
    rank = len(stride)

    def convolve(x, w, bias=None):
        x = ops.pad(x, [(0, 0), (0, 0), *zip(begin, end)])
        # Channels last: TensorFlow has no other convolution on the CPU.
        x = ops.transpose(x, (0, *range(2, rank + 2), 1))
        kernel = ops.transpose(w, (*range(2, rank + 2), 1, 0))
        options = {"strides": stride, "dilation_rate": dilation, "data_format": "channels_last"}
        if groups > 1 and kernel.shape[-2] == 1 and rank < 3:
            # (spatial..., channels, outputs of each)
            shape = (*kernel.shape[:-2], groups, kernel.shape[-1] // groups)
            y = ops.depthwise_conv(x, ops.reshape(kernel, shape), padding="valid", **options)
        else:
            y = ops.conv(x, kernel, padding="valid", **options)
        y = ops.transpose(y, (0, rank + 1, *range(1, rank + 1)))
        # Not ops.add(): on TensorFlow it takes a bias for one of the last axis where sizes allow it.
        return y if bias is None else y + ops.reshape(bias, (-1, *(1,) * rank))

    return convolve


def _conv(layer, rounding, step, inputs):
    return _convolution(layer, rounding, step, inputs, layer.kernel, layer.groups)


def _depthwise_conv(layer, rounding, step, inputs):
    *window, channels, each = layer.kernel.shape
    kernel = ops.reshape(layer.kernel, (*window, 1, channels * each))
    return _convolution(layer, rounding, step, inputs, kernel, channels)


def _average_pooling(layer, rounding, step, inputs):
    axes = _Axes.of(layer, inputs)
    window, stride = tuple(layer.pool_size), tuple(layer.strides)
    begin, end = _paddings(layer.padding, axes.sizes(inputs), window, stride, (1,) * len(window))
    operation = rounding.operation(
        "average_pool",
        has_weights=False,
        kernel=window,
        stride=stride,
        padding_begin=begin,
        padding_end=end,
        count_include_pad=False,
    )
    float_function = _float_average_pool(window, stride, begin, end)
    outputs = arithmetic(operation, [axes.channels_first(inputs)], float_function, step)
    return axes.as_layer(outputs)


@functools.lru_cache(maxsize=4096)
def _float_average_pool(window, stride, begin, end):
    rank = len(window)

    def pool_all(x):  # counts what pads as well
        x = ops.pad(x, [(0, 0), (0, 0), *zip(begin, end)])
        x = ops.transpose(x, (0, *range(2, rank + 2), 1))
        y = ops.average_pool(x, window, stride, padding="valid", data_format="channels_last")
        return ops.transpose(y, (0, rank + 1, *range(1, rank + 1)))

    def pool(x):
        # Not padding="same": on PyTorch that is another function where the paddings differ.
        y = pool_all(x)
        return y / pool_all(ops.ones_like(x[:1, :1])) if any((*begin, *end)) else y

    return pool


def _global_average_pooling(layer, rounding, step, inputs, mask=None):
    if mask is not None:
        raise Error(_MASKED)
    axes = _Axes.of(layer, inputs)
    window = axes.sizes(inputs)
    if None in window:
        raise Error("a rounded global average needs inputs of known size")
    operation = rounding.operation("average_pool", has_weights=False, kernel=window)
    nothing = (0,) * len(window)
    float_function = _float_average_pool(window, window, nothing, nothing)
    outputs = arithmetic(operation, [axes.channels_first(inputs)], float_function, step)
    outputs = axes.as_layer(outputs)
    if layer.keepdims:
        return outputs
    return ops.squeeze(
        outputs,
        tuple(range(1, axes.spatial + 1) if axes.channels_last else range(2, axes.spatial + 2)),
    )


_MASKED = "a global average over a mask cannot be rounded"
_GLOBAL_POOLS = [getattr(layers, f"GlobalAveragePooling{n}D") for n in (1, 2, 3)]
_ROUNDED = {
    layers.Dense: _dense,
    layers.EinsumDense: _einsum_dense,
    **dict.fromkeys((layers.Conv1D, layers.Conv2D, layers.Conv3D), _conv),
    **dict.fromkeys((layers.DepthwiseConv1D, layers.DepthwiseConv2D), _depthwise_conv),
    **{getattr(layers, f"AveragePooling{n}D"): _average_pooling for n in (1, 2, 3)},
    **dict.fromkeys(_GLOBAL_POOLS, _global_average_pooling),
}
