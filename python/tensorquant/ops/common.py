"""What the ops of all frameworks share."""

from typing import Any, NamedTuple

from tensorquant import _core as native
from tensorquant._core import Error
from tensorquant.numbers.checks import check_integer, check_text, wrong
from tensorquant.numbers.context import NO_AXES, Context, axes_of

# The numbers of enum TensorquantType in native/tensorquant_api.h.
TYPES = {"float32": 0, "float64": 1, "float16": 2, "bfloat16": 3}
SCALE_TYPES = ("float32", "float64")  # which have all elements times their scales


class Traits(NamedTuple):
    """What an op has to know of a quantizer."""

    is_random: bool  # the result depends on seed, stream and step
    is_elementwise: bool  # a result depends on its own element alone
    is_straight_through: bool  # dx = dy
    clips_gradient: bool  # dx is dy or 0, by where x lies
    has_elementwise_gradient: bool  # the same of the gradient
    needs_layout: bool  # the result depends on what the tensor's axes mean
    needs_channels: bool  # and it cannot guess the channels'
    is_idempotent: bool  # quantizing again changes nothing
    per: str  # what shares a scale: "tensor", "channel", "row" or "block"; "" without scales


_NOT_RANDOM = Context()
_known: dict[str, Traits] = {}


def traits(spec: str) -> Traits:
    """Raises a tensorquant.Error where the string is wrong."""
    found = _known.get(spec)
    if found is None:
        *values, is_built_in = native.op_traits(check_text("spec", spec))
        found = Traits(*values)
        if is_built_in:  # a user may give another meaning to a name
            _known[spec] = found
    return found


def is_built_in(spec: str) -> bool:
    """Whether a quantizer string has one meaning for ever."""
    traits(spec)
    return spec in _known


def spec_of(quantizer: Any, name: str = "spec") -> str:
    """The quantizer string of a string or of an object with a member ``spec``."""
    if isinstance(quantizer, str):
        return quantizer
    spec = getattr(quantizer, "spec", None)
    if not isinstance(spec, str):
        raise wrong(name, "a quantizer string", quantizer)
    return spec


def context_of(
    seed: int,
    stream: int,
    step: Any,
    spec: str,
    reduction_axis: int | None,
    channel_axis: int | None,
    rank: int | None,
) -> Context:
    """The keywords of a framework's function `quantize`, checked, for a tensor of `rank` axes."""
    seed = check_integer("seed", seed, 0, 2**64 - 1)
    stream = check_integer("stream", stream, 0, 2**32 - 1)
    if reduction_axis is None and channel_axis is None and not traits(spec).needs_channels:
        return Context(seed, stream, step)
    given = {"reduction_axis": reduction_axis, "channel_axis": channel_axis}
    axes = {
        name: check_integer(name, axis, -(2**31), 2**31 - 1)
        for name, axis in given.items()
        if axis is not None
    }
    return Context(seed, stream, step, axes_of(traits(spec), spec, **axes, rank=rank))


def needed(context: Context, its: Traits) -> Context:
    """What a quantizer looks at: so that equal calls are equal where compilers keep them."""
    if not its.is_random:
        context = _NOT_RANDOM if context.axes is NO_AXES else Context(axes=context.axes)
    if its.needs_layout or context.axes is NO_AXES:
        return context
    return context._replace(axes=NO_AXES)


def check_step(step: int) -> int:
    return check_integer("step", step, 0, 2**32 - 1)


def has_scales(spec: str, dtype: str) -> bool:
    """Whether a quantizer finds scales in tensors of a type."""
    return dtype in SCALE_TYPES and traits(spec).per != ""


def check_has_scales(spec: str, dtype: str) -> None:
    """Raises an error where has_scales() does not hold."""
    if not traits(spec).per:
        raise Error(f"quantizer '{spec}' has no scales")
    if dtype not in SCALE_TYPES:
        raise TypeError(f"expected a tensor of {' or '.join(SCALE_TYPES)}, found {dtype}")


def type_number(dtype: str) -> int:
    """The number of a type by its name, "float32".

    Raises:
        TypeError: tensors of this type cannot be quantized.
    """
    number = TYPES.get(dtype)
    if number is None:
        raise TypeError(f"expected a tensor of {', '.join(TYPES)}, found {dtype}")
    return number


def as_signed(seed: int) -> int:
    """The 64 bits of a seed as a signed number, for frameworks that know no others."""
    return seed - 2**64 if seed >= 2**63 else seed


def as_unsigned(seed: int) -> int:
    return seed & (2**64 - 1)
