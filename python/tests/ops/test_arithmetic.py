"""arithmetic() in each framework: the golden vectors' bits and the float layer's gradients."""

import json

import golden
import ml_dtypes
import numpy as np
import pytest
from frameworks import assert_same_bits
from hostile import NUMBERS, WINDOWS

import tensorquant
from tensorquant import _core as native
from tensorquant import ops


def common_of(entry):
    names = ("product", "accumulator", "accumulate", "seed", "product_stream", "accumulator_stream")
    common = {name: entry[name] for name in names}
    common |= {name: entry[name] for name in ("outer", "order") if name in entry}
    return common | {"x_format": golden.format_of(entry, "data")}


def with_weights(entry):
    return {**common_of(entry), "w_format": golden.format_of(entry, "weight")}


def check(framework, operation, entry, inputs, shape):
    dtype = inputs[0].dtype
    with framework.types(inputs[0]):
        y = framework.ops.arithmetic(operation, *map(framework.tensor, inputs), step=entry["step"])
        assert_same_bits(framework.array(y), golden.from_hex(entry["y"], dtype, shape))


def with_bias(entry, inputs, outputs):
    if entry["bias"] is None:
        return inputs
    return [*inputs, golden.from_hex(entry["bias"], entry["type"], (outputs,))]


def test_linear_has_the_golden_bits(framework):
    """Every 13th of the matrix products: JAX compiles each shape anew."""
    entries = golden.arithmetic_vectors("matmul")[::13]
    assert len(entries) > 200
    for entry in entries:
        m, k, n = (entry["shape"][name] for name in "mkn")
        a = golden.from_hex(entry["a"], entry["type"], (m, k))
        b = golden.from_hex(entry["b"], entry["type"], (k, n))
        inputs = with_bias(entry, [a, np.ascontiguousarray(b.T)], n)
        check(framework, ops.linear(**with_weights(entry)), entry, inputs, (m, n))


def test_linear_of_two_levels_has_the_golden_bits(framework):
    """Every 5th: JAX compiles each shape anew."""
    entries = golden.arithmetic_vectors("linear")[::5]
    assert len(entries) > 40
    assert sum("outer" in entry for entry in entries) > 20
    for entry in entries:
        m, k, n = (entry["shape"][name] for name in "mkn")
        x = golden.from_hex(entry["a"], entry["type"], (m, k))
        w = golden.from_hex(entry["b"], entry["type"], (n, k))
        inputs = with_bias(entry, [x, w], n)
        check(framework, ops.linear(**with_weights(entry)), entry, inputs, (m, n))


def test_convolution_has_the_golden_bits(framework):
    entries = golden.arithmetic_vectors("conv")
    assert {len(e["shape"]["stride"]) for e in entries} == {1, 2, 3}
    assert any(e["shape"]["groups"] > 1 for e in entries)
    for entry in entries:
        shape = entry["shape"]
        inputs = [
            golden.from_hex(entry["a"], entry["type"], shape["x"]),
            golden.from_hex(entry["b"], entry["type"], shape["w"]),
        ]
        operation = ops.convolution(
            **with_weights(entry),
            stride=shape["stride"],
            dilation=shape["dilation"],
            padding_begin=shape["padding"],
            padding_end=shape["padding"],
            groups=shape["groups"],
        )
        inputs = with_bias(entry, inputs, shape["w"][0])
        result = operation.result_shape(*(x.shape for x in inputs))
        check(framework, operation, entry, inputs, result)


def test_average_pool_has_the_golden_bits(framework):
    """Those vectors whose divisor is the window's size."""
    entries = [
        e
        for e in golden.arithmetic_vectors("avg_pool")
        if e["shape"]["divisor"] == np.prod(e["shape"]["kernel"])
    ]
    assert len(entries) > 10
    for entry in entries:
        shape = entry["shape"]
        operation = ops.average_pool(
            **common_of(entry),
            kernel=shape["kernel"],
            stride=shape["stride"],
            padding_begin=shape["padding"],
            padding_end=shape["padding"],
        )
        x = golden.from_hex(entry["a"], entry["type"], shape["x"])
        check(framework, operation, entry, [x], operation.result_shape(x.shape))


def test_padding_that_does_not_count_leaves_the_divisor(framework):
    operation = ops.average_pool(
        "none",
        "none",
        kernel=(2,),
        padding_begin=(0,),
        padding_end=(1,),
        count_include_pad=False,
    )
    x = framework.tensor(np.array([[[1, 2, 5]]], np.float32))
    y = framework.array(framework.ops.arithmetic(operation, x))
    assert_same_bits(y, np.array([[[1.5, 5]]], np.float32))


def test_padding_may_stand_behind_alone(framework):
    """Zeros behind alone: what frameworks call "same" for a kernel of two."""
    operation = ops.convolution("none", "none", stride=(1,), padding_end=(1,))
    x, w = np.array([[[1, 2, 5]]], np.float32), np.array([[[10, 1]]], np.float32)
    y = framework.ops.arithmetic(operation, framework.tensor(x), framework.tensor(w))
    assert_same_bits(framework.array(y), np.array([[[12, 25, 50]]], np.float32))


def test_subnormal_products_are_kept(framework):
    x, w = np.full((1, 1), 2.0**-100, np.float32), np.full((1, 1), 2.0**-40, np.float32)
    operation = ops.linear("none", "none")
    y = framework.ops.arithmetic(operation, framework.tensor(x), framework.tensor(w))
    assert framework.array(y).view(np.uint32).item() == 1 << 9  # 2^-140


def test_linear_keeps_leading_dimensions(framework):
    x = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
    w, bias = np.ones((5, 4), np.float32), np.arange(5, dtype=np.float32)
    y = framework.ops.arithmetic(ops.linear("none", "none"), *map(framework.tensor, (x, w, bias)))
    assert_same_bits(framework.array(y), x.sum(-1, keepdims=True) + bias)


def test_tensors_of_a_half_type_give_one(framework):
    for dtype in (np.float16, ml_dtypes.bfloat16):
        x, w = np.full((1, 3), 0.25, dtype), np.full((2, 3), 1.5, dtype)
        operation = ops.linear("nearest,8,4", "nearest,8,4")
        y = framework.ops.arithmetic(operation, framework.tensor(x), framework.tensor(w))
        assert_same_bits(framework.array(y), np.full((1, 2), 1.125, dtype))


def test_gradient_is_that_of_the_float_layer(framework):
    """Small integers: exact in every order."""
    x = np.array([[1, 2], [3, -1]], np.float32)
    w = np.array([[2, 1], [0, 3], [1, 1]], np.float32)
    bias = np.array([1, 2, 3], np.float32)
    dy = np.array([[1, 2, 3], [4, 5, 6]], np.float32)
    operation = ops.linear("nearest,3,0", "nearest,3,0")  # saturates at 3

    def function(x, w, bias):
        return framework.ops.arithmetic(
            operation,
            x,
            w,
            bias,
            float_function=lambda a, b, c: a @ framework.transposed(b) + c,
        )

    y, gradients = framework.vjp(function, [x, w, bias], dy)
    assert_same_bits(y, np.array([[3, 3, 3], [3, -1, 3]], np.float32))
    for found, wanted in zip(gradients, (dy @ w, dy.T @ x, dy.sum(0))):
        assert_same_bits(found, wanted)


def test_a_clipped_gradient_passes_only_sums_within_the_bounds(framework):
    """Nothing passes where the sum before the last rounding lies outside of [-4, 3]."""
    x = np.array([[1, 2], [3, -1]], np.float32)
    w = np.array([[1, 1], [1, 2]], np.float32)  # sums: 3, 5; 2, 1
    dy = np.array([[1, 2], [4, 8]], np.float32)
    operation = ops.linear("none", "nearest,3,0,grad=clipped", "once")
    y, (dx, dw) = framework.vjp(
        lambda x, w: framework.ops.arithmetic(
            operation, x, w, float_function=lambda a, b: a @ framework.transposed(b)
        ),
        [x, w],
        dy,
    )
    assert_same_bits(y, np.array([[3, 3], [2, 1]], np.float32))
    passes = dy * np.array([[1, 0], [1, 1]], np.float32)
    assert_same_bits(dx, passes @ w)
    assert_same_bits(dw, passes.T @ x)


def test_formats_and_sizes_that_make_no_operation_are_refused():
    for bad in (
        {"product": "sparse,1", "accumulator": "none"},
        {"product": "none", "accumulator": "none", "accumulate": "chunk:0"},
        {"product": "nearst,8,4", "accumulator": "none"},
    ):
        with pytest.raises(tensorquant.Error):
            ops.linear(**bad)
    with pytest.raises(ValueError, match="stride: 0"):
        ops.convolution("none", "none", stride=(0,))
    with pytest.raises(ValueError, match="expected 2 numbers"):
        ops.convolution("none", "none", stride=(1, 1), dilation=(1,))
    with pytest.raises(ValueError, match="stride"):
        ops.convolution("none", "none", stride=())
    with pytest.raises(ValueError, match="seed"):
        ops.linear("none", "none", seed=2**64)
    with pytest.raises(ValueError, match="expected one of"):
        ops.backend("numpy")


def test_shapes_that_do_not_fit_are_refused(framework):
    def tensor(*shape):
        return framework.tensor(np.ones(shape, np.float32))

    linear = ops.linear("none", "none")
    convolution = ops.convolution("none", "none", stride=(1,))
    for operation, inputs, message in (
        (linear, [tensor(2, 3), tensor(4, 2)], "expected an input of"),
        (linear, [tensor(2, 3), tensor(4, 3), tensor(3)], "expected a bias of"),
        (linear, [tensor(2, 3)], "tensors, found 1"),
        (convolution, [tensor(1, 2, 5), tensor(3, 1, 2)], "channels"),
        (convolution, [tensor(1, 1, 2), tensor(3, 1, 3)], "larger than the padded input"),
    ):
        with pytest.raises(framework.errors, match=message):
            framework.ops.arithmetic(operation, *inputs)


def convolution_of(kernel, stride=1, dilation=1, padding=(0, 0)):
    return ops.convolution(
        "none",
        "none",
        stride=(stride,),
        dilation=(dilation,),
        padding_begin=padding[:1],
        padding_end=padding[1:],
    )


def pool_of(kernel, stride=1, padding=(0, 0)):
    return ops.average_pool(
        "none",
        "none",
        kernel=(kernel,),
        stride=(stride,),
        padding_begin=padding[:1],
        padding_end=padding[1:],
    )


@pytest.mark.parametrize(("window", "wanted"), WINDOWS)
def test_hostile_windows_are_refused_or_computed(framework, window, wanted):
    x = np.array([[[1, 2, 4, 8]]], np.float32)
    kernel = np.ones((1, 1, window["kernel"]), np.float32)
    cases = [(convolution_of, [x, kernel], 1)]
    if "dilation" not in window:
        cases.append((pool_of, [x], window["kernel"]))
    for make, inputs, divisor in cases:
        inputs = [framework.tensor(tensor) for tensor in inputs]
        if wanted is None:
            with pytest.raises(framework.errors):
                framework.ops.arithmetic(make(**window), *inputs)
        else:
            y = framework.array(framework.ops.arithmetic(make(**window), *inputs))
            assert y.tolist() == [[[x / divisor for x in wanted]]]


@pytest.mark.parametrize("window", NUMBERS)
def test_numbers_that_are_no_sizes_are_refused(window):
    with pytest.raises(ValueError, match="is not between"):
        convolution_of(**window)
    if "dilation" not in window:
        with pytest.raises(ValueError, match="is not between"):
            pool_of(**window)


def test_operations_of_several_lengths_are_refused():
    operation = ops.convolution("none", "none", stride=(1,))
    text = json.loads(operation.text) | {"dilation": []}
    with pytest.raises(tensorquant.Error, match="differ in number"):
        native.op_check(json.dumps(text))


def test_a_gradient_needs_a_float_function(framework):
    x, w = np.ones((1, 2), np.float32), np.ones((1, 2), np.float32)
    operation = ops.linear("none", "none")
    with pytest.raises(ValueError, match="float_function"):
        framework.vjp(
            lambda x, w: framework.ops.arithmetic(operation, x, w),
            [x, w],
            np.ones((1, 1), np.float32),
        )
