"""What maps do to weights, biases, outputs and inputs of ONNX models."""

import numpy as np
import onnx
import pytest
from files import assert_same_bits, little_network, model_of, run_plain
from onnx import TensorProto, helper, numpy_helper

import tensorquant as tq
import tensorquant.onnx as tqo

SCALED = "int,8,per=channel,scale=max"


def by_hand(model, constants):
    """A copy of a model with other initializers."""
    copy = type(model)()
    copy.CopyFrom(model)
    for tensor in copy.graph.initializer:
        if tensor.name in constants:
            tensor.CopyFrom(numpy_helper.from_array(constants[tensor.name], tensor.name))
    return copy


def test_a_float_model_computes_what_onnx_runtime_does():
    model, x, _ = little_network()
    assert_same_bits(tqo.load(model).run({"x": x})["y"], run_plain(model, {"x": x})["y"])


@pytest.mark.parametrize("spec", ["nearest,8,6", "mxfp4", SCALED, "binary"])
def test_weights_are_those_of_a_float_model_quantized_by_hand(spec):
    model, x, constants = little_network()
    q = tq.Quantizer(spec)
    axes = {"conv.weight": (0, 1), "fc.weight": (1, 0)}
    quantized = {
        name: q(
            array, channel_axis=axes.get(name, (0, 0))[0], reduction_axis=axes.get(name, (0, 0))[1]
        )
        for name, array in constants.items()
        if name not in ("bn.mean", "bn.var")
    }
    found = tqo.quantize_model(tqo.load(model), weights=spec).run({"x": x})["y"]
    assert_same_bits(found, run_plain(by_hand(model, quantized), {"x": x})["y"])


def test_biases_have_rules_of_their_own_as_in_the_other_front_ends():
    model, x, constants = little_network()
    q = tq.Quantizer("nearest,4,2")
    maps = {"conv": {"bias": "nearest,4,2"}, "": "none"}
    found = tqo.quantize_model(tqo.load(model), weights=maps).run({"x": x})["y"]
    expected = by_hand(model, {"conv.bias": q(constants["conv.bias"])})
    assert_same_bits(found, run_plain(expected, {"x": x})["y"])


def test_a_weight_behind_other_constant_nodes_is_quantized_as_the_node_reads_it():
    w = np.array([[0.3, -0.7, 1.1], [0.2, 0.9, -0.4]], np.float32)
    nodes = [
        helper.make_node("Transpose", ["w"], ["t"], perm=[1, 0]),
        helper.make_node("MatMul", ["x", "t"], ["y"], "fc"),
    ]
    model = model_of(nodes, {"x": ["n", 3]}, ["y"], {"w": w})
    x = np.array([[1, 2, 3], [-1, 0.5, 0.25]], np.float32)
    found = tqo.quantize_model(tqo.load(model), weights=SCALED).run({"x": x})["y"]
    turned = tq.Quantizer(SCALED)(np.ascontiguousarray(w.T), channel_axis=1, reduction_axis=0)
    assert_same_bits(found, x @ turned)


def test_two_layers_of_one_tensor_quantize_it_each_by_its_own_rule():
    w = np.array([[0.3, -0.7], [0.2, 0.9]], np.float32)
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["a"], "first"),
        helper.make_node("MatMul", ["x", "w"], ["b"], "second"),
    ]
    model = model_of(nodes, {"x": [1, 2]}, ["a", "b"], {"w": w})
    x = np.eye(2, dtype=np.float32)[:1]
    maps = {"first": "nearest,8,1", "second": "nearest,8,2"}
    found = tqo.quantize_model(tqo.load(model), weights=maps).run({"x": x})
    assert found["a"].tolist() == [[0.5, -0.5]] and found["b"].tolist() == [[0.25, -0.75]]


def test_outputs_and_inputs_are_quantized_where_they_are_made():
    model, x, _ = little_network()
    q = tq.Quantizer("nearest,6,3")
    quantized = tqo.quantize_model(
        tqo.load(model), extrinsic={"input": "nearest,6,3", "relu": "nearest,6,3", "=bn": "fp16"}
    )
    # The same network in three models, with NumPy's arrays between them.
    expected = q(x)
    parts = [("x", "b", tq.Quantizer("fp16")), ("b", "c", q), ("c", "y", None)]
    for begin, end, quantizer in parts:
        expected = part_of(model, begin, end, expected)
        expected = expected if quantizer is None else quantizer(expected)
    assert_same_bits(quantized.run({"x": x})["y"], expected)


def part_of(model, begin, end, x):
    """The value `end` of a model from the value `begin`."""
    nodes, needed = [], {end}
    for node in reversed(model.graph.node):
        if needed.intersection(node.output) and begin not in node.output:
            nodes.insert(0, node)
            needed.update(node.input)
    constants = {t.name: numpy_helper.to_array(t) for t in model.graph.initializer}
    part = model_of(nodes, {begin: list(x.shape)}, [end], constants)
    return run_plain(part, {begin: x})[end]


def test_the_callers_input_is_not_written_to():
    model, x, _ = little_network()
    before = x.copy()
    tqo.quantize_model(tqo.load(model), extrinsic={"input": "nearest,4,1"}).run({"x": x})
    assert np.array_equal(x, before)


def test_a_rule_of_scales_knows_the_channels_of_outputs():
    model, x, _ = little_network()
    seen = []
    with tqo.observe(tqo.load(model), lambda name, array: seen.append((name, array))):
        pass
    loaded = tqo.load(model)
    with tqo.observe(loaded, lambda name, array: seen.append((name, array))):
        loaded.run({"x": x})
    of = dict(seen)
    assert list(of) == ["conv", "bn", "relu", "pool", "fc", "softmax"]
    q = tq.Quantizer(SCALED)
    for name, axis in (("relu", 1), ("fc", -1)):
        quantized = tqo.quantize_model(tqo.load(model), extrinsic={f"={name}": SCALED})
        expected = q(of[name], channel_axis=axis)
        rest = part_of(model, {"relu": "c", "fc": "g"}[name], "y", expected)
        assert_same_bits(quantized.run({"x": x})["y"], rest)


def test_recurrent_layers_quantize_both_weights_and_all_outputs():
    rng = np.random.default_rng(1)
    w, r = (rng.standard_normal(s).astype(np.float32) for s in ((1, 8, 3), (1, 8, 2)))
    node = helper.make_node("LSTM", ["x", "w", "r"], ["y", "h", "c"], "lstm", hidden_size=2)
    model = model_of([node], {"x": [4, 1, 3]}, ["y", "h", "c"], {"w": w, "r": r})
    x = rng.standard_normal((4, 1, 3)).astype(np.float32)
    q = tq.Quantizer("nearest,6,3")
    loaded = tqo.quantize_model(tqo.load(model), weights="nearest,6,3", extrinsic="nearest,6,3")
    expected = run_plain(by_hand(model, {"w": q(w), "r": q(r)}), {"x": x})
    for name, array in loaded.run({"x": x}).items():
        assert_same_bits(array, q(expected[name]))


def test_float16_and_float64_models_are_quantized_in_their_types():
    for kind in ("float16", "float64"):
        w = np.array([[0.3], [-0.7]], kind)
        node = helper.make_node("MatMul", ["x", "w"], ["y"], "fc")
        model = model_of([node], {"x": (kind, [1, 2])}, ["y"], {"w": w})
        loaded = tqo.quantize_model(tqo.load(model), weights="nearest,8,2", extrinsic="nearest,8,1")
        y = loaded.run({"x": np.array([[1, 2]], kind)})["y"]
        assert y.dtype == kind and y.tolist() == [[-1.5]]  # 0.25 - 2 * 0.75 is a tie


def test_functions_are_inlined_and_their_layers_have_names():
    inner = helper.make_function(
        "own",
        "Block",
        ["a"],
        ["b"],
        [helper.make_node("Relu", ["a"], ["b"], "relu")],
        [helper.make_opsetid("", 21)],
    )
    node = helper.make_node("Block", ["x"], ["y"], "block", domain="own")
    model = model_of([node], {"x": [2]}, ["y"], functions=[inner], domains=["own"])
    loaded = tqo.load(model)
    assert [row.layer for row in loaded.explain()] == ["block/relu"]
    tqo.quantize_model(loaded, extrinsic={"relu": "nearest,8,0"})
    assert loaded.run({"x": np.array([-1, 2.7], np.float32)})["y"].tolist() == [0, 3]


# The two halves of left + right.
KEYS = [
    ({"input": "even,8,0"}, [0, 0], [1, -1]),
    ({"input:left": "even,8,0"}, [0.4375, 0.4375], [1.4375, -0.5625]),
    ({"=halves": "even,8,0"}, [1, 0], [2, -1]),
    ({"op:Split": "even,8,0"}, [1, 0], [2, -1]),
    ({"op:Add": "even,8,0"}, [1, 0], [2, -1]),
]


@pytest.mark.parametrize("maps, upper, lower", KEYS)
def test_keys_hit_one_input_an_operator_and_what_moves_numbers_by_name(
    maps, upper, lower, tmp_path
):
    nodes = [
        helper.make_node("Add", ["left", "right"], ["sum"], "add"),
        helper.make_node("Split", ["sum"], ["upper", "lower"], "halves", num_outputs=2),
    ]
    model = model_of(nodes, {"left": [4], "right": [4]}, ["upper", "lower"])
    x = {
        "left": np.array([0.25, -0.25, 1.25, -1.25], np.float32),
        "right": np.full(4, 0.4375, np.float32),
    }
    loaded = tqo.quantize_model(tqo.load(model), extrinsic=maps, strict=True)
    found = loaded.run(x)
    assert (found["upper"].tolist(), found["lower"].tolist()) == (upper, lower)
    assert [row.layer for row in loaded.explain(tq.Override(extrinsic=maps)).layers if any(row[1:])]
    loaded.export(tmp_path / "net.onnx")
    exported = run_plain(onnx.load(tmp_path / "net.onnx"), x)
    assert (exported["upper"].tolist(), exported["lower"].tolist()) == (upper, lower)


def test_what_only_moves_numbers_is_hit_by_no_part_of_its_name():
    model, x, _ = little_network()
    with pytest.warns(tqo.IdleRuleWarning, match="only moves numbers, which '=flatten' hits"):
        tqo.quantize_model(tqo.load(model), extrinsic={"flat": "nearest,4,2"})
    loaded = tqo.quantize_model(tqo.load(model), extrinsic={"=flatten": "int,8,scale=max"})
    assert [row.layer for row in tqo.summary(loaded, None) if row.output] == ["flatten"]
    calibrated = tqo.calibrate(loaded, [x], tq.Override(extrinsic={"=flatten": "int,8,scale=max"}))
    assert [rule.key for rule in calibrated.extrinsic] == ["=flatten"]


def test_strip_makes_a_model_float_again():
    model, x, _ = little_network()
    loaded = tqo.quantize_model(tqo.load(model), "nearest,4,2", "nearest,4,2")
    expected = run_plain(model, {"x": x})["y"]
    assert not np.array_equal(loaded.run(x)["y"], expected)
    assert_same_bits(tqo.strip(loaded).run(x)["y"], expected)


def test_random_rounding_takes_its_numbers_from_names_and_steps():
    w, x = np.full((2, 3), 0.5, np.float32), np.eye(2, dtype=np.float32)
    node = helper.make_node("MatMul", ["x", "w"], ["y"], "fc")
    model = model_of([node], {"x": [2, 2]}, ["y"], {"w": w})
    q = tq.Quantizer("stochastic,8,0")
    loaded = tqo.quantize_model(tqo.load(model), weights="stochastic,8,0", seed=5)
    for step in (0, 3):
        tqo.set_inference_step(loaded, step)
        # Numbers are drawn for (outputs, inputs), as a Linear of PyTorch keeps them.
        turned = np.ascontiguousarray(w.T)
        expected = q(turned, seed=5, stream=tq.stream_of("fc", "weight"), step=step).T
        assert_same_bits(loaded.run(x)["y"], np.ascontiguousarray(expected))
    outputs = tqo.quantize_model(tqo.load(model), extrinsic="stochastic,8,0", seed=5)
    tqo.set_inference_step(outputs, 3)
    expected = q(w, seed=5, stream=tq.stream_of("fc", "output"), step=3)
    assert_same_bits(outputs.run(x)["y"], expected)


def test_arrays_without_axes_and_of_the_other_byte_order_are_inputs():
    node = helper.make_node("Relu", ["x"], ["y"], "relu")
    model = tqo.load(model_of([node], {"x": []}, ["y"]))
    y = tqo.quantize_model(model, extrinsic="nearest,8,1").run(np.array(2.8, ">f4"))["y"]
    assert y.shape == () and y == 3


def test_layers_behind_a_branch_have_the_type_of_its_own_output():
    def branch(shift):
        nodes = [
            helper.make_node("Shape", ["x"], [f"s{shift}"]),
            helper.make_node("Relu", ["x"], [f"r{shift}"]),
        ]
        given = [
            helper.make_tensor_value_info(f"s{shift}", TensorProto.INT64, [1]),
            helper.make_tensor_value_info(f"r{shift}", TensorProto.FLOAT, [2]),
        ]
        return helper.make_graph(nodes, f"b{shift}", [], given)

    nodes = [
        helper.make_node(
            "If", ["c"], ["n", "z"], "if", then_branch=branch(0), else_branch=branch(1)
        ),
        helper.make_node("Sigmoid", ["z"], ["y"], "sigmoid"),
    ]
    model = tqo.load(model_of(nodes, {"x": [2]}, ["n", "y"], {"c": np.array(True)}))
    assert "sigmoid" in [row.layer for row in model.explain()]


@pytest.mark.parametrize("maps", [{"relu": "nearest,8,0"}, "nearest,8,0"])
def test_sequences_pass_from_piece_to_piece_as_they_are(maps):
    nodes = [
        helper.make_node("SplitToSequence", ["x"], ["s"], "split", axis=0),
        helper.make_node("Relu", ["x"], ["r"], "relu"),
        helper.make_node("SequenceInsert", ["s", "r"], ["t"], "insert"),
        helper.make_node("ConcatFromSequence", ["t"], ["y"], "join", axis=0),
    ]
    model = tqo.load(model_of(nodes, {"x": [2, 2]}, ["y"]))
    x, q = np.array([[0.3, -0.7], [2.6, -3.2]], np.float32), tq.Quantizer("nearest,8,0")
    y = tqo.quantize_model(model, extrinsic=maps).run(x)["y"]
    first = q(x) if isinstance(maps, str) else x
    assert_same_bits(y, np.concatenate([first, q(np.maximum(x, 0))]))


def test_second_outputs_and_outputs_that_are_constants_stay_as_they_are():
    rng = np.random.default_rng(1)
    x, gamma = rng.standard_normal((2, 4)).astype(np.float32), np.ones(4, np.float32)
    node = helper.make_node("LayerNormalization", ["x", "g"], ["y", "mean"], "norm")
    model = model_of([node], {"x": [2, 4]}, ["y", "mean", "g"], {"g": gamma})
    found = tqo.quantize_model(tqo.load(model), extrinsic={"norm": "nearest,4,0"}).run(x)
    plain = run_plain(model, {"x": x})
    assert_same_bits(found["y"], tq.Quantizer("nearest,4,0")(plain["y"]))
    assert_same_bits(found["mean"], plain["mean"])
    assert_same_bits(found["g"], gamma)
