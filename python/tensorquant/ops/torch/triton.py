"""The ops on GPUs: kernels of Triton, made of the formulas. Imported where a tensor is on one."""

import inspect
import types

import torch
import triton
import triton.language as tl

from tensorquant.ops import common
from tensorquant.ops.torch import composite, formulas
from tensorquant.ops.torch.formats import TYPES, Type, format_of
from tensorquant.ops.torch.memory import is_dense

_BLOCK = 1024


@triton.jit
def where(condition, x, y):
    return tl.where(condition, x, y)


def _in_triton(module) -> dict:
    """A module's functions for Triton, which they call each other in."""
    names = {"__name__": f"{__name__}.{module.__name__}", "tl": tl, "where": where}
    for name, function in inspect.getmembers(module, inspect.isfunction):
        names[name] = triton.jit(types.FunctionType(function.__code__, names, name))
    return names


_formulas = _in_triton(formulas)
_grid, _posits, _sparse = _formulas["grid"], _formulas["posits"], _formulas["sparse"]
_key, _random_word = _formulas["key"], _formulas["random_word"]
_widened, _narrowed = _formulas["widened"], _formulas["narrowed"]


@triton.jit
def _load(x, index, count, IN: tl.constexpr, LONG: tl.constexpr):
    """Numbers as integers of 32 or 64 bits; IN: mantissa and bias of a type of 16 bits."""
    bits = tl.load(x + index, mask=index < count, other=0)
    if IN is not None:
        bits = _widened(bits.to(tl.int32), IN[0], IN[1], -0x80000000)
    if LONG:
        bits = bits.to(tl.int64)
    return bits


@triton.jit
def _store(y, index, count, bits, OUT: tl.constexpr):
    if OUT is not None:
        bits = _narrowed(bits.to(tl.int32), OUT[0], OUT[1], -0x80000000)
    tl.store(y + index, bits, mask=index < count)


@triton.jit
def _indices(BLOCK: tl.constexpr):
    return tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)


# Numbers that are no part of a formula: a kernel for each would be compiled for seconds.
_NUMBERS = [
    *("count", "last_bit", "significand_bits", "step", "largest", "largest_negative", "beyond"),
    *("beyond_negative", "infinity", "infinity_negative", "negative_zero", "nan", "bits"),
    *("exponent_bits", "smallest", "threshold", "borders_count"),
    *("seed_low", "seed_high", "stream", "random_step"),
]


def _kernel(function):
    names = inspect.signature(function).parameters
    return triton.jit(function, do_not_specialize=[name for name in _NUMBERS if name in names])


@_kernel
def _grid_kernel(
    x,
    y,
    count,
    seed_low,
    seed_high,
    stream,
    random_step,
    last_bit,
    significand_bits,
    step,
    largest,
    largest_negative,
    beyond,
    beyond_negative,
    infinity,
    infinity_negative,
    negative_zero,
    nan,
    bits,
    MANTISSA: tl.constexpr,
    BIAS: tl.constexpr,
    SIGN: tl.constexpr,
    ROUNDING: tl.constexpr,
    RANDOM_BITS: tl.constexpr,
    IS_POWER: tl.constexpr,
    IS_WIDE: tl.constexpr,
    WRAP: tl.constexpr,
    IS_UNSIGNED: tl.constexpr,
    HALF: tl.constexpr,
    LONG: tl.constexpr,
    BLOCK: tl.constexpr,
):
    index = _indices(BLOCK)
    number = _load(x, index, count, HALF, LONG)
    word = 0
    if ROUNDING == "stochastic":
        word = _random_word(index, seed_low, seed_high, stream, random_step, RANDOM_BITS)
    result = _grid(
        number,
        word,
        last_bit,
        significand_bits,
        step,
        largest,
        largest_negative,
        beyond,
        beyond_negative,
        infinity,
        infinity_negative,
        negative_zero,
        nan,
        bits,
        MANTISSA,
        BIAS,
        SIGN,
        ROUNDING,
        RANDOM_BITS,
        IS_POWER,
        IS_WIDE,
        WRAP,
        IS_UNSIGNED,
    )
    _store(y, index, count, result, HALF)


@_kernel
def _posit_kernel(
    x,
    y,
    count,
    bits,
    exponent_bits,
    smallest,
    largest,
    nan,
    MANTISSA: tl.constexpr,
    BIAS: tl.constexpr,
    SIGN: tl.constexpr,
    HALF: tl.constexpr,
    LONG: tl.constexpr,
    BLOCK: tl.constexpr,
):
    index = _indices(BLOCK)
    number = _load(x, index, count, HALF, LONG)
    result = _posits(number, bits, exponent_bits, smallest, largest, nan, MANTISSA, BIAS, SIGN)
    _store(y, index, count, result, HALF)


@_kernel
def _sparse_kernel(
    x,
    y,
    count,
    threshold,
    SIGN: tl.constexpr,
    HALF: tl.constexpr,
    LONG: tl.constexpr,
    BLOCK: tl.constexpr,
):
    index = _indices(BLOCK)
    number = _load(x, index, count, HALF, LONG)
    _store(y, index, count, _sparse(number, threshold, SIGN), HALF)


@_kernel
def _table_kernel(
    x,
    y,
    count,
    borders,
    values,
    borders_count,
    infinity,
    LEVELS: tl.constexpr,
    SIGN: tl.constexpr,
    HALF: tl.constexpr,
    LONG: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """By halving: `reached` is how many borders lie at or below a number."""
    index = _indices(BLOCK)
    number = _load(x, index, count, HALF, LONG)
    key = _key(number, SIGN)
    reached = tl.zeros([BLOCK], tl.int32)
    for level in tl.static_range(LEVELS):
        more = reached + (1 << (LEVELS - 1 - level))
        is_there = more <= borders_count
        border = tl.load(borders + more - 1, mask=is_there, other=0)
        reached = tl.where(is_there & (border <= key), more, reached)
    magnitude = tl.where(number < 0, number - SIGN, number)
    value = tl.load(values + reached)
    _store(y, index, count, tl.where(magnitude > infinity, number, value), HALF)


def quantize(x: torch.Tensor, spec: str, seed, stream, step, axes) -> torch.Tensor:
    """As the op of this name; of x's strides where it is dense."""
    form = format_of(spec, x.dtype)
    if form.scale is not None or form.element["kind"] == "same":
        return composite.quantize(x, spec, seed, stream, step, axes)
    y = torch.empty_like(x)
    x = x.resolve_neg()
    is_random = form.element.get("rounding") == "stochastic"
    in_any_order = x.stride() == y.stride() and not is_random and is_dense(x)
    if not (x.is_contiguous() or in_any_order):
        x = x.contiguous()
    into = y if y.stride() == x.stride() else torch.empty_like(x)
    step = 0 if step is None or not is_random else int(step) & 0xFFFFFFFF
    seed = common.as_unsigned(seed)
    random = seed & 0xFFFFFFFF, seed >> 32, stream, step
    its = TYPES[x.dtype]
    half = (its.mantissa, its.bias) if its.is_half else None
    number = TYPES[torch.float32] if its.is_half else its
    is_long = x.dtype == torch.float64 or form.element.get("wrap", 0) != 0
    launch = _LAUNCHES[form.element["kind"]]
    tensors = x.view(its.bits), into.view(its.bits), x.numel()
    with torch.cuda.device_of(x):
        launch(tensors, form.element, number, random, HALF=half, LONG=is_long, BLOCK=_BLOCK)
    return y if into is y else y.copy_(into)


def _over(count: int) -> tuple[int]:
    return (triton.cdiv(count, _BLOCK),)


def _launch_grid(tensors, element, its: Type, random, **choices):
    _grid_kernel[_over(tensors[2])](
        *tensors,
        *random,
        *composite.grid_numbers(element),
        its.mantissa,
        its.bias,
        its.sign,
        *composite.grid_choices(element, its),
        **choices,
    )


def _launch_posit(tensors, element, its: Type, _, **choices):
    numbers = (element[name] for name in composite.POSIT_NUMBERS)
    _posit_kernel[_over(tensors[2])](
        *tensors, *numbers, its.mantissa, its.bias, its.sign, **choices
    )


def _launch_sparse(tensors, element, its: Type, _, **choices):
    _sparse_kernel[_over(tensors[2])](*tensors, element["threshold"], its.sign, **choices)


def _launch_table(tensors, element, its: Type, _, **choices):
    borders, values = composite.tensors_of_table(element, tensors[0].device)
    size = len(borders)
    _table_kernel[_over(tensors[2])](
        *tensors, borders, values, size, its.infinity, size.bit_length(), its.sign, **choices
    )


_LAUNCHES = {
    "grid": _launch_grid,
    "posit": _launch_posit,
    "sparse": _launch_sparse,
    "table": _launch_table,
}
