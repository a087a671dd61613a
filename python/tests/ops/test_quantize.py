"""quantize() in each framework: the golden vectors' bits, gradients, half types, bad input."""

import golden
import ml_dtypes
import numpy as np
import pytest
from frameworks import assert_same_bits

import tensorquant
from tensorquant._core import op_examples

HALVES = {"float16": np.float16, "bfloat16": ml_dtypes.bfloat16}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_outputs_have_the_golden_bits(framework, dtype):
    entries = [e for e in golden.quantizer_vectors() if e["type"] == dtype and "output" in e]
    assert len(entries) > 150
    for entry in entries:
        x = golden.read(entry["input"], dtype)
        with framework.types(x):
            y = framework.ops.quantize(
                framework.tensor(x), entry["quantizer"], **golden.context_of(entry)
            )
            assert_same_bits(framework.array(y), golden.read(entry["output"], dtype))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_every_example_has_the_bits_that_numpy_arrays_get(framework, dtype):
    """The strings of the one list of formats; random bits hold subnormals, Inf and NaN."""
    rng = np.random.default_rng(11)
    dtype = np.dtype(dtype)
    x = rng.integers(0, 256, 4099 * dtype.itemsize, dtype=np.uint8).view(dtype)
    x[:1024] = rng.standard_normal(1024)
    x[1024:1280] = rng.integers(0, 2**22, 256).astype(f"u{dtype.itemsize}").view(dtype)
    specs = op_examples()
    assert len(specs) > 60
    for spec in specs:
        wanted = tensorquant.Quantizer(spec)(x, seed=5, stream=6, step=7)
        with framework.types(x):
            y = framework.ops.quantize(framework.tensor(x), spec, seed=5, stream=6, step=7)
            assert_same_bits(framework.array(y), wanted)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_gradients_have_the_golden_bits(framework, dtype):
    entries = [e for e in golden.quantizer_vectors() if e["type"] == dtype and "output" not in e]
    assert len(entries) == 20
    for entry in entries:
        x = golden.read(entry["input"], dtype)
        dy = golden.read(entry["output_gradient"], dtype)
        with framework.types(x):
            _, (dx,) = framework.vjp(
                lambda t, spec=entry["quantizer"]: framework.ops.quantize(t, spec), [x], dy
            )
        assert_same_bits(dx, golden.read(entry["input_gradient"], dtype))


def test_straight_through_gradient_is_dy_bit_for_bit(framework):
    x = golden.read("gradient_x.f32", "float32")
    dy = golden.read("gradient_dy.f32", "float32")
    for spec in ("nearest,8,4", "stochastic,8,4", "ternary", "none", "float,4,3"):
        _, (dx,) = framework.vjp(lambda t, spec=spec: framework.ops.quantize(t, spec), [x], dy)
        assert_same_bits(dx, dy)


@pytest.mark.parametrize("name", HALVES)
@pytest.mark.parametrize("spec", ["nearest,16,8", "stochastic,8,4", "ternary", "float,4,3", "none"])
@pytest.mark.filterwarnings("ignore:invalid value encountered")  # NumPy meets signalling NaNs
def test_half_types_go_through_float32(framework, name, spec):
    """All 65536 of them; numpy and ml_dtypes convert."""
    x = np.arange(65536, dtype=np.uint16).view(HALVES[name])
    y = framework.array(framework.ops.quantize(framework.tensor(x), spec, seed=3, step=5))
    through = framework.ops.quantize(framework.tensor(x.astype(np.float32)), spec, seed=3, step=5)
    numbers = ~np.isnan(x)
    wanted = framework.array(through).astype(HALVES[name])
    assert y.dtype == x.dtype
    assert_same_bits(y[numbers], wanted[numbers])
    assert_same_bits(y[~numbers], x[~numbers])  # with payload, signalling or not


@pytest.mark.filterwarnings("ignore:invalid value encountered")
@pytest.mark.parametrize("name", HALVES)
def test_half_types_are_cast_back_to_even(framework, name):
    """k 2^-8 for k up to 2^15 has up to 15 significant bits: more than either type."""
    x = np.arange(65536, dtype=np.uint16).view(HALVES[name])
    x = x[np.isfinite(x)]
    y = framework.array(framework.ops.quantize(framework.tensor(x), "nearest,16,8"))
    exact = x.astype(np.float64) * 256
    k = np.clip(np.trunc(exact + np.copysign(0.5, exact)), -(2**15), 2**15 - 1)
    wanted = (k / 256 + 0.0).astype(np.float32).astype(HALVES[name])
    assert_same_bits(y, wanted)


@pytest.mark.parametrize("name", HALVES)
def test_gradients_of_half_types_are_clipped_or_straight_through(framework, name):
    x = np.array([-9, -8, 7.9375, 8, np.nan, np.inf], HALVES[name])
    dy = np.array([1, 2, 3, 4, 5, 6], HALVES[name])
    quantize = framework.ops.quantize
    _, (dx,) = framework.vjp(lambda t: quantize(t, "nearest,8,4,grad=clipped"), [x], dy)
    assert_same_bits(dx, np.array([0, 2, 3, 0, 0, 0], HALVES[name]))
    _, (dx,) = framework.vjp(lambda t: quantize(t, "nearest,8,4"), [x], dy)
    assert_same_bits(dx, dy)


@pytest.mark.parametrize("shape", [(), (0,), (3, 0, 2), (1, 1), (2, 3, 4)])
def test_every_shape_is_kept(framework, shape):
    x = np.full(shape, 0.3, np.float32)
    for spec in ("nearest,8,1", "stochastic,8,64", "ternary"):
        y = framework.array(framework.ops.quantize(framework.tensor(x), spec))
        assert y.shape == shape
        assert y.dtype == np.float32
    y = framework.array(framework.ops.quantize(framework.tensor(x), "nearest,8,1"))
    assert_same_bits(y, np.full(shape, 0.5, np.float32))


def test_the_input_stays_as_it_is(framework):
    x = np.linspace(-3, 3, 100000, dtype=np.float32)
    tensor = framework.tensor(x)
    framework.ops.quantize(tensor, "nearest,8,1")
    assert_same_bits(framework.array(tensor), x)


def test_large_tensors_keep_subnormals_on_every_thread(framework):
    """Subnormals too, on every thread."""
    rng = np.random.default_rng(5)
    x = rng.integers(0, 2**32, 3_000_001, dtype=np.uint32).view(np.float32)
    subnormal = np.uint32(0x007FFFFF)
    x[::3] = (x[::3].view(np.uint32) & ~(np.uint32(0x7F800000))).view(np.float32)
    assert np.any((x.view(np.uint32) & ~np.uint32(1 << 31)) < subnormal)
    y = framework.array(framework.ops.quantize(framework.tensor(x), "none"))
    assert_same_bits(y, x)
    y = framework.array(framework.ops.quantize(framework.tensor(x), "float,8,23"))
    assert_same_bits(y, x)
    y = framework.array(framework.ops.quantize(framework.tensor(x), "sparse,1e-41"))
    threshold = np.float32(1e-41).view(np.uint32)
    keeps = (x.view(np.uint32) & np.uint32(0x7FFFFFFF)) >= threshold  # in integers: nothing flushes
    assert_same_bits(y, np.where(keeps, x.view(np.uint32), np.uint32(0)).view(np.float32))


def test_a_step_may_be_a_tensor(framework):
    entry = next(e for e in golden.quantizer_vectors() if e.get("step") and e["type"] == "float32")
    x = golden.read(entry["input"], "float32")
    context = golden.context_of(entry)
    for dtype in (np.int32, np.uint32):
        step = framework.tensor(np.array(context["step"], dtype))
        y = framework.ops.quantize(
            framework.tensor(x), entry["quantizer"], **{**context, "step": step}
        )
        assert_same_bits(framework.array(y), golden.read(entry["output"], "float32"))


def test_wrong_strings_types_and_numbers_are_refused(framework):
    x = framework.tensor(np.ones(3, np.float32))
    quantize = framework.ops.quantize
    with pytest.raises(tensorquant.Error, match="did you mean 'nearest'"):
        quantize(x, "nearst,8,4")
    with pytest.raises(TypeError, match="int32"):
        quantize(framework.tensor(np.ones(3, np.int32)), "nearest,8,4")
    with pytest.raises(TypeError, match="quantizer string"):
        quantize(x, 8)
    with pytest.raises(ValueError, match="seed: -1"):
        quantize(x, "stochastic,8,4", seed=-1)
    with pytest.raises(ValueError, match="stream: 4294967296"):
        quantize(x, "stochastic,8,4", stream=2**32)
    with pytest.raises(ValueError, match="step: -1"):
        quantize(x, "stochastic,8,4", step=-1)
    with pytest.raises(TypeError, match="seed"):
        quantize(x, "stochastic,8,4", seed=1.5)
