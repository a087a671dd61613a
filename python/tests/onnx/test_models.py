"""The developers' models, whose outputs ONNX Runtime has computed; and the command line on them."""

import warnings

import numpy as np
import onnx
import pytest
from files import arrays_of, assert_same_bits, model_of, of_the_command_line, shared_model
from onnx import helper

import tensorquant as tq
import tensorquant.onnx as tqo

NAMES = [
    *("ppocr_cls", "random_bert_legacy", "random_k_attn_tf2onnx", "random_llama_dynamo"),
    *("random_lstm_legacy", "random_unet_legacy", "resnet20_dynamo", "resnet20_legacy"),
    *("resnet20_legacy_bn", "resnet20_qdq_int8", "resnet20_qop_int8", "spindle_eeg"),
]


def load(name):
    folder = shared_model(name)
    model = tqo.load(folder / "model.onnx")
    return model, dict(zip([p.name for p in model.inputs], arrays_of(folder, "input"))), folder


@pytest.mark.parametrize("name", NAMES)
def test_outputs_are_the_stored_ones(name):
    model, inputs, folder = load(name)
    for found, expected in zip(
        model.run(inputs).values(), arrays_of(folder, "output"), strict=True
    ):
        assert np.abs(found - expected).max() <= 1e-4 * np.abs(expected).max()


@pytest.mark.parametrize("name", NAMES)
def test_a_model_in_pieces_computes_what_it_does_whole(name):
    model, inputs, _ = load(name)
    whole = model.run(inputs)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", tqo.IdleRuleWarning)  # of a model of integers
        tqo.quantize_model(model, weights="none", extrinsic="none")
    for output, array in model.run(inputs).items():
        assert_same_bits(array, whole[output])


def test_resnet20_has_the_bits_of_the_command_line(tmp_path):
    inside = {"product": "nearest,16,10", "accumulator": "nearest,24,10"}
    override = tq.Override(
        weights="nearest,8,6",
        extrinsic="nearest,8,4",
        intrinsic={"conv": inside, "linear": inside, "Add": {"accumulator": "stochastic,12,3"}},
        seed=3,
    )
    model, inputs, folder = load("resnet20_legacy")
    tqo.quantize_model(model, maps=override)
    (y,) = model.run(inputs).values()
    assert len(y) > 0
    assert_same_bits(y, of_the_command_line(tmp_path, folder / "model.onnx", inputs, override))


@pytest.mark.parametrize("turned", [0, 1])
@pytest.mark.parametrize(
    "alpha, beta, shape", [(1.5, -0.7, (4,)), (1.0, 2.0, (4,)), (1.0, 1.0, (3, 1))]
)
def test_a_gemm_with_factors_has_the_random_bits_of_the_command_line(
    alpha, beta, shape, turned, tmp_path
):
    rng = np.random.default_rng(9)
    x, w, c = (rng.standard_normal(s).astype(np.float32) for s in ((3, 5), (5, 4), shape))
    attributes = {"alpha": alpha, "beta": beta, "transB": turned}
    node = helper.make_node("Gemm", ["x", "w", "c"], ["y"], "fc", **attributes)
    held = {"w": np.ascontiguousarray(w.T) if turned else w, "c": c}
    file = model_of([node], {"x": [3, 5]}, ["y"], held)
    onnx.save(file, tmp_path / "net.onnx")
    random = "stochastic,9,4"
    override = tq.Override(weights=random, intrinsic={"fc": random}, seed=5)
    y = tqo.quantize_model(tqo.load(file), maps=override).run(x)["y"]
    expected = of_the_command_line(tmp_path, tmp_path / "net.onnx", {"x": x}, override)
    assert_same_bits(y, expected)


# Operator, attributes, shapes of its inputs, and how many of them are constants at the end.
ROUNDED = [
    ("Add", {}, [(3, 4), (4,)], 0),
    ("Sum", {}, [(3, 4), (4,), (3, 1)], 0),
    ("Softplus", {}, [(3, 4)], 0),
    ("HardSigmoid", {"alpha": 1 / 6}, [(3, 4)], 0),
    ("PRelu", {}, [(3, 4), (4,)], 1),
    ("ReduceSum", {"keepdims": 0}, [(3, 4, 5), [1, -1]], 1),
    ("ReduceMean", {}, [(3, 4, 5), [0]], 1),
    ("Pow", {}, [(3, 4), 3.0], 1),
    ("Pow", {}, [(3, 4), -1.0], 1),
    ("RMSNormalization", {"axis": 1}, [(3, 4, 5), (4, 5)], 1),
    ("LayerNormalization", {}, [(3, 4), (4,), (4,)], 2),
    ("GroupNormalization", {"num_groups": 2}, [(2, 4, 3), (4,), (4,)], 2),
    ("InstanceNormalization", {}, [(2, 4, 3), (4,), (4,)], 2),
]


@pytest.mark.parametrize("rule", ["nearest,12,6", "stochastic,12,6"])
def test_rounded_nodes_have_the_bits_of_the_command_line(rule, tmp_path):
    rng = np.random.default_rng(4)
    nodes, held, inputs, outputs = [], {}, {}, []
    for i, (op_type, attributes, shapes, constants) in enumerate(ROUNDED):
        names = [f"n{i}_{k}" for k in range(len(shapes))]
        for k, (name, shape) in enumerate(zip(names, shapes)):
            drawn = rng.standard_normal(shape if isinstance(shape, tuple) else ())
            array = np.asarray(drawn, np.float32)
            if not isinstance(shape, tuple):
                array = np.array(shape, np.int64 if isinstance(shape, list) else np.float32)
            (held if k >= len(shapes) - constants else inputs)[name] = array
        nodes.append(helper.make_node(op_type, names, [f"y{i}"], f"node{i}", **attributes))
        outputs.append(f"y{i}")
    inputs["aside"] = np.zeros(9, np.float32)  # another number of rows: one run of all
    ports = {name: list(array.shape) for name, array in inputs.items()}
    file = model_of(nodes, ports, outputs, held, opset=23)
    onnx.save(file, tmp_path / "net.onnx")
    override = tq.Override(intrinsic={"": rule}, seed=6)
    found = tqo.quantize_model(tqo.load(file), maps=override).run(inputs)
    of_the_command_line(tmp_path, tmp_path / "net.onnx", inputs, override)
    for i, (op_type, *_) in enumerate(ROUNDED):
        expected = np.load(tmp_path / "out" / f"output_{i}.npy")
        assert found[f"y{i}"].tobytes() == expected.tobytes(), op_type
