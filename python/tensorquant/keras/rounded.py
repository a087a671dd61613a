"""Layers with every product and every sum rounded, as an intrinsic map asks for.

The core knows three operations, whose tensors have channels first. Here Keras' layers are brought
into their form; no number is computed here.
"""

import dataclasses
import functools
import math
from typing import Any

from keras import layers, ops

from tensorquant._core import Error
from tensorquant.frontend.tensor_scales import TensorScales, known, reshaped
from tensorquant.keras import einsum
from tensorquant.keras.backend import arithmetic
from tensorquant.keras.keras_internals import get_keras_mask
from tensorquant.keras.marks import scales_of
from tensorquant.keras.twin import float_class
from tensorquant.numbers.quantizer import Quantizer
from tensorquant.ops.common import traits


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


def refuse_weights(layer, arithmetic_of_layer, quantizer):
    """Raises a tensorquant.Error where the scales of a layer's weights do not suit its sums."""
    if isinstance(quantizer, Quantizer) and float_class(layer) in (*_CONVS, *_DEPTHWISE_CONVS):
        arithmetic_of_layer.refuse_blocks(
            quantizer.spec, traits(quantizer.spec).per, layer.kernel_size
        )


def rounded_call(layer, arithmetic_of_layer, step, *args, **kwargs):
    """What call() of a layer gives, with its arithmetic rounded and its activation as it is.

    Args:
        layer: A layer of which can_round() holds.
        arithmetic_of_layer: Its LayerArithmetic.
        step: Of random rounding.
        args, kwargs: Those of call().
    """
    return _ROUNDED[float_class(layer)](layer, arithmetic_of_layer, step, *args, **kwargs)


@dataclasses.dataclass(frozen=True)
class _Operand:
    """A tensor that arithmetic reads, and its TensorScales or None."""

    tensor: Any
    scales: TensorScales | None

    @classmethod
    def of(cls, x):
        return cls(x, known(scales_of(x)))

    def transposed(self, axes=None):
        scales = self.scales
        if scales is not None:
            scales = scales._replace(scales=ops.transpose(scales.scales, axes))
        return _Operand(ops.transpose(self.tensor, axes), scales)

    def reshaped(self, shape):
        tensor, scales = ops.reshape(self.tensor, shape), self.scales
        if scales is not None:
            scales = known(reshaped(scales, self.tensor.shape, tensor.shape, "it itself", ops))
        return _Operand(tensor, scales)


def _compute(rounding, kind, step, x, weights, bias, float_function, **options):
    """The result of an operation on Operands and perhaps a bias."""
    operands = [x] if weights is None else [x, weights]
    if x.scales is not None:
        options["x_format"] = x.scales.spec
    if kind == "convolution":
        for operand in operands:
            scales = operand.scales
            if scales is not None and not scales.is_one:
                rounding.refuse_blocks(scales.spec, scales.per, weights.tensor.shape[2:])
    tensors = [operand.tensor for operand in operands] + ([] if bias is None else [bias])
    scales = [operand.scales and operand.scales.scales for operand in operands]
    operation = rounding.operation(kind, has_weights=weights is not None, **options)
    return arithmetic(operation, tensors, float_function, step, scales)


def _activated(layer, outputs):
    return outputs if layer.activation is None else layer.activation(outputs)


def _dense(layer, rounding, step, inputs, training=None):
    x, w = _Operand.of(inputs), _Operand.of(layer.kernel).transposed()
    outputs = _compute(rounding, "linear", step, x, w, layer.bias, _float_linear)
    return _activated(layer, outputs)


def _float_linear(x, w, bias=None):
    y = ops.matmul(x, ops.transpose(w))
    return y if bias is None else y + bias


def _einsum_dense(layer, rounding, step, inputs, training=None):
    form = einsum.matrix_form(layer.equation, len(inputs.shape))
    x, w = form.flat_inputs(_Operand.of(inputs)), form.flat_kernel(_Operand.of(layer.kernel))
    bias = None if layer.bias is None else form.flat_bias(layer.bias, layer.kernel.shape)
    outputs = _compute(rounding, "linear", step, x, w, bias, _float_linear)
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
        """Of an Operand."""
        axes = (0, self.spatial + 1, *range(1, self.spatial + 1))
        return x.transposed(axes) if self.channels_last else x

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
    """`kernel`: an Operand of (spatial..., channels / groups, outputs)."""
    axes = _Axes.of(layer, inputs)
    window = tuple(kernel.tensor.shape[:-2])
    stride, dilation = tuple(layer.strides), tuple(layer.dilation_rate)
    begin, end = _paddings(layer.padding, axes.sizes(inputs), window, stride, dilation)
    rank = axes.spatial
    outputs = _compute(
        rounding,
        "convolution",
        step,
        axes.channels_first(_Operand.of(inputs)),
        kernel.transposed((rank + 1, rank, *range(rank))),
        layer.bias if layer.use_bias else None,
        _float_convolution(stride, dilation, begin, end, groups),
        stride=stride,
        dilation=dilation,
        padding_begin=begin,
        padding_end=end,
        groups=groups,
    )
    return _activated(layer, axes.as_layer(outputs))


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
    return _convolution(layer, rounding, step, inputs, _Operand.of(layer.kernel), layer.groups)


def _depthwise_conv(layer, rounding, step, inputs):
    *window, channels, each = layer.kernel.shape
    kernel = _Operand.of(layer.kernel).reshaped((*window, 1, channels * each))
    return _convolution(layer, rounding, step, inputs, kernel, channels)


def _average_pooling(layer, rounding, step, inputs):
    axes = _Axes.of(layer, inputs)
    window, stride = tuple(layer.pool_size), tuple(layer.strides)
    begin, end = _paddings(layer.padding, axes.sizes(inputs), window, stride, (1,) * len(window))
    outputs = _compute(
        rounding,
        "average_pool",
        step,
        axes.channels_first(_Operand.of(inputs)),
        None,
        None,
        _float_average_pool(window, stride, begin, end),
        kernel=window,
        stride=stride,
        padding_begin=begin,
        padding_end=end,
        count_include_pad=False,
    )
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
    nothing = (0,) * len(window)
    float_function = _float_average_pool(window, window, nothing, nothing)
    x = axes.channels_first(_Operand.of(inputs))
    outputs = _compute(rounding, "average_pool", step, x, None, None, float_function, kernel=window)
    outputs = axes.as_layer(outputs)
    if layer.keepdims:
        return outputs
    return ops.squeeze(
        outputs,
        tuple(range(1, axes.spatial + 1) if axes.channels_last else range(2, axes.spatial + 2)),
    )


_CONVS = (layers.Conv1D, layers.Conv2D, layers.Conv3D)
_DEPTHWISE_CONVS = (layers.DepthwiseConv1D, layers.DepthwiseConv2D)
_MASKED = "a global average over a mask cannot be rounded"
_GLOBAL_POOLS = [getattr(layers, f"GlobalAveragePooling{n}D") for n in (1, 2, 3)]
_ROUNDED = {
    layers.Dense: _dense,
    layers.EinsumDense: _einsum_dense,
    **dict.fromkeys(_CONVS, _conv),
    **dict.fromkeys(_DEPTHWISE_CONVS, _depthwise_conv),
    **{getattr(layers, f"AveragePooling{n}D"): _average_pooling for n in (1, 2, 3)},
    **dict.fromkeys(_GLOBAL_POOLS, _global_average_pooling),
}
