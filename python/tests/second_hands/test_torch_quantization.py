"""PyTorch's fake quantization and its casts to floats of 8 bits do what the quantizers do."""

import platform

import numpy as np
import pytest
from borders import borders, every_half, quarters, with_neighbours
from conftest import assert_same_bits, assert_same_numbers

import tensorquant as tq

torch = pytest.importorskip("torch", reason="PyTorch is not installed")
# Of signalling NaNs, and of quantized tensors' age.
pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning", "ignore::UserWarning")

POWERS = [2.0**e for e in (-20, -7, 0, 3)]
OTHERS = [0.1, 0.007874016, 1.7, 3.0]
INTEGERS = {"int,8": (-128, 127), "int,8,unsigned": (0, 255), "int,4": (-8, 7), "int,2": (-2, 1)}
ZEROS = {
    "int,8": (0, 5, -128, 127),
    "int,8,unsigned": (0, 128, 131, 255),
    "int,4": (0, 3),
    "int,2": (0, -1),
}
CASES = [(spec, zero) for spec in INTEGERS for zero in ZEROS[spec]]


def inputs_of(scale: float) -> np.ndarray:
    x = np.concatenate([quarters(8, scale), quarters(4, scale), every_half()])
    return x[~np.isnan(x)]


def quantizer(spec: str, scale: float, zero: int) -> tq.Quantizer:
    return tq.Quantizer(f"{spec},scale={scale!r},zero={zero}")


def fake(x: np.ndarray, spec: str, scale: float, zero: int) -> np.ndarray:
    x = torch.from_numpy(x)
    return torch.fake_quantize_per_tensor_affine(x, scale, zero, *INTEGERS[spec]).numpy()


@pytest.mark.parametrize("scale", POWERS)
@pytest.mark.parametrize(("spec", "zero"), CASES)
def test_fake_quantization_is_the_same_with_powers_of_two(spec, zero, scale):
    x = inputs_of(scale)
    assert_same_bits(quantizer(spec, scale, zero)(x), fake(x, spec, scale, zero))


@pytest.mark.parametrize("scale", POWERS)
def test_scales_and_zero_points_may_be_tensors(scale):
    x = inputs_of(scale)
    parameters = torch.tensor(scale), torch.tensor(5, dtype=torch.int32)
    theirs = torch.fake_quantize_per_tensor_affine(torch.from_numpy(x), *parameters, -128, 127)
    assert_same_bits(quantizer("int,8", scale, 5)(x), theirs.numpy())


@pytest.mark.parametrize("scale", OTHERS)
@pytest.mark.parametrize(("spec", "zero"), CASES)
def test_with_other_scales_only_products_with_the_reciprocal_tell_them_apart(spec, zero, scale):
    x = inputs_of(scale)
    ours, theirs = quantizer(spec, scale, zero)(x), fake(x, spec, scale, zero)
    s = np.float32(scale)
    with np.errstate(over="ignore"):
        alike = np.rint(x / s) == np.rint(x * (1 / s))
    assert not alike.all()
    assert_same_bits(ours[alike], theirs[alike])


def test_a_quotient_is_divided_where_pytorch_multiplies_with_the_reciprocal():
    x = np.array([-7.2500005], np.float32)
    scale = np.float32(0.1)
    assert (x / scale, x * (1 / scale)) == (-72.5, np.float32(-72.50001))
    assert_same_bits(quantizer("int,8", 0.1, 0)(x), -72 * scale[None])
    assert_same_bits(fake(x, "int,8", 0.1, 0), -73 * scale[None])


def test_nan_stays_nan_where_pytorch_makes_an_integer_of_it():
    x = np.full(20, np.nan, np.float32)
    assert np.isnan(quantizer("int,8", 1.0, 0)(x)).all()
    assert np.isfinite(fake(x, "int,8", 1.0, 0)).all()


def channels() -> np.ndarray:
    """Five channels whose largest magnitudes are 127 powers of two."""
    scales = np.float32(2) ** np.arange(-3, 2, dtype=np.float32)
    steps = with_neighbours(np.arange(1, 508) / 4, np.float32)
    steps = steps[np.abs(steps) < 127]
    return scales[:, None] * np.append(steps, np.float32(-127))


@pytest.mark.parametrize("axis", [0, 1])
def test_a_scale_for_each_channel_is_the_same(axis):
    x = channels()
    scales = torch.from_numpy(np.abs(x).max(axis=1) / np.float32(127))
    zeros = torch.zeros(5, dtype=torch.int32)
    x = np.ascontiguousarray(np.moveaxis(x, 0, axis))
    theirs = torch.fake_quantize_per_channel_affine(
        torch.from_numpy(x), scales, zeros, axis, -128, 127
    )
    ours = tq.Quantizer("int,8,per=channel,scale=max")(x, channel_axis=axis)
    assert_same_bits(ours, theirs.numpy())


def test_a_zero_point_for_each_channel_is_a_quantizer_for_each():
    x = channels()
    scales = np.float32(2) ** np.arange(-3, 2, dtype=np.float32)
    zeros = np.array([-128, -1, 0, 7, 127], np.int32)
    theirs = torch.fake_quantize_per_channel_affine(
        *map(torch.from_numpy, (x, scales, zeros)), 0, -128, 127
    )
    parameters = zip(scales.tolist(), zeros.tolist(), x, strict=True)
    ours = [quantizer("int,8", scale, zero)(line) for scale, zero, line in parameters]
    assert_same_bits(np.array(ours), theirs.numpy())


@pytest.mark.skipif(platform.machine() != "x86_64", reason="C++ leaves the conversion undefined")
def test_numbers_beyond_64_bits_saturate_where_a_channel_of_pytorch_turns_round():
    x = np.array([[2.0**63, -(2.0**63), np.inf]], np.float32)
    scale, zero = torch.tensor([1.0]), torch.zeros(1, dtype=torch.int32)
    theirs = torch.fake_quantize_per_channel_affine(torch.from_numpy(x), scale, zero, 0, -128, 127)
    assert theirs.tolist() == [[-128, -128, -128]]
    assert quantizer("int,8", 1.0, 0)(x).tolist() == [[127, -128, 127]]


def quantize_and_back(x: np.ndarray, scale: float, zero: int) -> np.ndarray:
    return (
        torch.quantize_per_tensor(torch.from_numpy(x), scale, zero, torch.qint8)
        .dequantize()
        .numpy()
    )


@pytest.mark.parametrize("scale", POWERS)
@pytest.mark.parametrize("zero", [0, 6, -128])
def test_quantized_tensors_are_the_same_with_even_zero_points(zero, scale):
    x = (np.arange(-1200, 1200) / 4 * scale).astype(np.float32)
    assert_same_bits(quantizer("int,8", scale, zero)(x), quantize_and_back(x, scale, zero))


def test_the_zero_point_is_added_after_rounding_where_quantized_tensors_add_it_before():
    x = np.array([0.5, 1.5], np.float32)
    assert quantizer("int,8", 1.0, 5)(x).tolist() == [0, 2]
    assert quantize_and_back(x, 1.0, 5).tolist() == [1, 1]


# What the casts do on overflow is the quantizer's `overflow`.
FLOATS = {
    "float8_e4m3fn": "e4m3fn",
    "float8_e5m2": "e5m2",
    "float8_e4m3fnuz": "e4m3fnuz,overflow=nan",
    "float8_e5m2fnuz": "e5m2fnuz,overflow=nan",
}


def values_of(name: str) -> np.ndarray:
    codes = torch.arange(256, dtype=torch.int32).to(torch.uint8)
    return codes.view(getattr(torch, name)).to(torch.float32).numpy()


def cast(x: torch.Tensor, name: str) -> torch.Tensor:
    return x.to(getattr(torch, name)).to(x.dtype)


@pytest.mark.parametrize("name", FLOATS)
def test_casts_of_float32_are_the_same(name):
    x = np.concatenate([borders(values_of(name)), every_half()])
    assert_same_numbers(tq.Quantizer(FLOATS[name])(x), cast(torch.from_numpy(x), name).numpy())


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("name", FLOATS)
def test_casts_of_halves_are_the_same(name, dtype):
    x = torch.arange(-(2**15), 2**15, dtype=torch.int16).view(dtype)
    ours, theirs = tq.Quantizer(FLOATS[name])(x), cast(x, name)
    assert ours.dtype == theirs.dtype == dtype
    assert_same_numbers(ours.float().numpy(), theirs.float().numpy())


@pytest.mark.parametrize("name", FLOATS)
def test_float64_is_rounded_once_where_the_cast_goes_by_way_of_float32(name):
    values = values_of(name)
    following = float(values[values > 1].min())
    x = torch.tensor([(1 + following) / 2 + 2.0**-40], dtype=torch.float64)
    assert tq.Quantizer(FLOATS[name])(x).tolist() == [following]
    assert cast(x, name).tolist() == [1]


# E8M0, the type of scales, is no quantizer; powers of two are `logarithmic`.
POWERS_OF_TWO = "logarithmic,max=127,min=-127"


def test_casts_to_the_scales_of_mx_are_powers_of_two_with_ties_upwards():
    x = np.concatenate([borders(np.ldexp(1.0, np.arange(-126, 128))), every_half()])
    x = x[(x >= 2.0**-126) & (x < 1.5 * 2.0**127)]
    theirs = cast(torch.from_numpy(x), "float8_e8m0fnu").numpy()
    assert_same_bits(tq.Quantizer(POWERS_OF_TWO)(x), theirs)


def test_the_scales_of_mx_have_no_zero_lose_the_sign_and_are_nan_above_their_largest():
    x = np.array([0, -1, 1.5 * 2.0**127], np.float32)
    assert tq.Quantizer(POWERS_OF_TWO)(x).tolist() == [0, -1, 2.0**127]
    theirs = cast(torch.from_numpy(x), "float8_e8m0fnu").numpy()
    assert_same_numbers(theirs, np.array([2.0**-127, 1, np.nan], np.float32))


def test_pytorch_has_a_type_of_four_bits_and_no_cast_to_it():
    with pytest.raises(NotImplementedError):
        torch.zeros(4).to(torch.float4_e2m1fn_x2)
