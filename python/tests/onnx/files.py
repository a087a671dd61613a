"""ONNX models that the tests make, and the developers' own."""

import pathlib
import subprocess

import numpy as np
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

PROGRAM = pathlib.Path(__file__).resolve().parents[3] / "build" / "release" / "bin" / "tensorquant"
SHARED = pathlib.Path(__file__).resolve().parents[4] / "shared" / "data" / "onnx_models"
TYPES = {
    "float16": TensorProto.FLOAT16,
    "float32": TensorProto.FLOAT,
    "float64": TensorProto.DOUBLE,
    "int64": TensorProto.INT64,
    "bool": TensorProto.BOOL,
}
OPSET = 21


def model_of(nodes, inputs, outputs, constants=None, opset=OPSET, functions=(), domains=()):
    """A ModelProto.

    Args:
        nodes: NodeProtos.
        inputs: Shapes, or pairs of a type and a shape, by name.
        outputs: Names.
        constants: Arrays by name.
    """

    def info(name, what):
        kind, shape = what if isinstance(what, tuple) else ("float32", what)
        return helper.make_tensor_value_info(name, TYPES[kind], shape)

    graph = helper.make_graph(
        nodes,
        "test",
        [info(name, what) for name, what in inputs.items()],
        [helper.make_empty_tensor_value_info(name) for name in outputs],
        [numpy_helper.from_array(array, name) for name, array in (constants or {}).items()],
    )
    imports = [helper.make_opsetid("", opset), *(helper.make_opsetid(name, 1) for name in domains)]
    return helper.make_model(graph, opset_imports=imports, ir_version=10, functions=functions)


def graph(nodes, outputs, constants=None, inputs=()):
    """A subgraph. Its inputs and outputs are float32; pairs are of a name and a scalar's type."""

    def info(port):
        if isinstance(port, tuple):
            return helper.make_tensor_value_info(port[0], TYPES[port[1]], [])
        return helper.make_tensor_value_info(port, TYPES["float32"], None)

    tensors = [
        numpy_helper.from_array(np.asarray(x), name) for name, x in (constants or {}).items()
    ]
    return helper.make_graph(nodes, "inner", [*map(info, inputs)], [*map(info, outputs)], tensors)


def run_plain(model, inputs):
    """What ONNX Runtime itself computes, as the file says: the outputs by name."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 4  # what is wrong is raised
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    data = model if isinstance(model, bytes) else model.SerializeToString()
    session = onnxruntime.InferenceSession(data, options)
    names = [port.name for port in session.get_outputs()]
    return dict(zip(names, session.run(None, inputs)))


def run_program(*arguments):
    """Runs the command line; skips where it is not built."""
    if not PROGRAM.exists():
        pytest.skip("needs the program of scripts/test.sh cpp")
    done = subprocess.run([PROGRAM, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def of_the_command_line(tmp_path, model, inputs, override):
    """The first output that the program saves of a model's file, for arrays by name."""
    maps = tmp_path / "maps.json"
    maps.write_text(override.to_json())
    command = ["evaluate", "--model", model, "--maps", maps]
    command += ["--seed", str(override.seed), "--save-outputs", tmp_path / "out"]
    for name, array in inputs.items():
        np.save(tmp_path / f"{name}.npy", array)
        command += ["--input", f"{name}={tmp_path / name}.npy"]
    run_program(*command)
    return np.load(tmp_path / "out" / "output_0.npy")


def shared_model(name):
    """The folder of one of the developers' models; skips where they are missing."""
    folder = SHARED / name
    if not folder.is_dir():
        pytest.skip(f"needs the developers' models: {name}")
    return folder


def arrays_of(folder, kind):
    return [np.load(path) for path in sorted(folder.glob(f"{kind}_*.npy"))]


def assert_same_bits(found, expected):
    assert found.dtype == expected.dtype and found.shape == expected.shape
    kind = f"u{found.itemsize}"
    same = (found.view(kind) == expected.view(kind)) | (np.isnan(found) & np.isnan(expected))
    assert same.all(), (found[~same][:5], expected[~same][:5])


def little_network():
    """Convolution, batch norm, ReLU, pool, a product with a bias behind it, and softmax."""
    rng = np.random.default_rng(7)

    def numbers(*shape):
        return (rng.standard_normal(shape) * 0.4).astype(np.float32)

    constants = {
        "conv.weight": numbers(4, 3, 3, 3),
        "conv.bias": numbers(4),
        "bn.weight": 1 + numbers(4),
        "bn.bias": numbers(4),
        "bn.mean": numbers(4),
        "bn.var": np.abs(numbers(4)) + 1,
        "fc.weight": numbers(16, 5),
        "fc_bias": numbers(5),
    }
    nodes = [
        helper.make_node("Conv", ["x", "conv.weight", "conv.bias"], ["a"], pads=[1, 1, 1, 1]),
        helper.make_node(
            "BatchNormalization", ["a", "bn.weight", "bn.bias", "bn.mean", "bn.var"], ["b"]
        ),
        helper.make_node("Relu", ["b"], ["c"], "relu"),
        helper.make_node("AveragePool", ["c"], ["d"], "pool", kernel_shape=[3, 3], strides=[3, 3]),
        helper.make_node("Flatten", ["d"], ["e"], "flatten"),
        helper.make_node("MatMul", ["e", "fc.weight"], ["f"]),
        helper.make_node("Add", ["f", "fc_bias"], ["g"]),
        helper.make_node("Softmax", ["g"], ["y"], "softmax"),
    ]
    model = model_of(nodes, {"x": ["n", 3, 6, 6]}, ["y"], constants)
    model.graph.output[0].CopyFrom(helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 5]))
    return model, numbers(2, 3, 6, 6), constants
