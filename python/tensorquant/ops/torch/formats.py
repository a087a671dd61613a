"""A quantizer's numbers, for the formulas."""

import functools
import json
from typing import Any, NamedTuple

import torch

from tensorquant import _core as native
from tensorquant.ops import common


class Type(NamedTuple):
    """A floating-point type of tensors."""

    bits: torch.dtype  # an integer as wide
    mantissa: int
    bias: int

    @property
    def sign(self) -> int:
        """The number of the sign's bit, in an integer with a sign."""
        return torch.iinfo(self.bits).min

    @property
    def infinity(self) -> int:
        return (2 * self.bias + 1) << self.mantissa

    @property
    def is_half(self) -> bool:
        return self.bits == torch.int16


TYPES = {
    torch.float32: Type(torch.int32, 23, 127),
    torch.float64: Type(torch.int64, 52, 1023),
    torch.float16: Type(torch.int16, 10, 15),
    torch.bfloat16: Type(torch.int16, 7, 127),
}


class Format(NamedTuple):
    """What the core says of a built-in quantizer; see python/src/device_formats.cc.

    Attributes:
        element: The numbers of an element format, None where there is no formula for it.
        scale: Those of its scales, None without.
        bounds: Keys of the numbers between which a clipped gradient passes, where they are given.
    """

    element: dict[str, Any] | None
    scale: dict[str, Any] | None
    bounds: tuple[int, int] | None


@functools.cache
def _built_in(spec: str, is_double: bool) -> Format | None:
    found = json.loads(native.device_format(spec, is_double))
    return None if found is None else Format(**found)


def format_of(spec: str, dtype: torch.dtype) -> Format | None:
    """The format of a quantizer string; None where the core alone can compute it.

    Results of 16 bits are computed in float32.
    """
    if not common.is_built_in(spec):
        return None
    found = _built_in(spec, dtype == torch.float64)
    return None if found is None or found.element is None else found
