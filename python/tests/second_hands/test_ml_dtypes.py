"""ml_dtypes and NumPy convert to the floats of 16, 8, 6 and 4 bits as the quantizers do."""

import numpy as np
import pytest
from borders import borders, every_half
from conftest import assert_same_bits, assert_same_numbers
from float_types import TYPES

import tensorquant as tq

ml_dtypes = pytest.importorskip("ml_dtypes", reason="ml_dtypes is not installed")
# Of overflows and signalling NaNs.
pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")

WITHOUT_NAN = ("float6_e3m2fn", "float6_e2m3fn", "float4_e2m1fn")
WITH_NAN_ON_OVERFLOW = [name for name, spec in TYPES.items() if spec.endswith("overflow=nan")]


def dtype_of(name: str) -> np.dtype:
    return np.dtype(getattr(ml_dtypes, name, name))


def values_of(name: str) -> np.ndarray:
    """The finite values of all codes."""
    dtype = dtype_of(name)
    bits = {"float6": 6, "float4": 4}.get(name[:6], 8 * dtype.itemsize)
    values = np.arange(2**bits).astype(f"u{dtype.itemsize}").view(dtype).astype(np.float32)
    return np.unique(values[np.isfinite(values)]) + 0  # one zero


def inputs_of(name: str) -> np.ndarray:
    x = np.concatenate([borders(values_of(name)), every_half()])
    return x[~np.isnan(x)] if name in WITHOUT_NAN else x


def convert(x: np.ndarray, name: str) -> np.ndarray:
    """x to the type and back."""
    return x.astype(dtype_of(name)).astype(x.dtype)


@pytest.mark.parametrize("name", TYPES)
def test_the_codes_of_a_type_are_the_values_of_its_quantizer(name):
    values = tq.Quantizer(TYPES[name]).values(at_most=2**16)
    assert_same_bits(np.unique(values).astype(np.float32) + 0, values_of(name))


@pytest.mark.parametrize("name", TYPES)
def test_float32_becomes_the_same_number(name):
    x = inputs_of(name)
    assert_same_numbers(tq.Quantizer(TYPES[name])(x), convert(x, name))


@pytest.mark.parametrize("name", TYPES)
def test_the_name_of_the_type_is_a_name_of_the_quantizer(name):
    x = values_of(name)
    assert_same_bits(tq.Quantizer(name)(x), x)


@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16])
@pytest.mark.parametrize("name", [name for name in TYPES if not name.endswith("16")])
def test_halves_become_the_same_number(name, dtype):
    x = np.arange(2**16, dtype=np.uint16).view(dtype)
    if name in WITHOUT_NAN:
        x = x[~np.isnan(x.astype(np.float32))]
    assert_same_numbers(tq.Quantizer(TYPES[name])(x), convert(x, name))


def test_float64_becomes_the_float16_of_numpy():
    x = borders(values_of("float16"), np.float64)
    assert_same_numbers(tq.Quantizer("fp16")(x), convert(x, "float16"))


@pytest.mark.parametrize("name", WITH_NAN_ON_OVERFLOW)
def test_left_to_itself_the_quantizer_saturates_where_the_type_becomes_nan(name):
    spec = TYPES[name].removesuffix(",overflow=nan")
    x = inputs_of(name)
    theirs = convert(x, name)
    overflows = np.isnan(theirs) & ~np.isnan(x)
    assert overflows.any()
    largest = values_of(name)[-1]
    assert_same_numbers(tq.Quantizer(spec)(x), np.where(overflows, np.copysign(largest, x), theirs))


@pytest.mark.parametrize("name", WITHOUT_NAN)
def test_nan_stays_nan_where_the_type_has_none_and_makes_it_minus_zero(name):
    nan = np.array([np.nan], np.float32)
    assert_same_bits(tq.Quantizer(TYPES[name])(nan), nan)
    assert_same_bits(convert(nan, name), np.array([-0.0], np.float32))


@pytest.mark.parametrize("name", ["bfloat16", "float8_e4m3fn", "float6_e2m3fn", "float4_e2m1fn"])
def test_float64_is_rounded_once_where_the_type_goes_by_way_of_float32(name):
    values = values_of(name)
    following = float(values[values > 1][0])
    x = np.array([(1 + following) / 2 + 2.0**-40])  # in float32 a tie
    assert_same_bits(tq.Quantizer(TYPES[name])(x), np.array([following]))
    assert_same_bits(convert(x, name), np.array([1.0]))


# E8M0, the type of scales, is no quantizer; powers of two are `logarithmic`.
POWERS = tq.Quantizer("logarithmic,max=127,min=-127")


def test_scales_of_mx_are_powers_of_two_with_ties_upwards():
    x = np.concatenate([borders(np.ldexp(1.0, np.arange(-126, 128))), every_half()])
    x = x[(x >= 2.0**-126) & (x < 1.5 * 2.0**127)]
    assert_same_bits(POWERS(x), convert(x, "float8_e8m0fnu"))


def test_scales_of_mx_have_no_zero_no_sign_and_nan_above_their_largest():
    x = np.array([0, -1, 2.0**-149, 1.5 * 2.0**127], np.float32)
    assert_same_bits(POWERS(x), np.array([0, -1, 0, 2.0**127], np.float32))
    theirs = np.array([np.nan, np.nan, 2.0**-127, np.nan], np.float32)
    assert_same_numbers(convert(x, "float8_e8m0fnu"), theirs)


def test_what_is_near_the_smallest_scale_goes_there_where_the_type_goes_up():
    x = np.array([1.0625 * 2.0**-127], np.float32)
    assert_same_bits(POWERS(x), np.array([2.0**-127], np.float32))
    assert_same_bits(convert(x, "float8_e8m0fnu"), np.array([2.0**-126], np.float32))
