"""What may be quantized, what comes out, and what is copied."""

import warnings

import numpy as np
import pytest
from conftest import assert_same_bits, dtype_of

import tensorquant as tq
from tensorquant.numbers.arrays import borrow

DTYPES = ["float16", "bfloat16", "float32", "float64"]
X = np.random.default_rng(1).normal(0, 3, (6, 5)).astype(np.float32)


def by_hand(x):
    """nearest,8,4 in NumPy: ties away from zero, one zero."""
    k = np.copysign(np.floor(np.abs(x.astype(np.float64)) * 16 + 0.5), x)
    return (np.clip(k, -128, 127) / 16 + 0.0).astype(x.dtype)


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_result_is_of_the_same_library_type_and_shape(library, dtype):
    a = X.astype(dtype_of(dtype))
    q = tq.Quantizer("nearest,8,4")
    x = library.make(a)
    views = [(x, a), (x[2:], a[2:]), (x[:0], a[:0]), (x[1, 2], a[1, 2]), (x[::2, 1], a[::2, 1])]
    for view, wanted in views:
        y = q(view)
        assert type(y) is type(view)
        assert y.dtype == view.dtype
        assert_same_bits(library.to_numpy(y), by_hand(wanted))
    assert_same_bits(library.to_numpy(x), a)


def test_an_array_in_c_order_is_not_copied(library):
    x = library.make(X.copy())
    borrowed = borrow(x)
    address = {
        "numpy": lambda: x.ctypes.data,
        "torch": lambda: x.data_ptr(),
        "tensorflow": lambda: np.asarray(x).ctypes.data,
        "jax": lambda: x.unsafe_buffer_pointer(),
    }[library.name]()
    assert borrowed.data.ctypes.data == address
    result = borrowed.empty()
    result[...] = 1
    assert borrow(borrowed.give_back(result)).data.ctypes.data == result.ctypes.data


def test_memory_in_any_order_has_the_same_bits():
    q = tq.Quantizer("nearest,8,4")
    read_only = X.copy()
    read_only.flags.writeable = False
    unaligned = np.frombuffer(b"\0" + X.tobytes(), np.uint8)[1:].view(np.float32).reshape(X.shape)
    for x in (
        np.asfortranarray(X),
        X[::-1],
        X.T,
        read_only,
        unaligned,
        np.broadcast_to(X, (2, 6, 5)),
    ):
        assert_same_bits(q(x), by_hand(x))
    swapped = X.astype(">f4")
    assert q(swapped).dtype == swapped.dtype
    assert_same_bits(q(swapped).astype(np.float32), by_hand(X))


def test_random_numbers_follow_the_position_in_c_order():
    q = tq.Quantizer("stochastic,8,0")
    assert_same_bits(q(X.T, seed=5), q(np.ascontiguousarray(X.T), seed=5))
    assert_same_bits(q(X, seed=5).ravel(), q(X.ravel(), seed=5))
    different = [q(X), q(X, seed=5), q(X, stream=5), q(X, step=5)]
    for i, a in enumerate(different):
        for b in different[i + 1 :]:
            assert (a != b).any()


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
@pytest.mark.parametrize("spec", ["none", "nearest,8,4", "float,4,3,rounding=down", "logarithmic"])
def test_all_16_bit_floats_go_through_float32(dtype, spec):
    x = np.arange(2**16, dtype=np.uint16).view(dtype_of(dtype))
    q = tq.Quantizer(spec)
    with warnings.catch_warnings(), np.errstate(over="ignore", invalid="ignore"):
        warnings.simplefilter("ignore")
        y = q(x)
        wanted = q(x.astype(np.float32)).astype(x.dtype)
        is_nan = np.isnan(x)
        assert np.isnan(y[is_nan]).all()
    assert_same_bits(y[~is_nan], wanted[~is_nan])
    if spec == "none":
        assert_same_bits(y, x)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_results_are_rounded_to_16_bits_ties_to_even(dtype):
    x = np.random.default_rng(2).normal(0, 3, 5000).astype(dtype_of(dtype))
    q = tq.Quantizer("binary,0.1")
    with pytest.warns(UserWarning, match=f"has values that {dtype} has not"):
        y = q(x)
    assert_same_bits(y, q(x.astype(np.float32)).astype(x.dtype))


# 16-bit floats have 11 and 8 significant bits; the ranges are those of IEEE 754 and bfloat16.
@pytest.mark.parametrize(
    ("spec", "float16", "bfloat16"),
    [
        ("none", True, True),
        ("nearest,8,4", True, True),
        ("nearest,9,4", True, True),
        ("nearest,10,4", True, False),
        ("nearest,12,4", True, False),
        ("nearest,13,4", False, False),
        ("nearest,8,24", True, True),
        ("nearest,8,25", False, True),
        ("nearest,8,-8", True, True),
        ("nearest,8,-9", False, True),
        ("fp16", True, False),
        ("bf16", False, True),
        ("float,5,2", True, True),
        ("float,8,3", False, True),
        ("logarithmic", False, True),
        ("logarithmic,max=15", True, True),
        ("ternary,0.5", True, True),
        ("ternary,0.1", False, False),
        ("sparse,0.1", True, True),
        ("mxfp8_e4m3", True, True),
        ("mxint8", True, True),
        ("mxfp4,scale=ceil", False, False),  # the largest number becomes the next power of two
        ("int,8,scale=max", False, False),
    ],
)
def test_a_format_that_exceeds_the_type_warns(spec, float16, bfloat16):
    for dtype, fits in (("float16", float16), ("bfloat16", bfloat16)):
        x = np.ones(3, dtype_of(dtype))
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            tq.Quantizer(spec)(x)
        assert (not caught) == fits, (spec, dtype)


def test_out_is_overwritten_and_returned():
    q = tq.Quantizer("nearest,8,4")
    x = X.copy()
    out = np.empty_like(x)
    assert q(x, out=out) is out
    assert_same_bits(out, by_hand(X))
    assert q(x, out=x) is x
    assert_same_bits(x, by_hand(X))
    memory = np.arange(10, dtype=np.float32) / 3
    wanted = by_hand(memory[:8])
    q(memory[:8], out=memory[1:9])  # overlapping
    assert_same_bits(memory[1:9], wanted)


def test_out_of_pytorch_counts_as_a_change_for_autograd():
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    x = torch.from_numpy(X.copy())
    version = x._version
    assert tq.Quantizer("nearest,8,4")(x, out=x) is x
    assert_same_bits(x.numpy(), by_hand(X))
    assert x._version > version  # autograd must know


def test_out_that_does_not_fit_is_refused():
    q = tq.Quantizer("nearest,8,4")
    read_only = X.copy()
    read_only.flags.writeable = False
    for out, error in [
        (np.empty((5, 6), np.float32), ValueError),
        (np.empty((6, 5), np.float64), TypeError),
        (np.empty((5, 6), np.float32).T, ValueError),
        (read_only, ValueError),
        ([1.0], TypeError),
    ]:
        with pytest.raises(error, match="^out: "):
            q(X, out=out)


@pytest.mark.parametrize(
    "x",
    [
        X.astype(np.int32),
        X.astype(bool),
        X.astype(np.complex64),
        X.astype(np.longdouble),
        X.astype(object),
        np.ma.masked_array(X),
        1.0,
        [1.0, 2.0],
        None,
        "nearest",
    ],
    ids=lambda x: type(x).__name__ + getattr(getattr(x, "dtype", None), "name", ""),
)
def test_what_is_no_array_of_floats_is_refused(x):
    with pytest.raises(TypeError, match="^x: "):
        tq.Quantizer("nearest,8,4")(x)


def test_integers_and_complex_of_every_library_are_refused(library):
    for dtype in (np.int32, np.complex64):
        with pytest.raises(TypeError, match="expected one of float16, bfloat16, float32, float64"):
            tq.Quantizer("nearest,8,4")(library.make(X.astype(dtype)))


def test_tensors_without_numbers_are_refused():
    q = tq.Quantizer("nearest,8,4")
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    with pytest.raises(TypeError, match="only CPU"):
        q(torch.empty(3, device="meta"))
    with pytest.raises(TypeError, match="sparse"):
        q(torch.eye(3).to_sparse())
    with pytest.raises(TypeError, match="requires a gradient"):
        q(torch.ones(3, requires_grad=True))
    with torch.no_grad():
        assert q(torch.ones(3, requires_grad=True)).tolist() == [1, 1, 1]


def test_symbolic_tensors_of_tensorflow_are_refused():
    tf = pytest.importorskip("tensorflow", reason="TensorFlow is not installed")
    with pytest.raises(TypeError, match="symbolic"):
        tf.function(tq.Quantizer("nearest,8,4"))(tf.ones(3))
    assert tq.Quantizer("nearest,8,4")(tf.Variable([0.3])).numpy() == [0.3125]


def test_tracers_of_jax_are_refused():
    jax = pytest.importorskip("jax", reason="JAX is not installed")
    with pytest.raises(TypeError, match="traced"):
        jax.jit(tq.Quantizer("nearest,8,4"))(jax.numpy.ones(3))


def test_a_clipped_gradient_passes_within_the_bounds_alone(library):
    q = tq.Quantizer("nearest,8,4,grad=clipped")
    x = np.array([-9, -8, 0, 7.9375, 8, np.nan], np.float32)
    dx = q.gradient(*map(library.make, (x, x, np.full(6, 3, np.float32))))
    assert_same_bits(library.to_numpy(dx), np.array([0, 3, 3, 3, 0, 0], np.float32))


def test_gradients_that_do_not_fit_are_refused():
    q = tq.Quantizer("nearest,8,4,grad=clipped")
    with pytest.raises(ValueError, match="^dy: has the shape"):
        q.gradient(X, X, X[1:])
    with pytest.raises(TypeError, match="^y: is of numpy and float64"):
        q.gradient(X, X.astype(np.float64), X)
