"""QONNX's inference_cost counts the products and bit operations of a network as `tensorquant cost` does."""

import json
import pathlib
import struct
import subprocess

import numpy as np
import pytest

onnx = pytest.importorskip("onnx", reason="onnx is not installed")
inference_cost = pytest.importorskip(
    "qonnx.util.inference_cost", reason="qonnx is not installed"
).inference_cost

PROGRAM = pathlib.Path(__file__).resolve().parents[3] / "build" / "release" / "bin" / "tensorquant"
pytestmark = pytest.mark.skipif(not PROGRAM.exists(), reason="needs build/release/bin/tensorquant")

# LeNet-5 as the program has it.
WEIGHTS = {
    "conv1": (6, 1, 5, 5),
    "conv2": (16, 6, 5, 5),
    "conv3": (120, 16, 5, 5),
    "fc1": (84, 120),
    "fc2": (10, 84),
}
BIASES = sum(shape[0] for shape in WEIGHTS.values())
OUTPUTS = {
    "=input": "even,8,0,unsigned",
    "=relu1": "even,4,2,unsigned",
    "=relu2": "nearest,6,3",
    "=relu3": "even,3,1,unsigned",
    "=relu4": "even,2,0,unsigned",
}
QUANTIZED = {
    "conv1": "even,5,3",
    "conv2": "nearest,3,2",
    "conv3": "ternary,0.5,0.25",
    "fc1": "binary,1",
    "fc2": "even,6,4",
}


def maps_of(weights, outputs):
    rules = {f"={layer}": {"weight": quantizer} for layer, quantizer in weights.items()}
    return {"weights": rules, "extrinsic": outputs}


def tensors():
    rng = np.random.default_rng(1)
    made = {}
    for layer, shape in WEIGHTS.items():
        made[f"{layer}.weight"] = (0.3 * rng.standard_normal(shape)).astype(np.float32)
        made[f"{layer}.bias"] = np.zeros(shape[0], np.float32)
    return made


def write_checkpoint(path, arrays):
    """A safetensors file."""
    header, begin = {}, 0
    for name, array in arrays.items():
        offsets = [begin, begin := begin + array.nbytes]
        header[name] = {"dtype": "F32", "shape": list(array.shape), "data_offsets": offsets}
    text = json.dumps(header).encode()
    data = b"".join(array.tobytes() for array in arrays.values())
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)


def write_network(path, arrays):
    nodes, last = [], "input"

    def add(operator, name, parameters=(), **attributes):
        nonlocal last
        inputs = [last, *parameters]
        nodes.append(onnx.helper.make_node(operator, inputs, [name], name=name, **attributes))
        last = name

    def add_layer(operator, name, **attributes):
        add(operator, name, [f"{name}.weight", f"{name}.bias"], **attributes)

    for i in (1, 2, 3):
        pads = {"pads": [2] * 4} if i == 1 else {}
        add_layer("Conv", f"conv{i}", kernel_shape=[5, 5], **pads)
        add("Relu", f"relu{i}")
        if i < 3:
            add("MaxPool", f"pool{i}", kernel_shape=[2, 2], strides=[2, 2])
    add("Flatten", "flatten")
    add_layer("Gemm", "fc1", transB=1)
    add("Relu", "relu4")
    add_layer("Gemm", "fc2", transB=1)
    info = onnx.helper.make_tensor_value_info
    ends = [info("input", 1, [1, 1, 28, 28])], [info(last, 1, [1, 10])]
    constants = [onnx.numpy_helper.from_array(array, name) for name, array in arrays.items()]
    graph = onnx.helper.make_graph(nodes, "lenet5", *ends, constants)
    opset = [onnx.helper.make_opsetid("", 13)]
    onnx.save(onnx.helper.make_model(graph, opset_imports=opset, ir_version=8), path)


def run(folder, arguments):
    done = subprocess.run(
        [PROGRAM, *arguments.split()], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made, arrays = tmp_path_factory.mktemp("qonnx"), tensors()
    write_network(made / "lenet5.onnx", arrays)
    write_checkpoint(made / "net.safetensors", arrays)
    return made


def costs(folder, maps):
    """Ours, and QONNX's with and without the products of weights that are 0."""
    (folder / "maps.json").write_text(json.dumps(maps))
    run(folder, "export lenet5.onnx q.onnx --to qonnx --keep-weights --maps maps.json")
    network = "--model lenet5 --checkpoint net.safetensors --maps maps.json"
    ours = json.loads(run(folder, f"cost {network} --json"))
    theirs = [
        inference_cost(str(folder / "q.onnx"), discount_sparsity=discount, cost_breakdown=True)
        for discount in (False, True)
    ]
    return ours, *theirs


@pytest.mark.parametrize(
    "maps",
    [
        maps_of(QUANTIZED, OUTPUTS),
        maps_of({"conv2": "even,3,2", "fc1": "ternary,0.5,0.25"}, {"=relu1": "even,4,2"}),
        {},
    ],
    ids=["all", "some", "none"],
)
def test_products_and_bit_operations_are_those_of_qonnx(folder, maps):
    ours, theirs, without_zeros = costs(folder, maps)
    layers = [layer for layer in ours["layers"] if layer["macs"]]
    nodes = list(theirs["node_cost"].values())
    nodes_without_zeros = list(without_zeros["node_cost"].values())
    assert [layer["layer"] for layer in layers] == list(WEIGHTS)
    for layer, node, sparse in zip(layers, nodes, nodes_without_zeros, strict=True):
        assert layer["macs"] == node["total_macs"], layer["layer"]
        assert layer["bops"] == node["total_bops"], layer["layer"]
        # They multiply by a share of weights, which is no exact number.
        assert layer["bops_without_zeros"] == round(sparse["total_bops"], 3), layer["layer"]
        assert layer["weights"] * layer["weight_bits"] == node["total_mem_w_bits"], layer["layer"]
    total = theirs["total_cost"]
    assert ours["cost"]["bops"] == total["total_bops"]
    assert sum(layer["macs"] for layer in layers) == total["total_macs"] == 416_520
    # QONNX leaves out biases, which are float here.
    assert ours["cost"]["bits"] - 32 * BIASES == total["total_mem_w_bits"]


def test_binary_weights_of_another_size_than_1_are_floats_for_qonnx(folder):
    ours, theirs, _ = costs(folder, maps_of({"fc1": "binary,0.25"}, OUTPUTS))
    (layer,) = [one for one in ours["layers"] if one["layer"] == "fc1"]
    node = theirs["node_cost"]["Gemm_0"]
    assert (layer["weight_bits"], layer["input_bits"]) == (1, 3)
    assert (layer["bops"], node["total_bops"]) == (3 * layer["macs"], 32 * 3 * layer["macs"])
