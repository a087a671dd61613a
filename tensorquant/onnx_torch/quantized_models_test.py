"""Quantized models as `tensorquant evaluate` computes them, against what others make of them.

    quantized_models_test.py PROGRAM MODELS

Is skipped where the developers' folder of models, or the package onnx, is missing.
"""

import json
import pathlib
import subprocess
import sys
import tempfile

try:
    import numpy as np
    import onnx
    from onnx import numpy_helper
except ImportError as error:
    print(error, "- nothing to compare with")
    sys.exit(77)

PROGRAM, MODELS = sys.argv[1], pathlib.Path(sys.argv[2])
f32, f64 = np.float32, np.float64


def output_of(model, port, x, *options):
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "model.onnx"
        if not isinstance(model, str):
            onnx.save(model, path)
        command = [PROGRAM, "evaluate", "--model"]
        command += [MODELS / model / "model.onnx" if isinstance(model, str) else path]
        command += ["--input", f"{port}={x}", "--save-outputs", folder, "--json", *options]
        run = subprocess.run(command, capture_output=True, text=True, check=False)
        assert run.returncode == 0, run.stderr
        return np.load(pathlib.Path(folder) / "output_0.npy"), json.loads(run.stdout)


def stored(model, name="output_0.npy"):
    return np.load(MODELS / model / name)


class ExactSums:
    """A model of DequantizeLinear and QuantizeLinear, in numpy: integers are summed exactly."""

    def __init__(self, model, **inputs):
        self.graph = model.graph
        self.values = {t.name: numpy_helper.to_array(t) for t in model.graph.initializer} | inputs
        self.integers = {}  # of what DequantizeLinear made: codes less zero points, scales

    def run(self):
        for node in self.graph.node:
            attributes = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
            inputs = [self.values[name] if name else None for name in node.input]
            compute = getattr(self, node.op_type.lower())
            self.values[node.output[0]] = compute(node, inputs, attributes)
        return self.values[self.graph.output[0].name]

    def quantizelinear(self, _node, inputs, _attributes):
        x, scale, zero = inputs
        ends = np.iinfo(zero.dtype)
        code = np.rint((x / scale).astype(f32)).astype(f64) + int(zero)
        return np.clip(code, ends.min, ends.max).astype(zero.dtype)

    def dequantizelinear(self, node, inputs, attributes):
        codes, scale, zero = (*inputs, None)[:3]
        shape = [1] * codes.ndim
        if scale.size > 1:
            shape[attributes.get("axis", 1)] = -1
        along = [scale.reshape(shape), 0 if zero is None else zero.reshape(shape).astype(int)]
        number = codes.astype(np.int64) - along[1]
        self.integers[node.output[0]] = number, scale.astype(f64).reshape(-1)
        return (number.astype(np.longdouble) * along[0].astype(np.longdouble)).astype(f32)

    def factors(self, node):
        (x, x_scale), (w, w_scale) = (self.integers[name] for name in node.input[:2])
        return x, w, x_scale * w_scale

    def conv(self, node, inputs, attributes):
        x, w, scale = self.factors(node)
        top, left, bottom, right = attributes["pads"]
        x = np.pad(x, ((0, 0), (0, 0), (top, bottom), (left, right)))
        stride = attributes["strides"][0]
        windows = np.lib.stride_tricks.sliding_window_view(x, w.shape[2:], axis=(2, 3))
        windows = windows[:, :, ::stride, ::stride].astype(f64)  # integers below 2^53: exact
        sums = np.einsum("nchwrs,ocrs->nohw", windows, w.astype(f64), optimize=True)
        return (sums * scale.reshape(-1, 1, 1) + inputs[2].reshape(-1, 1, 1)).astype(f32)

    def gemm(self, node, inputs, attributes):
        assert attributes["transB"] == 1
        x, w, scale = self.factors(node)
        return ((x @ w.T) * scale + inputs[2]).astype(f32)

    def add(self, _node, inputs, _attributes):
        return inputs[0] + inputs[1]

    def constant(self, _node, _inputs, attributes):
        return numpy_helper.to_array(attributes["value"])

    def slice(self, _node, inputs, _attributes):
        x, begins, ends, axes, steps = inputs
        where = [slice(None)] * x.ndim
        for begin, end, axis, step in zip(begins, ends, axes, steps, strict=True):
            limit = None if abs(int(end)) > 10**9 else int(end)
            where[int(axis)] = slice(int(begin), limit, int(step))
        return x[tuple(where)]

    def pad(self, _node, inputs, _attributes):
        return np.pad(inputs[0], inputs[1].astype(int).reshape(2, -1).T)

    def constantofshape(self, _node, inputs, attributes):
        return np.full(inputs[0], numpy_helper.to_array(attributes["value"])[0])

    def concat(self, _node, inputs, attributes):
        return np.concatenate(inputs, attributes["axis"])

    def reshape(self, _node, inputs, _attributes):
        return inputs[0].reshape(inputs[1])

    def transpose(self, _node, inputs, attributes):
        return inputs[0].transpose(attributes["perm"])

    def cast(self, _node, inputs, attributes):
        return inputs[0].astype(onnx.helper.tensor_dtype_to_np_dtype(attributes["to"]))

    def shape(self, _node, inputs, _attributes):
        return np.array(inputs[0].shape)

    def gather(self, _node, inputs, attributes):
        return np.take(inputs[0], inputs[1], axis=attributes.get("axis", 0))

    def unsqueeze(self, _node, inputs, _attributes):
        return np.expand_dims(inputs[0], tuple(inputs[1]))


def before_the_pool(model):
    """The model up to its average pool, which adds float numbers up in an order of its own."""
    nodes = list(model.graph.node)
    end = next(i for i, node in enumerate(nodes) if node.op_type == "AveragePool")
    output = onnx.helper.make_empty_tensor_value_info(nodes[end].input[0])
    graph = onnx.helper.make_graph(
        nodes[:end], "g", model.graph.input, [output], model.graph.initializer
    )
    return onnx.helper.make_model(
        graph, opset_imports=model.opset_import, ir_version=model.ir_version
    )


def test_sums_of_integers_are_exact():
    name = "resnet20_qdq_int8"
    model = before_the_pool(onnx.load(MODELS / name / "model.onnx"))
    found, report = output_of(model, "image", MODELS / name / "input_0.npy")
    assert report["sums"] == "exact" and len(report["exact_layers"]) == 19, report
    expected = ExactSums(model, image=stored(name, "input_0.npy")).run()
    assert found.shape == (8, 64, 8, 8) and (found == expected).all()


def test_float_sums_find_the_same_classes():
    """As both ways of ONNX Runtime, which differ by up to 0.6 from each other."""
    name = "resnet20_qdq_int8"
    for sums in ("exact", "float"):
        found, _ = output_of(name, "image", MODELS / name / "input_0.npy", "--sums", sums)
        assert np.abs(found - stored(name)).max() <= 0.6
        assert (found.argmax(1) == stored(name).argmax(1)).all()


def test_integer_operators_equal_onnx_runtime():
    name = "resnet20_qop_int8"
    found, _ = output_of(name, "image", MODELS / name / "input_0.npy")
    assert (found == stored(name)).all()


def test_small_floats_are_those_of_brevitas():
    """Three products and a bias, in float32: their order may cost a last bit."""
    name = "fp8_qonnx"
    found, _ = output_of(name, "x.1", MODELS / name / "brevitas_input.npy")
    expected = stored(name, "brevitas_output.npy")
    assert np.abs(found - expected).max() <= 2 * np.spacing(np.abs(expected).max())


if __name__ == "__main__":
    if not MODELS.exists():
        print(MODELS, "is not here, nothing to compare with")
        sys.exit(77)
    for name, test in list(globals().items()):
        if name.startswith("test_"):
            test()
            print("ok", name)
