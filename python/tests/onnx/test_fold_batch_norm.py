"""Batch normalizations in the weights before them: by numpy in float64, rounded once."""

import numpy as np
import onnx
import pytest
from files import arrays_of, assert_same_bits, little_network, model_of, run_plain, shared_model
from onnx import helper, numpy_helper

import tensorquant as tq
import tensorquant.onnx as tqo


def norm_of(rng, channels):
    """gamma, beta, mean and variance."""
    numbers = rng.standard_normal((4, channels)).astype(np.float32)
    numbers[3] = np.abs(numbers[3]) + np.float32(0.1)
    return dict(zip(("gamma", "beta", "mean", "variance"), numbers))


# Operator, its attributes, the shapes of x, weight and bias, and the axis of the outputs in the
# weight, whose last but one sizes may be groups.
PRODUCTS = [
    ("Conv", {"pads": [1, 1, 1, 1]}, (2, 3, 5, 5), (4, 3, 3, 3), None),
    ("Conv", {"group": 2}, (2, 4, 7), (6, 2, 3), (6,)),
    ("ConvTranspose", {"strides": [2, 2]}, (2, 3, 4, 4), (3, 5, 2, 2), (5,)),
    ("ConvTranspose", {"group": 2}, (2, 4, 5), (4, 3, 2), None),
    ("Gemm", {}, (3, 5), (5, 4), (4,)),
    ("Gemm", {"transB": 1}, (3, 5), (4, 5), (1, 4)),
]


def factors_in(op_type, attributes, factors, shape):
    """The factors where they stand in the weight."""
    if op_type == "Gemm":
        return factors[:, None] if attributes.get("transB") else factors
    ones = (1,) * (len(shape) - 2)
    if op_type == "Conv":
        return factors.reshape(-1, 1, *ones)
    groups = attributes.get("group", 1)
    rows = np.repeat(factors.reshape(groups, -1), shape[0] // groups, axis=0)
    return rows.reshape(shape[0], -1, *ones)


@pytest.mark.parametrize("op_type, attributes, x_shape, w_shape, b_shape", PRODUCTS)
def test_weights_and_biases_are_those_of_float64(op_type, attributes, x_shape, w_shape, b_shape):
    rng = np.random.default_rng(1)
    x, w = (rng.standard_normal(shape).astype(np.float32) for shape in (x_shape, w_shape))
    bias = None if b_shape is None else rng.standard_normal(b_shape).astype(np.float32)
    channels = {"Conv": w_shape[0], "Gemm": w_shape[0 if attributes.get("transB") else 1]}.get(
        op_type, w_shape[1] * attributes.get("group", 1)
    )
    norm = norm_of(rng, channels)
    constants = {"layer.weight": w, **norm} | ({} if bias is None else {"layer.bias": bias})
    inputs = ["x", "layer.weight", *([] if bias is None else ["layer.bias"])]
    nodes = [
        helper.make_node(op_type, inputs, ["p"], "product", **attributes),
        helper.make_node("BatchNormalization", ["p", *norm], ["n"], "norm", epsilon=1e-3),
        helper.make_node("Relu", ["n"], ["y"], "relu"),
    ]
    file = model_of(nodes, {"x": list(x_shape)}, ["y"], constants, opset=17)
    folded = tqo.load(file, fold_batch_norm=True)

    epsilon = np.float64(np.float32(1e-3))
    factors = norm["gamma"] / np.sqrt(norm["variance"].astype(np.float64) + epsilon)
    b = np.zeros(channels) if bias is None else bias.reshape(-1).astype(np.float64)
    expected = {
        "layer.weight": w * factors_in(op_type, attributes, factors, w_shape),
        "layer.bias": ((b - norm["mean"]) * factors + norm["beta"]).reshape(b_shape or -1),
    }
    held = {t.name: numpy_helper.to_array(t) for t in folded.flat.graph.initializer}
    assert held.keys() == expected.keys()
    for name, array in expected.items():
        assert_same_bits(held[name], array.astype(np.float32))
    assert [row.layer for row in folded.explain()] == ["layer", "relu"]
    y, whole = folded.run(x)["y"], run_plain(file, {"x": x})["y"]
    assert np.abs(y - whole).max() <= 1e-5 * np.abs(whole).max()


def test_those_that_stay_are_a_warning():
    nodes = [helper.make_node("BatchNormalization", ["x", "a", "a", "a", "a"], ["y"], "norm")]
    file = model_of(nodes, {"x": [1, 2]}, ["y"], {"a": np.ones(2, np.float32)}, opset=17)
    with pytest.warns(UserWarning, match="the model: batch normalizations that stay: 'norm'"):
        tqo.load(file, fold_batch_norm=True)


def test_a_folded_model_is_exported_folded(tmp_path):
    model, x, _ = little_network()
    folded = tqo.load(model, fold_batch_norm=True)
    folded.export(tmp_path / "net.onnx", maps=tq.Override("even,8,6", "even,8,4"))
    file = onnx.load(tmp_path / "net.onnx")
    assert all(node.op_type != "BatchNormalization" for node in file.graph.node)
    expected = tqo.quantize_model(folded, "even,8,6", "even,8,4").run(x)["y"]
    assert_same_bits(run_plain(file, {"x": x})["y"], expected)


def test_resnet20_has_the_layers_of_the_file_that_pytorch_folded():
    folder = shared_model("resnet20_legacy_bn")
    (x,) = arrays_of(folder, "input")
    folded = tqo.load(folder / "model.onnx", fold_batch_norm=True)
    of_pytorch = tqo.load(shared_model("resnet20_legacy") / "model.onnx")
    assert [row.layer for row in folded.explain()] == [row.layer for row in of_pytorch.explain()]
    (y,) = folded.run(x).values()
    (expected,) = arrays_of(folder, "output")
    assert np.abs(y - expected).max() <= 1e-4 * np.abs(expected).max()
