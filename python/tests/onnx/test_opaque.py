"""Files with nodes of our own for quantizers that ONNX has no form for, bit for bit as the maps."""

import numpy as np
import onnx
import pytest
from files import assert_same_bits, little_network, model_of
from onnx import helper

import tensorquant as tq
import tensorquant.onnx as tqo

MAPS = [
    ("qdq", {"extrinsic": {"input": "int,6,scale=max", "conv": "posit,8", "": "even,8,4"}}),
    ("qdq", {"extrinsic": {"bn": "int,8,per=channel,scale=max", "fc": "mxfp8_e4m3"}}),
    ("functions", {"extrinsic": {"relu": "stochastic,7,3", "": "zero,6,2"}, "seed": 2**64 - 1}),
    ("qdq", {"weights": "even,6,4", "extrinsic": {"": "nearest,6,2,overflow=wrap"}}),
]


def exported(tmp_path, to, maps):
    """The path of a file with opaque nodes, the model under the maps and an input of it."""
    model, x, _ = little_network()
    loaded = tqo.quantize_model(tqo.load(model), **maps)
    path = tmp_path / "net.onnx"
    loaded.export(path, to, opaque=True)
    assert any(node.op_type == "Quantizer" for node in onnx.load(path).graph.node)
    return path, loaded, x


@pytest.mark.parametrize("to, maps", MAPS)
def test_a_file_has_the_bits_of_the_model_under_the_maps_at_every_step(to, maps, tmp_path):
    path, loaded, x = exported(tmp_path, to, maps)
    again = tqo.load(path)
    for step in (0, 3):
        tqo.set_inference_step(loaded, step)
        tqo.set_inference_step(again, step)
        assert_same_bits(again.run(x)["y"], loaded.run(x)["y"])


def test_random_nodes_follow_the_step(tmp_path):
    path, _, x = exported(tmp_path, "qdq", {"extrinsic": {"conv": "stochastic,6,2"}})
    model = tqo.load(path)
    first = model.run(x)["y"]
    tqo.set_inference_step(model, 1)
    assert not np.array_equal(model.run(x)["y"], first)
    assert_same_bits(tqo.strip(model).run(x)["y"], first)


def test_maps_come_on_top(tmp_path):
    path, _, x = exported(tmp_path, "qdq", {"extrinsic": {"conv": "posit,8"}})
    more = {"weights": "even,6,4", "extrinsic": {"relu": "fp16"}, "intrinsic": {"fc": "fp16"}}
    model, _, _ = little_network()
    both = {**more, "extrinsic": {"relu": "fp16", "conv": "posit,8"}}
    expected = tqo.quantize_model(tqo.load(model), **both).run(x)["y"]
    assert_same_bits(tqo.quantize_model(tqo.load(path), **more).run(x)["y"], expected)


def test_elements_and_scales_of_a_node_are_seen_apart(tmp_path):
    path, _, x = exported(tmp_path, "qdq", {"extrinsic": {"input": "int,8,scale=max"}})
    sums = {"weights": "int,8,per=channel,scale=max", "intrinsic": {"conv": "int8_int32"}}
    model, _, _ = little_network()
    loaded = tqo.load(model)
    whole = tqo.quantize_model(loaded, extrinsic={"input": "int,8,scale=max"}, **sums)
    assert_same_bits(tqo.quantize_model(tqo.load(path), **sums).run(x)["y"], whole.run(x)["y"])


def test_what_is_seen_behind_a_node_is_quantized(tmp_path):
    path, _, x = exported(tmp_path, "qdq", {"extrinsic": {"relu": "posit,6"}})
    seen = {}
    model = tqo.load(path)
    with tqo.observe(model, lambda name, array: seen.update({name: array})):
        model.run(x)
    pooled = tq.Quantizer("posit,6")(seen["relu"]).reshape(2, 4, 2, 3, 2, 3).mean((3, 5))
    assert np.allclose(seen["pool"], pooled, rtol=1e-6)


def test_a_file_is_exported_again_as_it_is(tmp_path):
    path, _, _ = exported(tmp_path, "qdq", {"extrinsic": {"conv": "posit,8", "": "even,8,4"}})
    tqo.load(path).export(tmp_path / "again.onnx")
    tqo.load(tmp_path / "again.onnx").export(tmp_path / "third.onnx")
    assert (tmp_path / "third.onnx").read_bytes() == (tmp_path / "again.onnx").read_bytes()
    assert onnx.load(tmp_path / "again.onnx").graph.node == onnx.load(path).graph.node


@tq.register_quantizer("opaque_halves")
class Halves(tq.UserQuantizer):
    def quantize(self, x):
        return np.round(x * 2) / 2


def test_a_quantizer_of_ones_own_runs_where_it_is_registered(tmp_path):
    path, loaded, x = exported(tmp_path, "qdq", {"extrinsic": {"conv": "opaque_halves"}})
    assert_same_bits(tqo.load(path).run(x)["y"], loaded.run(x)["y"])


def quantizer_node(inputs, output, spec="posit,8"):
    return helper.make_node(
        "Quantizer", inputs, [output], "q", domain="tensorquant", quantizer=spec
    )


@pytest.mark.parametrize(
    "inputs, spec, says",
    [
        (["x"], "piset,8", "quantizer 'piset,8', column 1: unknown name 'piset'"),
        (["x"], "", "quantizer ''"),
        (["x", "x"], "posit,8", "expected one input"),
    ],
)
def test_a_node_that_says_no_quantizer_is_an_error_that_names_it(inputs, spec, says):
    model = model_of(
        [quantizer_node(inputs, "y", spec)], {"x": [2]}, ["y"], domains=["tensorquant"]
    )
    with pytest.raises(tq.Error, match=rf"the model: layer 'q' \(Quantizer\): .*{says}"):
        tqo.load(model)


def test_a_node_between_a_constant_and_a_layer_is_an_error_where_a_rule_hits_its_weight():
    nodes = [quantizer_node(["w"], "v"), helper.make_node("MatMul", ["x", "v"], ["y"], "fc")]
    w = np.ones((2, 2), np.float32) * 0.3
    file = model_of(nodes, {"x": [1, 2]}, ["y"], {"w": w}, domains=["tensorquant"])
    model = tqo.load(file)
    x = np.ones((1, 2), np.float32)
    assert np.allclose(model.run(x)["y"], tq.Quantizer("posit,8")(w).sum(0))
    with pytest.raises(tq.Error, match=r"'q' \(Quantizer\): a weight or bias that it makes"):
        tqo.quantize_model(model, weights="even,8,4")
