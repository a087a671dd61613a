"""ONNX Runtime's sessions, and its errors in one line."""

import contextlib

import numpy as np
import onnx
import onnxruntime

from tensorquant._core import Error

# ONNX Runtime's names of types and NumPy's of those that an array can have.
NUMPY_TYPES = {
    "tensor(float)": "float32",
    "tensor(double)": "float64",
    "tensor(float16)": "float16",
    "tensor(int8)": "int8",
    "tensor(int16)": "int16",
    "tensor(int32)": "int32",
    "tensor(int64)": "int64",
    "tensor(uint8)": "uint8",
    "tensor(uint16)": "uint16",
    "tensor(uint32)": "uint32",
    "tensor(uint64)": "uint64",
    "tensor(bool)": "bool",
    "tensor(string)": "object",
}
_ONNX_TYPES = {
    name: onnx.helper.np_dtype_to_tensor_dtype(np.dtype(name)) for name in NUMPY_TYPES.values()
}
FLOATS = ("float16", "float32", "float64")
# Those of values that pass from piece to piece: arrays, and lists of arrays.
KINDS = {*NUMPY_TYPES.values(), *(f"seq({name})" for name in NUMPY_TYPES)}


def is_of_floats(value):
    """Whether it is an array of numbers with fractions. ONNX Runtime's sequences are lists."""
    return isinstance(value, np.ndarray) and value.dtype.name in FLOATS


def make_session(model, threads, optimize, source):
    """An InferenceSession of a ModelProto or its bytes.

    Args:
        model: The model.
        threads: How many compute an operator.
        optimize: Whether ONNX Runtime may rewrite the graph, which moves last bits.
        source: What errors call the model.

    Raises:
        tensorquant.Error: ONNX Runtime refuses it.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    # Waiting threads would take the processor from those of the quantizers.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 4  # what is wrong is raised
    level = onnxruntime.GraphOptimizationLevel
    options.graph_optimization_level = level.ORT_ENABLE_ALL if optimize else level.ORT_DISABLE_ALL
    with runtime_errors(source):
        data = model if isinstance(model, bytes) else model.SerializeToString()
        return onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])


@contextlib.contextmanager
def runtime_errors(source):
    """A context in which errors of ONNX Runtime and onnx are one line that names the model."""
    try:
        yield
    except Error:
        raise
    except Exception as error:  # ONNX Runtime's have no class in common but this one
        kinds = type(error).__module__.split(".")[0]
        if kinds not in ("onnxruntime", "onnx", "google") and not isinstance(error, ValueError):
            raise
        text = " ".join(str(error).split())
        raise Error(f"{source}: {text[:500]}") from error


def value_info(name, kind, shape=None):
    """A ValueInfoProto of a value of one of KINDS, of any shape if that is None."""
    if kind.startswith("seq("):
        element = _ONNX_TYPES[NUMPY_TYPES[kind[len("seq(") : -1]]]
        return onnx.helper.make_tensor_sequence_value_info(name, element, None)
    return onnx.helper.make_tensor_value_info(name, _ONNX_TYPES[kind], shape)


def model_like(model, nodes, inputs, outputs, initializers):
    """A ModelProto with the operator sets of another one.

    Args:
        model: The other one.
        nodes: NodeProtos.
        inputs, outputs: ValueInfoProtos.
        initializers: TensorProtos.
    """
    graph = onnx.helper.make_graph(nodes, "piece", inputs, outputs, initializers)
    return onnx.helper.make_model(
        graph, opset_imports=model.opset_import, ir_version=model.ir_version
    )
