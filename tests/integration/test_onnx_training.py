#!/usr/bin/env python3
"""An ONNX file that loses accuracy at 4 bits, and learns it again; runs that are interrupted. Needs Python's standard library alone.

Usage: test_onnx_training.py PROGRAM

What needs Fashion-MNIST is skipped without.
"""

import json
import math
import pathlib
import random
import signal
import struct
import subprocess
import sys
import tempfile
import time
import unittest

import test_onnx_data
from onnx_files import block, integer, model, node, number, tensor, value

PROGRAM = None
IMAGES = pathlib.Path("/usr/share/datasets/fashion-mnist")
FOUR_BITS = {"weights": {"": "nearest,4,2"}, "extrinsic": {"relu": "nearest,4,1"}}


def integers(name, values):
    """An attribute."""
    return block(1, name) + b"".join(number(8, one) for one in values) + number(20, 7)


def lenet():
    """With random weights: two convolutions with pools, two products."""
    rng = random.Random(1)
    tensors, nodes = [], []

    def layer(operator, name, x, dims, attributes=()):
        spread = math.sqrt(2 / math.prod(dims[1:]))
        tensors.append(
            tensor(f"{name}.weight", dims, [rng.gauss(0, spread) for _ in range(math.prod(dims))])
        )
        tensors.append(tensor(f"{name}.bias", dims[:1], [0] * dims[0]))
        inputs = [x, f"{name}.weight", f"{name}.bias"]
        nodes.append(node(operator, inputs, [name], f"/{name}/{operator}", attributes=attributes))

    def then(operator, name, x, attributes=()):
        nodes.append(node(operator, [x], [name], f"/{name}/{operator}", attributes=attributes))

    window = [integers("kernel_shape", [2, 2]), integers("strides", [2, 2])]
    layer("Conv", "conv1", "image", [8, 1, 5, 5])
    then("Relu", "relu1", "conv1")
    then("MaxPool", "pool1", "relu1", window)
    layer("Conv", "conv2", "pool1", [16, 8, 5, 5])
    then("Relu", "relu2", "conv2")
    then("MaxPool", "pool2", "relu2", window)
    then("Flatten", "flatten", "pool2")
    layer("Gemm", "fc1", "flatten", [64, 256], [integer("transB", 1)])
    then("Relu", "relu3", "fc1")
    layer("Gemm", "fc2", "relu3", [10, 64], [integer("transB", 1)])
    return model(nodes, tensors, [value("image", ["n", 1, 28, 28])], [value("fc2", ["n", 10])])


@unittest.skipUnless(IMAGES.is_dir(), "needs Fashion-MNIST: dataset-fashion-mnist")
class Training(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.dir = pathlib.Path(folder.name)
        (self.dir / "maps.json").write_text(json.dumps(FOUR_BITS))

    def good(self, command, name, *arguments):
        words = [
            PROGRAM,
            command,
            "--model",
            self.dir / name,
            "--data",
            IMAGES,
            "--threads",
            "1",
            "--json",
            *arguments,
        ]
        done = subprocess.run([*map(str, words)], capture_output=True, text=True, check=False)
        self.assertEqual((done.returncode, done.stderr), (0, ""), words)
        return json.loads(done.stdout)

    def train(self, name, made, *arguments):
        self.good(
            "train",
            name,
            "--checkpoint",
            self.dir / made,
            "--batch-size",
            32,
            "--limit",
            1600,
            *arguments,
        )

    def metric(self, name, *arguments):
        return self.good("evaluate", name, "--limit", 500, *arguments)["metric"]

    def test_a_file_learns_to_live_with_four_bits(self):
        maps = ["--maps", self.dir / "maps.json"]
        (self.dir / "random.onnx").write_bytes(lenet())
        self.train("random.onnx", "float.onnx", "--epochs", 2, "--learning-rate", 0.002)
        self.train("float.onnx", "tuned.onnx", "--epochs", 1, *maps)
        before, after = self.metric("float.onnx", *maps), self.metric("tuned.onnx", *maps)
        self.assertLess(before["value"], before["float"] - 0.1)
        self.assertGreater(after["value"], before["value"] + 0.1)


class InterruptedRuns(test_onnx_data.Case):
    """They go on to the bits of a run that was not interrupted, random rounding and all."""

    MAPS = {
        "weights": {"fc1": "even,6,4", "": "even,5,3"},
        "extrinsic": {"act": "stochastic,7,3", "input": "int,8,scale=max"},
    }
    SETTINGS = [
        "--epochs",
        "300",
        "--batch-size",
        "16",
        "--threads",
        "1",
        "--seed",
        "3",
        "--learning-rate",
        "0.01",
    ]

    def setUp(self):
        super().setUp()
        drawn = random.Random(1)

        def numbers(count):
            return [drawn.gauss(0, 0.5) for _ in range(count)]

        nodes = [
            node("Gemm", ["x", "fc1.weight", "fc1.bias"], ["a"], "first"),
            node("Relu", ["a"], ["b"], "act"),
            node("Gemm", ["b", "fc2.weight", "fc2.bias"], ["y"], "second"),
        ]
        sizes = {"fc1.weight": [4, 8], "fc1.bias": [8], "fc2.weight": [8, 3], "fc2.bias": [3]}
        tensors = [tensor(name, dims, numbers(math.prod(dims))) for name, dims in sizes.items()]
        self.net = self.write(model(nodes, tensors, [value("x", ["n", 4])], [value("y", ["n", 3])]))
        self.npy("x.npy", "|u1", (64, 4), bytes(drawn.randrange(256) for _ in range(256)))
        labels = struct.pack("<64q", *(drawn.randrange(3) for _ in range(64)))
        self.npy("labels.npy", "<i8", (64,), labels)

    def interrupted(self, *arguments):
        """The run has written part.onnx, and is not at its end."""
        run = subprocess.Popen(
            [PROGRAM, *map(str, arguments), "--checkpoint", "part.onnx"],
            cwd=self.dir,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        while not (self.dir / "part.onnx").exists() and run.poll() is None:
            time.sleep(0.002)
        run.send_signal(signal.SIGINT)
        self.assertRegex(
            run.communicate()[1], r"interrupted after \d+ of 1200 batches; part.onnx is complete"
        )
        self.assertEqual(run.returncode, 1)

    def bytes_of(self, name):
        return (self.dir / name).read_bytes()

    def test_of_a_file_that_keeps_its_maps(self):
        (self.dir / "maps.json").write_text(json.dumps(self.MAPS))
        self.good(
            "export",
            self.net,
            "kept.onnx",
            "--maps",
            "maps.json",
            "--maps-in-metadata",
            "--keep-weights",
            "--opaque",
        )
        command = [
            "train",
            "--model",
            "kept.onnx",
            "--data",
            "x.npy",
            "--labels",
            "labels.npy",
            *self.SETTINGS,
        ]
        self.good(*command, "--checkpoint", "whole.onnx", notes=1)
        self.interrupted(*command)
        self.assertNotEqual(self.bytes_of("part.onnx"), self.bytes_of("whole.onnx"))
        told = json.loads(self.good("train", "--checkpoint", "part.onnx", "--resume", "--json"))
        self.assertEqual(
            (told["steps"], told["maps"], told["labels"]), (1200, self.MAPS, "labels.npy")
        )
        self.assertEqual(self.bytes_of("part.onnx"), self.bytes_of("whole.onnx"))
        # The result keeps the maps, and is what training saw.
        data = ["--data", "x.npy", "--labels", "labels.npy"]
        kept = self.report("--model", "part.onnx", *data, "--seed", "3", notes=1)
        self.assertEqual(kept["maps"], self.MAPS)
        self.assertEqual(
            self.report("--model", "part.onnx", *data, "--maps", "maps.json", "--seed", "3")[
                "metric"
            ],
            kept["metric"],
        )

    def test_with_options_that_are_as_they_were(self):
        told = [
            "--input",
            "x=x.npy",
            "--labels",
            "labels.npy",
            "--names",
            "node",
            "--mean",
            "0.5",
            "--scale",
            "0.01",
        ]
        command = [
            "train",
            "--model",
            "net.onnx",
            *told,
            *self.SETTINGS,
            "--weights",
            '{"second": "nearest,6,4"}',
        ]
        self.good(*command, "--checkpoint", "whole.onnx")
        self.interrupted(*command)
        resume = ["train", "--checkpoint", "part.onnx", "--resume"]
        self.fails(2, *resume, "--names", "output", says='--names: the run to resume has "node"')
        self.fails(1, *resume, "--mean", "0.25", says="is not the data of the run to resume")
        self.fails(1, *resume, "--random", "64", says="is not the data of the run to resume")
        (self.dir / "x.npy").rename(self.dir / "moved.npy")
        self.good(*resume, "--data", "moved.npy")
        self.assertEqual(self.bytes_of("part.onnx"), self.bytes_of("whole.onnx"))


if __name__ == "__main__":
    PROGRAM = test_onnx_data.PROGRAM = str(pathlib.Path(sys.argv.pop(1)).resolve())
    unittest.main()
