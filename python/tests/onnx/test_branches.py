"""Layers in the branches of If nodes: by hand, and as the command line computes them."""

import numpy as np
import onnx
import pytest
from files import assert_same_bits, graph, model_of, of_the_command_line
from onnx import helper, numpy_helper

import tensorquant as tq
import tensorquant.onnx as tqo

SCALED = "int,8,scale=max"
SUMS = {"product": "nearest,16,8", "accumulator": "nearest,20,6"}


def choice(condition, outputs, name, yes, no):
    return helper.make_node("If", [condition], outputs, name, then_branch=yes, else_branch=no)


def numbers(seed, *shape):
    """Multiples of 1/16, whose products and sums are exact in float32, whatever their order."""
    return np.random.default_rng(seed).integers(-40, 41, shape).astype(np.float32) / 16


W, B, U, C, V = (
    *(numbers(1, 4, 3), numbers(2, 3), numbers(3, 4, 3)),
    *(numbers(4, 3), numbers(5, 3, 2)),
)


def gated_model():
    """h = 2 x. Of its sum: above 0 relu(h W + B), else below -100 h U + C, else |h U|; times V."""
    taken = [
        helper.make_node("MatMul", ["h", "w"], ["p"], "a"),
        helper.make_node("Add", ["p", "b"], ["s"]),
        helper.make_node("Relu", ["s"], ["t"], "act"),
    ]
    far = [helper.make_node("Gemm", ["h", "u", "c"], ["f"], "fc")]
    near = [
        helper.make_node("MatMul", ["h", "u"], ["m"], "fc"),
        helper.make_node("Abs", ["m"], ["n"], "abs"),
    ]
    inner = choice("is_far", ["e"], "inner", graph(far, ["f"], {"c": C}), graph(near, ["n"]))
    nodes = [
        helper.make_node("Add", ["x", "x"], ["h"], "double"),
        helper.make_node("ReduceSum", ["x"], ["sum"], "total", keepdims=0),
        helper.make_node("Greater", ["sum", "zero"], ["is_positive"]),
        helper.make_node("Less", ["sum", "limit"], ["is_far"]),
        choice(
            "is_positive",
            ["g"],
            "gate",
            graph(taken, ["t"], {"w": W, "b": B}),
            graph([inner], ["e"]),
        ),
        helper.make_node("MatMul", ["g", "v"], ["y"], "out"),
    ]
    constants = {"u": U, "v": V, "zero": np.float32(0), "limit": np.float32(-100)}
    return model_of(nodes, {"x": [2, 4]}, ["y"], {k: np.asarray(v) for k, v in constants.items()})


X = numbers(6, 2, 4)
INPUTS = {
    "then": X - X.mean() + np.float32(0.5),
    "far": X - np.float32(20),
    "near": X - np.float32(5),
}


def quantizers(maps):
    """Functions of the layer that a key names and an array; layers without a key are float."""
    found = {key: tq.Quantizer(spec) for key, spec in maps.items()}
    return lambda layer, array: found[layer](array) if layer in found else array


def gated_by_hand(x, weights, outputs):
    w, q = quantizers(weights), quantizers(outputs)
    h = q("double", x + x)
    total = q("total", x.sum(dtype=np.float32))
    then, far, near = "gate.then_branch.a", "inner.then_branch.fc", "inner.else_branch.fc"
    far, near = f"gate.else_branch.{far}", f"gate.else_branch.{near}"
    if total > 0:
        g = q(then, h @ w(then, W) + w(then, B))
        g = q("gate.then_branch.act", np.maximum(g, 0))
    else:
        if total < -100:
            e = q(far, h @ w(far, U) + w(far, C))
        else:
            e = q("gate.else_branch.inner.else_branch.abs", np.abs(q(near, h @ w(near, U))))
        g = q("gate.else_branch.inner", e)
    return q("out", q("gate", g) @ w("out", V))


LAYERS = [
    *("double", "total", "gate.then_branch.a", "gate.then_branch.act"),
    *("gate.else_branch.inner.then_branch.fc", "gate.else_branch.inner.else_branch.fc"),
    *("gate.else_branch.inner.else_branch.abs", "out"),
]
MAPS = [
    ({"gate.then_branch.a": "nearest,6,2"}, {}),
    ({"gate.else_branch.inner.then_branch.fc": "nearest,6,2"}, {}),
    ({"gate.else_branch.inner.else_branch.fc": "nearest,6,2"}, {}),
    ({}, {"gate.then_branch.act": "nearest,8,1"}),
    ({}, {"gate.else_branch.inner.else_branch.abs": "nearest,8,1"}),
    ({}, {"gate.else_branch.inner": "nearest,8,0"}),
    ({}, {"gate": "nearest,8,0", "gate.else_branch.inner": "nearest,8,1"}),
    (dict.fromkeys(LAYERS, "nearest,7,3"), dict.fromkeys(LAYERS, "nearest,9,1")),
]


@pytest.mark.parametrize("path", INPUTS)
@pytest.mark.parametrize("weights, outputs", MAPS)
def test_the_branch_that_is_taken_is_quantized(weights, outputs, path):
    keys = [{f"={key}": spec for key, spec in maps.items()} for maps in (weights, outputs)]
    model = tqo.quantize_model(tqo.load(gated_model()), *keys)
    x = INPUTS[path]
    assert_same_bits(model.run(x)["y"], gated_by_hand(x, weights, outputs).astype(np.float32))


def test_the_inputs_take_all_ways():
    sums = {path: float(x.sum()) for path, x in INPUTS.items()}
    assert sums["then"] > 0 > sums["near"] > -100 > sums["far"]


COMMANDS = [
    tq.Override(weights="stochastic,7,3", extrinsic="stochastic,9,2", seed=8),
    tq.Override(
        weights="int,8,per=channel,scale=max", extrinsic={"op:If": "mxfp8_e4m3", "": SCALED}
    ),
    tq.Override(intrinsic={"": SUMS}),
    tq.Override(intrinsic={"": {"product": "stochastic,16,8", "accumulator": "fp16"}}, seed=3),
    tq.Override(
        weights="int,8,per=channel,scale=max",
        extrinsic=SCALED,
        intrinsic={"op:MatMul": "int8_int32"},
    ),
]


@pytest.mark.parametrize("path", INPUTS)
@pytest.mark.parametrize("override", COMMANDS, ids=range(len(COMMANDS)))
def test_branches_have_the_bits_of_the_command_line(override, path, tmp_path):
    file, x = gated_model(), INPUTS[path]
    onnx.save(file, tmp_path / "net.onnx")
    found = tqo.quantize_model(tqo.load(file), maps=override).run(x)["y"]
    expected = of_the_command_line(tmp_path, tmp_path / "net.onnx", {"x": x}, override)
    assert_same_bits(found, expected)
    assert not np.array_equal(found, tqo.load(file).run(x)["y"])


def passing_model():
    """A branch each that hands on, moves and mixes numbers that were quantized before it; times V."""
    moved = [
        helper.make_node("Transpose", ["h"], ["r"], perm=[1, 0]),
        helper.make_node("Reshape", ["r", "shape"], ["m"], "turn"),
    ]
    mixed = [helper.make_node("Concat", ["h", "h"], ["k"], "both", axis=0)]
    inner = choice(
        "second",
        ["i"],
        "inner",
        graph(moved, ["m"], {"shape": np.array([2, 3])}),
        graph(mixed, ["k"]),
    )
    nodes = [
        helper.make_node("Relu", ["x"], ["h"], "relu"),
        choice("first", ["g"], "gate", graph([], ["h"]), graph([inner], ["i"])),
        helper.make_node("MatMul", ["g", "v"], ["y"], "out"),
    ]
    model = model_of(nodes, {"x": [2, 3], "first": ("bool", []), "second": ("bool", [])}, ["y"])
    model.graph.initializer.append(numpy_helper.from_array(V, "v"))
    return model


@pytest.mark.parametrize("first, second", [(True, False), (False, True)])
def test_scales_pass_through_a_branch_to_arithmetic_behind_it(first, second):
    x = numbers(7, 2, 3)
    maps = {"weights": SCALED, "extrinsic": {"=relu": SCALED}, "intrinsic": {"out": "int8_int32"}}
    model = tqo.quantize_model(tqo.load(passing_model()), **maps)
    h = np.maximum(x, 0)
    g = h if first else h.T.reshape(2, 3)
    # Integers times the two scales, which are exact: their largest numbers over 127.
    scales = [np.float32(np.abs(a).max()) / np.float32(127) for a in (g, V)]
    codes = [np.rint(a / s).astype(np.int64) for a, s in zip((g, V), scales)]
    exact = (codes[0] @ codes[1]).astype(np.float64) * np.float64(scales[0]) * np.float64(scales[1])
    found = model.run({"x": x, "first": np.array(first), "second": np.array(second)})["y"]
    assert_same_bits(found, exact.astype(np.float32))


def test_scales_that_are_lost_in_a_branch_are_an_error_that_names_the_node():
    maps = {"weights": SCALED, "extrinsic": {"=relu": SCALED}, "intrinsic": {"out": "int8_int32"}}
    model = tqo.quantize_model(tqo.load(passing_model()), **maps)
    inputs = {"x": numbers(7, 2, 3), "first": np.array(False), "second": np.array(False)}
    with pytest.raises(tq.Error, match=r"layer 'out' \(MatMul\): .*'both' \(Concat\)"):
        model.run(inputs)


def test_random_rounding_in_a_branch_follows_names_and_steps():
    spec = "stochastic,8,0"
    model = tqo.quantize_model(
        tqo.load(gated_model()), weights={"then": spec}, extrinsic={"act": spec}, seed=5
    )
    q = tq.Quantizer(spec)
    layer, act = "gate.then_branch.a", "gate.then_branch.act"
    for step in (0, 3):
        tqo.set_inference_step(model, step)

        def random(array, name, role, step=step):
            return q(array, seed=5, stream=tq.stream_of(name, role), step=step)

        w = random(np.ascontiguousarray(W.T), layer, "weight").T
        g = np.maximum(2 * INPUTS["then"] @ w + random(B, layer, "bias"), 0)
        assert_same_bits(model.run(INPUTS["then"])["y"], random(g, act, "output") @ V)


def test_what_is_shown_names_the_layers_of_branches():
    model = tqo.load(gated_model())
    assert {row.layer for row in model.explain()} == {
        *("gate", "gate.else_branch.inner", *LAYERS),
    }
    layer, act = "gate.then_branch.a", "gate.then_branch.act"
    tqo.quantize_model(model, weights={"branch.a": "nearest,4,2"}, extrinsic={"act": "nearest,4,1"})
    rows = {row.layer: row for row in tqo.summary(model, None)}
    assert (rows[layer].weights, rows[layer].bias, rows[act].output) == (
        *("nearest,4,2", "nearest,4,2", "nearest,4,1"),
    )
    tqo.record_ranges(model)
    for path in ("then", "far", "then"):
        model.run(INPUTS[path])
    counted = {(row.layer, row.place): row.values for row in tqo.ranges(model, None)}
    assert counted == {
        (layer, "weight"): W.size,
        (layer, "bias"): B.size,
        (act, "output"): 2 * 2 * 3,
    }


def test_observers_are_shown_the_layers_of_the_branch_that_is_taken():
    model = tqo.load(gated_model())
    seen = {}
    with tqo.observe(model, lambda name, array: seen.update({name: array})):
        y = model.run(INPUTS["near"])["y"]
    assert list(seen) == ["double", "total", *LAYERS[5:]]
    assert_same_bits(seen["gate.else_branch.inner.else_branch.fc"], 2 * INPUTS["near"] @ U)
    assert_same_bits(y, tqo.load(gated_model()).run(INPUTS["near"])["y"])


def test_outputs_in_branches_are_calibrated_where_they_are_seen():
    maps = tq.Override(extrinsic={"act": SCALED, "abs": SCALED})
    with pytest.warns(UserWarning, match="the output of gate.else_branch.* no numbers") as caught:
        found = tqo.calibrate(tqo.load(gated_model()), [INPUTS["then"]], maps)
    assert len(caught) == 1
    rules = {rule.key: str(rule.output) for rule in found.extrinsic}
    assert rules["=gate.else_branch.inner.else_branch.abs"] == SCALED
    largest = np.maximum(2 * INPUTS["then"] @ W + B, 0).max()
    scale = float(rules["=gate.then_branch.act"].split("scale=")[1])
    assert np.float32(scale) == largest / np.float32(127)


def test_layers_of_branches_are_not_written(tmp_path):
    model = tqo.quantize_model(tqo.load(gated_model()), extrinsic={"act": "even,8,4"})
    with pytest.raises(tq.Error, match=r"'gate.then_branch.act' \(Relu\): lies in a subgraph"):
        model.export(tmp_path / "net.onnx")
    assert not any(tmp_path.iterdir())


def test_a_condition_that_is_not_one_truth_value_is_an_error():
    yes, no = (graph([helper.make_node(op, ["x"], [op])], [op]) for op in ("Relu", "Abs"))
    file = model_of(
        [choice("is", ["y"], "gate", yes, no)], {"x": [2], "is": ("bool", ["n"])}, ["y"]
    )
    model = tqo.quantize_model(tqo.load(file), extrinsic={"Relu": "nearest,4,0"})
    x = np.array([-1.2, 1.2], np.float32)
    assert model.run({"x": x, "is": np.array([True])})["y"].tolist() == [0, 1]
    with pytest.raises(tq.Error, match=r"node 'gate' \(If\): its condition is not one truth value"):
        model.run({"x": x, "is": np.array([True, False])})


def test_a_weight_made_in_a_branch_and_one_of_both_branches_are_quantized_by_each_layers_rule():
    made = [
        helper.make_node("Transpose", ["w"], ["t"], perm=[1, 0]),
        helper.make_node("MatMul", ["x", "t"], ["p"], "turned"),
    ]
    plain = [helper.make_node("Gemm", ["x", "w"], ["g"], "plain", transB=1)]
    file = model_of(
        [choice("is", ["y"], "if", graph(made, ["p"]), graph(plain, ["g"]))],
        {"x": [2, 4], "is": ("bool", [])},
        ["y"],
        {"w": np.ascontiguousarray(W.T)},
    )
    maps = {"turned": "int,4,per=channel,scale=max", "plain": "nearest,4,1"}
    model = tqo.quantize_model(tqo.load(file), weights=maps)
    turned = tq.Quantizer(maps["turned"])(W, channel_axis=1, reduction_axis=0)
    plain = tq.Quantizer(maps["plain"])(W)
    for condition, weight in ((True, turned), (False, plain)):
        y = model.run({"x": X, "is": np.array(condition)})["y"]
        assert np.allclose(y, X @ weight, rtol=1e-6, atol=1e-6)


def looping_model():
    """h = relu(h W + b) three times."""
    nodes = [
        helper.make_node("Identity", ["go"], ["still"]),
        helper.make_node("MatMul", ["h", "w"], ["p"], "fc"),
        helper.make_node("Add", ["p", "b"], ["s"]),
        helper.make_node("Relu", ["s"], ["r"], "relu"),
    ]
    ports = [("i", "int64"), ("go", "bool"), "h"]
    body = graph(nodes, [("still", "bool"), "r"], {"w": W[:3], "b": B}, ports)
    loop = helper.make_node("Loop", ["count", "", "x"], ["y"], "loop", body=body)
    return model_of([loop], {"x": [2, 3]}, ["y"], {"count": np.array(3)})


def test_weights_in_the_body_of_a_loop_are_quantized():
    model = tqo.quantize_model(tqo.load(looping_model()), weights="nearest,8,1")
    w, b = (tq.Quantizer("nearest,8,1")(a) for a in (W[:3], B))
    h = numbers(8, 2, 3)
    y = model.run(h)["y"]
    for _ in range(3):
        h = np.maximum(h @ w + b, 0)
    assert_same_bits(y, h)


@pytest.mark.parametrize("maps", [{"extrinsic": "nearest,8,0"}, {"intrinsic": {"": SUMS}}])
def test_outputs_and_sums_in_the_body_of_a_loop_are_refused_and_the_model_stays_as_it_was(maps):
    model, x = tqo.load(looping_model()), numbers(8, 2, 3)
    before = model.run(x)["y"]
    with pytest.raises(
        tq.Error, match=r"'loop.body.fc' .* in the body of 'loop' \(Loop\)"
    ) as error:
        tqo.quantize_model(model, **maps)
    assert "\n" not in str(error.value)
    assert_same_bits(model.run(x)["y"], before)


def test_layers_in_the_body_of_a_loop_can_be_left_out():
    x, q = numbers(8, 2, 3), tq.Quantizer("nearest,8,0")
    model = tqo.load(looping_model())
    expected = q(model.run(q(x))["y"])
    tqo.quantize_model(model, extrinsic={".body.": None, "": "nearest,8,0"})
    assert_same_bits(model.run(x)["y"], expected)
