"""What a layer says itself about the axes of its tensors: the attribute `quantizer_axes`."""

from tensorquant._core import Error
from tensorquant.numbers.checks import check_integer
from tensorquant.numbers.context import axes_of


def told_axes(layer, name, quantizer, rank=None):
    """The Axes of a tensor that a layer tells by `quantizer_axes`, or None.

    Args:
        layer: The layer.
        name: Of its parameter, or "output".
        quantizer: What quantizes it.
        rank: The number of the tensor's axes; None where that is not known.

    Raises:
        tensorquant.Error: They are wrong.
    """
    axes = getattr(layer, "quantizer_axes", {}).get(name)
    if axes is None:
        return None
    for key in axes:
        if key not in ("reduction_axis", "channel_axis"):
            raise Error(
                f"its quantizer_axes have '{key}' for '{name}', expected reduction_axis and"
                " channel_axis"
            )
    axes = {
        key: check_integer(f"{key} of its quantizer_axes for '{name}'", axis, -(2**31), 2**31 - 1)
        for key, axis in axes.items()
    }
    return axes_of(quantizer._native, quantizer.spec, **axes, rank=rank)
