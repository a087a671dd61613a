"""What the axes of PyTorch's tensors mean: which are the channels and which a dot product sums over.

The answers are those of tensorquant/libtorch/nn/axes.h.
"""

from torch import nn
from torch.nn.parameter import is_lazy

from tensorquant._core import Error
from tensorquant.frontend.told_axes import told_axes
from tensorquant.numbers.context import NO_AXES, Axes, one_axis

_ONE_ELEMENT = Axes((0, 0), (0, 0))
_VECTOR = Axes(one_axis(0), one_axis(0))
_OUTPUTS_FIRST = Axes(one_axis(0), one_axis(1))  # (outputs, inputs, ...)
_INPUTS_FIRST = Axes(one_axis(1), one_axis(0))

_SIZES = (1, 2, 3)
_TRANSPOSED_CONVS = tuple(getattr(nn, f"ConvTranspose{n}d") for n in _SIZES)
_CHANNELS_LAST = (
    nn.Linear,
    nn.Bilinear,
    nn.Embedding,
    nn.EmbeddingBag,
    nn.RNNBase,
    nn.RNNCellBase,
    nn.MultiheadAttention,
    nn.LayerNorm,
    nn.RMSNorm,
)
# (n, c, ...) and, without a batch, (c, ...): by the number of axes behind the channels'.
_OF_SIZE = (
    "Conv{}d",
    "ConvTranspose{}d",
    "InstanceNorm{}d",
    "AvgPool{}d",
    "AdaptiveAvgPool{}d",
    "MaxPool{}d",
    "AdaptiveMaxPool{}d",
    "MaxUnpool{}d",
    "LPPool{}d",
    "FractionalMaxPool{}d",
)
_SPATIAL = {
    n: tuple(getattr(nn, name.format(n)) for name in _OF_SIZE if hasattr(nn, name.format(n)))
    for n in _SIZES
}
_SPATIAL[2] += (nn.BatchNorm2d,)
_SPATIAL[3] += (nn.BatchNorm3d,)


def parameter_axes(layer, attribute, quantizer):
    """The Axes of a parameter.

    Args:
        layer: The module that owns it.
        attribute: Its name there.
        quantizer: What quantizes it.

    Raises:
        tensorquant.Error: The quantizer needs axes, and those that the module tells are wrong, or
            the parameter has no shape yet.
    """
    if not quantizer.needs_layout:
        return NO_AXES
    parameter = getattr(layer, attribute)
    if is_lazy(parameter):
        raise Error(
            f"its parameter '{attribute}' has no shape yet, and '{quantizer}' needs to know its"
            " axes; run the model once first"
        )
    rank = parameter.dim()
    told = told_axes(layer, attribute, quantizer, rank)
    if told is not None:
        return told
    if rank < 2:
        return _VECTOR if rank == 1 else _ONE_ELEMENT
    is_transposed = attribute == "weight" and isinstance(layer, _TRANSPOSED_CONVS)
    return _INPUTS_FIRST if is_transposed else _OUTPUTS_FIRST


def output_axis(layer):
    """The axis of the channels in the tensors that a layer returns, and in a model's input."""
    if isinstance(layer, _CHANNELS_LAST):
        return -1
    return next((-1 - n for n, kinds in _SPATIAL.items() if isinstance(layer, kinds)), 1)


def output_axes(layer, quantizer):
    """What a layer says itself about the Axes of its outputs; None where its class tells."""
    return told_axes(layer, "output", quantizer) if quantizer.needs_layout else NO_AXES


def axes_around(axis, rank):
    """The Axes of a tensor whose channels lie along an axis, or the one nearest to it."""
    if rank == 0:
        return _ONE_ELEMENT
    axis = one_axis(max(0, axis + rank) if axis < 0 else min(axis, rank - 1))
    return Axes(axis, axis)
