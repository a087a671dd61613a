"""TensorFlow's fake quantization is a quantizer with a scale that is a power of two."""

import numpy as np
import pytest
from conftest import assert_same_bits

import tensorquant as tq

tf = pytest.importorskip("tensorflow", reason="TensorFlow is not installed")

POWERS = [2.0**e for e in (-20, -7, 0, 3)]
STEPS = np.arange(-1200, 1200, dtype=np.float32) / 4


@pytest.mark.parametrize("scale", POWERS)
@pytest.mark.parametrize("bits", [4, 8, 16])
def test_ranges_that_begin_at_zero_are_integers_with_ties_upwards(bits, scale):
    x = STEPS * np.float32(scale)
    end = (2**bits - 1) * scale
    theirs = tf.quantization.fake_quant_with_min_max_args(x, 0, end, num_bits=bits).numpy()
    ours = tq.Quantizer(f"int,{bits},unsigned,rounding=nearest_up,scale={scale!r}")(x)
    assert_same_bits(ours, theirs)


@pytest.mark.parametrize("scale", POWERS)
@pytest.mark.parametrize("zero", [1, 100, 128, 255])
def test_ranges_that_hold_zero_have_a_zero_point(zero, scale):
    x = STEPS * np.float32(scale)
    ends = -zero * scale, (255 - zero) * scale
    theirs = tf.quantization.fake_quant_with_min_max_args(x, *ends).numpy()
    ours = tq.Quantizer(f"int,8,unsigned,rounding=nearest_up,scale={scale!r},zero={zero}")(x)
    assert_same_bits(ours, theirs)


def test_a_number_below_a_tie_goes_down_where_adding_a_half_rounds_it_up():
    x = np.nextafter(np.array([0.5], np.float32), np.float32(0))
    assert tq.Quantizer("int,8,unsigned,rounding=nearest_up,scale=1")(x).tolist() == [0]
    assert tf.quantization.fake_quant_with_min_max_args(x, 0, 255).numpy().tolist() == [1]


ROUNDINGS = {"HALF_TO_EVEN": "even", "HALF_UP": "nearest_up"}


@pytest.mark.parametrize("narrow", [False, True])
@pytest.mark.parametrize("scale", POWERS)
@pytest.mark.parametrize("mode", ROUNDINGS)
def test_symmetric_ranges_are_integers(mode, scale, narrow):
    x = STEPS * np.float32(scale)
    theirs = tf.quantization.quantize_and_dequantize_v2(
        x, -127 * scale, 127 * scale, range_given=True, round_mode=mode, narrow_range=narrow
    )
    spec = f"int,8,rounding={ROUNDINGS[mode]},scale={scale!r}"
    ours = tq.Quantizer(spec + (",overflow=symmetric" if narrow else ""))(x)
    assert_same_bits(ours, theirs.numpy() + 0)
