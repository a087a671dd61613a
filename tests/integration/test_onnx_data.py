#!/usr/bin/env python3
"""What ONNX files are run on and trained with on the command line. Needs Python's standard library alone.

Usage: test_onnx_data.py PROGRAM [FOLDER]

FOLDER holds data/mnist and data/mnist_cnn_onnx, of other authors; what needs them is skipped without.
"""

import hashlib
import json
import pathlib
import random
import re
import shlex
import shutil
import struct
import subprocess
import sys
import tempfile
import unittest
import zipfile

from array_files import read_npy, write_npy
from onnx_files import block, model, node, number, tensor, value

PROGRAM = None
SHARED = pathlib.Path("missing")
ROOT = pathlib.Path(__file__).resolve().parents[2]
INT64 = 7
CLASSES, SIDE = 4, 6


def floats(values):
    return struct.pack(f"<{len(values)}f", *values)


class Case(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.dir = pathlib.Path(folder.name)

    def write(self, data, name="net.onnx"):
        path = self.dir / name
        path.write_bytes(data)
        return path

    def npy(self, name, descr, shape, data):
        write_npy(self.dir / name, descr, shape, data)
        return self.dir / name

    def run_program(self, *arguments):
        return subprocess.run([PROGRAM, *map(str, arguments)], cwd=self.dir, capture_output=True, text=True, check=False)

    def good(self, *arguments, notes=0):
        done = self.run_program(*arguments)
        self.assertEqual((done.returncode, done.stderr.count("\n")), (0, notes), (arguments, done.stderr))
        return done.stdout

    def report(self, *arguments, notes=0):
        return json.loads(self.good("evaluate", "--json", *arguments, notes=notes))

    def fails(self, code, *arguments, says):
        done = self.run_program(*arguments)
        self.assertEqual((done.returncode, done.stdout), (code, ""), done.stderr)
        self.assertEqual(done.stderr.count("\n"), 1, done.stderr)
        self.assertIn(says, done.stderr)

    # y = relu(x), of rows of three.
    def relu(self, rows=("n", 3)):
        return self.write(model([node("Relu", ["x"], ["y"], "relu")], [], [value("x", list(rows))], [value("y", list(rows))]))

    def saved(self, index=0):
        return read_npy(self.dir / "out" / f"output_{index}.npy")


class OnnxData(Case):
    def test_classes_are_counted_and_compared_with_float(self):
        # Rows whose largest number stands at 0, 2, 1, 1; zero,8,0 leaves only the second as it is.
        x = self.npy("x.npy", "<f4", (4, 3), floats([0.9, 0.2, 0.1, 0, 1, 2, 0.1, 0.3, 0.2, -1, 0.7, 0.6]))
        labels = self.npy("y.npy", "<i8", (4,), struct.pack("<4q", 0, 2, 1, 2))
        net = self.relu()
        told = self.report("--model", net, "--data", x, "--labels", labels)
        self.assertEqual(told["metric"], {"name": "top1", "value": 0.75, "float": 0.75})
        self.assertEqual((told["samples"], told["outputs"][0]["agreement"]), (4, 1.0))
        self.assertEqual(told["sha256"], hashlib.sha256(net.read_bytes()).hexdigest())
        self.assertEqual((told["operator_sets"], told["producer"]), ({"ai.onnx": 17}, ""))
        told = self.report("--model", net, "--data", x, "--labels", labels, "--extrinsic", '{"relu": "zero,8,0"}')
        self.assertEqual(told["metric"], {"name": "top1", "value": 0.5, "float": 0.75})
        self.assertEqual(told["outputs"][0]["agreement"], 0.5)
        self.assertEqual(self.report("--model", net, "--data", x)["metric"], None)
        told = self.report("--model", net, "--data", x, "--labels", labels, "--metric", "top5")
        self.assertEqual(told["metric"]["value"], 1.0)
        self.fails(2, "evaluate", "--model", net, "--data", x, "--metric", "top1", says="'top1' needs labels")
        few = self.npy("few.npy", "<i8", (3,), struct.pack("<3q", 0, 1, 2))
        self.fails(1, "evaluate", "--model", net, "--data", x, "--labels", few, says="few.npy: labels of shape [3] for 4 samples")

    def test_numbers_as_labels_give_the_mean_square_error(self):
        x = self.npy("x.npy", "<f4", (2, 3), floats([1, 2, 3, 4, 5, 6]))
        labels = self.npy("y.npy", "<f4", (2, 3), floats([1, 2, 3, 4, 5, 9]))
        self.assertEqual(self.report("--model", self.relu(), "--data", x, "--labels", labels)["metric"], {"name": "mse", "value": 1.5, "float": 1.5})

    def test_an_archive_holds_the_inputs_by_their_names_and_the_labels(self):
        net = self.write(model([node("Add", ["a", "b"], ["y"], "add")], [], [value("a", ["n", 2]), value("b", ["n", 2])], [value("y", ["n", 2])]))
        with zipfile.ZipFile(self.dir / "x.npz", "w") as archive:
            for name, descr, shape, data in [
                ("b", "<f4", (2, 2), floats([10, 20, 30, 40])),
                ("a", "<f4", (2, 2), floats([1, 2, 4, 3])),
                ("labels", "<i8", (2,), struct.pack("<2q", 1, 0)),
            ]:
                archive.write(self.npy("part.npy", descr, shape, data), name + ".npy")
        told = self.report("--model", net, "--data", self.dir / "x.npz", "--save-outputs", "out")
        self.assertEqual(told["metric"]["value"], 0.5)
        self.assertEqual(self.saved()[2], [11.0, 22.0, 34.0, 43.0])
        self.report("--model", net, "--input", "a=x.npz:a", "--input", "b=x.npz:b", "--save-outputs", "out")
        self.assertEqual(self.saved()[2], [11.0, 22.0, 34.0, 43.0])
        self.fails(2, "evaluate", "--model", net, "--data", self.dir / "part.npy", says="is for one input, but the model has 'a', 'b'")

    def test_batches_give_what_one_run_gives(self):
        values = [random.Random(1).gauss(0, 1) for _ in range(30)]
        x = self.npy("x.npy", "<f4", (10, 3), floats(values))
        at_once = self.report("--model", self.relu(), "--data", x, "--save-outputs", "out")
        first = self.saved()
        self.assertEqual(first[2], [max(v, 0.0) for v in struct.unpack("<30f", floats(values))])
        in_parts = self.report("--model", self.relu(), "--data", x, "--save-outputs", "out", "--batch-size", "3")
        self.assertEqual((in_parts["batch_size"], self.saved()), (3, first))
        self.assertEqual(in_parts["outputs"][0]["largest_difference"], at_once["outputs"][0]["largest_difference"])
        self.report("--model", self.relu(), "--data", x, "--save-outputs", "out", "--limit", "4")
        self.assertEqual(self.saved()[0], (4, 3))

    def test_a_fixed_batch_runs_as_often_as_it_must_with_a_note(self):
        x = self.npy("x.npy", "<f4", (4, 3), floats(range(12)))
        net = self.relu(rows=(1, 3))
        self.report("--model", net, "--data", x, "--save-outputs", "out", notes=1)
        self.assertEqual(self.saved(), ((4, 3), "<f4", [float(v) for v in range(12)]))
        self.assertIn("note: the model takes batches of 1: it runs 4 times", self.run_program("evaluate", "--model", net, "--data", x).stderr)
        net = self.relu(rows=(3, 3))
        self.fails(1, "evaluate", "--model", net, "--data", x, says="batches of 3, and 4 samples are no multiple")

    def test_random_numbers_come_from_the_declared_types_and_sizes_and_the_seed(self):
        nodes = [node("Relu", ["x"], ["y"], "relu"), node("Identity", ["ids"], ["z"], "id")]
        inputs = [value("x", ["batch", "length"]), value("ids", ["batch", 2], INT64)]
        net = self.write(model(nodes, [], inputs, [value("y", ["batch", "length"]), value("z", ["batch", 2], INT64)]))
        arguments = ["--model", net, "--random", "4", "--save-outputs", "out"]
        self.fails(2, "evaluate", *arguments, says="has a size 'length': give it, as --dim length=8")
        self.fails(2, "evaluate", *arguments, "--dim", "width=2", says="the model's inputs have no size 'width'")
        self.fails(2, "evaluate", *arguments, "--dim", "length", says="expected NAME=SIZE")
        self.report(*arguments, "--dim", "length=5")
        one, ids = self.saved(), self.saved(1)
        self.assertEqual((one[0], ids[0]), ((4, 5), (4, 2)))
        self.assertLessEqual(set(ids[2]), {0, 1})
        self.report(*arguments, "--dim", "length=5")
        self.assertEqual(self.saved(), one)
        self.report(*arguments, "--dim", "length=5", "--seed", "1")
        self.assertNotEqual(self.saved(), one)

    def test_folders_of_test_data_are_run_and_compared(self):
        net = self.relu()
        for number_of_set, (given, wanted) in enumerate([([-1, 2, 3], [0, 2, 3]), ([1, -2, 3, 4, 5, 6], [1, 0, 3, 4, 5, 7])]):
            folder = self.dir / "tests" / f"test_data_set_{number_of_set}"
            folder.mkdir(parents=True)
            shape = [len(given) // 3, 3]
            (folder / "input_0.pb").write_bytes(tensor("x", shape, given))
            (folder / "output_0.pb").write_bytes(tensor("y", shape, wanted))
        told = self.report("--model", net, "--data", "tests")
        self.assertEqual(told["stored"][0]["largest_difference"], 1.0)
        self.assertEqual(told["outputs"][0]["largest_difference"], 0.0)
        self.assertEqual(told["samples"], 2)
        (self.dir / "tests" / "test_data_set_1" / "input_0.pb").unlink()
        self.fails(1, "evaluate", "--model", net, "--data", "tests", says="holds 0 inputs, but the model has 1")

    def test_pixels_become_what_the_model_takes(self):
        # One image of 1 x 2 pixels and 3 channels; in the file the channels are last.
        pixels = self.npy("x.npy", "|u1", (1, 1, 2, 3), bytes([0, 51, 255, 102, 204, 153]))
        net = self.write(model([node("Neg", ["x"], ["y"])], [], [value("x", ["n", 3, 1, 2])], [value("y", ["n", 3, 1, 2])]))
        self.report("--model", net, "--data", pixels, "--layout", "nhwc", "--save-outputs", "out")
        single = lambda x: struct.unpack("<f", struct.pack("<f", x))[0]
        self.assertEqual(self.saved()[2], [-single(p / 255) for p in (0, 102, 51, 204, 255, 153)])
        arguments = ["--layout", "nhwc", "--scale", "0.5", "--mean", "1", "2", "3", "--deviation", "2", "--save-outputs", "out"]
        self.report("--model", net, "--data", pixels, *arguments)
        self.assertEqual(self.saved()[2], [-(p / 2 - m) / 2 for p, m in ((0, 1), (102, 1), (51, 2), (204, 2), (255, 3), (153, 3))])
        self.fails(2, "evaluate", "--model", net, "--data", pixels, "--layout", "nhwc", "--mean", "1", "2", says="2 numbers for the 3 channels of input 'x'")
        self.fails(1, "evaluate", "--model", net, "--data", pixels, says="input 'x': expected the shape [n, 3, 1, 2], found [1, 1, 2, 3]")

    def test_traces_ranges_and_layers_are_those_of_other_models(self):
        x = self.npy("x.npy", "<f4", (2, 3), floats([0.3, 1.3, 9, 0, 1, 0.7]))
        net = self.relu()
        self.good("evaluate", "--model", net, "--data", x, "--trace", "a")
        told = self.report("--model", net, "--data", x, "--trace", "b", "--layers", "--ranges", "--extrinsic", '{"op:Relu": "zero,4,0"}')
        (layer,) = told["differences"]
        self.assertEqual((layer["layer"], layer["differing"], layer["largest_error"]), ("relu", 4, 2.0))
        self.assertEqual((told["places"][0]["layer"], told["places"][0]["saturated"]), ("relu", 1))
        compared = json.loads(self.good("compare", "a", "b", "--json"))
        self.assertEqual(compared["layers"], told["differences"])
        suggested = json.loads(self.good("explain", "--model", net, "--suggest", "8", "--data", x))
        self.assertEqual(suggested["extrinsic"], {"=relu": "nearest,8,3"})  # up to 9

    def test_explain_knows_types_inputs_and_the_names_of_nodes(self):
        nodes = [node("Reshape", ["x", "shape"], ["flat"], "/block/Reshape"), node("Relu", ["flat"], ["y"], "/block/Relu")]
        shape = number(1, 2) + number(2, INT64) + block(8, "shape") + block(9, struct.pack("<2q", -1, 2))
        net = self.write(model(nodes, [shape], [value("x", ["n", 2])], [value("y", ["n", 2])]))

        def layers(*arguments):
            return [(row["layer"], row["output"]) for row in json.loads(self.good("explain", "--model", net, "--json", *arguments))["layers"]]

        self.assertEqual(layers(), [("input:x", "x"), ("block.Reshape", "flat"), ("block.Relu", "y")])
        self.assertEqual([name for name, _ in layers("--names", "node")], ["input:x", "/block/Reshape", "/block/Relu"])
        self.assertEqual([name for name, _ in layers("--names", "output")], ["input:x", "flat", "y"])
        self.assertEqual(layers("--extrinsic", '{"op:Relu": "fp16"}'), [("block.Relu", "fp16")])
        self.assertEqual(layers("--extrinsic", '{"input": "fp16", "=block.Reshape": "bf16"}'), [("input:x", "fp16"), ("block.Reshape", "bf16"), ("block.Relu", None)])
        done = self.run_program("explain", "--model", net, "--extrinsic", '{"op:relu": "fp16"}')
        self.assertIn("key 'op:relu' hits no layer; the types are 'Relu', 'Reshape'", done.stderr)
        self.assertEqual(self.report("--model", net, "--random", "2", "--names", "output", "--extrinsic", '{"=y": "fp16"}')["layers"][0]["layer"], "y")

    def test_options_of_other_models_are_errors(self):
        self.fails(2, "evaluate", "--model", "lenet", "--random", "2", says="--random: is for ONNX files")
        self.fails(2, "evaluate", "--model", self.relu(), "--data", "x.npy", "--random", "2", says="exclude each other")
        self.fails(2, "train", "--model", self.relu(), "--data", "x.npy", "--checkpoint", "out.safetensors", says="the result is an ONNX file")
        x = self.npy("x.npy", "<f4", (2, 3), floats(range(6)))
        self.fails(1, "train", "--model", self.relu(), "--data", x, "--checkpoint", "out.onnx", says="needs the class of each sample")
        self.assertFalse((self.dir / "out.onnx").exists())

    # The class of a noisy image is its bright row.
    def images(self, count, seed):
        drawn = random.Random(seed)
        labels = [drawn.randrange(CLASSES) for _ in range(count)]
        pixels = [drawn.gauss(0, 1) + (1.2 if i // SIDE == label else 0) for label in labels for i in range(CLASSES * SIDE)]
        return (self.npy(f"x{seed}.npy", "<f4", (count, 1, CLASSES, SIDE), floats(pixels)), self.npy(f"y{seed}.npy", "<i8", (count,), struct.pack(f"<{count}q", *labels)))

    def test_training_writes_a_file_that_gives_the_same_accuracy(self):
        drawn = random.Random(3)
        weights = {"conv": [4, 1, 1, 3], "w": [4 * CLASSES * 4, CLASSES], "b": [CLASSES]}
        tensors = []
        for name, dims in weights.items():
            size = 1
            for d in dims:
                size *= d
            tensors.append(tensor(name, dims, [drawn.gauss(0, 0.3) for _ in range(size)]))
        nodes = [
            node("Conv", ["x", "conv"], ["a"], "conv"),
            node("Relu", ["a"], ["r"], "relu"),
            node("Flatten", ["r"], ["f"], "flatten"),
            node("MatMul", ["f", "w"], ["m"], "fc"),
            node("Add", ["m", "b"], ["y"], "sum"),
        ]
        net = self.write(model(nodes, tensors, [value("x", ["n", 1, CLASSES, SIDE])], [value("y", ["n", CLASSES])]))
        x, y = self.images(600, 1)
        test = ["--data", str(self.images(300, 2)[0]), "--labels", str(self.dir / "y2.npy")]
        data = ["--data", x, "--labels", y]
        settings = ["--epochs", "8", "--batch-size", "20", "--learning-rate", "0.02", "--threads", "1"]

        self.good("train", "--model", net, *data, "--checkpoint", "float.onnx", *settings)
        in_float = self.report("--model", "float.onnx", *test)["metric"]["value"]
        self.assertGreater(in_float, 0.8)
        maps = ["--weights", "nearest,2,0"]
        lost = self.report("--model", "float.onnx", *test, *maps)["metric"]["value"]
        self.assertLess(lost, in_float - 0.1)
        told = json.loads(self.good("train", "--json", "--model", "float.onnx", *data, *maps, "--checkpoint", "tuned.onnx", *settings))
        regained = self.report("--model", "tuned.onnx", *test, *maps)["metric"]["value"]
        self.assertGreater(regained, lost + 0.1)
        # What training saw of its last weights is what the written file gives.
        again = self.report("--model", "tuned.onnx", *data, *maps)["metric"]["value"]
        self.assertAlmostEqual(told["results"][-1]["training_accuracy"], again, delta=0.05)
        self.assertEqual(len((self.dir / "tuned.onnx").read_bytes()), len((self.dir / "float.onnx").read_bytes()))

        # The same bits when it is cut off and goes on.
        whole = (self.dir / "tuned.onnx").read_bytes()
        self.good("train", "--model", "float.onnx", *data, *maps, "--checkpoint", "part.onnx", *settings[2:], "--epochs", "8")
        self.assertEqual((self.dir / "part.onnx").read_bytes(), whole)
        self.fails(1, "train", "--model", "float.onnx", "--data", test[1], "--labels", test[3], *maps, "--checkpoint", "part.onnx", "--resume", says="is not the data of the run to resume")


class OthersModels(Case):
    def setUp(self):
        super().setUp()
        if not (SHARED / "data/mnist_cnn_onnx").is_dir():
            self.skipTest("no models and data of others")

    def test_the_commands_of_the_readme_run(self):
        (page,) = re.findall(r"```text\n((?:tensorquant .*\n(?: .*\n)*)+)```", (ROOT / "README.md").read_text(encoding="utf-8"))
        shutil.copy(SHARED / "data/mnist_cnn_onnx/opt-mnist.onnx", self.dir / "net.onnx")
        (self.dir / "images").symlink_to(SHARED / "data/mnist")
        commands = [shlex.split(line, comments=True)[1:] for line in page.replace("\\\n", " ").splitlines()]
        self.assertEqual({command[0] for command in commands}, {"explain", "evaluate", "search", "train"})
        told = []
        for command in commands:
            has_limit = command[0] == "search" or "--limit" in command
            few = ["--limit", "600"] if "--data" in command and not has_limit else []
            quick = ["--json"] if command[0] == "evaluate" else []
            quick += ["--threads", "1"] if "--data" in command else []
            told.append(self.run_program(*command, *few, *quick))
            self.assertEqual(told[-1].returncode, 0, (command, told[-1].stderr))
        shares = [json.loads(one.stdout)["metric"]["value"] for command, one in zip(commands, told) if command[0] == "evaluate"]
        self.assertEqual(len(shares), 4)  # in float, at 8 bits, at 4 bits before and after training
        self.assertGreater(shares[1], shares[0] - 0.01)
        self.assertGreater(shares[3], shares[2] + 0.02)

    def test_a_network_of_others_has_the_accuracy_that_its_authors_tell(self):
        told = self.report("--model", SHARED / "data/mnist_cnn_onnx/opt-mnist.onnx", "--data", SHARED / "data/mnist", "--threads", "1", notes=1)
        self.assertEqual(told["metric"]["value"], 0.9890)  # of numpy, pixel/255


if __name__ == "__main__":
    PROGRAM = str(pathlib.Path(sys.argv.pop(1)).resolve())
    if len(sys.argv) > 1 and pathlib.Path(sys.argv[1]).is_dir():
        SHARED = pathlib.Path(sys.argv.pop(1)).resolve()
    unittest.main()
