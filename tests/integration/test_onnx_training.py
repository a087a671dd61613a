#!/usr/bin/env python3
"""An ONNX file that loses accuracy at 4 bits, and learns it again. Needs Python's standard library alone, and Fashion-MNIST.

Usage: test_onnx_training.py PROGRAM
"""

import json
import math
import pathlib
import random
import subprocess
import sys
import tempfile
import unittest

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


if __name__ == "__main__":
    PROGRAM = sys.argv.pop(1)
    unittest.main()
