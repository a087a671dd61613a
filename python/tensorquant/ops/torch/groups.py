"""Scales that the elements of a group share, in float32's integers."""

from typing import NamedTuple

import torch

from tensorquant import _core as native
from tensorquant.ops.torch import formulas
from tensorquant.ops.torch.formats import TYPES, Format

_FLOAT32 = TYPES[torch.float32]
_SMALLEST_NORMAL = 1 << 23
_LARGEST = _FLOAT32.infinity - 1
QUIET_NAN = _FLOAT32.infinity | 1 << 22


class Groups(NamedTuple):
    """Element (o, k, i) of the axis is in block k // block of its line, or with all of its k."""

    outer: int
    length: int
    inner: int
    block: int
    by_index: bool

    def largest(self, numbers: torch.Tensor) -> torch.Tensor:
        """Of the numbers of each group, which are at least 0."""
        numbers = numbers.reshape(self.outer, self.length, self.inner)
        if self.by_index:
            return numbers.amax((0, 2), keepdim=True)
        missing = -self.length % self.block
        numbers = torch.nn.functional.pad(numbers, (0, 0, 0, missing))
        return numbers.reshape(self.outer, -1, self.block, self.inner).amax(2)

    def spread(self, of_groups: torch.Tensor, shape: torch.Size) -> torch.Tensor:
        """Each group's number at each of its elements."""
        if self.by_index:
            return of_groups.expand(self.outer, self.length, self.inner).reshape(shape)
        blocks = of_groups.unsqueeze(2).expand(-1, -1, self.block, -1)
        lines = blocks.reshape(self.outer, -1, self.inner)
        return lines[:, : self.length].reshape(shape)


class Scales(NamedTuple):
    """At each element: the bits of its scale, and its zero point."""

    scale: torch.Tensor  # NaN where the group is
    zero: torch.Tensor


def scales_of(bits: torch.Tensor, spec: str, form: Format, axes) -> Scales:
    rule = form.scale["rule"]
    if rule == "number":
        scale = torch.full_like(bits, form.scale["number"])
        return Scales(scale, torch.full_like(bits, form.scale["zero"]))
    groups = Groups(*native.device_groups(spec, list(bits.shape), axes))
    scale, zero = _RULES[rule](bits, form.scale, groups)
    spread = [groups.spread(of_groups, bits.shape) for of_groups in (scale, zero)]
    return Scales(*spread)


def _magnitudes(bits):
    return torch.where(bits < 0, bits - _FLOAT32.sign, bits)


def _normal(scale):
    return scale.clamp(_SMALLEST_NORMAL, _LARGEST)


def _found(scale, amax):
    """0 for groups of zeros, NaN for those that are not finite."""
    scale = torch.where(amax == 0, 0, scale)
    return torch.where(amax >= _FLOAT32.infinity, QUIET_NAN, scale)


def _max(bits, its, groups):
    amax = groups.largest(_magnitudes(bits))
    scale = _normal(formulas.quotient(amax, torch.full_like(amax, its["largest"])))
    return _found(scale, amax), torch.zeros_like(amax)


def _power(bits, its, groups):
    amax = groups.largest(_magnitudes(bits))
    return _found(formulas.power_scale(amax, its["exponent"], its["threshold"]), amax), (
        torch.zeros_like(amax)
    )


def _e4m3(bits, its, groups):
    amax = groups.largest(_magnitudes(bits))
    most = amax.amax()
    of_tensor = _normal(formulas.quotient(most, torch.full_like(most, its["most"])))
    unit = formulas.product(torch.full_like(of_tensor, its["largest"]), of_tensor)
    in_units = formulas.quotient(amax, unit)
    e4m3 = its["e4m3"]
    in_units = in_units.clamp(e4m3["step"], e4m3["largest"][0])
    block = formulas.rounded(
        in_units,
        in_units < 0,
        None,
        e4m3["last_bit"],
        e4m3["significand_bits"],
        e4m3["step"],
        _FLOAT32.mantissa,
        _FLOAT32.bias,
        "even",
        0,
        False,
        False,
    )
    scale = _found(_normal(formulas.product(block, of_tensor)), amax)
    return torch.where(most >= _FLOAT32.infinity, QUIET_NAN, scale), torch.zeros_like(amax)


def _range(bits, its, groups):
    magnitudes = _magnitudes(bits)
    high = groups.largest(torch.where(bits < 0, 0, magnitudes))
    low = groups.largest(torch.where(bits < 0, magnitudes, 0))
    span = formulas.sum_of(high, low).clamp(max=_LARGEST)
    scale = _normal(formulas.quotient(span, torch.full_like(span, its["span"])))
    steps = formulas.integer_of(formulas.quotient(low, scale))
    lowest, highest = its["integers"]
    zero = (lowest + steps).clamp(lowest, highest)
    is_finite = torch.maximum(high, low) < _FLOAT32.infinity
    return torch.where(is_finite, scale, QUIET_NAN), zero


_RULES = {"max": _max, "power": _power, "e4m3": _e4m3, "range": _range}


def number(bits: torch.Tensor, sign: int = _FLOAT32.sign) -> torch.Tensor:
    """A number's bits in the order of integers, both zeros 0."""
    return torch.where(bits < 0, sign - bits, bits)


def _number_of(integers: torch.Tensor) -> torch.Tensor:
    """Small integers as float32, likewise."""
    return number(integers.to(torch.float32).view(torch.int32).to(torch.int64))


def _ends(scales: Scales, its) -> tuple[torch.Tensor, torch.Tensor]:
    """The numbers between which integers less their zero point lie."""
    lowest, highest = its["integers"]
    return _number_of(lowest - scales.zero), _number_of(highest - scales.zero)


def without_zero(q: torch.Tensor, scales: Scales, its) -> torch.Tensor:
    """The bits of integers between those ends; NaN stays."""
    lowest, highest = _ends(scales, its)
    numbers = torch.minimum(torch.maximum(number(q), lowest), highest)
    return torch.where(_magnitudes(q) > _FLOAT32.infinity, q, _bits(numbers))


def _bits(numbers):
    return torch.where(numbers < 0, _FLOAT32.sign - numbers, numbers)


def scaled(q: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
    """The bits of q times its scale, the largest number in place of an infinity."""
    magnitude = _magnitudes(q)
    y = formulas.product(magnitude, scale)
    y = torch.where(magnitude < _FLOAT32.infinity, y.clamp(max=_LARGEST), y)
    return torch.where(q < 0, y + _FLOAT32.sign, y)


def limits(bits: torch.Tensor, spec: str, form: Format, axes) -> tuple[torch.Tensor, torch.Tensor]:
    """The extreme values of each element's group, as numbers; none in groups that are NaN."""
    scales = scales_of(bits, spec, form, axes)
    if form.scale["has_zero_point"]:
        ends = _ends(scales, form.scale)
    else:
        ends = (torch.full_like(bits, end) for end in form.scale["limits"])
    lowest, highest = (number(scaled(_bits(end), scales.scale)) for end in ends)
    return lowest, torch.where(scales.scale > _FLOAT32.infinity, lowest - 1, highest)
