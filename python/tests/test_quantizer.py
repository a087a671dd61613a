"""Quantizers as values."""

import copy
import pickle

import numpy as np
import pytest

import tensorquant as tq


def test_str_is_the_canonical_string():
    assert str(tq.Quantizer("Nearest, 8,4")) == "nearest,8,4"


def test_equal_strings_are_equal_quantizers():
    a, b = tq.Quantizer("nearest,8,4"), tq.Quantizer(" NEAREST, 8,4, overflow=saturate")
    assert a == b
    assert hash(a) == hash(b)
    assert a.spec == b.spec == "nearest,8,4"
    assert repr(a) == "Quantizer('nearest,8,4')"
    assert a != tq.Quantizer("nearest,8,5")
    assert a != "nearest,8,4"
    for again in (pickle.loads(pickle.dumps(a)), copy.deepcopy(a), copy.copy(a)):
        assert again == a


def test_properties_tell_random_from_deterministic_and_straight_through_from_clipped():
    assert tq.Quantizer("stochastic,8,4").is_random
    assert not tq.Quantizer("nearest,8,4").is_random
    assert tq.Quantizer("nearest,8,4").is_straight_through
    assert not tq.Quantizer("nearest,8,4,grad=clipped").is_straight_through


def test_facts_and_values_are_the_formats():
    assert tq.Quantizer("nearest,8,4").facts == (-8, 7.9375, 2**-4, 2**-4, 256)
    assert tq.Quantizer("fp16").facts == (-65504, 65504, 2.0**-24, None, 63487)
    assert tq.Quantizer("none").facts == (-np.inf, np.inf, None, None, None)
    assert tq.Quantizer("ternary,0.5").values().tolist() == [-0.5, 0, 0.5]
    assert tq.Quantizer("nearest,8,4").values(at_most=255) is None
    assert tq.Quantizer("none").values() is None


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("neares,8,4", "quantizer 'neares,8,4', column 1: unknown name 'neares', did you mean"),
        ("nearest,8", "column 10: 'nearest' wants an integer F"),
        ("nearest,8,4,gard=clipped", "column 13: 'nearest' has no keyword 'gard', did you mean"),
        ("", "column 1: expected a quantizer's name"),
    ],
)
def test_errors_point_at_the_fault(spec, message):
    with pytest.raises(tq.Error) as caught:
        tq.Quantizer(spec)
    assert message in str(caught.value)
    assert isinstance(caught.value, ValueError)


def test_a_spec_that_is_no_string_is_refused():
    with pytest.raises(TypeError):
        tq.Quantizer(8)


def test_seeds_beyond_their_bits_are_refused():
    q, x = tq.Quantizer("stochastic,8,4"), np.ones(3, np.float32)
    q(x, seed=2**64 - 1, stream=2**32 - 1, step=2**32 - 1)
    for wrong in ({"seed": -1}, {"seed": 2**64}, {"stream": 2**32}, {"step": -1}):
        with pytest.raises(tq.Error, match=f"^{next(iter(wrong))}: .* is not between 0 and"):
            q(x, **wrong)
    for wrong in ({"step": 0.5}, {"seed": True}, {"stream": None}):
        with pytest.raises(TypeError, match=f"^{next(iter(wrong))}: expected an integer, got"):
            q(x, **wrong)


def test_the_list_has_all_names():
    names = [info.name for info in tq.list_quantizers()]
    assert {"none", "nearest", "stochastic", "float", "fp16", "bf16", "ternary"} <= set(names)
    assert all(
        info.usage.startswith(info.name) and info.summary for info in tq.list_quantizers()[:9]
    )


# FNV-1a-64 from its published constants.
def test_the_stream_of_a_name_is_its_hash():
    value = 0xCBF29CE484222325
    for byte in b"conv1:weight":
        value = (value ^ byte) * 0x100000001B3 % 2**64
    assert tq.stream_of("conv1", "weight") == value % 2**32
