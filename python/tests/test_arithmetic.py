"""Rounded arithmetic: the golden vectors, shapes, reports."""

import json

import numpy as np
import pytest
from conftest import GOLDEN, assert_same_bits
from hostile import NUMBERS, WINDOWS

import tensorquant as tq

CASES = [json.loads(line) for line in (GOLDEN / "arithmetic.jsonl").read_text().splitlines()]


def values_of(case, key, shape):
    if case.get(key) is None:
        return None
    bits = ">u4" if case["type"] == "float32" else ">u8"
    data = np.frombuffer(bytes.fromhex(case[key]), bits)
    return data.astype(bits[1:]).view(case["type"]).reshape(shape)


def settings_of(case):
    keys = ("product", "accumulator", "accumulate", "seed", "product_stream", "accumulator_stream")
    settings = {key: case[key] for key in (*keys, "step")}
    return settings | {key: case[key] for key in ("outer", "order") if key in case}


# Formats with the smallest normal exponents of the vectors.
WITH_EXPONENT = {None: None, -6: "e4m3fn", -14: "fp16"}


def format_of(case, operand):
    return WITH_EXPONENT[case.get(f"{operand}_min_exponent")]


def linear(case, shape):
    """Of the vectors without scales; theirs are any numbers, which no quantizer gives."""
    x = values_of(case, "a", (shape["m"], shape["k"]))
    w = values_of(case, "b", (shape["n"], shape["k"]))
    formats = {"a_format": format_of(case, "data"), "b_format": format_of(case, "weight")}
    bias = values_of(case, "bias", -1)
    return tq.matmul(x, np.ascontiguousarray(w.T), bias, **formats, **settings_of(case))


def matmul(case, shape):
    a = values_of(case, "a", (shape["m"], shape["k"]))
    b = values_of(case, "b", (shape["k"], shape["n"]))
    return tq.matmul(a, b, values_of(case, "bias", -1), **settings_of(case))


def has_scales(case):
    return any((case.get("scales") or {}).values())


def conv(case, shape):
    transposed = case["kind"] == "conv_transpose"
    return tq.convolve(
        values_of(case, "a", shape["x"]),
        values_of(case, "b", shape["w"]),
        values_of(case, "bias", -1),
        stride=shape["stride"],
        padding=shape["padding"],
        dilation=shape["dilation"],
        groups=shape["groups"],
        transposed=transposed,
        output_padding=shape["output_padding"] if transposed else 0,
        x_format=format_of(case, "data"),
        w_format=format_of(case, "weight"),
        **settings_of(case),
    )


def avg_pool(case, shape):
    return tq.average_pool(
        values_of(case, "a", shape["x"]),
        shape["kernel"],
        stride=shape["stride"],
        padding=shape["padding"],
        divisor=shape["divisor"],
        x_format=format_of(case, "data"),
        **settings_of(case),
    )


@pytest.mark.parametrize(
    ("kind", "compute", "least"),
    [
        ("matmul", matmul, 2000),
        ("linear", linear, 400),
        ("conv", conv, 100),
        ("conv_transpose", conv, 50),
        ("avg_pool", avg_pool, 30),
    ],
)
def test_every_operation_has_the_golden_bits(kind, compute, least):
    cases = [case for case in CASES if case["kind"] == kind and not has_scales(case)]
    assert len(cases) > least
    for case in cases:
        y = compute(case, case["shape"])
        assert_same_bits(y, values_of(case, "y", y.shape))


WITHOUT_SCALES = {"e4m3fn", "e5m2", "float,5,10", "posit,8", "posit,16"}
HARDWARE = [json.loads(line) for line in (GOLDEN / "arithmetic2.jsonl").read_text().splitlines()]


def test_matmul_has_the_golden_bits_of_scaled_formats_and_hardware():
    keys = ("product", "accumulator", "accumulate", "outer", "a_format", "b_format")
    assert len(HARDWARE) == 15
    for case in HARDWARE:
        m, k, n = case["shape"]
        a = floats_of(case["a"]).reshape(m, k)
        b = np.ascontiguousarray(floats_of(case["b"]).reshape(n, k).T)
        # Those without scales leave the matrices to their callers.
        if case["a_format"] in WITHOUT_SCALES:
            a, b = tq.Quantizer(case["a_format"])(a), tq.Quantizer(case["b_format"])(b)
        y = tq.matmul(a, b, **{key: case[key] for key in keys if key in case})
        assert_same_bits(y, floats_of(case["y"]).reshape(m, n))


def floats_of(words):
    return np.array([int(word, 16) for word in words], np.uint32).view(np.float32)


def test_blocks_of_both_matrices_run_along_the_taps():
    a = np.array([[1, 1, 16, 16]], np.float32)
    ones = np.ones((4, 1), np.float32)
    # 4 + 4 saturates to 7, times the scales 1/4 and 4.
    blocks = "even,4,0,block=2,scale=ceil"
    assert tq.matmul(a, ones, accumulator="even,4,0", a_format=blocks).tolist() == [[29.75]]
    assert tq.matmul(ones.T, a.T, accumulator="even,4,0", b_format=blocks).tolist() == [[29.75]]


def test_every_library_gets_the_bits_of_exact_steps(library):
    a = np.random.default_rng(1).normal(size=(3, 4)).astype(np.float32)
    b = np.random.default_rng(2).normal(size=(4, 2)).astype(np.float32)
    formats = {"product": "nearest,8,4", "accumulator": "nearest,8,4"}
    y = tq.matmul(library.make(a), library.make(b), **formats)
    assert type(y) is type(library.make(a))
    assert_same_bits(library.to_numpy(y), by_hand(a, b))


def by_hand(a, b):
    """nearest,8,4 at every step, in exact float64."""

    def rounded(x):
        return np.clip(np.copysign(np.floor(abs(x) * 16 + 0.5), x), -128, 127) / 16

    y = np.zeros((a.shape[0], b.shape[1]))
    for k in range(a.shape[1]):
        y = rounded(y + rounded(np.outer(a[:, k].astype(float), b[k].astype(float))))
    return y.astype(np.float32)


def test_matmul_takes_more_dimensions_and_transposed_arrays():
    a = np.arange(24, dtype=np.float32).reshape(2, 3, 4) / 8
    b = np.arange(8, dtype=np.float32).reshape(2, 4).T / 4
    assert_same_bits(tq.matmul(a, b), a @ b)
    assert_same_bits(tq.matmul(a[0, 0], b), a[0, 0] @ b)
    assert tq.matmul(a[:, :0], b).shape == (2, 0, 2)
    assert_same_bits(tq.matmul(np.ones((2, 0)), np.ones((0, 3))), np.zeros((2, 3)))


VALUES = (GOLDEN / "arithmetic_values.jsonl").read_text().splitlines()


def test_matmul_of_batches_has_the_golden_bits():
    cases = [case for case in map(json.loads, VALUES) if case["kind"] == "products"]
    names = {None: None, -6: "e4m3fn", -14: "fp16"}
    for case in cases:
        a, b = (values_of(case, name, case["shape"][name]) for name in "ab")
        formats = {
            f"{x}_format": names[case.get(f"{operand}_min_exponent")]
            for x, operand in (("a", "data"), ("b", "weight"))
        }
        y = tq.matmul(a, b, **formats, **settings_of(case))
        assert_same_bits(y, values_of(case, "y", y.shape))
    assert sum(len(case["shape"]["b"]) > 2 for case in cases) > 20


def test_matmul_of_batches_has_the_shapes_of_numpy():
    shapes = [((2, 3, 4), (4, 5)), ((4,), (2, 4, 5)), ((3, 4), (2, 1, 4, 5)), ((0, 3, 4), (4, 5))]
    shapes += [((2, 1, 3, 4), (6, 4, 5)), ((2, 3, 0), (2, 0, 5)), ((1, 3, 4), (0, 4, 5))]
    for a_shape, b_shape in shapes:
        a, b = (np.arange(np.prod(s), dtype=np.float32).reshape(s) for s in (a_shape, b_shape))
        bias = np.arange(5, dtype=np.float32)
        assert_same_bits(tq.matmul(a, b), np.matmul(a, b))
        assert_same_bits(tq.matmul(a, b, bias), np.matmul(a, b) + bias)


SCALED = ["int,8,per=row,scale=max", "int,8,per=channel,scale=max", "mxfp4", "mxfp8_e4m3"]


@pytest.mark.parametrize("spec", SCALED)
def test_each_matrix_of_a_batch_has_scales_as_if_it_stood_alone(spec):
    numbers = np.random.default_rng(4)
    a, b = (numbers.normal(size=s).astype(np.float32) for s in ((3, 2, 4, 40), (2, 40, 5)))
    inside = {"a_format": spec, "b_format": spec, "accumulator": "even,16,0", "accumulate": "once"}
    y = tq.matmul(a, b, **inside)
    assert y.shape == (3, 2, 4, 5)
    for i, j in np.ndindex(3, 2):
        assert_same_bits(y[i, j], tq.matmul(a[i, j], b[j], **inside))


def test_a_scale_of_a_tensor_is_that_of_the_whole_batch():
    """1 of 127 and 1 of 1270 give the elements 1 and 0."""
    a = np.array([[[127.0, 1.0]], [[1270.0, 1.0]]], np.float32)
    b = np.broadcast_to(np.array([[0.0], [1.0]], np.float32), (2, 2, 1)).copy()
    spec = "int,8,per=tensor,scale=max"
    assert tq.matmul(a, b, a_format=spec).ravel().tolist() == [0.0, 0.0]
    assert tq.matmul(a[:1], b, a_format=spec).ravel().tolist() == [1.0, 1.0]
    swapped = (np.swapaxes(b, 1, 2).copy(), np.swapaxes(a, 1, 2).copy())
    assert tq.matmul(*swapped, b_format=spec).ravel().tolist() == [0.0, 0.0]


def test_random_elements_of_a_batch_go_by_their_index_in_it():
    numbers = np.random.default_rng(4)
    a, b = (np.round(numbers.normal(size=s) * 50) for s in ((2, 3, 4), (2, 4, 5)))
    spec = "stochastic,5,0,per=row,scale=ceil"
    quantizer = tq.Quantizer(spec)
    x = quantizer(a, seed=5, stream=2, step=1, reduction_axis=-1)
    w = quantizer(b, seed=5, stream=3, step=1, reduction_axis=-2)
    found = tq.matmul(a, b, a_format=spec, b_format=spec, seed=5, step=1)
    assert_same_bits(found, np.matmul(x, w))
    assert not np.array_equal(found, np.matmul(a, b))


def test_padding_may_differ_before_and_behind_or_not_count():
    x = np.arange(1, 5, dtype=np.float64).reshape(1, 1, 4)
    w = np.ones((1, 1, 2))
    assert tq.convolve(x, w, padding=[(0, 1)]).tolist() == [[[3, 5, 7, 4]]]
    assert tq.average_pool(x, 2, padding=[(0, 2)]).tolist() == [[[1.5, 3.5, 0]]]
    pool = tq.average_pool(x, 3, stride=2, padding=1, count_include_pad=False)
    assert pool.tolist() == [[[1.5, 3]]]


def test_ranges_count_on_over_calls_and_merge():
    ranges = tq.Ranges()
    a = np.full((1, 4), 3, np.float32)
    for _ in range(2):
        y = tq.matmul(a, a.T, product="nearest,8,0", accumulator="nearest,5,0", ranges=ranges)
    assert y.tolist() == [[15]]
    assert (ranges.products, ranges.clamped_products) == (8, 0)
    assert (ranges.sums, ranges.clamped_sums) == (8, 6)
    assert (ranges.largest_product, ranges.lowest_sum, ranges.highest_sum) == (9, 0, 36)
    assert ranges.sufficient_bits(0) == 7
    other = tq.Ranges()
    other.merge(ranges)
    assert other.clamped_sums == 6
    assert "6 of 8 sums clamped" in repr(ranges)


def test_on_plan_gets_the_kernel_and_the_reason():
    plans = []
    formats = {"product": "nearest,8,2", "accumulator": "nearest,16,2"}
    # Float64 goes through the kernels where float32 has its numbers.
    for a in (
        np.ones((2, 2), np.float32),
        np.full((2, 2), 0.75, np.float32),
        np.ones((2, 2)),
        np.full((2, 2), 0.1),
    ):
        tq.matmul(a, a, **formats, on_plan=plans.append)
    assert [plan.kernel for plan in plans] == ["integer", "fixed_int", "integer", "reference"]
    assert all(plan.reason for plan in plans)


A = np.ones((2, 3), np.float32)
IMAGE = np.ones((1, 2, 5), np.float32)
KERNEL = np.ones((4, 2, 3), np.float32)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: tq.matmul(A, A), tq.Error, r"expected shapes \(\.\.\., taps\)"),
        (lambda: tq.matmul(A, A.T, A), tq.Error, r"expected a bias of shape \(2,\)"),
        (lambda: tq.matmul(A, A[0]), tq.Error, r"expected shapes \(\.\.\., taps\)"),
        (
            lambda: tq.matmul(np.ones((2, 1, 3)), np.ones((3, 3, 1))),
            tq.Error,
            r"matmul: the shapes \(2 x 1 x 3\) and \(3 x 3 x 1\) cannot be broadcast",
        ),
        (lambda: tq.matmul(A, A.T.astype(float)), TypeError, "b: is of numpy and float64"),
        (lambda: tq.matmul(A.astype(np.float16), A.T), TypeError, "a: has the type float16"),
        (lambda: tq.matmul(A, None), TypeError, "b: expected a NumPy"),
        (lambda: tq.matmul(A, A.T, product="sparse,1"), tq.Error, "'sparse,1' cannot be"),
        (lambda: tq.matmul(A, A.T, accumulate="twice"), tq.Error, "twice"),
        (lambda: tq.matmul(A, A.T, seed=-1), tq.Error, "seed: -1 is not between 0 and"),
        (
            lambda: tq.matmul(A.astype(float), A.T.astype(float), ranges=tq.Ranges()),
            tq.Error,
            "ranges are reported for float32 alone",
        ),
        (
            lambda: tq.convolve(IMAGE, KERNEL, x_format="mxfp4"),
            tq.Error,
            r"convolve: 'mxfp4' has scales, which only matmul\(\) takes",
        ),
        (lambda: tq.convolve(A, KERNEL), tq.Error, r"convolve: expected an input of 3 dim"),
        (lambda: tq.convolve(IMAGE, KERNEL, groups=2), tq.Error, "an input of 4 channels"),
        (lambda: tq.convolve(IMAGE, KERNEL, groups=0), tq.Error, "0 groups"),
        (lambda: tq.convolve(IMAGE, KERNEL, A), tq.Error, r"a bias of \(4\), found \(2 x 3\)"),
        (
            lambda: tq.convolve(IMAGE, KERNEL[:2], padding=[(0, 1)], transposed=True),
            tq.Error,
            "pads both sides alike",
        ),
        (lambda: tq.convolve(IMAGE, KERNEL, stride=0), tq.Error, "stride of 0"),
        (lambda: tq.convolve(IMAGE, KERNEL, stride=[1, 1]), tq.Error, "stride: has 2 numbers"),
        (lambda: tq.convolve(IMAGE, KERNEL, padding=-1), tq.Error, "padding of -1"),
        (lambda: tq.convolve(IMAGE[..., :2], KERNEL), tq.Error, "larger than the padded input"),
        (lambda: tq.average_pool(A, 2), tq.Error, "average_pool: an input needs a dimension"),
        (lambda: tq.average_pool(IMAGE, 0), tq.Error, "kernel of 0"),
        (lambda: tq.average_pool(IMAGE, 6), tq.Error, "larger than the padded input"),
        (lambda: tq.average_pool(IMAGE, 2, divisor=2**64), tq.Error, "is not between"),
        (lambda: tq.average_pool(IMAGE, 2**63), tq.Error, "is not between"),
        (
            lambda: tq.convolve(IMAGE, KERNEL[:2], stride=2, transposed=True, output_padding=2),
            tq.Error,
            "output_padding of 2",
        ),
        (
            lambda: tq.convolve(IMAGE, KERNEL[:2], padding=4, transposed=True),
            tq.Error,
            "padding is larger than the output",
        ),
        (
            lambda: tq.convolve(IMAGE, KERNEL[:2], stride=2**62, transposed=True),
            tq.Error,
            "too large",
        ),
        (lambda: tq.average_pool(IMAGE, 2, divisor=0), tq.Error, "divisor is 0"),
        (
            lambda: tq.average_pool(IMAGE, 1, padding=1, count_include_pad=False),
            tq.Error,
            "padding alone has no average",
        ),
    ],
)
def test_what_does_not_fit_is_refused(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_every_mode_of_accumulation_differs_where_it_should():
    a, b = np.full((1, 6), 1.5, np.float32), np.full((6, 1), 0.5, np.float32)
    found = {
        mode: float(
            tq.matmul(a, b, product="down,8,1", accumulator="down,8,0", accumulate=mode)[0, 0]
        )
        for mode in ("step", "once", "chunk:2", "fused")
    }
    # Products of 0.75 are cut to 0.5 and sums to integers.
    assert found == {"step": 0, "once": 3, "chunk:2": 3, "fused": 0}


def sums_of_windows(kernel, stride=1, dilation=1, padding=(0, 0)):
    w = np.ones((1, 1, kernel))
    return tq.convolve(POWERS, w, stride=stride, dilation=dilation, padding=[padding])


def averages_of_windows(kernel, stride=1, padding=(0, 0)):
    return tq.average_pool(POWERS, kernel, stride=stride, padding=[padding])


POWERS = np.array([[[1.0, 2.0, 4.0, 8.0]]])


@pytest.mark.parametrize(("window", "wanted"), WINDOWS)
def test_hostile_windows_are_refused_or_computed(window, wanted):
    if wanted is None:
        with pytest.raises(tq.Error):
            sums_of_windows(**window)
    else:
        assert sums_of_windows(**window).tolist() == [[wanted]]
    if "dilation" in window:
        return
    if wanted is None:
        with pytest.raises(tq.Error):
            averages_of_windows(**window)
    else:
        averages = [[[x / window["kernel"] for x in wanted]]]
        assert averages_of_windows(**window).tolist() == averages


@pytest.mark.parametrize("window", NUMBERS)
def test_numbers_that_are_no_sizes_are_refused(window):
    with pytest.raises(tq.Error):
        sums_of_windows(**window)
    if "dilation" not in window:
        with pytest.raises(tq.Error):
            averages_of_windows(**window)


def test_kernels_larger_than_a_machine_are_refused():
    w = np.empty((1, 0, 2**40))  # holds nothing
    with pytest.raises(tq.Error, match="larger than the padded input"):
        tq.convolve(np.empty((1, 0, 4)), w)
    with pytest.raises(tq.Error, match="too large"):
        tq.convolve(np.empty((1, 0, 2**40)), w, padding=2**61, stride=2**62)
    with pytest.raises(tq.Error, match="is too large"):
        tq.average_pool(np.ones((1, 1, 1, 1)), 2**31, padding=2**30, stride=2**32)


def test_the_arithmetic_of_hardware_is_what_calls_take():
    deepseek = next(h for h in tq.list_hardware() if h.name == "deepseek_fp8").arithmetic
    ones = np.ones((1, 256), np.float32)
    # 2^-14 is below what is left of sums from 1 on, and so adds up between the promotions alone.
    w = np.full((256, 1), 2.0**-14, np.float32)
    w[0] = w[128] = 1.0
    assert tq.matmul(ones, w, **deepseek)[0, 0] == 2.0
    w[0] = 2.0**-14
    assert tq.matmul(ones, w, **deepseek)[0, 0] == 1.0 + 128 * 2.0**-14
