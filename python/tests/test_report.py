"""What saturates and what becomes zero, against counts in exact fractions."""

from fractions import Fraction
from math import floor, inf, isfinite, nan

import numpy as np
import pytest

import tensorquant as tq

RANDOM = np.random.default_rng(7)
NUMBERS = np.concatenate(
    [
        [0.0, -0.0, 5e-324, -1e-40, 2.0**-149, inf, -inf, nan],
        np.arange(-300, 300) / 32,  # ends, half steps and quarter steps behind them
        RANDOM.normal(0, 8, 500),
        RANDOM.normal(0, 1e4, 100),
    ]
).astype(np.float32)


def even(x):
    below = floor(x)
    up = x - below > Fraction(1, 2) or (x - below == Fraction(1, 2) and below % 2 == 1)
    return below + up


def away(x):
    return floor(abs(x) + Fraction(1, 2)) * (1 if x > 0 else -1)


ROUNDINGS = {
    "even": even,
    "nearest": away,
    "nearest_up": lambda x: floor(x + Fraction(1, 2)),
    "down": floor,
    "up": lambda x: -floor(-x),
    "zero": lambda x: floor(abs(x)) * (1 if x > 0 else -1),
}


def rounded_float(x, precision, last_bit):
    """To the nearest float, ties to even, of so many significant bits; exponents have no end."""
    exponent = 0
    while abs(x) >= Fraction(2) ** (exponent + 1):
        exponent += 1
    while abs(x) < Fraction(2) ** exponent and exponent - precision + 1 > last_bit:
        exponent -= 1
    step = Fraction(2) ** max(exponent - precision + 1, last_bit)
    return even(x / step) * step


def counts_of(x, rounded, lowest, highest):
    """values, nonzero, saturated, became_zero of a format that clamps."""
    numbers = [Fraction(float(value)) for value in x.ravel() if isfinite(value)]
    results = [(number, rounded(number)) for number in numbers]
    return (
        len(numbers),
        sum(number != 0 for number in numbers),
        sum(not lowest <= result <= highest for _, result in results),
        sum(number != 0 and min(max(result, lowest), highest) == 0 for number, result in results),
    )


def counts(report):
    return report.values, report.nonzero, report.saturated, report.became_zero


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("rounding", ROUNDINGS)
@pytest.mark.parametrize("bits, fraction", [(8, 4), (6, 0), (4, 3), (1, 0), (12, 2)])
def test_of_fixed_point_are_exact(rounding, bits, fraction, dtype):
    x = NUMBERS.astype(dtype)

    def integer(number):
        return ROUNDINGS[rounding](number * 2**fraction)

    ends = -(2 ** (bits - 1)), 2 ** (bits - 1) - 1
    report = tq.Quantizer(f"{rounding},{bits},{fraction}").report(x)
    assert counts(report) == counts_of(x, integer, *ends)
    assert report.bits_per_value == bits
    finite = x[np.isfinite(x)]
    assert (report.lowest, report.highest) == (finite.min(), finite.max())
    assert report.saturated_share == report.saturated / report.values
    assert report.became_zero_share == report.became_zero / report.nonzero
    unsigned = tq.Quantizer(f"{rounding},{bits},{fraction},unsigned").report(x)
    assert unsigned.saturated == counts_of(x, integer, 0, 2**bits - 1)[2]


@pytest.mark.parametrize("overflow", ["wrap", "zero", "sign_magnitude", "symmetric"])
def test_of_numbers_that_wrap_are_those_beyond_the_ends(overflow):
    lowest = -127 if overflow == "symmetric" else -128
    expected = counts_of(NUMBERS, lambda number: even(number * 16), lowest, 127)
    quantizer = tq.Quantizer(f"even,8,4,overflow={overflow}")
    report = quantizer.report(NUMBERS)
    assert report.saturated == expected[2]
    finite = NUMBERS[np.isfinite(NUMBERS)]
    assert report.became_zero == np.count_nonzero((quantizer(finite) == 0) & (finite != 0))


@pytest.mark.parametrize(
    "spec, precision, last_bit, largest",
    [
        ("fp16", 11, -24, 65504),
        ("e4m3fn", 4, -9, 448),
        ("e5m2", 3, -16, 57344),
        ("e5m2,overflow=saturate", 3, -16, 57344),
        ("e3m2", 3, -4, 28),
        ("e2m1", 2, -1, 6),
        ("float,4,3", 4, -9, 240),
    ],
)
def test_of_floats_begin_where_the_rounded_number_is_beyond_the_largest(
    spec, precision, last_bit, largest
):
    halves = np.arange(2**16, dtype=np.uint16).view(np.float16)
    ends = np.array([largest, largest * (1 + 2.0**-precision)], np.float32)
    ends = [ends, np.nextafter(ends, 0), np.nextafter(ends, inf), -ends]
    x = np.concatenate([halves.astype(np.float32), NUMBERS, *ends])
    expected = counts_of(x, lambda n: rounded_float(n, precision, last_bit), -largest, largest)
    assert counts(tq.Quantizer(spec).report(x)) == expected
    of_halves = counts_of(
        halves, lambda n: rounded_float(n, precision, last_bit), -largest, largest
    )
    assert counts(tq.Quantizer(spec).report(halves)) == of_halves


def group_scale(group, largest):
    """OCP MX: 2^(floor(log2 amax) - floor(log2 largest)); None where the group is not finite."""
    if not all(isfinite(value) for value in group):
        return None
    amax = max(abs(Fraction(float(value))) for value in group)
    exponent = 0
    while amax and amax >= Fraction(2) ** (exponent + 1):
        exponent += 1
    while amax and amax < Fraction(2) ** exponent:
        exponent -= 1
    return Fraction(2) ** (exponent - (largest.bit_length() - 1))


@pytest.mark.parametrize("axis", [0, 1])
def test_of_blocks_look_at_the_scale_of_each(axis):
    x = (RANDOM.normal(0, 1, (70, 70)) * np.exp2(RANDOM.integers(-9, 9, (70, 70)))).astype("f4")
    x[3, 5], x[40, 60], x[:, 7] = inf, nan, 0
    nonzero = saturated = became_zero = 0
    for line in x if axis == 1 else x.T:
        for begin in range(0, 70, 32):
            block = line[begin : begin + 32]
            nonzero += np.count_nonzero(block[np.isfinite(block)])
            scale = group_scale(block, 6)
            if scale is None:
                continue
            for number in (Fraction(float(value)) for value in block):
                result = rounded_float(number / scale, 2, -1)
                saturated += abs(result) > 6
                became_zero += number != 0 and result == 0
    report = tq.Quantizer("mxfp4").report(x, reduction_axis=axis)
    assert counts(report) == (70 * 70 - 2, nonzero, saturated, became_zero)
    assert saturated > 0
    assert report.bits_per_value == 4.25


def test_of_channels_look_at_the_scale_of_each():
    x = RANDOM.normal(0, 1, (5, 3, 4)).astype(np.float32) * np.float32([1, 100, 1e-3])[:, None]
    scales = np.abs(x).max((0, 2)) / np.float32(127)
    zeros = np.count_nonzero(np.rint(x / scales[:, None]) == 0)
    report = tq.Quantizer("int,8,per=channel,scale=max").report(x, channel_axis=1)
    assert counts(report) == (60, 60, 0, zeros)
    assert report.bits_per_value is None


def test_of_random_rounding_are_those_of_the_same_call():
    x = np.full(1000, 7.5, np.float32)
    quantizer = tq.Quantizer("stochastic,4,0")
    wide = tq.Quantizer("stochastic,8,0")
    for place in ({"seed": 1}, {"seed": 1, "stream": 2}, {"seed": 1, "step": 3}):
        report = quantizer.report(x, **place)
        assert report.saturated == np.count_nonzero(wide(x, **place) == 8)
        assert 400 < report.saturated < 600


def test_of_no_numbers_have_no_shares():
    for x in (np.zeros(0, np.float32), np.array([nan, inf], np.float32)):
        report = tq.Quantizer("nearest,8,4").report(x)
        assert report == (0, 0, 0, None, 0, None, None, None, 8)


def test_of_a_quantizer_of_your_own_know_no_ends():
    class Small(tq.UserQuantizer):
        def quantize(self, x):
            return np.where(np.abs(x) < 1, 0, x).astype(x.dtype)

    report = Small().report(np.array([0.5, 0, 3], np.float32))
    assert report == (3, 2, None, None, 1, 0.5, 0, 3, None)


def test_take_arrays_of_every_library():
    torch = pytest.importorskip("torch")
    q = tq.Quantizer("nearest,8,4")
    x = torch.tensor([[1.0, 100.0], [0.01, 0.0]]).t()
    for dtype in (torch.float32, torch.float64, torch.float16, torch.bfloat16):
        assert counts(q.report(x.to(dtype))) == (4, 3, 1, 1)


def test_name_what_is_wrong():
    q = tq.Quantizer("int,8,per=channel,scale=max")
    with pytest.raises(ValueError, match="channel_axis"):
        q.report(np.ones(3, np.float32))
    with pytest.raises(TypeError, match="x: "):
        q.report([1.0])
