"""What users see: errors, tables, calibration, observers."""

import json

import numpy as np
import pytest
from files import little_network, model_of
from onnx import helper

import tensorquant as tq
import tensorquant.onnx as tqo


@pytest.fixture
def network():
    model, x, _ = little_network()
    return tqo.load(model), x


def test_inputs_and_outputs_are_told(network):
    model, _ = network
    assert model.inputs == [("x", "float32", ("n", 3, 6, 6))]
    assert [port.name for port in model.outputs] == ["y"]


WRONG_INPUTS = [
    ({}, "input 'x' is not given"),
    ({"x": np.zeros((1, 3, 6, 6), np.float32), "z": 1}, "no input 'z'; it has 'x'"),
    ({"x": np.zeros((1, 3, 6, 6))}, "input 'x': expected float32, found float64"),
    ({"x": np.zeros((3, 6, 6), np.float32)}, r"expected 4 dimensions, found \(3, 6, 6\)"),
    ({"x": np.zeros((1, 3, 6, 5), np.float32)}, "expected a size of 6 along axis 3"),
]


@pytest.mark.parametrize("inputs, text", WRONG_INPUTS)
def test_wrong_inputs_are_errors_that_name_them(network, inputs, text):
    with pytest.raises(tq.Error, match=text):
        network[0].run(inputs)


def test_files_that_are_not_sound_are_errors(tmp_path):
    path = tmp_path / "net.onnx"
    path.write_bytes(b"\x08\x07garbage")
    with pytest.raises(tq.Error, match="net.onnx"):
        tqo.load(path)
    with pytest.raises(tq.Error, match="missing.onnx"):
        tqo.load(tmp_path / "missing.onnx")
    with pytest.raises(TypeError, match="model: expected a path, bytes or an onnx.ModelProto"):
        tqo.load(3)


def test_an_operator_that_onnx_runtime_lacks_is_one_line():
    node = helper.make_node("NoSuchThing", ["x"], ["y"], "node")
    with pytest.raises(tq.Error, match="NoSuchThing") as caught:
        tqo.load(model_of([node], {"x": [2]}, ["y"]))
    assert "\n" not in str(caught.value)


def test_maps_with_faults_leave_the_model_as_it_was(network):
    model, x = network
    tqo.quantize_model(model, extrinsic={"relu": "nearest,4,1"})
    before = model.run(x)["y"]
    with pytest.raises(tq.Error, match="ternary"):
        tqo.quantize_model(model, intrinsic={"conv": "ternary"})
    with pytest.raises(tq.Error, match="hits no layer"):
        tqo.quantize_model(model, weights={"cnov": "fp16"}, strict=True)
    assert np.array_equal(model.run(x)["y"], before)


def test_idle_rules_are_warnings(network):
    with pytest.warns(tqo.IdleRuleWarning, match="key 'cnov' hits no layer; the nearest is 'conv'"):
        tqo.quantize_model(network[0], weights={"cnov": "fp16"})


def test_explain_tells_nodes_and_rules(network):
    model, _ = network
    rows = model.explain()
    assert rows[0] == ("conv", "Conv", "", "conv.weight", "conv.bias", "a", False)
    assert rows[-2] == ("fc", "MatMul", "", "fc.weight", "fc_bias", "g", False)
    assert [row.layer for row in rows if row.moves] == ["flatten"]
    text = str(model.explain(tq.Override({"fc": "fp16"}, {"input": "bf16"})))
    assert [line.split() for line in text.splitlines()] == [
        ["layer", "weights", "extrinsic", "intrinsic"],
        ["input:x", "-", '"bf16"', "-"],
        *([name, "-", "-", "-"] for name in ("conv", "bn", "relu", "pool")),
        ["fc", '"fp16"', "-", "-"],
        ["softmax", "-", "-", "-"],
    ]


def test_summary_tells_what_is_in_each_layer(network):
    model, _ = network
    tqo.quantize_model(
        model, weights={"fc": "fp16"}, extrinsic={"relu": "bf16"}, intrinsic={"pool": "fp16"}
    )
    rows = {row.layer: row for row in tqo.summary(model, None)}
    assert (rows["fc"].weights, rows["fc"].bias, rows["relu"].output) == ("fp16", "fp16", "bf16")
    assert rows["pool"].intrinsic and not rows["conv"].weights
    assert all(not row.weights for row in tqo.summary(tqo.strip(model), None))


def test_ranges_count_what_saturates(network):
    model, x = network
    with pytest.raises(tq.Error, match="no quantizers"):
        tqo.record_ranges(model)
    tqo.quantize_model(model, weights={"conv": "nearest,4,3"}, extrinsic={"input": "nearest,4,2"})
    tqo.record_ranges(model)
    for _ in range(2):
        model.run(x)
    rows = {(row.layer, row.place): row for row in tqo.ranges(model, None)}
    q = tq.Quantizer("nearest,4,2")
    assert list(rows) == [("input", "output"), ("conv", "weight"), ("conv", "bias")]
    assert rows["input", "output"].values == 2 * x.size
    assert rows["input", "output"].saturated == 2 * q.report(x).saturated
    assert rows["conv", "weight"].values == 4 * 3 * 3 * 3  # once


def test_calibration_puts_numbers_in(network):
    model, x = network
    seen = {}
    with tqo.observe(model, lambda name, array: seen.setdefault(name, np.abs(array).max())):
        model.run(x)
    maps = tq.Override(extrinsic={"input": "int,8,scale=max", "relu": "int,8,unsigned,scale=max"})
    found = tqo.calibrate(model, [x[:1], {"x": x[1:]}], maps)
    of = json.loads(found.to_json())["extrinsic"]
    assert list(of) == ["=input", "=relu"]
    for key, largest, levels in (("=input", np.abs(x).max(), 127), ("=relu", seen["relu"], 255)):
        scale = float(of[key].split("scale=")[1])
        assert np.float32(scale) == np.float32(largest) / np.float32(levels)
    with pytest.raises(tq.Error, match="no layer has an extrinsic quantizer to calibrate"):
        tqo.calibrate(model, [x], tq.Override(extrinsic="fp16"))
    with pytest.raises(TypeError, match="batches"):
        tqo.calibrate(model, x, maps)


def test_a_quantizer_of_a_users_own_runs(network):
    @tq.register_quantizer("onnx_halves", usage="onnx_halves", summary="multiples of 1/2")
    class Halves(tq.UserQuantizer):
        def quantize(self, x):
            return np.round(x * 2) / 2

    model, x = network
    y = tqo.quantize_model(model, extrinsic={"softmax": "onnx_halves"}).run(x)["y"]
    assert set(np.unique(y)) <= {0, 0.5, 1}
