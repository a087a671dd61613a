"""Products and sums inside ONNX nodes rounded: the golden bits, by another hand than the code."""

import golden
import numpy as np
import pytest
from files import assert_same_bits, model_of
from onnx import helper

import tensorquant as tq
import tensorquant.onnx as tqo

FUNCTIONS = {
    "exp": ("Exp", {}),
    "log": ("Log", {}),
    "sqrt": ("Sqrt", {}),
    "reciprocal": ("Reciprocal", {}),
    "erf": ("Erf", {}),
    "tanh": ("Tanh", {}),
    "sigmoid": ("Sigmoid", {}),
    "softplus": ("Softplus", {}),
    "hardswish": ("HardSwish", {}),
    "hardsigmoid": ("HardSigmoid", {"alpha": 1 / 6}),
    "gelu": ("Gelu", {}),
    "gelu_tanh": ("Gelu", {"approximate": "tanh"}),
}
BINARY = {"add": "Add", "sub": "Sub", "mul": "Mul", "div": "Div"}


def value_of(entry):
    """How an intrinsic map says it; None for random rounding, whose streams have names there."""
    value = {
        name: entry[name]
        for name in ("product", "accumulator", "accumulate", "outer")
        if name in entry
    }
    random = any("stochastic" in str(text) for text in value.values())
    return None if random else value


def rounded(op_type, attributes, inputs, value, constants=()):
    """What a node gives under an intrinsic rule, of arrays in the order of its inputs."""
    names = [f"i{n}" for n in range(len(inputs))]
    node = helper.make_node(op_type, names, ["y"], "node", **attributes)
    given = {n: (a.dtype.name, list(a.shape)) for n, a in zip(names, inputs) if n not in constants}
    held = {n: a for n, a in zip(names, inputs) if n in constants}
    loaded = tqo.load(
        model_of([node], given, ["y"], held, opset=23 if op_type == "RMSNormalization" else 21)
    )
    tqo.quantize_model(loaded, intrinsic={"": value})
    return loaded.run({n: a for n, a in zip(names, inputs) if n in given})["y"]


def float32_epsilon(entry):
    """Of the file's bits; None where an attribute cannot hold it, which is a float32."""
    epsilon = float(golden.from_hex(entry["eps"], entry["type"], ()))
    return epsilon if epsilon == float(np.float32(epsilon)) else None


def check(entries, case, least):
    """case() gives an operator, its attributes and inputs, and which are constants; or None."""
    count = 0
    for entry in entries:
        value, found = value_of(entry), case(entry)
        if value is None or found is None:
            continue
        y = rounded(*found[:3], value, *found[3:])
        assert_same_bits(y, golden.from_hex(entry["y"], entry["type"], y.shape))
        count += 1
    assert count >= least


def numbers(entry, name, shape=(-1,)):
    return golden.from_hex(entry[name], entry["type"], shape)


def test_functions():
    def case(entry):
        name = entry["shape"]["function"]
        if name not in FUNCTIONS or (
            entry["type"] == "float64" and name not in ("exp", "log", "sqrt")
        ):
            return None  # ONNX Runtime has no such kernels for the float model
        return *FUNCTIONS[name], [numbers(entry, "a")]

    check(golden.value_vectors("function")[::4], case, 50)


@pytest.mark.parametrize("kind", BINARY)
def test_additions_and_products(kind):
    check(
        golden.value_vectors(kind),
        lambda entry: (BINARY[kind], {}, [numbers(entry, "a"), numbers(entry, "b")]),
        20,
    )


@pytest.mark.parametrize("kind, op_type", [("softmax", "Softmax"), ("log_softmax", "LogSoftmax")])
def test_softmax(kind, op_type):
    def case(entry):
        return op_type, {}, [numbers(entry, "a", entry["shape"]["x"])]

    check(golden.value_vectors(kind)[::3], case, 20)


@pytest.mark.parametrize("kind", ["layer_norm", "rms_norm"])
def test_norms_of_the_last_axes(kind):
    def case(entry):
        shape, dimensions = entry["shape"]["x"], entry["shape"]["dimensions"]
        epsilon = float32_epsilon(entry)
        if (
            epsilon is None
            or "gamma" not in entry
            or (kind == "rms_norm" and entry["type"] == "float64")
        ):
            return None
        names = [name for name in ("gamma", "beta") if name in entry]
        op_type = {"layer_norm": "LayerNormalization", "rms_norm": "RMSNormalization"}[kind]
        attributes = {"axis": -dimensions, "epsilon": epsilon}
        parameters = [numbers(entry, name, shape[-dimensions:]) for name in names]
        return op_type, attributes, [numbers(entry, "a", shape), *parameters]

    check(golden.value_vectors(kind), case, 15)


def test_group_norms():
    def case(entry):
        shape, epsilon = entry["shape"]["x"], float32_epsilon(entry)
        if (
            epsilon is None
            or "gamma" not in entry
            or "beta" not in entry
            or entry["type"] == "float64"
        ):
            return None
        attributes = {"num_groups": entry["shape"]["groups"], "epsilon": epsilon}
        parameters = [numbers(entry, name) for name in ("gamma", "beta")]
        return "GroupNormalization", attributes, [numbers(entry, "a", shape), *parameters]

    check(golden.value_vectors("group_norm"), case, 15)


def test_batch_norms():
    def case(entry):
        epsilon = float32_epsilon(entry)
        if epsilon is None or entry["gamma"] is None or entry["beta"] is None:
            return None
        names = ("gamma", "beta", "mean", "var")
        inputs = [
            numbers(entry, "a", entry["shape"]["x"]),
            *(numbers(entry, name) for name in names),
        ]
        return "BatchNormalization", {"epsilon": epsilon}, inputs

    check(golden.arithmetic_vectors("batch_norm"), case, 15)


def test_products_of_a_batch_of_matrices():
    def case(entry):
        if entry["data_min_exponent"] or entry["weight_min_exponent"]:
            return None  # of operands that were quantized before
        shapes = [entry["shape"][name] for name in "ab"]
        return "MatMul", {}, [numbers(entry, name, shape) for name, shape in zip("ab", shapes)]

    check(golden.value_vectors("products"), case, 15)


@pytest.mark.parametrize("turned", [False, True])
def test_gemm(turned):
    def case(entry):
        m, k, n = (entry["shape"][name] for name in "mkn")
        if not m * k * n or "data_min_exponent" in entry:
            return None
        a, b = numbers(entry, "a", (m, k)), numbers(entry, "b", (k, n))
        bias = [] if entry["bias"] is None else [numbers(entry, "bias")]
        inputs = [a.T, b.T, *bias] if turned else [a, b, *bias]
        inputs = [np.ascontiguousarray(x) for x in inputs]
        return "Gemm", {"transA": int(turned), "transB": int(turned)}, inputs, ("i1", "i2")

    check(golden.arithmetic_vectors("matmul")[::8], case, 30)


@pytest.mark.parametrize("shape", [None, (), (1,), (4,), (3, 1), (3, 4)])
@pytest.mark.parametrize("alpha, beta", [(1, 1), (1, -1.25), (0.375, 1), (-2, 3), (0, 0)])
def test_factors_of_gemm_stand_behind_the_sum_and_before_the_bias(alpha, beta, shape):
    rng = np.random.default_rng(8)
    a, b = (rng.standard_normal(s).astype(np.float32) for s in ((3, 5), (5, 4)))
    value = {"product": "nearest,10,5", "accumulator": "nearest,12,4"}
    product, accumulator = tq.Quantizer(value["product"]), tq.Quantizer(value["accumulator"])
    expected = tq.matmul(a, b, **value)
    if alpha != 1:
        expected = product(expected * np.float32(alpha))
    inputs = [a, b]
    if shape is not None:
        inputs.append(np.asarray(rng.standard_normal(shape), np.float32))
        expected = accumulator(expected + inputs[2] * np.float32(beta))
    y = rounded("Gemm", {"alpha": alpha * 1.0, "beta": beta * 1.0}, inputs, value, ("i1",))
    assert_same_bits(y, expected)


def test_a_product_and_the_bias_behind_it_are_one_layer():
    rng = np.random.default_rng(2)
    x, w, b = (rng.standard_normal(s).astype(np.float32) for s in ((4, 6), (6, 3), (3,)))
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["p"], "fc"),
        helper.make_node("Add", ["b", "p"], ["y"], "bias"),
    ]
    loaded = tqo.load(model_of(nodes, {"x": [4, 6]}, ["y"], {"w": w, "b": b}))
    settings = {"product": "nearest,8,4", "accumulator": "nearest,9,4"}
    tqo.quantize_model(loaded, intrinsic={"fc": settings})
    assert_same_bits(loaded.run(x)["y"], tq.matmul(x, w, b, **settings))


def test_a_bias_may_be_made_by_a_node_between_product_and_sum():
    x, w, b = np.ones((1, 2), np.float32), np.ones((2, 3), np.float32), np.ones(3, np.float32)
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["p"], "fc"),
        helper.make_node("Identity", ["b0"], ["b"], "same"),
        helper.make_node("Add", ["p", "b"], ["y"], "bias"),
    ]
    loaded = tqo.load(model_of(nodes, {"x": [1, 2]}, ["y"], {"w": w, "b0": b}))
    tqo.quantize_model(loaded, intrinsic={"fc": "fp16"})
    assert loaded.run(x)["y"].tolist() == [[3, 3, 3]]


CONVOLUTIONS = [
    ({"pads": [1, 0, 2, 1]}, {"padding": [(1, 2), (0, 1)]}),
    ({"strides": [2, 1], "dilations": [1, 2]}, {"stride": (2, 1), "dilation": (1, 2)}),
    ({"auto_pad": "SAME_UPPER", "strides": [2, 2]}, {"stride": 2, "padding": [(0, 1), (0, 1)]}),
    ({"auto_pad": "SAME_LOWER", "strides": [2, 2]}, {"stride": 2, "padding": [(1, 0), (1, 0)]}),
    ({"auto_pad": "VALID"}, {}),
]


@pytest.mark.parametrize("attributes, options", CONVOLUTIONS)
@pytest.mark.parametrize("groups", [1, 2])
def test_a_convolution_has_the_bits_of_convolve(attributes, options, groups):
    rng = np.random.default_rng(3)
    x, w, b = (
        rng.standard_normal(s).astype(np.float32)
        for s in ((2, 4, 6, 6), (6, 4 // groups, 3, 3), (6,))
    )
    value = {"product": "nearest,10,5", "accumulator": "nearest,12,5"}
    y = rounded("Conv", {**attributes, "group": groups}, [x, w, b], value, ("i1", "i2"))
    assert_same_bits(y, tq.convolve(x, w, b, groups=groups, **options, **value))


def test_a_transposed_convolution_has_the_bits_of_convolve():
    rng = np.random.default_rng(3)
    x, w = (rng.standard_normal(s).astype(np.float32) for s in ((2, 4, 5, 5), (4, 3, 3, 3)))
    value = {"product": "nearest,10,5", "accumulator": "nearest,12,5"}
    attributes = {"strides": [2, 2], "pads": [1, 1, 1, 1], "output_padding": [1, 1]}
    y = rounded("ConvTranspose", attributes, [x, w], value, ("i1",))
    options = {"stride": 2, "padding": 1, "output_padding": 1, "transposed": True}
    assert_same_bits(y, tq.convolve(x, w, **options, **value))


def test_means_over_space_are_pools():
    x = np.random.default_rng(3).standard_normal((2, 3, 4, 6)).astype(np.float32)
    value = {"product": "nearest,10,5", "accumulator": "nearest,12,5"}
    expected = tq.average_pool(x, (4, 6), **value)
    assert_same_bits(rounded("GlobalAveragePool", {}, [x], value), expected)
    axes = np.array([2, 3])
    assert_same_bits(rounded("ReduceMean", {}, [x, axes], value, ("i1",)), expected)
    flat = rounded("ReduceMean", {"keepdims": 0}, [x, axes], value, ("i1",))
    assert_same_bits(flat, expected.reshape(2, 3))


def test_a_sum_of_more_than_two_rounds_after_each():
    a, b, c = (np.array([x], np.float32) for x in (0.3, 0.3, 0.3))
    assert rounded("Sum", {}, [a, b, c], {"accumulator": "nearest,8,1"}).tolist() == [1.0]


def test_powers_are_roots_or_products_one_after_the_other():
    x = np.array([0.3, 2.6], np.float32)
    value = {"product": "nearest,8,3", "accumulator": "none"}
    q = tq.Quantizer("nearest,8,3")

    def power(exponent):
        return rounded("Pow", {}, [x, np.array(exponent, np.float32)], value, ("i1",))

    assert_same_bits(power(3), q(q(x * x) * x))
    assert_same_bits(power(0.5), rounded("Sqrt", {}, [x], value))
    assert_same_bits(power(-1), rounded("Reciprocal", {}, [x], value))
    with pytest.raises(tq.Error, match="a power of 1.5"):
        rounded("Pow", {}, [x, np.array(1.5, np.float32)], value)


def test_a_leaky_relu_rounds_its_product():
    x = np.array([-1.5, 2.25], np.float32)
    y = rounded("LeakyRelu", {"alpha": 0.3}, [x], {"product": "nearest,8,1", "accumulator": "none"})
    assert y.tolist() == [-0.5, 2.25]


REFUSED = [
    ("ConvTranspose", {"pads": [0, 0, 1, 0]}, [(1, 2, 4, 4), (2, 3, 3, 3)], "both sides"),
    ("AveragePool", {"kernel_shape": [2], "dilations": [2]}, [(1, 2, 8)], "dilation"),
    ("HardSigmoid", {}, [(3,)], "alpha is not 1/6"),
    ("Pow", {}, [(3,), (3,)], "exponents are several"),
    ("Resize", {}, [(1, 1, 2, 2), (0,), (4,)], "cannot be rounded"),
]


@pytest.mark.parametrize("op_type, attributes, shapes, text", REFUSED)
def test_what_cannot_be_rounded_is_an_error_when_the_map_is_applied(
    op_type, attributes, shapes, text
):
    inputs = [np.ones(shape, np.float32) for shape in shapes]
    with pytest.raises(
        tq.Error, match=f"'node' \\({op_type}\\).*{text}|{text}.*'node' \\({op_type}\\)"
    ):
        rounded(op_type, attributes, inputs, {"accumulator": "nearest,8,4"}, ("i1", "i2"))


INT8 = {"weights": "int,8,per=channel,scale=max", "intrinsic": {"fc": "int8_int32"}}


def scaled_product(between=(), extrinsic=None):
    """A model whose input is quantized with a scale, and read by a product behind other nodes."""
    rng = np.random.default_rng(5)
    x, w = (rng.standard_normal(s).astype(np.float32) for s in ((3, 8), (8, 4)))
    last = between[-1].output[0] if between else "x"
    nodes = [*between, helper.make_node("MatMul", [last, "w"], ["y"], "fc")]
    loaded = tqo.load(model_of(nodes, {"x": [3, 8]}, ["y"], {"w": w}))
    maps = {**INT8, "extrinsic": {"input": extrinsic or "int,8,scale=max"}}
    return tqo.quantize_model(loaded, **maps), x, w


def expected_product(x, w):
    return tq.matmul(
        x,
        w,
        product="none",
        accumulator="int,32",
        accumulate="once",
        outer={"accumulator": "none"},
        a_format="int,8,scale=max",
        b_format="int,8,per=channel,scale=max",
    )


@pytest.mark.parametrize("op_type", [None, "Identity", "Relu"])
def test_elements_and_scales_are_seen_apart(op_type):
    between = [helper.make_node(op_type, ["x"], ["z"], "between")] if op_type else []
    model, x, w = scaled_product(between)
    if op_type == "Relu":  # the scale is still that of what the quantizer saw
        q = tq.Quantizer("int,8,scale=max")
        scale = float(np.abs(x).max() / 127)
        given = tq.matmul(
            np.maximum(q(x), 0),
            w,
            product="none",
            accumulator="int,32",
            accumulate="once",
            outer={"accumulator": "none"},
            a_format=f"int,8,scale={scale!r}",
            b_format="int,8,per=channel,scale=max",
        )
        assert np.allclose(model.run(x)["y"], given, rtol=1e-6)
        return
    assert_same_bits(model.run(x)["y"], expected_product(x, w))


@pytest.mark.parametrize("op_type", ["Concat", "Trilu"])
def test_groups_that_are_mixed_on_the_way_are_an_error_that_names_the_node(op_type):
    attributes, inputs = ({"axis": 0}, ["x", "x"]) if op_type == "Concat" else ({}, ["x"])
    between = [helper.make_node(op_type, inputs, ["z"], "joined", **attributes)]
    model, x, _ = scaled_product(between)
    with pytest.raises(tq.Error, match=f"'fc' .*'joined' \\({op_type}\\)"):
        model.run(x)
