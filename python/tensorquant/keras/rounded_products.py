"""Dense layers, convolutions and average pools with every product and every sum rounded.

The core's operations have channels first. Here Keras' layers are brought into their form; no number
is computed here.
"""

import dataclasses
import functools

from keras import layers, ops

from tensorquant._core import Error
from tensorquant.frontend.rounding import same_padding
from tensorquant.keras import einsum
from tensorquant.keras.keras_internals import get_keras_mask
from tensorquant.keras.rounded_activations import activated
from tensorquant.keras.rounding import Operand


def _dense(layer, rounding, inputs, training=None):
    x, w = Operand.of(inputs), Operand.of(layer.kernel).transposed()
    outputs = rounding.run("linear", (x, w), _float_linear, _bias(layer.bias))
    return activated(layer, rounding, outputs)


def _bias(bias):
    return () if bias is None else (bias,)


def _float_linear(x, w, bias=None):
    y = ops.matmul(x, ops.transpose(w))
    return y if bias is None else y + bias


def einsum_dense(layer, rounding, inputs, training=None):
    form = einsum.matrix_form(layer.equation, len(inputs.shape))
    x, w = form.flat_inputs(Operand.of(inputs)), form.flat_kernel(Operand.of(layer.kernel))
    bias = None if layer.bias is None else form.flat_bias(layer.bias, layer.kernel.shape)
    outputs = rounding.run("linear", (x, w), _float_linear, _bias(bias))
    return activated(layer, rounding, form.outputs(outputs, layer.kernel.shape))


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
    if padding == "valid":
        return (0,) * len(kernel), (0,) * len(kernel)
    if padding == "causal":
        return tuple((k - 1) * d for k, d in zip(kernel, dilation)), (0,) * len(kernel)
    return same_padding(sizes, kernel, stride, dilation)


def _convolution(layer, rounding, inputs, kernel, groups):
    """`kernel`: an Operand of (spatial..., channels / groups, outputs)."""
    axes = _Axes.of(layer, inputs)
    x = axes.channels_first(Operand.of(inputs))
    y = _convolved(layer, rounding, axes, x, kernel, groups, layer.bias if layer.use_bias else None)
    return activated(layer, rounding, axes.as_layer(y))


def _convolved(layer, rounding, axes, x, kernel, groups, bias):
    """The sums of a convolution with the strides, dilation and padding of a layer.

    Args:
        layer: The layer.
        rounding: A Rounding.
        axes: The layer's _Axes.
        x: An Operand of (batch, channels, spatial...), as the result is.
        kernel: An Operand of (spatial..., channels / groups, outputs).
        groups: Into how many the channels are cut.
        bias: A tensor or None.
    """
    window = tuple(kernel.tensor.shape[:-2])
    stride, dilation = tuple(layer.strides), tuple(layer.dilation_rate)
    begin, end = _paddings(layer.padding, tuple(x.tensor.shape[2:]), window, stride, dilation)
    rank = axes.spatial
    return rounding.run(
        "convolution",
        (x, kernel.transposed((rank + 1, rank, *range(rank)))),
        _float_convolution(stride, dilation, begin, end, groups),
        _bias(bias),
        stride=stride,
        dilation=dilation,
        padding_begin=begin,
        padding_end=end,
        groups=groups,
    )


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


def _conv(layer, rounding, inputs):
    return _convolution(layer, rounding, inputs, Operand.of(layer.kernel), layer.groups)


def _depthwise_conv(layer, rounding, inputs):
    *window, channels, each = layer.kernel.shape
    kernel = Operand.of(layer.kernel).reshaped((*window, 1, channels * each))
    return _convolution(layer, rounding, inputs, kernel, channels)


def _separable_conv(layer, rounding, inputs):
    """A sum for each channel, and one over these sums."""
    axes = _Axes.of(layer, inputs)
    *window, channels, each = layer.depthwise_kernel.shape
    kernel = Operand.of(layer.depthwise_kernel).reshaped((*window, 1, channels * each))
    x = axes.channels_first(Operand.of(inputs))
    x = _convolved(layer, rounding.part("depthwise"), axes, x, kernel, channels, None)
    nothing, ones = (0,) * axes.spatial, (1,) * axes.spatial
    rank = axes.spatial
    y = rounding.run(
        "convolution",
        (Operand(x), Operand.of(layer.pointwise_kernel).transposed((rank + 1, rank, *range(rank)))),
        _float_convolution(ones, ones, nothing, nothing, 1),
        _bias(layer.bias if layer.use_bias else None),
        stride=ones,
        dilation=ones,
        padding_begin=nothing,
        padding_end=nothing,
        groups=1,
    )
    return activated(layer, rounding, axes.as_layer(y))


def _transposed_conv(layer, rounding, inputs):
    axes = _Axes.of(layer, inputs)
    rank = axes.spatial
    kernel = Operand.of(layer.kernel)  # (spatial..., outputs, inputs)
    window = tuple(kernel.tensor.shape[:-2])
    stride, dilation = tuple(layer.strides), tuple(layer.dilation_rate)
    padding, more, rest = _transposed_paddings(layer, window)
    y = rounding.run(
        "convolution",
        (
            axes.channels_first(Operand.of(inputs)),
            kernel.transposed((rank + 1, rank, *range(rank))),
        ),
        _float_transposed_convolution(stride, dilation, padding, more),
        _bias(layer.bias if layer.use_bias else None),
        stride=stride,
        dilation=dilation,
        padding_begin=padding,
        padding_end=padding,
        transposed=True,
        output_padding=more,
    )
    if any(rest):
        y = y[(..., *(slice(None, -n if n else None) for n in rest))]
    return activated(layer, rounding, axes.as_layer(y))


def _transposed_paddings(layer, window):
    """What is cut off on both sides of each spatial dimension, added behind, and cut off there then.

    As TensorFlow and JAX have it; on PyTorch Keras has others in some cases, of which it warns.
    """
    told = layer.output_padding
    told = (told,) * len(window) if told is None or isinstance(told, int) else tuple(told)
    paddings = []
    for taps, stride, dilation, asked in zip(window, layer.strides, layer.dilation_rate, told):
        extent = (taps - 1) * dilation + 1
        # Of the whole result, (size - 1) stride + extent, so much is too long.
        if layer.padding == "valid":
            total = -max(stride - extent, 0) if asked is None else -asked
        else:
            total = extent - (stride if asked is None else extent % 2 + asked)
        paddings.append((max(total // 2, 0), max(-total, 0), max(total, 0) % 2))
    return tuple(zip(*paddings))


@functools.lru_cache(maxsize=4096)
def _float_transposed_convolution(stride, dilation, padding, more):
    rank = len(stride)

    def convolve(x, w, bias=None):
        x = ops.transpose(x, (0, *range(2, rank + 2), 1))
        y = ops.conv_transpose(
            x,
            ops.transpose(w, (*range(2, rank + 2), 1, 0)),
            strides=stride,
            padding="valid",
            output_padding=0,
            data_format="channels_last",
            dilation_rate=dilation,
        )
        y = ops.transpose(y, (0, rank + 1, *range(1, rank + 1)))
        y = ops.pad(y, [(0, 0), (0, 0), *((0, n) for n in more)])
        y = y[(..., *(slice(n, -n if n else None) for n in padding))]
        return y if bias is None else y + ops.reshape(bias, (-1, *(1,) * rank))

    return convolve


def _average_pooling(layer, rounding, inputs):
    axes = _Axes.of(layer, inputs)
    window, stride = tuple(layer.pool_size), tuple(layer.strides)
    begin, end = _paddings(layer.padding, axes.sizes(inputs), window, stride, (1,) * len(window))
    outputs = rounding.run(
        "average_pool",
        (axes.channels_first(Operand.of(inputs)),),
        _float_average_pool(window, stride, begin, end),
        has_weights=False,
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


def _global_average_pooling(layer, rounding, inputs, mask=None):
    if mask is not None:
        raise Error(_MASKED)
    axes = _Axes.of(layer, inputs)
    window = axes.sizes(inputs)
    if None in window:
        raise Error("a rounded global average needs inputs of known size")
    nothing = (0,) * len(window)
    float_function = _float_average_pool(window, window, nothing, nothing)
    x = axes.channels_first(Operand.of(inputs))
    outputs = rounding.run("average_pool", (x,), float_function, has_weights=False, kernel=window)
    outputs = axes.as_layer(outputs)
    if layer.keepdims:
        return outputs
    return ops.squeeze(
        outputs,
        tuple(range(1, axes.spatial + 1) if axes.channels_last else range(2, axes.spatial + 2)),
    )


def refuse_masks(layer):
    """Raises a tensorquant.Error where a global pool averages over a mask in a model's graph."""
    if not layer.supports_masking:
        return
    for node in layer._inbound_nodes:
        if any(get_keras_mask(x) is not None for x in node.input_tensors):
            raise Error(_MASKED)


_MASKED = "a global average over a mask cannot be rounded"
_PLAIN_CONVS = (layers.Conv1D, layers.Conv2D, layers.Conv3D)
_DEPTHWISE_CONVS = (layers.DepthwiseConv1D, layers.DepthwiseConv2D)
_SEPARABLE_CONVS = (layers.SeparableConv1D, layers.SeparableConv2D)
_TRANSPOSED_CONVS = tuple(getattr(layers, f"Conv{n}DTranspose") for n in (1, 2, 3))
CONVS = (*_PLAIN_CONVS, *_DEPTHWISE_CONVS, *_SEPARABLE_CONVS, *_TRANSPOSED_CONVS)
GLOBAL_POOLS = tuple(getattr(layers, f"GlobalAveragePooling{n}D") for n in (1, 2, 3))
LAYERS = {
    layers.Dense: _dense,
    layers.EinsumDense: einsum_dense,
    **dict.fromkeys(_PLAIN_CONVS, _conv),
    **dict.fromkeys(_DEPTHWISE_CONVS, _depthwise_conv),
    **dict.fromkeys(_SEPARABLE_CONVS, _separable_conv),
    **dict.fromkeys(_TRANSPOSED_CONVS, _transposed_conv),
    **{getattr(layers, f"AveragePooling{n}D"): _average_pooling for n in (1, 2, 3)},
    **dict.fromkeys(GLOBAL_POOLS, _global_average_pooling),
}
