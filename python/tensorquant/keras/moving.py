"""Layers that only select or move values."""

from keras import activations, layers, ops

from tensorquant.frontend.tensor_scales import lost, over_space, reshaped
from tensorquant.keras.twin import float_class

_SIZES = (1, 2, 3)
_PADDING = {getattr(layers, f"ZeroPadding{n}D") for n in _SIZES}
_REARRANGING = {
    layers.Flatten,
    layers.Permute,
    layers.RepeatVector,
    layers.Reshape,
    *(getattr(layers, f"Cropping{n}D") for n in _SIZES),
}
_SELECTING = {
    layers.Embedding,
    layers.Identity,
    layers.Masking,
    layers.Concatenate,
    layers.Maximum,
    layers.Minimum,
    layers.UpSampling1D,
    layers.Dropout,
    *(
        getattr(layers, f"{kind}{n}D")
        for kind in ("SpatialDropout", "MaxPooling", "GlobalMaxPooling")
        for n in _SIZES
    ),
}
_DROPPING = {layers.Dropout, *(getattr(layers, f"SpatialDropout{n}D") for n in _SIZES)}
_IN_PLACE = {
    layers.Identity,
    layers.Masking,
    *_DROPPING,
    layers.ReLU,
    layers.Activation,
}
_OVER_SPACE = {
    *_PADDING,
    *(
        getattr(layers, f"{kind}{n}D")
        for kind in ("Cropping", "UpSampling", "MaxPooling", "GlobalMaxPooling")
        for n in _SIZES
    ),
    layers.RepeatVector,
}
_RESHAPING = {layers.Flatten, layers.Reshape, layers.Permute}
_ACTIVATIONS = (
    (activations.linear, ()),
    (activations.relu, (0.0,)),
    (activations.relu6, (0.0, 6.0)),
    (activations.hard_tanh, (-1.0, 1.0)),
    (activations.hard_shrink, (0.0,)),
)


def only_moves_values(layer):
    """Whether a layer has no arithmetic.

    Classes are compared exactly: one derived from ReLU may do anything.
    """
    if float_class(layer) in (layers.UpSampling2D, layers.UpSampling3D):
        return getattr(layer, "interpolation", "nearest") == "nearest"
    return float_class(layer) in _SELECTING or incoming_numbers(layer) is not None


def changes_values_in_training(layer):
    """Whether a layer drops values, and makes the others larger."""
    return float_class(layer) in _DROPPING and layer.rate > 0


def passes_on_scales(layer):
    """Whether a layer makes its output of its input alone, without arithmetic."""
    is_known = float_class(layer) in _IN_PLACE | _OVER_SPACE | _RESHAPING
    return is_known and only_moves_values(layer)


def moved_scales(layer, scales, x, y):
    """The TensorScales of the output of a layer that passes_on_scales().

    Args:
        layer: The layer.
        scales: The TensorScales of its input.
        x, y: Its input and output.
    """
    kind = float_class(layer)
    place = f"layer '{layer.name}' ({kind.__name__})"
    if scales.loss or (kind in _IN_PLACE and set(incoming_numbers(layer) or ()) <= {0.0}):
        return scales
    if kind in _IN_PLACE:
        return lost(place)  # of numbers that need be no elements
    if kind is layers.Permute:
        return scales._replace(scales=ops.transpose(scales.scales, (0, *layer.dims)))
    if kind in _OVER_SPACE:
        return over_space(scales, x.shape, y.shape, place, ops)
    if getattr(layer, "data_format", None) == "channels_first" and not scales.is_one:
        return lost(place)  # Flatten puts the channels last before
    return reshaped(scales, x.shape, y.shape, place, ops)


def incoming_numbers(layer):
    """The numbers that a layer's output may have beside those of its input.

    Returns:
        A tuple of floats; None where the output may have any numbers, or that is not known.
    """
    kind = float_class(layer)
    if kind in _REARRANGING:
        return ()
    if kind in _PADDING:
        return (0.0,)
    if kind is layers.ReLU and not layer.negative_slope:
        return (0.0,) if layer.max_value is None else (0.0, layer.max_value)
    if kind is layers.Activation:
        return numbers_of_activation(layer.activation)
    return None


def numbers_of_activation(activation):
    """The same of a function, such as a layer's activation."""
    return next((numbers for f, numbers in _ACTIVATIONS if f is activation), None)
