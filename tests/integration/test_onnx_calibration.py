#!/usr/bin/env python3
"""Scales found for ONNX files on the command line. Needs Python's standard library alone.

Usage: test_onnx_calibration.py PROGRAM [FOLDER]

FOLDER holds data/onnx_models and data/cifar10, of other authors; what needs them is skipped without.
"""

import json
import pathlib
import random
import struct
import sys
import unittest

import test_onnx_data
from onnx_files import block, model, node, number, tensor, value
from test_onnx_data import INT64, Case, floats

SHARED = pathlib.Path("missing")
METHODS = ("minmax", "percentile=90", "mse", "entropy")
IMAGENET = ["--mean", "0.485", "0.456", "0.406", "--deviation", "0.229", "0.224", "0.225"]


def single(x):
    """The float32 next to it."""
    return struct.unpack("<f", struct.pack("<f", x))[0]


def subgraph(name, graph):
    """An attribute."""
    return block(1, name) + block(6, graph) + number(20, 5)


def scale_of(spec):
    (text,) = [part for part in spec.split(",") if part.startswith("scale=")]
    return single(float(text.removeprefix("scale=")))


class Calibration(Case):
    """y = relu(x w), with integers in float32: whatever the order of sums, they are exact."""

    WEIGHT = [[3, -5], [7, 2], [-4, 6]]

    def setUp(self):
        super().setUp()
        drawn = random.Random(5)
        self.samples = [[drawn.choice((1, 1, 1, 9)) * drawn.randint(-9, 9) for _ in range(3)] for _ in range(22)]

    def net(self, rows="n"):
        nodes = [node("MatMul", ["x", "w"], ["p"], "fc"), node("Relu", ["p"], ["y"], "relu")]
        tensors = [tensor("w", [3, 2], [w for row in self.WEIGHT for w in row])]
        return self.write(model(nodes, tensors, [value("x", [rows, 3])], [value("y", [rows, 2])]))

    def data(self, samples):
        return self.npy("x.npy", "<f4", (len(samples), 3), floats([x for sample in samples for x in sample]))

    def products(self, samples):
        return [sum(x * row[k] for x, row in zip(sample, self.WEIGHT)) for sample in samples for k in range(2)]

    def calibrate(self, *arguments, notes=0):
        return json.loads(self.good("calibrate", *arguments, notes=notes))

    def test_finds_the_scale_of_each_output_that_a_rule_hits(self):
        maps = ["--weights", "nearest,8,4", "--extrinsic", '{"fc": "int,8,scale=max", "relu": "int,4,unsigned,scale=max"}']
        found = self.calibrate("--model", self.net(), "--data", self.data(self.samples), *maps)
        products = self.products(self.samples)
        self.assertEqual(found["weights"], {"": "nearest,8,4"})
        self.assertEqual(list(found["extrinsic"]), ["=fc", "=relu"])
        self.assertEqual(scale_of(found["extrinsic"]["=fc"]), single(max(map(abs, products)) / 127))
        self.assertEqual(scale_of(found["extrinsic"]["=relu"]), single(max(products) / 15))
        self.assertEqual(found["extrinsic"]["=relu"].split(",scale=")[0], "int,4,unsigned")

    def test_writes_maps_that_evaluate_runs_under(self):
        net, data = self.net(), self.data(self.samples)
        self.assertEqual(self.good("calibrate", "--model", net, "--data", data, "--extrinsic", '{"relu": "int,8,unsigned,scale=max"}', "--output", "maps.json"), "")
        self.report("--model", net, "--data", data, "--maps", "maps.json", "--strict", "--save-outputs", "out")
        sums = self.products(self.samples)
        scale = single(max(sums) / 255)
        self.assertEqual(self.saved()[2], [single(min(round(single(max(s, 0) / scale)), 255) * scale) for s in sums])

    def test_depends_on_the_samples_alone(self):
        shuffled = self.samples[:]
        random.Random(6).shuffle(shuffled)
        self.assertNotEqual(shuffled, self.samples)
        found = set()
        for method in METHODS:
            arguments = ["--extrinsic", "int,3,scale=max", "--method", method]
            wanted = self.calibrate("--model", self.net(), "--data", self.data(self.samples), *arguments)
            for samples in (self.samples, shuffled):
                for batch in ("1", "7"):
                    again = self.calibrate("--model", self.net(), "--data", self.data(samples), *arguments, "--batch-size", batch)
                    self.assertEqual(again, wanted, (method, batch))
            # A file of batches of its own size.
            again = self.calibrate("--model", self.net(rows=11), "--data", self.data(shuffled), *arguments, notes=1)
            self.assertEqual(again, wanted, method)
            found.add(wanted["extrinsic"]["=fc"])
        self.assertGreater(len(found), 2, found)

    def test_averages_the_ends_of_batches(self):
        for batch in (1, 7):
            mean = None
            for first in range(0, len(self.samples), batch):
                largest = max(0, *self.products(self.samples[first:first + batch]))
                mean = largest if mean is None else mean + 0.25 * (largest - mean)
            arguments = ["--extrinsic", '{"relu": "int,4,unsigned,scale=max"}', "--method", "average=0.25"]
            found = self.calibrate("--model", self.net(), "--data", self.data(self.samples), *arguments, "--batch-size", batch)
            self.assertEqual(scale_of(found["extrinsic"]["=relu"]), single(single(mean) / 15), batch)

    def test_takes_what_evaluate_takes(self):
        nodes = [node("Add", ["a:0", "b"], ["sum:0"]), node("Reshape", ["sum:0", "shape"], ["y"], "flat")]
        shape = number(1, 2) + number(2, INT64) + block(8, "shape") + block(9, struct.pack("<2q", -1, 1))
        net = self.write(model(nodes, [shape], [value("a:0", ["n", 2]), value("b", ["n", 2])], [value("y", ["m", 1])]))
        self.npy("a.npy", "<f4", (2, 2), floats([1, 2, -3, 4]))
        self.npy("b.npy", "<f4", (2, 2), floats([10, -50, 30, 5]))
        inputs = ["--input", "a:0=a.npy", "--input", "b=b.npy"]
        rules = json.dumps({"input": "int,8,scale=max", "sum": "int,8,scale=max", "=y": "int,8,scale=max"})
        found = self.calibrate("--model", net, *inputs, "--names", "output", "--extrinsic", rules)
        scales = {key: scale_of(spec) for key, spec in found["extrinsic"].items()}
        self.assertEqual(scales, {"=input:a:0": single(4 / 127), "=input:b": single(50 / 127), "=sum:0": single(48 / 127), "=y": single(48 / 127)})
        (self.dir / "maps.json").write_text(json.dumps(found))
        told = self.report("--model", net, *inputs, "--names", "output", "--maps", "maps.json", "--strict")
        self.assertEqual([row["layer"] for row in told["layers"]], ["input:a:0", "input:b", "sum:0", "y"])
        few = self.calibrate("--model", net, *inputs, "--limit", "1", "--extrinsic", '{"input:b": "int,8,scale=max"}')
        self.assertEqual({key: scale_of(spec) for key, spec in few["extrinsic"].items()}, {"=input:b": single(50 / 127)})
        drawn = ["--random", "40", "--extrinsic", '{"input:b": "int,8,scale=max"}']
        self.assertGreater(scale_of(self.calibrate("--model", net, *drawn)["extrinsic"]["=input:b"]), 1 / 127)

    def test_warns_of_outputs_without_numbers_whose_rules_stay(self):
        def branch(operator, output):
            return block(1, node(operator, ["x"], [output], operator.lower())) + block(2, operator) + block(12, value(output, ["n", 3]))

        choice = [subgraph("then_branch", branch("Relu", "t")), subgraph("else_branch", branch("Abs", "e"))]
        nodes = [
            node("Greater", ["s", "limit"], ["is"], "is"),
            node("If", ["is"], ["b"], "if", attributes=choice),
            node("Sub", ["x", "x"], ["z"], "none"),
            node("Add", ["b", "z"], ["y"], "sum"),
        ]
        tensors = [tensor("limit", [], [0])]
        net = self.write(model(nodes, tensors, [value("x", ["n", 3]), value("s", [])], [value("y", ["n", 3])]))
        self.data(self.samples)
        self.npy("s.npy", "<f4", (), floats([1]))
        inputs = ["--input", "x=x.npy", "--input", "s=s.npy"]
        done = self.run_program("calibrate", "--model", net, *inputs, "--extrinsic", "int,8,scale=max")
        self.assertEqual(done.returncode, 0, done.stderr)
        for text in ("the output of if.else_branch.abs had no numbers that could be seen", "the output of none was 0 throughout"):
            self.assertIn(f"tensorquant: warning: {text}: its rule stays 'int,8,scale=max'\n", done.stderr)
        rules = json.loads(done.stdout)["extrinsic"]
        self.assertEqual((rules["=if.else_branch.abs"], rules["=none"]), ("int,8,scale=max", "int,8,scale=max"))
        self.assertEqual(scale_of(rules["=sum"]), single(max(x for sample in self.samples for x in sample) / 127))

    def test_faults_are_one_line_and_nothing_is_written(self):
        net, data = self.net(), self.data(self.samples)
        line = ["calibrate", "--model", net, "--data", data, "--output", "maps.json"]
        scaled = ["--extrinsic", "int,8,scale=max"]
        self.fails(1, *line, "--extrinsic", "nearest,8,4", says="no layer has an extrinsic quantizer to calibrate")
        self.fails(1, *line, "--extrinsic", '{"fc": "int,8,scale=range"}', "--method", "mse", says="the output of fc: ")
        self.fails(1, *line, "--extrinsic", '{"input": "int,8,scale=range"}', "--method", "mse", says="the model's input:x: ")
        self.fails(1, *line, *scaled, "--strict", "--weights", '{"cf": "nearest,8,4"}', says="'cf'")
        self.fails(2, *line, *scaled, "--checkpoint", "x", says="--checkpoint: is not for ONNX files")
        self.fails(2, *line, *scaled, "--random", "3", says="exclude each other")
        self.fails(2, "calibrate", "--model", net, *scaled, says="input 'x' is not given")
        self.fails(2, "calibrate", "--model", "lenet", *scaled, "--checkpoint", "x", "--batch-size", "7", says="--batch-size: is for ONNX files")
        self.fails(2, "calibrate", "--model", "lenet", *scaled, says="--checkpoint is required")
        nan = self.npy("nan.npy", "<f4", (1, 3), floats([float("nan")] * 3))
        self.fails(1, *line[:3], "--data", nan, *scaled, "--output", "maps.json", says="no finite number")
        self.assertFalse((self.dir / "maps.json").exists())


class OthersModels(Case):
    def setUp(self):
        super().setUp()
        if not ((SHARED / "data/onnx_models").is_dir() and (SHARED / "data/cifar10").is_dir()):
            self.skipTest("no models and images of others")

    def test_a_network_of_others_keeps_its_accuracy_at_8_bits(self):
        net = SHARED / "data/onnx_models/resnet20_legacy/model.onnx"
        shown = ["--data", SHARED / "data/cifar10/cifar10_train_first1000_calib.bin", "--limit", "200"]
        test = ["--data", SHARED / "data/cifar10/cifar10_test_first1000.bin", *IMAGENET, "--threads", "1"]
        rules = {"weights": {"": "int,8,per=channel,scale=max"}, "extrinsic": {"Relu": "int,8,unsigned,scale=max", "": "int,8,scale=max"}}
        (self.dir / "rules.json").write_text(json.dumps(rules))
        for method in ("minmax", "percentile=99.99", "mse", "entropy"):
            self.good("calibrate", "--model", net, *shown, *IMAGENET, "--maps", "rules.json", "--method", method, "--output", "maps.json")
            metric = self.report("--model", net, *test, "--maps", "maps.json", "--strict")["metric"]
            self.assertEqual(metric["float"], 0.915)
            self.assertGreater(metric["value"], 0.905, method)


if __name__ == "__main__":
    test_onnx_data.PROGRAM = str(pathlib.Path(sys.argv.pop(1)).resolve())
    if len(sys.argv) > 1 and pathlib.Path(sys.argv[1]).is_dir():
        SHARED = pathlib.Path(sys.argv.pop(1)).resolve()
    unittest.main()
