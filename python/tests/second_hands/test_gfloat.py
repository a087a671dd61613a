"""gfloat rounds to floats of any size, to P3109 and to blocks of MX as the quantizers do."""

import numpy as np
import pytest
from borders import borders, every_half
from conftest import assert_same_numbers

import tensorquant as tq

gfloat = pytest.importorskip("gfloat", reason="gfloat is not installed")
formats = pytest.importorskip("gfloat.formats")
# Of overflows and signalling NaNs.
pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")
Domain, RoundMode, Signedness = gfloat.Domain, gfloat.RoundMode, gfloat.Signedness

MODES = {
    "even": RoundMode.TiesToEven,
    "nearest": RoundMode.TiesToAway,
    "zero": RoundMode.TowardZero,
    "down": RoundMode.TowardNegative,
    "up": RoundMode.TowardPositive,
}
OCP = {
    "e5m2": formats.format_info_ocp_e5m2,
    "e4m3fn": formats.format_info_ocp_e4m3,
    "e3m2": formats.format_info_ocp_e3m2,
    "e2m3": formats.format_info_ocp_e2m3,
    "e2m1": formats.format_info_ocp_e2m1,
}
TYPES = (np.float32, np.float64)
SIZES = [(2, 1), (3, 4), (4, 3), (5, 10), (6, 9), (7, 16), (8, 1), (8, 7)]
SIZES = [(*size, dtype) for size in SIZES for dtype in TYPES] + [(2, 23, np.float64)]
P3109_SIZES = [(3, 2), (4, 2), (5, 1), (6, 3), (7, 6), (8, 1), (8, 3), (8, 4), (8, 7)]
P3109_SIZES += [(11, 5), (16, 9), (16, 15)]


def ieee(E: int, M: int) -> gfloat.FormatInfo:
    return gfloat.FormatInfo(
        f"float,{E},{M}",
        1 + E + M,
        M + 1,
        bias=2 ** (E - 1) - 1,
        is_signed=True,
        domain=Domain.Extended,
        has_nz=True,
        num_high_nans=2**M - 1,
        has_subnormals=True,
        is_twos_complement=False,
    )


def values_of(info: gfloat.FormatInfo) -> np.ndarray:
    """The finite values, or with more than 16 bits those of three significands an exponent."""
    if info.k <= 16:
        return gfloat.decode_ndarray(info, np.arange(2**info.k))
    exponents = np.arange(2**info.expBits - 1)[:, None] << info.tSignificandBits
    return gfloat.decode_ndarray(info, (exponents + [0, 1, 2**info.tSignificandBits - 1]).ravel())


def check(spec: str, info: gfloat.FormatInfo, mode: RoundMode, saturate: bool, dtype):
    """`spec` is what gfloat makes of all borders of its format and, in float32, of all halves."""
    x = borders(values_of(info), dtype)
    x = np.concatenate([x, every_half()]) if dtype == np.float32 else x
    if not (info.num_nans or saturate):
        x = x[np.abs(x) < info.max]
    x = x if info.num_nans else x[~np.isnan(x)]
    theirs = gfloat.round_ndarray(info, x.astype(np.float64), mode, saturate)
    assert_same_numbers(tq.Quantizer(spec)(x), theirs.astype(dtype))


@pytest.mark.parametrize("rounding", MODES)
@pytest.mark.parametrize(("E", "M", "dtype"), SIZES)
def test_floats_of_any_size_are_the_same(E, M, rounding, dtype):
    spec = f"float,{E},{M},rounding={rounding}"
    check(spec, ieee(E, M), MODES[rounding], False, dtype)
    check(spec + ",overflow=saturate", ieee(E, M), MODES[rounding], True, dtype)


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("rounding", MODES)
@pytest.mark.parametrize("name", OCP)
def test_floats_of_ocp_are_the_same(name, rounding, dtype):
    spec = f"{name},rounding={rounding},overflow="
    check(spec + "saturate", OCP[name], MODES[rounding], True, dtype)
    if OCP[name].num_nans:
        overflow = "infinity" if name == "e5m2" else "nan"
        check(spec + overflow, OCP[name], MODES[rounding], False, dtype)


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("rounding", MODES)
@pytest.mark.parametrize("domain", ["extended", "finite"])
@pytest.mark.parametrize(("K", "P"), P3109_SIZES)
def test_p3109_is_the_same(K, P, domain, rounding, dtype):
    info = formats.format_info_p3109(K, P, Signedness.Signed, Domain[domain.capitalize()])
    spec = f"p3109,{K},{P},domain={domain},rounding={rounding},overflow="
    check(spec + "saturate", info, MODES[rounding], True, dtype)
    if domain == "extended":
        check(spec + "infinity", info, MODES[rounding], False, dtype)


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("rounding", MODES)
@pytest.mark.parametrize(("K", "P"), [(3, 2), (8, 2), (8, 4), (8, 7), (12, 6)])
def test_p3109_without_a_sign_is_the_same_from_zero_upwards(K, P, rounding, dtype):
    info = formats.format_info_p3109(K, P, Signedness.Unsigned, Domain.Extended)
    x = borders(values_of(info), dtype)
    x = x[~(x < 0)]
    for overflow, saturate in {"infinity": False, "saturate": True}.items():
        spec = f"p3109,{K},{P},unsigned,rounding={rounding},overflow={overflow}"
        theirs = gfloat.round_ndarray(info, x.astype(np.float64), MODES[rounding], saturate)
        assert_same_numbers(tq.Quantizer(spec)(x), theirs.astype(dtype))


def test_a_negative_number_is_nan_or_zero_without_a_sign_where_gfloat_leaves_it():
    info = formats.format_info_p3109(8, 4, Signedness.Unsigned, Domain.Extended)
    x = np.array([-1.0])
    assert_same_numbers(tq.Quantizer("p3109,8,4,unsigned")(x), [np.nan])
    assert_same_numbers(tq.Quantizer("p3109,8,4,unsigned,overflow=saturate")(x), [0.0])
    assert_same_numbers(gfloat.round_ndarray(info, x), [-1.0])


def test_a_finite_domain_overflows_to_its_largest_number_where_gfloat_has_nan():
    info = formats.format_info_p3109(8, 4, Signedness.Signed, Domain.Finite)
    x = np.array([1000, -1000, np.inf])
    assert_same_numbers(tq.Quantizer("p3109,8,4,domain=finite")(x), [240.0, -240.0, 240.0])
    assert_same_numbers(gfloat.round_ndarray(info, x), [np.nan, np.nan, np.nan])


MX = {
    "mxfp8_e5m2": formats.format_info_mxfp8_e5m2,
    "mxfp8_e4m3": formats.format_info_mxfp8_e4m3,
    "mxfp6_e3m2": formats.format_info_mxfp6_e3m2,
    "mxfp6_e2m3": formats.format_info_mxfp6_e2m3,
    "mxfp4": formats.format_info_mxfp4_e2m1,
    "mxint8": formats.format_info_mxint8,
}


def blocks_of(element: gfloat.FormatInfo) -> np.ndarray:
    """Lines of 32: all borders of the elements beside largest magnitudes at, below and above powers
    of two; random numbers of many sizes, up to the ends of float32; zeros."""
    x = borders(gfloat.decode_ndarray(element, np.arange(2**element.k)))
    x = x[np.abs(x) <= element.max]
    x = np.resize(x, (len(x) // 31 + 1, 31))
    largest = np.float32(2) ** np.arange(element.emax, element.emax + 3, dtype=np.float32)
    largest = np.concatenate([np.nextafter(largest, np.float32(0)), largest, largest * 1.75])
    largest = np.resize(np.concatenate([largest, -largest]), (len(x), 1)).astype(np.float32)
    borders_in_blocks = np.concatenate([x, largest], axis=1)
    random = np.random.default_rng(5).standard_normal((16, 32), np.float32)
    sizes = [random * np.float32(2.0**e) for e in (-148, -127, -60, 0, 60, 124)]
    zeros = np.array([[0, -0.0] * 16], np.float32)
    return np.concatenate([borders_in_blocks, *sizes, zeros])


def their_blocks(name: str, x: np.ndarray) -> np.ndarray:
    scale = gfloat.compute_scale_amax
    return np.array([gfloat.quantize_block(MX[name], line, scale) for line in x.astype(np.float64)])


@pytest.mark.parametrize("name", MX)
def test_blocks_of_mx_are_the_same(name):
    x = blocks_of(MX[name].etype)
    theirs = their_blocks(name, x).astype(np.float32)
    ours = tq.Quantizer(name)(x, reduction_axis=1)
    if name == "mxint8":  # see the next test
        _, exponent = np.frexp(np.abs(x).max(axis=1, keepdims=True))
        scale = np.ldexp(np.float32(1), np.clip(exponent - 1, -127, 127))
        theirs = np.maximum(theirs, -127 / 64 * scale)
    assert_same_numbers(ours, theirs)


def test_mxint8_ends_at_minus_its_largest_number_where_gfloat_goes_to_minus_two():
    x = np.array([[-1.999] + [1] * 31], np.float32)
    assert tq.Quantizer("mxint8")(x)[0, 0] == -127 / 64
    assert their_blocks("mxint8", x)[0, 0] == -2


@pytest.mark.parametrize("name", MX)
def test_an_infinity_or_nan_makes_its_block_nan_where_gfloat_clips_the_scale_or_refuses(name):
    for special in (np.inf, np.nan):
        x = np.array([[special] + [1] * 31], np.float32)
        assert np.isnan(tq.Quantizer(name)(x)).all()
    x[0, 0] = np.inf
    assert np.isfinite(their_blocks(name, x)).all()
    x[0, 0] = np.nan
    if MX[name].etype.num_nans:
        assert np.isnan(their_blocks(name, x)).all()
    else:
        with pytest.raises(ValueError, match="No NaN"):
            their_blocks(name, x)
