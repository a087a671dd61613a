"""The ops on any device that PyTorch has: of its integer operations, by the formulas."""

import torch

from tensorquant.ops import common
from tensorquant.ops.torch import formulas, groups
from tensorquant.ops.torch.formats import TYPES, Type, format_of

_FLOAT32 = TYPES[torch.float32]


def quantize(x: torch.Tensor, spec: str, seed, stream, step, axes) -> torch.Tensor:
    """As the op of this name; of x's strides where it is dense."""
    form = format_of(spec, x.dtype)
    bits, its = _bits_of(x)
    word = None
    if form.element.get("rounding") == "stochastic":
        word = _random_words(x, form.element["random_bits"], seed, stream, step)
    if form.scale is None:
        y = _element(bits, form.element, its, word)
    else:
        y = _scaled(bits, spec, form, word, axes)
    return _as(x, y)


def inside(x: torch.Tensor, spec: str, axes) -> torch.Tensor:
    form = format_of(spec, x.dtype)
    bits, its = _bits_of(x)
    numbers = groups.number(bits, its.sign)
    if form.bounds is not None:
        lowest, highest = form.bounds
    else:
        lowest, highest = groups.limits(bits, spec, form, axes)
    return (numbers >= lowest) & (numbers <= highest) & (numbers.abs() <= its.infinity)


def _bits_of(x: torch.Tensor) -> tuple[torch.Tensor, Type]:
    """As integers of 64 bits; 16 bits are widened to a float32's."""
    its = TYPES[x.dtype]
    bits = x.resolve_neg().view(its.bits).to(torch.int64)
    if its.is_half:
        return formulas.widened(bits, its.mantissa, its.bias, _FLOAT32.sign), _FLOAT32
    return bits, its


def _as(x: torch.Tensor, bits: torch.Tensor) -> torch.Tensor:
    its = TYPES[x.dtype]
    if its.is_half:
        bits = formulas.narrowed(bits, its.mantissa, its.bias, _FLOAT32.sign)
    y = torch.empty_like(x)
    y.view(its.bits).copy_(bits)
    return y


def _random_words(x, random_bits, seed, stream, step) -> torch.Tensor:
    index = torch.arange(x.numel(), dtype=torch.int64, device=x.device).reshape(x.shape)
    seed = common.as_unsigned(seed)
    step = 0 if step is None else step.to(x.device, torch.int64).reshape(()) & 0xFFFFFFFF
    return formulas.random_word(index, seed & 0xFFFFFFFF, seed >> 32, stream, step, random_bits)


def _element(bits, element, its: Type, word=None) -> torch.Tensor:
    return _KINDS[element["kind"]](bits, element, its, word)


def grid_numbers(element) -> tuple:
    """The numbers of formulas.grid() that are no part of the formula."""
    return (
        element["last_bit"],
        element["significand_bits"],
        element["step"],
        *element["largest"],
        *element["beyond"],
        *element["infinity"],
        element["negative_zero"],
        element["nan"],
        element.get("bits", 1),
    )


def grid_choices(element, its: Type) -> tuple:
    """And those that choose the formula."""
    return (
        element["rounding"],
        element["random_bits"],
        element["significand_bits"] == 0,
        element["last_bit"] + element["significand_bits"] < 1 - its.bias,
        element["wrap"],
        element.get("unsigned", False),
    )


def _grid(bits, element, its, word):
    numbers, choices = grid_numbers(element), grid_choices(element, its)
    return formulas.grid(bits, word, *numbers, its.mantissa, its.bias, its.sign, *choices)


POSIT_NUMBERS = "bits", "exponent_bits", "smallest", "largest", "nan"


def _posit(bits, element, its, _):
    numbers = (element[name] for name in POSIT_NUMBERS)
    return formulas.posits(bits, *numbers, its.mantissa, its.bias, its.sign)


def _sparse(bits, element, its, _):
    return formulas.sparse(bits, element["threshold"], its.sign)


def tensors_of_table(element, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    """Borders and values; kept, since formats are few and copies to a device slow."""
    kept = element.setdefault("tensors", {})
    if device not in kept:
        names = "borders", "values"
        kept[device] = tuple(torch.tensor(element[name], device=device) for name in names)
    return kept[device]


def _table(bits, element, its, _):
    borders, values = tensors_of_table(element, bits.device)
    keys = formulas.key(bits, its.sign)
    y = values[torch.searchsorted(borders, keys.contiguous(), right=True)]
    magnitude = torch.where(bits < 0, bits - its.sign, bits)
    return torch.where(magnitude > its.infinity, bits, y)


_KINDS = {
    "same": lambda bits, *_: bits,
    "grid": _grid,
    "posit": _posit,
    "sparse": _sparse,
    "table": _table,
}


def _scaled(bits, spec, form, word, axes):
    magnitude = torch.where(bits < 0, bits - _FLOAT32.sign, bits)
    scales = groups.scales_of(bits, spec, form, axes)
    t = formulas.quotient(magnitude, scales.scale)
    q = _element(torch.where(bits < 0, t + _FLOAT32.sign, t), form.element, _FLOAT32, word)
    if form.scale["has_zero_point"]:
        q = groups.without_zero(q, scales, form.scale)
    y = groups.scaled(q, scales.scale)
    is_nan = (scales.scale > _FLOAT32.infinity) & (magnitude <= _FLOAT32.infinity)
    return torch.where(is_nan, groups.QUIET_NAN, y)
