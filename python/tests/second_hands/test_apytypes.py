"""APyTypes casts fixed point and floats as the quantizers do, in every rounding that both have."""

import math

import numpy as np
import pytest
from borders import borders, every_half, quarters
from conftest import assert_same_bits, assert_same_numbers

import tensorquant as tq

apytypes = pytest.importorskip("apytypes", reason="APyTypes is not installed")
# Of signalling NaNs.
pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")
Modes, Overflow = apytypes.QuantizationMode, apytypes.OverflowMode

MODES = {
    "nearest": Modes.TIES_AWAY,
    "even": Modes.TIES_EVEN,
    "nearest_up": Modes.TIES_POS,
    "nearest_down": Modes.TIES_NEG,
    "nearest_zero": Modes.TIES_ZERO,
    "zero": Modes.TO_ZERO,
    "down": Modes.TO_NEG,
    "up": Modes.TO_POS,
    "odd": Modes.JAM_UNBIASED,
}
# Bits and fractional bits.
WORDS = [(1, 0), (2, 1), (4, -3), (8, 0), (8, 4), (12, 14), (16, -20), (16, 8), (24, 40)]
WIDE_WORDS = [(25, 3), (32, 16), (53, 20), (54, 0), (63, 40), (64, 0), (64, 32)]
FLOATS = [(2, 1), (3, 4), (4, 3), (5, 2), (5, 10), (6, 9), (7, 8), (8, 1), (8, 7)]


def inputs_of(W: int, F: int, dtype=np.float32) -> np.ndarray:
    x = quarters(W, 2.0**-F, dtype, around=3)
    return x[np.isfinite(x)]


def codes_of(x, W: int, F: int, rounding: str, overflow=Overflow.SAT) -> list[int]:
    """The integers that APyTypes makes of x, which it holds exactly before."""
    places = 1074 if x.dtype == np.float64 else 149
    x = x.astype(np.float64)
    exact = apytypes.APyFixedArray.from_float(x, int_bits=130, frac_bits=places)
    exact = exact.cast(bits=W, frac_bits=F, quantization=MODES[rounding], overflow=overflow)
    return [k - 2**W if k >= 2 ** (W - 1) else k for k in exact.to_bits()]


def numbers_of(codes, F: int) -> np.ndarray:
    return np.ldexp(np.asarray(codes, np.float64), -F).astype(np.float32)


OVERFLOWS = {"saturate": Overflow.SAT, "wrap": Overflow.WRAP}


@pytest.mark.parametrize("overflow", OVERFLOWS)
@pytest.mark.parametrize("rounding", MODES)
@pytest.mark.parametrize(("W", "F"), WORDS)
def test_fixed_point_saturates_and_wraps_alike(W, F, rounding, overflow):
    x = inputs_of(W, F)
    y = tq.Quantizer(f"{rounding},{W},{F},overflow={overflow}")(x)
    assert_same_bits(y, numbers_of(codes_of(x, W, F, rounding, OVERFLOWS[overflow]), F))


@pytest.mark.parametrize("overflow", OVERFLOWS)
@pytest.mark.parametrize("rounding", MODES)
def test_every_half_becomes_the_same_number(rounding, overflow):
    x = np.unique(every_half())
    x = x[np.isfinite(x)]
    y = tq.Quantizer(f"{rounding},8,4,overflow={overflow}")(x)
    assert_same_bits(y, numbers_of(codes_of(x, 8, 4, rounding, OVERFLOWS[overflow]), 4))


# APyTypes rounds to a word that holds all; the overflows that it has not are SystemC's definitions,
# on those integers.
@pytest.mark.parametrize("rounding", MODES)
@pytest.mark.parametrize(("W", "F"), WORDS)
def test_fixed_point_rounds_alike_before_any_overflow(W, F, rounding):
    x = inputs_of(W, F)
    k = np.array(codes_of(x, 200, F, rounding), np.int64)
    end = 2 ** (W - 1)
    low = (k + end) % (2 * end) - end
    signed = {
        "symmetric": np.clip(k, 1 - end, end - 1),
        "zero": np.where((k >= -end) & (k < end), k, 0),
        "sign_magnitude": np.where((k >> W) & 1 == (low < 0), low, -1 - low),
    }
    for overflow, codes in signed.items():
        y = tq.Quantizer(f"{rounding},{W},{F},overflow={overflow}")(x)
        assert_same_bits(y, numbers_of(codes, F))
    top = 2**W - 1
    unsigned = {
        "saturate": np.clip(k, 0, top),
        "zero": np.where((k >= 0) & (k <= top), k, 0),
        "wrap": k % 2**W,
    }
    for overflow, codes in unsigned.items():
        y = tq.Quantizer(f"{rounding},{W},{F},unsigned,overflow={overflow}")(x)
        assert_same_bits(y, numbers_of(codes, F))


def towards_zero(k: int, F: int) -> float:
    """k * 2^-F, or the float64 below it in magnitude: int and float compare exactly."""
    x = float(k)
    return math.ldexp(x if abs(x) <= abs(k) else math.nextafter(x, 0), -F)


@pytest.mark.parametrize("overflow", OVERFLOWS)
@pytest.mark.parametrize("rounding", MODES)
@pytest.mark.parametrize(("W", "F"), WIDE_WORDS)
def test_words_up_to_64_bits_are_alike_in_float64(W, F, rounding, overflow):
    x = inputs_of(W, F, np.float64)
    y = tq.Quantizer(f"{rounding},{W},{F},overflow={overflow}")(x)
    codes = codes_of(x, W, F, rounding, OVERFLOWS[overflow])
    assert_same_bits(y, np.array([towards_zero(k, F) for k in codes]))


def float_inputs(sizes: dict, dtype) -> np.ndarray:
    """Borders and halves, but those between subnormal and normal numbers, which APyTypes loses."""
    E, M = sizes["exp_bits"], sizes["man_bits"]
    codes = np.arange((2**E - 1) << M)
    values = apytypes.APyFloatArray.from_bits(codes, **sizes).to_numpy()
    x = np.concatenate([borders(values, dtype), every_half().astype(dtype)])
    return x[~((np.abs(x) > values[2**M - 1]) & (np.abs(x) < values[2**M]))]


def cast_float(x: np.ndarray, rounding: str, **sizes) -> np.ndarray:
    exact = apytypes.APyFloatArray.from_float(x, exp_bits=11, man_bits=52)
    return exact.cast(**sizes, quantization=MODES[rounding]).to_numpy().astype(x.dtype)


@pytest.mark.parametrize("rounding", MODES)
@pytest.mark.parametrize(("E", "M"), FLOATS)
def test_floats_are_alike(E, M, rounding):
    sizes = {"exp_bits": E, "man_bits": M}
    x = float_inputs(sizes, np.float32)
    y = tq.Quantizer(f"float,{E},{M},rounding={rounding}")(x)
    assert_same_numbers(y, cast_float(x, rounding, **sizes))


@pytest.mark.parametrize("rounding", MODES)
@pytest.mark.parametrize("bias", [1, 5, 11, 14])
def test_floats_with_another_bias_are_alike(bias, rounding):
    sizes = {"exp_bits": 4, "man_bits": 3, "bias": bias}
    x = float_inputs(sizes, np.float64)
    y = tq.Quantizer(f"float,4,3,bias={bias},rounding={rounding}")(x)
    assert_same_numbers(y, cast_float(x, rounding, **sizes))


def test_the_smallest_normal_number_is_reached_from_below_where_apytypes_falls_to_zero():
    x = np.array([2.0**-6 - 2.0**-20, 2.0**-20 - 2.0**-6])
    assert_same_bits(tq.Quantizer("float,4,3")(x), np.array([2.0**-6, -(2.0**-6)]))
    assert_same_bits(cast_float(x, "even", exp_bits=4, man_bits=3), np.array([0, -0.0]))


X = np.array([-1.5, -1, -0.25, 0, 0.5, 1, 1.25, 2], np.float32)


def cast_by(mode) -> list:
    fixed = apytypes.APyFixedArray.from_float(X, int_bits=4, frac_bits=4)
    return fixed.cast(int_bits=8, frac_bits=0, quantization=mode).to_numpy().tolist()


def test_to_odd_is_jam_unbiased_not_jam_which_moves_exact_even_numbers():
    assert tq.Quantizer("odd,8,0")(X).tolist() == [-1, -1, -1, 0, 1, 1, 1, 2]
    assert cast_by(Modes.JAM_UNBIASED) == [-1, -1, -1, 0, 1, 1, 1, 2]
    assert cast_by(Modes.JAM) == [-1, -1, -1, 1, 1, 1, 1, 3]


def test_no_quantizer_rounds_away_from_zero_to_odd_in_ties_or_by_trn_mag():
    assert cast_by(Modes.TO_AWAY) == [-2, -1, -1, 0, 1, 1, 2, 2]
    assert cast_by(Modes.TIES_ODD) == [-1, -1, 0, 0, 1, 1, 1, 2]
    assert cast_by(Modes.TRN_MAG) == [-1, 0, 0, 0, 0, 1, 1, 2]  # moves exact negative numbers


def test_numeric_std_keeps_the_sign_which_no_overflow_here_does():
    x = np.array([7, 8, 15, 16, -8, -9, -17], np.float32)
    theirs = apytypes.APyFixedArray.from_float(x, int_bits=8, frac_bits=0)
    theirs = theirs.cast(int_bits=4, frac_bits=0, overflow=Overflow.NUMERIC_STD)
    assert theirs.to_numpy().tolist() == [7, 0, 7, 0, -8, -1, -1]
    assert tq.Quantizer("nearest,4,0,overflow=wrap")(x).tolist() == [7, -8, -1, 0, -8, 7, -1]
    sign_magnitude = tq.Quantizer("nearest,4,0,overflow=sign_magnitude")(x)
    assert sign_magnitude.tolist() == [7, 7, 0, -1, -8, -8, 0]


@pytest.mark.parametrize("x", [np.nan, np.inf])
def test_infinity_and_nan_are_refused_where_the_quantizer_saturates_or_keeps_nan(x):
    with pytest.raises(ValueError, match="Cannot convert"):
        apytypes.APyFixedArray.from_float([x], int_bits=4, frac_bits=4)
    wanted = np.array([min(x, 7.0)], np.float32)
    assert_same_numbers(tq.Quantizer("nearest,4,0")(np.array([x], np.float32)), wanted)


def test_a_wrapped_number_of_more_than_64_bits_is_right_in_its_bits_alone():
    theirs = apytypes.APyFixedArray.from_float([300.0], int_bits=33, frac_bits=32)
    theirs = theirs.cast(bits=16, frac_bits=8, overflow=Overflow.WRAP)
    wanted = np.array([44], np.float32)
    assert_same_bits(tq.Quantizer("down,16,8,overflow=wrap")(np.array([300], np.float32)), wanted)
    assert theirs.to_bits() == [44 * 2**8]
    assert theirs.to_numpy().tolist() == [300]
