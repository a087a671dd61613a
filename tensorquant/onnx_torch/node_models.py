"""Models of single nodes with the outputs that they are to have, as `tensorquant evaluate` runs them."""

import json
import pathlib
import subprocess
import sys
import tempfile
from fractions import Fraction

try:
    import numpy as np
    from onnx import TensorProto as T
    from onnx import helper
except ImportError as error:
    print(error, "- nothing to write models with")
    sys.exit(77)

f32 = np.float32


def nearest(x, of=f32):
    """The number of a type nearest to a fraction, ties to even."""
    guess = of(float(x))
    around = [np.nextafter(guess, of(-np.inf)), guess, np.nextafter(guess, of(np.inf))]
    bits = {4: np.int32, 2: np.int16}[guess.itemsize]
    return min(around, key=lambda y: (abs(Fraction(float(y)) - x), int(y.view(bits)) & 1))


class Model:
    """Nodes that all read inputs of the model or constants; each has one output to compare."""

    def __init__(self, opset):
        self.opset, self.nodes, self.constants, self.inputs = opset, [], [], {}
        self.outputs, self.expected = [], []

    def constant(self, value, kind):
        name = f"c{len(self.constants)}"
        array = np.asarray(value)
        self.constants.append(helper.make_tensor(name, kind, array.shape, array.ravel().tolist()))
        return name

    def input(self, name, array):
        self.inputs[name] = array
        return name

    def node(self, kind, inputs, domain="", **attributes):
        name = f"v{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, inputs, [name], domain=domain, **attributes))
        return name

    def expect(self, name, values):
        """As float32, for not every type can be written into a file."""
        self.outputs.append(self.node("Cast", [name], to=T.FLOAT))
        self.expected.append(np.asarray(values))

    def check(self, program, maps=()):
        with tempfile.TemporaryDirectory() as folder:
            here = pathlib.Path(folder)
            ports = [
                helper.make_tensor_value_info(n, helper.np_dtype_to_tensor_dtype(a.dtype), a.shape)
                for n, a in self.inputs.items()
            ]
            results = [helper.make_empty_tensor_value_info(n) for n in self.outputs]
            graph = helper.make_graph(self.nodes, "g", ports, results, self.constants)
            domains = [("", self.opset), ("qonnx.custom_op.general", 1), ("onnx.brevitas", 2)]
            model = helper.make_model(
                graph, opset_imports=[helper.make_opsetid(*d) for d in domains], ir_version=10
            )
            (here / "m.onnx").write_bytes(model.SerializeToString())
            command = [program, "evaluate", "--model", here / "m.onnx", "--save-outputs", here]
            for name, array in self.inputs.items():
                np.save(here / f"{name}.npy", array)
                command += ["--input", f"{name}={here / name}.npy"]
            run = subprocess.run(
                [*command, *maps, "--json"], capture_output=True, text=True, check=False
            )
            assert run.returncode == 0, run.stderr
            for i, expected in enumerate(self.expected):
                found = np.load(here / f"output_{i}.npy")
                same = (found == expected) | (np.isnan(found) & np.isnan(expected))
                where = np.argwhere(~same)[:3].tolist()
                cast = next(n for n in self.nodes if self.outputs[i] in n.output)
                node = next(n for n in self.nodes if cast.input[0] in n.output)
                assert same.all(), f"{node}: at {where}: {found[~same][:3]}, {expected[~same][:3]}"
            return json.loads(run.stdout)


def run_tests(names):
    """Runs the functions of a module that are called test_..., with the program that was given."""
    for name, test in list(names.items()):
        if name.startswith("test_"):
            test(sys.argv[1])
            print("ok", name)
