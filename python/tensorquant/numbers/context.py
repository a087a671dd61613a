"""What a call tells a quantizer beside the numbers."""

from typing import Any, NamedTuple

from tensorquant._core import Error

_Range = tuple[int, int]
_UNKNOWN = (1, 0)


class Axes(NamedTuple):
    """What a tensor's axes mean, which only its owner knows, whatever the tensor's shape.

    Each is a range of neighbouring axes, which are taken as one: begin and end. A negative begin
    counts both from behind the last axis: (-1, 0) is the last one. An empty range is an axis of
    length 1. An end below its begin says that nobody knows.

    Attributes:
        channel: Whose indices have a scale each where a quantizer says per=channel.
        reduction: What a dot product sums over, and blocks and rows run along.
    """

    channel: _Range = _UNKNOWN
    reduction: _Range = _UNKNOWN

    @property
    def numbers(self) -> tuple[int, int, int, int]:
        """As the core takes them."""
        return (*self.channel, *self.reduction)


NO_AXES = Axes()


class Context(NamedTuple):
    """Where random rounding takes its numbers from, and what the tensor's axes mean.

    Attributes:
        seed: 64 bits.
        stream: Tells tensors apart, see stream_of(): 32 bits.
        step: Tells calls apart: an integer of 32 bits, or what a framework has for one.
        axes: Of the tensor.
    """

    seed: int = 0
    stream: int = 0
    step: Any = 0
    axes: Axes = NO_AXES

    def at(self, step: Any) -> "Context":
        """The same at another step."""
        return self._replace(step=step)


class Axis(NamedTuple):
    """An axis of an array in C order: x.reshape(axis) has it in the middle.

    Attributes:
        outer: The product of the sizes of the axes before it.
        length: Its size.
        inner: The product of the sizes of the axes behind it.
    """

    outer: int
    length: int
    inner: int


class Layout(NamedTuple):
    """What the axes of an array in C order mean.

    Attributes:
        channel: The Axis of the channels; of length 1 where only the other is known.
        reduction: The Axis that a dot product sums over; the whole array where only the other is
            known.
    """

    channel: Axis
    reduction: Axis


def one_axis(axis: int) -> _Range:
    """The range of a single axis, which may count from the end."""
    return axis, axis + 1


def axes_in_range(axes: _Range, rank: int) -> tuple[int, ...] | None:
    """The axes of one of the ranges of Axes, counted from 0, in a tensor of so many.

    Returns:
        None where nobody knows.

    Raises:
        Error: The tensor has not all of them.
    """
    begin, end = axes
    if end < begin:
        return None
    shift = rank if begin < 0 else 0
    if begin + shift < 0 or end + shift > rank:
        raise Error(f"a tensor of {rank} axes has not the axes {begin} to {end - 1}")
    return tuple(range(begin + shift, end + shift))


def axes_of(
    quantizer: Any,
    spec: str,
    reduction_axis: int | None = None,
    channel_axis: int | None = None,
    rank: int | None = None,
) -> Axes:
    """The axes that a caller names by integers, which are checked.

    Args:
        quantizer: Has needs_layout and needs_channels. Where it needs no axes none are returned.
        spec: Its string.
        reduction_axis, channel_axis: What the caller gave, counted from the end where negative.
        rank: The number of the tensor's axes; None where that is not known yet.

    Raises:
        Error: The tensor has no such axis, or the quantizer needs one that was not given.
    """
    for name, axis in (("reduction_axis", reduction_axis), ("channel_axis", channel_axis)):
        if axis is not None and rank is not None and not -rank <= axis < rank:
            raise Error(f"{name}: x has no axis {axis}, it has {rank}")
    if quantizer.needs_channels and channel_axis is None:
        raise Error(
            f"quantizer '{spec}': has a scale for each channel; say by channel_axis= which axis of x"
            " is the channels'"
        )
    if not quantizer.needs_layout:
        return NO_AXES
    known = {
        name: one_axis(axis)
        for name, axis in (("reduction", reduction_axis), ("channel", channel_axis))
        if axis is not None
    }
    return Axes(**known)
