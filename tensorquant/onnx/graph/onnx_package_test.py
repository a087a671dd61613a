#!/usr/bin/env python3
"""What we read and write again is what the Python package onnx reads: one hand checks the other.

Usage: onnx_package_test.py ONNX_REWRITE MODELS. Ends with 77 where the package is not installed.
"""

import pathlib
import subprocess
import sys
import tempfile
import unittest

try:
    import numpy
    import onnx
    from onnx import TensorProto, helper, numpy_helper
except ImportError:
    print("the Python package onnx is not installed, nothing to compare with")
    sys.exit(77)

MODELS = pathlib.Path(sys.argv.pop())
PROGRAM = sys.argv.pop()
X, Y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, "n"]) for name in "xy")


def canonical(message):
    """Without what nobody reads, doc strings and quantization annotations; one spelling for a tensor's numbers and for a text that is empty."""
    for field, value in list(message.ListFields()):
        if field.name in {"doc_string", "quantization_annotation"} or (
            value == "" and field.name != "domain"
        ):
            message.ClearField(field.name)
        elif field.type == field.TYPE_MESSAGE:
            for one in value if field.is_repeated else [value]:
                canonical(one)
    if isinstance(message, onnx.NodeProto) and message.domain == "":
        message.ClearField("domain")
    if isinstance(message, onnx.OperatorSetIdProto):
        message.domain = message.domain  # left out and empty are one
    if isinstance(message, TensorProto) and message.data_type != TensorProto.STRING:
        raw = numpy_helper.from_array(numpy_helper.to_array(message)).raw_data
        for name in (
            "float_data",
            "int32_data",
            "int64_data",
            "double_data",
            "uint64_data",
            "data_location",
        ):
            message.ClearField(name)
        message.raw_data = raw
    return message


class TheOnnxPackage(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)

    def rewritten(self, path):
        out = self.folder / "out.onnx"
        done = subprocess.run([PROGRAM, path, out], check=False, capture_output=True, text=True)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        return out

    def check(self, path):
        out = self.rewritten(path)
        foreign = {one.domain for one in onnx.load(str(path)).opset_import} - {"", "own"}
        onnx.checker.check_model(str(out), full_check=not foreign)
        found = onnx.load(str(out))
        # Not only a message that says the same: the bytes that protobuf writes for it.
        self.assertEqual(out.read_bytes(), found.SerializeToString(deterministic=True))
        found, expected = canonical(found), canonical(onnx.load(str(path)))
        if found != expected:  # with all its text
            self.assertMultiLineEqual(str(found), str(expected))

    def check_model(self, nodes, initializers=(), opset=21, inputs=(X,), outputs=(Y,), **more):
        graph = helper.make_graph(
            list(nodes), "graph", list(inputs), list(outputs), list(initializers)
        )
        sets = [helper.make_opsetid("", opset), *more.pop("sets", ())]
        model = helper.make_model(
            graph, opset_imports=sets, ir_version=10, producer_name="test", **more
        )
        path = self.folder / "in.onnx"
        onnx.save(model, str(path))
        self.check(path)

    def test_reads_what_we_write_of_every_model(self):
        paths = sorted(MODELS.glob("*/model.onnx"))
        if not paths:
            self.skipTest(f"{MODELS} is not here")
        for path in paths:
            with self.subTest(model=path.parent.name):
                self.check(path)

    def test_finds_the_same_numbers_of_every_type_in_every_spelling(self):
        types = [
            ("FLOAT", [1.5, -0.0, float("inf")]),
            ("DOUBLE", [0.1, -2.0]),
            ("INT8", [-128, 127, -1]),
            ("UINT8", [0, 255]),
            ("INT16", [-32768, 32767]),
            ("UINT16", [0, 65535]),
            ("INT32", [-(2**31), 2**31 - 1]),
            ("UINT32", [0, 2**32 - 1]),
            ("INT64", [-(2**63), 2**63 - 1]),
            ("UINT64", [0, 2**64 - 1]),
            ("BOOL", [True, False]),
            ("FLOAT16", [1.5, -0.25]),
            ("BFLOAT16", [1.5, -0.25]),
            ("COMPLEX64", [1 + 2j]),
            ("COMPLEX128", [1 - 2j]),
            ("FLOAT8E4M3FN", [1.5, -448.0]),
            ("FLOAT8E5M2", [1.5, 57344.0]),
            ("FLOAT8E4M3FNUZ", [1.5, -240.0]),
            ("FLOAT8E5M2FNUZ", [1.5, -0.25]),
            ("FLOAT8E8M0", [0.5, 4.0]),
            ("FLOAT4E2M1", [-1.5, 6.0, 0.5]),
            ("UINT4", [1, 15, 7]),
            ("INT4", [-8, 7, 1]),
        ]
        tensors = []
        for name, values in types:
            tensor = helper.make_tensor(name, getattr(TensorProto, name), [len(values)], values)
            tensors.append(tensor)
            tensors.append(numpy_helper.from_array(numpy_helper.to_array(tensor), name + "_raw"))
        tensors.append(helper.make_tensor("STRING", TensorProto.STRING, [2], [b"one", b""]))
        tensors.append(helper.make_tensor("scalar", TensorProto.FLOAT, [], [2.0]))
        tensors.append(helper.make_tensor("empty", TensorProto.INT64, [0, 3], []))
        self.check_model([helper.make_node("Identity", ["x"], ["y"])], tensors)

    def test_finds_the_same_constants_in_every_form(self):
        nodes = [
            helper.make_node("Constant", [], [name], **{name: value})
            for name, value in {
                "value_float": 1.5,
                "value_int": -3,
                "value_floats": [1.0, 2.0],
                "value_ints": [1, -2],
                "value_string": "text",
                "value_strings": ["a", "b"],
            }.items()
        ]
        value = helper.make_tensor("v", TensorProto.FLOAT, [1], [1.0])
        nodes.append(helper.make_node("Constant", [], ["value"], value=value))
        nodes.append(helper.make_node("Identity", ["x"], ["y"]))
        self.check_model(nodes)

    def test_finds_the_same_functions_and_subgraphs(self):
        body = [helper.make_node("Add", ["a", "a"], ["b"]), helper.make_node("Relu", ["b"], ["c"])]
        function = helper.make_function(
            "own", "Twice", ["a"], ["c"], body, [helper.make_opsetid("", 21)]
        )
        out = helper.make_tensor_value_info("z", TensorProto.FLOAT, [1, "n"])
        branches = [
            helper.make_graph([helper.make_node(op, ["t"], ["z"])], "branch", [], [out])
            for op in ("Relu", "Neg")
        ]
        nodes = [
            helper.make_node("Twice", ["x"], ["t"], domain="own"),
            helper.make_node(
                "If", ["yes"], ["y"], then_branch=branches[0], else_branch=branches[1]
            ),
        ]
        yes = helper.make_tensor("yes", TensorProto.BOOL, [], [True])
        self.check_model(nodes, [yes], functions=[function], sets=[helper.make_opsetid("own", 1)])

    def test_keeps_metadata_and_names(self):
        node = helper.make_node("Identity", ["x"], ["y"], name="/layer/Identity")
        node.metadata_props.add(key="pkg.torch.onnx.name_scopes", value="['', 'layer', 'identity']")
        self.check_model([node])

    def test_finds_external_data(self):
        values = numpy.arange(600, dtype=numpy.float32)
        graph = helper.make_graph(
            [helper.make_node("Identity", ["x"], ["y"])],
            "graph",
            [X],
            [Y],
            [numpy_helper.from_array(values, "w")],
        )
        path = self.folder / "in.onnx"
        onnx.save(
            helper.make_model(graph),
            str(path),
            save_as_external_data=True,
            location="weights.bin",
            size_threshold=0,
        )
        found = onnx.load(str(self.rewritten(path)), load_external_data=False)
        numpy.testing.assert_array_equal(numpy_helper.to_array(found.graph.initializer[0]), values)


if __name__ == "__main__":
    unittest.main()
