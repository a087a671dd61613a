#!/usr/bin/env python3
"""ONNX files on the command line, as users meet them. Needs Python's standard library alone.

Usage: test_onnx.py PROGRAM
"""

import json
import pathlib
import struct
import subprocess
import sys
import tempfile
import unittest

from array_files import read_npy, write_npy
from onnx_files import BOOL, FLOAT16, block, integer, model, node, number, tensor, value, varint

PROGRAM = None


class OnnxFiles(unittest.TestCase):
    """y = relu(x w + b) with w = ((1, 2), (3, 4)), b = (0.5, 0.25)."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.dir = pathlib.Path(folder.name)
        nodes = [
            node("MatMul", ["x", "w"], ["p"], "/fc/MatMul"),
            node("Add", ["p", "b"], ["a"], "/fc/Add"),
            node("Relu", ["a"], ["y"], "/Relu"),
        ]
        tensors = [tensor("w", [2, 2], [1, 2, 3, 4]), tensor("b", [2], [0.5, 0.25])]
        self.net = self.write(model(nodes, tensors, [value("x", ["n", 2])], [value("y", ["n", 2])]))
        self.x = self.dir / "x.npy"
        write_npy(self.x, "<f4", (2, 2), struct.pack("<4f", 1, 2, 1, -1))

    def write(self, data, name="net.onnx"):
        path = self.dir / name
        path.write_bytes(data)
        return path

    def run_program(self, *arguments):
        return subprocess.run([PROGRAM, *map(str, arguments)], capture_output=True, text=True, check=False)

    def good(self, *arguments):
        done = self.run_program(*arguments)
        self.assertEqual((done.returncode, done.stderr), (0, ""), arguments)
        return done.stdout

    def fails(self, code, *arguments, says):
        done = self.run_program(*arguments)
        self.assertEqual((done.returncode, done.stdout), (code, ""), done.stderr)
        self.assertEqual(done.stderr.count("\n"), 1, done.stderr)
        self.assertIn(says, done.stderr)

    def evaluate(self, *arguments):
        return json.loads(self.good("evaluate", "--model", self.net, "--input", f"x={self.x}", "--json", *arguments))

    def test_explain_names_the_layers_with_their_tensors(self):
        told = json.loads(self.good("explain", "--model", self.net, "--json"))
        x, fc, relu = told["layers"]
        self.assertEqual((x["layer"], x["operator"], x["node"], x["output"]), ("input:x", "input", None, "x"))
        expected = {"layer": "fc", "operator": "MatMul", "node": "/fc/MatMul", "weight": "w", "bias": "b", "output": "a", "moves": False, "sums": None}
        self.assertEqual(fc, expected)
        self.assertEqual((relu["layer"], relu["weight"]), ("Relu", None))

    def test_explain_shows_which_rule_hits_which_layer(self):
        told = json.loads(self.good("explain", "--model", self.net, "--json", "--weights", '{"fc": "nearest,8,4"}'))
        self.assertEqual([layer["weight"] for layer in told["layers"]], ["nearest,8,4", None])
        told = json.loads(self.good("explain", "--model", self.net, "--json", "--weights", "nearest,8,4"))
        self.assertEqual([layer["bias"] for layer in told["layers"]], ["nearest,8,4", None])
        self.fails(1, "explain", "--model", self.net, "--strict", "--weights", '{"cf": "nearest,8,4"}', says="'fc'")

    def test_evaluate_computes_the_outputs(self):
        told = self.evaluate("--save-outputs", self.dir / "out")
        self.assertEqual(told["outputs"][0]["largest_difference"], 0)
        self.assertEqual(read_npy(self.dir / "out" / "output_0.npy"), ((2, 2), "<f4", [7.5, 10.25, 0.0, 0.0]))

    def test_evaluate_compares_outputs_under_maps_with_those_in_float(self):
        # What zero,8,0 leaves of the bias is 0.
        maps = '{"fc": {"weight": "nearest,8,0", "bias": "zero,8,0"}}'
        told = self.evaluate("--save-outputs", self.dir / "out", "--weights", maps)
        self.assertEqual(read_npy(self.dir / "out" / "output_0.npy")[2], [7.0, 10.0, 0.0, 0.0])
        (output,) = told["outputs"]
        self.assertEqual((output["output"], output["largest_difference"], output["agreement"]), ("y", 0.5, 1.0))
        self.assertEqual(told["layers"][0]["bias"], "zero,8,0")

    def test_integers_are_compared_and_saved_too(self):
        # Truth values of relu(x w + b) > 7.5: true, true; false, false where the bias is 0.
        nodes = [
            node("MatMul", ["x", "w"], ["p"], "/fc/MatMul"),
            node("Add", ["p", "b"], ["a"], "/fc/Add"),
            node("Greater", ["a", "limit"], ["y"]),
        ]
        tensors = [tensor("w", [2, 2], [1, 2, 3, 4]), tensor("b", [2], [0.5, 0.25]), tensor("limit", [1], [7.25])]
        self.net = self.write(model(nodes, tensors, [value("x", ["n", 2])], [value("y", ["n", 2], BOOL)]))
        told = self.evaluate("--save-outputs", self.dir / "out", "--weights", '{"fc": {"weight": "nearest,8,0", "bias": "zero,8,0"}}')
        (output,) = told["outputs"]
        self.assertEqual((output["largest_difference"], output["signal_to_noise"], output["agreement"]), (1.0, None, None))
        self.assertEqual(read_npy(self.dir / "out" / "output_0.npy"), ((2, 2), "|u1", [0, 1, 0, 0]))

    def test_outputs_are_written_all_or_none(self):
        nodes = [node("Relu", ["x"], ["y"]), node("Cast", ["x"], ["h"], attributes=[integer("to", FLOAT16)])]
        net = self.write(model(nodes, [], [value("x", ["n", 2])], [value("y", ["n", 2]), value("h", ["n", 2], FLOAT16)]))
        arguments = ["evaluate", "--model", net, "--input", f"x={self.x}", "--save-outputs"]
        self.fails(1, *arguments, self.dir / "out", says="output 'h': tensors of type Half cannot be written")
        self.assertEqual(list((self.dir / "out").iterdir()), [])
        # Before anything runs: x does not fit.
        write_npy(self.x, "<f4", (1, 3), struct.pack("<3f", 1, 2, 3))
        self.fails(1, *arguments, self.x / "out", says="x.npy/out: cannot be a folder for the outputs")

    def test_operators_newer_than_the_known_ones_are_a_warning(self):
        net = self.write(model([node("Relu", ["x"], ["y"])], [], [value("x", [2, 2])], [value("y", [2, 2])], opset=99))
        done = self.run_program("evaluate", "--model", net, "--input", f"x={self.x}")
        self.assertEqual((done.returncode, done.stderr.count("\n")), (0, 1))
        self.assertIn("operator set 99", done.stderr)

    def test_explain_takes_a_sum_without_outputs(self):
        nodes = [node("MatMul", ["x", "w"], ["y"], "fc"), node("Add", ["y", "b"], [], "add")]
        tensors = [tensor("w", [2, 2], [1, 2, 3, 4]), tensor("b", [2], [0.5, 0.25])]
        net = self.write(model(nodes, tensors, [value("x", ["n", 2])], [value("y", ["n", 2])]))
        told = json.loads(self.good("explain", "--model", net, "--json"))
        self.assertEqual([(layer["layer"], layer["bias"]) for layer in told["layers"]], [("input:x", None), ("fc", None)])

    def test_an_exported_model_computes_what_the_model_does_under_the_maps(self):
        """In each dialect; its nodes are read again as nodes, beside maps."""
        out = self.dir / "out.onnx"
        for dialect, spec in (("qdq", "even,5,1"), ("qonnx", "zero,5,1"), ("functions", "nearest,5,1")):
            maps = ["--weights", "nearest,6,1", "--extrinsic", spec]
            self.assertEqual(self.good("export", self.net, out, "--to", dialect, *maps), "")
            folders = self.dir / f"{dialect}_maps", self.dir / f"{dialect}_file"
            self.evaluate("--save-outputs", folders[0], *maps)
            self.good("evaluate", "--model", out, "--input", f"x={self.x}", "--save-outputs", folders[1])
            expected, found = ((folder / "output_0.npy").read_bytes() for folder in folders)
            self.assertEqual(found, expected, dialect)

    def test_export_refuses_what_a_dialect_cannot_say_and_writes_nothing(self):
        out = self.dir / "out.onnx"
        says = "layers 'input:x' (input), 'fc' (MatMul), 'Relu' (Relu): QuantizeLinear rounds ties to even"
        self.fails(1, "export", self.net, out, "--extrinsic", "nearest,8,4", says=says)
        self.fails(1, "export", self.net, out, "--intrinsic", "fp16", says="rounded arithmetic has no form in ONNX")
        self.assertFalse(out.exists())
        done = self.run_program("export", self.net, out, "--to", "qonnx", "--extrinsic", "nearest,8,4", "--for", "hls4ml")
        self.assertEqual((done.returncode, done.stdout), (0, ""))
        self.assertIn("warning: 'fc': hls4ml rounds ties to even, or downwards, not as 'nearest,8,4'", done.stderr)

    def test_batch_normalizations_are_put_into_the_weights_before_them(self):
        norm = {"gamma": [4, -3], "beta": [10, 20], "mean": [1, -1], "variance": [3.75, 0.75]}
        epsilon = block(1, "epsilon") + varint(2 << 3 | 5) + struct.pack("<f", 0.25) + number(20, 1)
        nodes = [
            node("Gemm", ["x", "fc.weight"], ["p"], "fc"),
            node("BatchNormalization", ["p", *norm], ["n"], "bn", attributes=[epsilon]),
            node("BatchNormalization", ["n", *norm], ["y"], "second", attributes=[epsilon]),
        ]
        tensors = [tensor("fc.weight", [2, 2], [1, 2, 3, 4]), *(tensor(name, [2], values) for name, values in norm.items())]
        net = self.write(model(nodes, tensors, [value("x", ["n", 2])], [value("y", ["n", 2])]), "norms.onnx")
        out = self.dir / "out.onnx"
        done = self.run_program("export", net, out, "--fold-batch-norm")
        self.assertEqual((done.returncode, done.stderr), (0, "tensorquant: note: batch normalizations in the weights before them: 1; these stay: 'second'\n"))
        layers = json.loads(self.good("explain", "--model", out, "--json"))["layers"]
        self.assertEqual([(row["layer"], row["weight"], row["bias"]) for row in layers], [("input:x", None, None), ("fc", "fc.weight", "fc.bias"), ("second", "gamma", "beta")])
        for name, file in (("before", net), ("after", out)):
            self.good("evaluate", "--model", file, "--input", f"x={self.x}", "--save-outputs", self.dir / name)
        before, after = ((self.dir / name / "output_0.npy").read_bytes() for name in ("before", "after"))
        self.assertEqual(before, after)  # small numbers, which float32 holds
        self.assertIn("there are no batch normalizations", self.run_program("export", self.net, out, "--fold-batch-norm").stderr)

    def kept(self, *arguments):
        """An exported file that keeps its maps."""
        out = self.dir / "kept.onnx"
        self.assertEqual(self.good("export", self.net, out, "--maps-in-metadata", *arguments), "")
        return out

    def noted(self, *arguments):
        """Of a run under a file's own maps, which one line on stderr tells."""
        done = self.run_program(*arguments)
        wanted = f"tensorquant: note: {self.dir}/kept.onnx: no maps are given: those in its metadata are taken\n"
        self.assertEqual((done.returncode, done.stderr), (0, wanted), arguments)
        return done.stdout

    def test_a_file_runs_under_the_maps_in_its_metadata(self):
        """Not through the nodes as well, whatever the dialect. The inner formats differ from those of the nodes around them."""
        write_npy(self.x, "<f4", (2, 2), struct.pack("<4f", 1.3, 2.2, 0.7, -1.4))
        own = {"intrinsic": {"fc": {"product": "nearest,12,3", "accumulator": "down,10,2"}}, "weights": {"": "even,6,1"}}
        for dialect, extrinsic in (
            ("qdq", {"input": "even,6,3", "fc": "even,5,1", "": "even,7,0"}),
            ("qonnx", {"fc": "zero,8,2", "": "down,7,0"}),
            ("functions", {"fc": "nearest,8,2", "": "zero,7,0"}),
        ):
            maps = self.dir / "maps.json"
            maps.write_text(json.dumps({**own, "extrinsic": extrinsic}))
            for weights in ([], ["--keep-weights"]):
                file = self.kept("--to", dialect, "--maps", maps, *weights)
                told = self.evaluate("--save-outputs", self.dir / "expected", "--maps", maps)
                inputs = ["--model", file, "--input", f"x={self.x}", "--json"]
                again = json.loads(self.noted("evaluate", *inputs, "--save-outputs", self.dir / "found"))
                found, expected = ((self.dir / name / "output_0.npy").read_bytes() for name in ("found", "expected"))
                self.assertEqual(found, expected, (dialect, weights))
                self.assertEqual(again["maps"], told["maps"])
                for row, wanted in zip(again["layers"], told["layers"], strict=True):
                    self.assertEqual({**row, "rule": ""}, {**wanted, "rule": ""})
            explained = json.loads(self.noted("explain", "--model", file, "--json"))
            self.assertEqual([(row["layer"], row["output"]) for row in explained["layers"]][-2:], [("fc", extrinsic["fc"]), ("Relu", extrinsic[""])])

    def test_maps_that_are_given_win_over_those_in_the_metadata(self):
        file = self.kept("--extrinsic", "even,5,1")
        given = ["--extrinsic", '{"fc": "nearest,4,0"}']
        self.evaluate("--save-outputs", self.dir / "expected", *given)
        told = json.loads(self.good("evaluate", "--model", file, "--input", f"x={self.x}", "--json", "--save-outputs", self.dir / "found", *given))
        self.assertEqual(told["maps"], {"extrinsic": {"fc": "nearest,4,0"}})
        found, expected = ((self.dir / name / "output_0.npy").read_bytes() for name in ("found", "expected"))
        self.assertEqual(found, expected)
        # An export writes them in place of the others.
        self.good("export", file, self.dir / "again.onnx", "--to", "functions", *given)
        self.good("export", self.net, self.dir / "once.onnx", "--to", "functions", *given)
        self.assertEqual((self.dir / "again.onnx").read_bytes(), (self.dir / "once.onnx").read_bytes())

    def test_calibration_and_training_take_the_maps_in_the_metadata(self):
        maps = ["--extrinsic", '{"fc": "int,8,scale=max", "input": "int,6,scale=range"}']
        file = self.kept("--opaque", *maps)
        expected = self.good("calibrate", "--model", self.net, "--data", self.x, *maps)
        self.assertEqual(self.noted("calibrate", "--model", file, "--data", self.x), expected)
        labels = self.dir / "labels.npy"
        write_npy(labels, "<i8", (2,), struct.pack("<2q", 0, 1))
        tuned = self.dir / "tuned.onnx"
        self.noted("train", "--model", file, "--data", self.x, "--labels", labels, "--checkpoint", tuned, "--epochs", "1", "--json")
        done = self.run_program("evaluate", "--model", tuned, "--data", self.x, "--json")
        self.assertIn("tuned.onnx: no maps are given: those in its metadata are taken", done.stderr)
        self.assertEqual(json.loads(done.stdout)["maps"], {"extrinsic": {"fc": "int,8,scale=max", "input": "int,6,scale=range"}})

    def test_maps_are_suggested_for_what_a_file_was_before_its_export(self):
        """Not for what its maps leave of it: 3 bits end at 3."""
        for weights in ([], ["--keep-weights"]):
            file = self.kept("--weights", "even,8,4", "--extrinsic", "even,3,0", *weights)
            suggested = self.good("explain", "--model", file, "--suggest", "8", "--input", f"x={self.x}")
            # Weights to 4, biases to 0.5; x w + b from -1.75 to 10.25.
            wanted = {"weights": {"=fc": {"weight": "nearest,8,4", "bias": "nearest,8,7"}}, "extrinsic": {"=fc": "nearest,8,3", "=Relu": "nearest,8,3"}}
            self.assertEqual(json.loads(suggested), wanted)
            maps = ["--maps", self.dir / "maps.json"]
            maps[1].write_text(suggested)
            self.evaluate("--save-outputs", self.dir / "expected", *maps)
            self.good("evaluate", "--model", file, "--input", f"x={self.x}", "--save-outputs", self.dir / "found", *maps)
            found, expected = ((self.dir / name / "output_0.npy").read_bytes() for name in ("found", "expected"))
            self.assertEqual(found, expected)

    def test_damaged_maps_in_the_metadata_are_one_error(self):
        file = self.kept("--extrinsic", "even,5,1")
        data = file.read_bytes()
        for text, says in ((b'{"extrinsic":{"":"evem,5,1"}}', "'evem'"), (b'{"extrinsic":{"":"even,5,1"}]', "line 1, column 29")):
            self.assertEqual(data.count(b'{"extrinsic":{"":"even,5,1"}}'), 1)
            file.write_bytes(data.replace(b'{"extrinsic":{"":"even,5,1"}}', text))
            for command in (["explain"], ["evaluate", "--input", f"x={self.x}"]):
                self.fails(1, *command, "--model", file, says="kept.onnx: metadata 'tensorquant.maps': ")
                self.assertIn(says, self.run_program(*command, "--model", file).stderr)

    def test_what_no_form_can_say_is_written_for_us_alone_if_asked_to(self):
        """To the bit, in several runs, whose random numbers differ."""
        values = [0.37 * k - 2.2 for k in range(12)]
        write_npy(self.x, "<f4", (6, 2), struct.pack("<12f", *values))
        out = self.dir / "out.onnx"
        extrinsic = {"input": "int,6,scale=max", "fc": "stochastic,7,1", "": "nearest,6,2,overflow=wrap"}
        maps = ["--extrinsic", json.dumps(extrinsic), "--seed", "18446744073709551615"]
        for dialect in ("qdq", "qonnx", "functions"):
            self.fails(1, "export", self.net, out, "--to", dialect, *maps, says="'fc' (MatMul): rounding at random has no form in ONNX")
            self.assertFalse(out.exists())
            self.assertEqual(self.good("export", self.net, out, "--to", dialect, "--opaque", *maps), "")
            for batch in ("2", "6"):
                folders = self.dir / f"{dialect}_maps", self.dir / f"{dialect}_file"
                self.evaluate("--save-outputs", folders[0], "--batch-size", batch, *maps)
                self.good("evaluate", "--model", out, "--input", f"x={self.x}", "--save-outputs", folders[1], "--batch-size", batch)
                expected, found = ((folder / "output_0.npy").read_bytes() for folder in folders)
                self.assertEqual(found, expected, (dialect, batch))
            layers = json.loads(self.good("explain", "--model", out, "--json", "--extrinsic", "fp16"))["layers"]
            self.assertEqual([row["layer"] for row in layers], ["input:x", "fc", "Relu"])
            out.unlink()
        # What the form can say is said in it.
        self.good("export", self.net, out, "--opaque", "--extrinsic", '{"fc": "even,8,4", "Relu": "posit,8"}')
        data = out.read_bytes()
        self.assertIn(b"DequantizeLinear", data)
        self.assertEqual(data.count(b"posit,8"), 1)

    def test_an_opaque_node_of_a_quantizer_that_is_not_known_is_an_error_that_names_it(self):
        self.good("export", self.net, self.dir / "out.onnx", "--opaque", "--extrinsic", '{"Relu": "posit,8"}')
        data = (self.dir / "out.onnx").read_bytes()
        net = self.write(data.replace(b"posit,8", b"piset,8"))
        self.fails(1, "evaluate", "--model", net, "--input", f"x={self.x}", says="(Quantizer): quantizer 'piset,8', column 1: unknown name 'piset'")

    def test_an_opaque_node_between_a_constant_and_a_layer_is_an_error_that_names_both(self):
        quantizer = block(1, "quantizer") + block(4, "posit,8") + number(20, 3)
        nodes = [node("Quantizer", ["w"], ["v"], "q", "tensorquant", [quantizer]), node("MatMul", ["x", "v"], ["y"], "fc")]
        file = model(nodes, [tensor("w", [2, 2], [1, 2, 3, 4])], [value("x", ["n", 2])], [value("y", ["n", 2])])
        net = self.write(file + block(8, block(1, "tensorquant") + number(2, 1)))
        self.fails(1, "evaluate", "--model", net, "--input", f"x={self.x}", says="'fc' (MatMul): its weight 'v' cannot be computed before the model runs")

    def test_faults_of_the_command_line_and_of_files_are_one_line(self):
        net = ["evaluate", "--model", self.net]
        self.fails(2, *net, says="the model's input 'x' is not given")
        self.fails(2, *net, "--input", f"z={self.x}", says="expected NAME=FILE.npy with one of 'x'")
        self.fails(2, *net, "--input", f"x={self.x}", "--input", f"x={self.x}", says="'x' is given twice")
        self.fails(2, *net, "--checkpoint", "w.safetensors", says="--checkpoint: is not for ONNX files")
        self.fails(2, "evaluate", "--model", "lenet", "--input", "x=x.npy", says="--input: is for ONNX files")
        self.fails(2, "explain", "--model", self.net, "--suggest", "8", "--output", self.dir / "m.json", says="input 'x' is not given")
        write_npy(self.x, "<f4", (1, 3), struct.pack("<3f", 1, 2, 3))
        self.fails(1, *net, "--input", f"x={self.x}", says="input 'x': expected the shape [n, 2], found [1, 3]")
        self.fails(1, "explain", "--model", self.dir / "none.onnx", says="none.onnx: cannot read")
        self.fails(1, "explain", "--model", self.write(b"\x08\x08\xff", "cut.onnx"), says="cut.onnx: byte 2: the message ends inside an integer")

    def test_operators_that_are_missing_are_one_error_before_anything_runs(self):
        nodes = [node("Foo", ["x"], ["a"], "first"), node("Bar", ["a"], ["y"], "second")]
        net = self.write(model(nodes, [], [value("x", [2])], [value("y", [2])]), "missing.onnx")
        self.fails(1, "evaluate", "--model", net, "--input", "x=none.npy", says="operators that cannot be computed: Bar ('second'); Foo ('first')")


if __name__ == "__main__":
    PROGRAM = sys.argv.pop(1)
    unittest.main()
