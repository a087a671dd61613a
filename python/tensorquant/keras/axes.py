"""What the axes of Keras' tensors mean: which are the channels and which a dot product sums over."""

from keras import layers

from tensorquant.frontend.told_axes import told_axes
from tensorquant.keras import einsum
from tensorquant.keras.keras_internals import with_inner
from tensorquant.numbers.context import NO_AXES, Axes, one_axis

_LAST, _LAST_BUT_ONE = one_axis(-1), one_axis(-2)
_ONE_ELEMENT = Axes((0, 0), (0, 0))
_CHANNELS = Axes(_LAST, _LAST)
_OUTPUTS_LAST = Axes(_LAST, _LAST_BUT_ONE)  # (..., inputs, outputs)
_DEPTHWISE = Axes((-2, 0), (0, 0))  # (..., inputs, outputs of each): no sum over channels

_SIZES = (1, 2, 3)
_DEPTHWISE_CONVS = (layers.DepthwiseConv1D, layers.DepthwiseConv2D)
_SEPARABLE_CONVS = (layers.SeparableConv1D, layers.SeparableConv2D)
_TRANSPOSED_CONVS = tuple(getattr(layers, f"Conv{n}DTranspose") for n in _SIZES)
_CONV_LSTMS = tuple(getattr(layers, f"ConvLSTM{n}D") for n in _SIZES)
_NORMALIZATIONS = (
    layers.BatchNormalization,
    layers.GroupNormalization,
    layers.LayerNormalization,
    layers.RMSNormalization,
)
# Layers, the names of their variables, and what the axes of these mean.
_PARAMETERS = (
    (layers.Embedding, ("embeddings",), Axes(one_axis(0), one_axis(1))),
    (_DEPTHWISE_CONVS, ("kernel",), _DEPTHWISE),
    (_SEPARABLE_CONVS, ("depthwise_kernel",), _DEPTHWISE),
    (_TRANSPOSED_CONVS, ("kernel",), Axes(_LAST_BUT_ONE, _LAST)),
    ((*_NORMALIZATIONS, layers.PReLU), ("gamma", "beta", "scale", "alpha"), _CHANNELS),
)


def parameter_axes(layer, variable, is_bias, quantizer):
    """The Axes of a parameter.

    Args:
        layer: The layer that made it.
        variable: The variable.
        is_bias: Whether it is a bias.
        quantizer: What quantizes it.

    Raises:
        tensorquant.Error: The quantizer needs axes, and those of an EinsumDense are no neighbours,
            or the layer's own quantizer_axes are wrong.
    """
    rank = len(variable.shape)
    if not quantizer.needs_layout:
        return NO_AXES
    told = told_axes(layer, variable.name, quantizer, rank)
    if told is not None:
        return told
    if isinstance(layer, layers.EinsumDense):
        return Axes((0, rank), (0, rank)) if is_bias else einsum.kernel_axes(layer.equation)
    if rank == 0:
        return _ONE_ELEMENT
    for kinds, names, axes in _PARAMETERS:
        if isinstance(layer, kinds) and variable.name in names:
            return axes
    return _CHANNELS if is_bias or rank == 1 else _OUTPUTS_LAST


def refuse_kernels(layer, quantizer):
    """Raises a tensorquant.Error where the kernel of a layer, built or not, has no such axes."""
    if quantizer is not None and quantizer.needs_layout:
        for inner in with_inner(layer):
            if (
                isinstance(inner, layers.EinsumDense)
                and told_axes(inner, "kernel", quantizer) is None
            ):
                einsum.kernel_axes(inner.equation)


def output_axes(layer, quantizer):
    """The Axes of the tensors that a layer returns."""
    if quantizer is None or not quantizer.needs_layout:
        return NO_AXES
    told = told_axes(layer, "output", quantizer)
    if told is not None:
        return told
    axis = one_axis(_channel_axis(layer))
    return Axes(axis, axis)


def axes_in(axes, x):
    """The Axes of one of those tensors: a number has no last axis."""
    return _ONE_ELEMENT if x.shape == () else axes


def _channel_axis(layer):
    """Of the outputs of a layer."""
    if isinstance(layer, layers.Bidirectional):
        return _channel_axis(layer.forward_layer)
    if isinstance(layer, layers.TimeDistributed):
        axis = _channel_axis(layer.layer)
        return axis if axis < 0 else axis + 1
    if isinstance(layer, (layers.BatchNormalization, layers.GroupNormalization)):
        return layer.axis
    if isinstance(layer, _CONV_LSTMS):  # with or without an axis of time
        return -1 if layer.cell.data_format == "channels_last" else -1 - layer.cell.rank
    return 1 if getattr(layer, "data_format", None) == "channels_first" else -1
