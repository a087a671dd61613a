"""Scan, LinearAttention and CausalConvWithState beside quantizers, against what they say they compute.

ONNX Runtime computes them only where it knows the shapes of what they read and make.
"""

import numpy as np
import pytest
from files import assert_same_bits, graph, model_of
from onnx import helper

import tensorquant as tq
import tensorquant.onnx as tqo

NEWEST = 27


def numbers(seed, *shape):
    """Multiples of 1/4, whose products and sums are exact in float32, whatever their order."""
    return np.random.default_rng(seed).integers(-6, 7, shape).astype(np.float32) / 4


class ByHand:
    """What maps make of layers: by NumPy, and on exact numbers."""

    def __init__(self, maps):
        self._maps = maps

    def _quantized(self, place, layer, x):
        spec = self._maps.get(place, {}).get(layer)
        return x if spec is None else tq.Quantizer(spec)(x)

    def output(self, layer, x):
        return self._quantized("extrinsic", layer, x)

    def matmul(self, layer, x, w):
        products = x[..., None] * self._quantized("weights", layer, w)
        return self.output(layer, self._quantized("intrinsic", layer, products).sum(-2))


EACH = [
    {"weights": {"before": "nearest,6,0", "behind": "nearest,6,1"}},
    {"extrinsic": {"before": "nearest,7,0", "node": "nearest,8,1", "behind": "nearest,9,0"}},
    {
        "extrinsic": {"node": "nearest,8,0"},
        "intrinsic": {"before": "even,9,1", "behind": "even,9,2"},
    },
]


def outputs_of(file, maps, x):
    """Of the model under maps, in its order; where the maps change something."""
    rules = {
        place: {f"={layer}": spec for layer, spec in one.items()} for place, one in maps.items()
    }
    for layer, spec in rules.get("intrinsic", {}).items():
        rules["intrinsic"][layer] = {"product": spec, "accumulator": "even,24,8"}  # exact
    model = tqo.load(file)
    plain = model.run(x)
    found = tqo.quantize_model(model, **rules, strict=True).run(x)
    assert any(not np.array_equal(found[name], plain[name]) for name in found)
    return found.values()


def scan(factor, constants=None):
    """The Scan of h' = relu(factor h + a), which gives the last h and all of them."""
    nodes = [
        helper.make_node("Mul", ["h", factor], ["kept"], "decay"),
        helper.make_node("Add", ["kept", "a_t"], ["sum"], "add"),
        helper.make_node("Relu", ["sum"], ["next"], "relu"),
        helper.make_node("Identity", ["next"], ["row"]),
    ]
    body = graph(nodes, ["next", "row"], constants, ["h", "a_t"])
    inputs, outputs = ["h0", "a"], ["last", "rows"]
    return helper.make_node("Scan", inputs, outputs, "node", body=body, num_scan_inputs=1)


def scanned(factor, h, a):
    rows = []
    for a_t in a:
        h = np.maximum(factor * h + a_t, 0)
        rows.append(h)
    return h, np.stack(rows)


W, V, H0 = numbers(1, 3, 4), numbers(2, 4, 2), np.zeros((2, 4), np.float32)
BEFORE = helper.make_node("MatMul", ["x", "w"], ["a"], "before")


@pytest.mark.parametrize("maps", EACH)
def test_a_scan_beside_quantized_layers(maps):
    behind = helper.make_node("MatMul", ["rows", "v"], ["y"], "behind")
    nodes = [BEFORE, scan("half", {"half": np.float32(0.5)}), behind]
    shapes, constants = {"x": ["time", 2, 3]}, {"w": W, "v": V, "h0": H0}
    x, hand = numbers(3, 5, 2, 3), ByHand(maps)
    y, last = outputs_of(model_of(nodes, shapes, ["y", "last"], constants), maps, x)
    h, rows = scanned(np.float32(0.5), H0, hand.matmul("before", x, W))
    assert_same_bits(last, hand.output("node", h))  # of several outputs the first
    assert_same_bits(y, hand.matmul("behind", rows, V))


def test_a_scan_reads_a_quantized_number_without_axes_from_outside():
    nodes = [
        BEFORE,
        helper.make_node("ReduceMax", ["x"], ["largest"], "largest", keepdims=0),
        helper.make_node("Reciprocal", ["largest"], ["factor"], "factor"),
        scan("factor"),
    ]
    file = model_of(nodes, {"x": ["time", 2, 3]}, ["rows"], {"w": W, "h0": H0})
    x, specs = numbers(3, 5, 2, 3), {"before": "nearest,7,0", "factor": "nearest,8,1"}
    (rows,) = outputs_of(file, {"extrinsic": specs}, x)
    hand = ByHand({"extrinsic": specs})
    factor = hand.output("factor", np.float32(1) / x.max(keepdims=True))
    assert_same_bits(rows, scanned(factor[0, 0], H0, hand.matmul("before", x, W))[1])


# A layer in the branch that has the Scan, and one in front of the If.
IN_BRANCHES = [{"if.then_branch.relu": "nearest,7,0"}, {"before": "nearest,7,0"}]


@pytest.mark.parametrize("specs", IN_BRANCHES)
def test_a_scan_in_a_branch_beside_quantized_layers(specs):
    taken = [
        helper.make_node("Relu", ["b"], ["a"], "relu"),
        scan("half", {"half": np.float32(0.5)}),
    ]
    other = [helper.make_node("Neg", ["b"], ["n"])]
    branches = {"then_branch": graph(taken, ["rows"]), "else_branch": graph(other, ["n"])}
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["b"], "before"),
        helper.make_node("If", ["is"], ["y"], "if", **branches),
    ]
    constants = {"w": W, "h0": H0, "is": np.array(True)}
    x, hand = numbers(3, 5, 2, 3), ByHand({"extrinsic": specs})
    file = model_of(nodes, {"x": ["time", 2, 3]}, ["y"], constants)
    (y,) = outputs_of(file, {"extrinsic": specs}, x)
    a = hand.output("if.then_branch.relu", np.maximum(hand.matmul("before", x, W), 0))
    assert_same_bits(y, scanned(np.float32(0.5), H0, a)[1])


def test_rules_of_weights_hit_the_body_of_a_scan():
    body = graph(
        [
            helper.make_node("MatMul", ["h", "u"], ["p"], "recur"),
            helper.make_node("Add", ["p", "a_t"], ["next"], "add"),
            helper.make_node("Identity", ["next"], ["row"]),
        ],
        ["next", "row"],
        {"u": numbers(4, 4, 4)},
        ["h", "a_t"],
    )
    node = helper.make_node(
        "Scan", ["h0", "a"], ["last", "rows"], "node", body=body, num_scan_inputs=1
    )
    file = model_of([BEFORE, node], {"x": ["time", 2, 3]}, ["last"], {"w": W, "h0": H0})
    specs = {"before": "nearest,6,0", "node.body.recur": "nearest,6,1"}
    x, hand = numbers(3, 3, 2, 3), ByHand({"weights": specs})
    (last,) = outputs_of(file, {"weights": specs}, x)
    h = H0
    for a_t in hand.matmul("before", x, W):
        h = hand.matmul("node.body.recur", h, numbers(4, 4, 4)) + a_t
    assert_same_bits(last, h)


@pytest.mark.parametrize("maps", EACH)
def test_linear_attention_beside_quantized_layers(maps):
    nodes = [
        BEFORE,
        helper.make_node("Split", ["a"], ["q", "k"], "split", axis=-1, num_outputs=2),
        helper.make_node(
            *("LinearAttention", ["q", "k", "x"], ["o", "state"], "node"),
            q_num_heads=1,
            kv_num_heads=1,
            update_rule="linear",
            scale=0.5,
        ),
        helper.make_node("MatMul", ["o", "v"], ["y"], "behind"),
    ]
    v = numbers(5, 3, 2)
    shapes = {"x": ["batch", "time", 3]}
    file = model_of(nodes, shapes, ["y", "state"], {"w": W, "v": v}, opset=NEWEST)
    x, hand = numbers(6, 2, 5, 3), ByHand(maps)
    y, last = outputs_of(file, maps, x)
    q, k = np.split(hand.matmul("before", x, W), 2, axis=-1)
    # S' = S + k v^T and o = 0.5 q^T S'
    states = (k[..., :, None] * x[..., None, :]).cumsum(1)
    o = np.float32(0.5) * (q[..., :, None] * states).sum(-2)
    assert_same_bits(last, states[:, -1:])
    assert_same_bits(y, hand.matmul("behind", hand.output("node", o), v))


@pytest.mark.parametrize("maps", EACH)
def test_a_causal_convolution_beside_quantized_layers(maps):
    kernel = numbers(7, 4, 1, 3)
    nodes = [
        BEFORE,
        helper.make_node("Transpose", ["a"], ["t"], "turn", perm=[0, 2, 1]),
        helper.make_node("CausalConvWithState", ["t", "kernel"], ["c", "state"], "node"),
        helper.make_node("Transpose", ["c"], ["r"], "turn back", perm=[0, 2, 1]),
        helper.make_node("MatMul", ["r", "v"], ["y"], "behind"),
    ]
    constants = {"w": W, "v": V, "kernel": kernel}
    file = model_of(nodes, {"x": [2, 5, 3]}, ["y", "state"], constants, opset=NEWEST)
    x, hand = numbers(8, 2, 5, 3), ByHand(maps)
    y, state = outputs_of(file, maps, x)
    padded = np.pad(hand.matmul("before", x, W).transpose(0, 2, 1), ((0, 0), (0, 0), (2, 0)))
    c = sum(padded[:, :, i : i + 5] * kernel[None, :, :, i] for i in range(3))
    assert_same_bits(state, padded[:, :, -2:])
    assert_same_bits(y, hand.matmul("behind", hand.output("node", c).transpose(0, 2, 1), V))
