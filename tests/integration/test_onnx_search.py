#!/usr/bin/env python3
"""cost, sensitivity, search, sweep, results and report on ONNX files. Needs Python's standard library alone.

Usage: test_onnx_search.py PROGRAM SHARED

What needs the developers' models is skipped without.
"""

import json
import pathlib
import random
import struct
import subprocess
import sys
import tempfile
import unittest

from array_files import write_npy
from image_files import write_images
from onnx_files import integer, model, node, tensor, value
from test_onnx_training import lenet

PROGRAM = None
SHARED = None

# By hand: outputs times products of each, of a LeNet's two convolutions and two products.
MACS = {"conv1": 8 * 24 * 24 * 25, "conv2": 16 * 8 * 8 * 200, "fc1": 64 * 256, "fc2": 10 * 64}


def perceptron(last=None, width=8):
    """Two products, of eight numbers to five classes, and a ReLU; perhaps an operator behind them."""
    rng = random.Random(2)

    def matrix(name, rows, columns):
        return tensor(name, [rows, columns], [rng.gauss(0, 1) for _ in range(rows * columns)])

    nodes = [
        node("MatMul", ["x", "a.weight"], ["a"], "/a/MatMul"),
        node("Relu", ["a"], ["b"], "/relu/Relu"),
        node("MatMul", ["b", "c.weight"], ["c"], "/c/MatMul"),
    ]
    if last is not None:
        nodes.append(node(last, ["c"], ["y"], f"/{last}"))
    output = "c" if last is None else "y"
    tensors = [matrix("a.weight", 8, 16), matrix("c.weight", 16, 5)]
    return model(nodes, tensors, [value("x", ["n", width])], [value(output, ["n", 5])])


class Case(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.dir = pathlib.Path(folder.name)

    def run_program(self, *words):
        words = [str(word) for word in words]
        return subprocess.run([PROGRAM, *words], cwd=self.dir, capture_output=True, text=True, check=False)

    def report(self, *words):
        run = self.run_program(*words, "--json")
        self.assertEqual(run.returncode, 0, run.stderr)
        return json.loads(run.stdout)

    def error(self, *words):
        run = self.run_program(*words)
        self.assertNotEqual(run.returncode, 0, run.stdout)
        lines = [line for line in run.stderr.splitlines() if "tensorquant: note:" not in line]
        self.assertEqual(len(lines), 1, run.stderr)
        return lines[0]


class Images(Case):
    def setUp(self):
        super().setUp()
        (self.dir / "net.onnx").write_bytes(lenet())
        write_images(self.dir, "train", 60)
        write_images(self.dir, "t10k", 40)

    def test_costs_are_those_by_hand(self):
        (self.dir / "maps.json").write_text(
            json.dumps(
                {
                    "weights": {"": "nearest,4,2"},
                    "extrinsic": {"input": "nearest,8,8,unsigned", "relu": "nearest,6,3"},
                }
            )
        )
        told = self.report("cost", "--model", "net.onnx", "--maps", "maps.json")
        layers = {one["layer"]: one for one in told["layers"]}
        self.assertEqual({name: layers[name]["macs"] for name in MACS}, MACS)
        self.assertEqual(sum(one["macs"] for one in told["layers"]), sum(MACS.values()))
        inputs = {"conv1": 8, "conv2": 6, "fc1": 6, "fc2": 6}  # pools hand formats on
        self.assertEqual({name: layers[name]["input_bits"] for name in MACS}, inputs)
        self.assertEqual(told["cost"]["bops"], sum(MACS[name] * 4 * bits for name, bits in inputs.items()))
        weights = 8 * 25 + 16 * 200 + 64 * 256 + 640
        self.assertEqual(told["cost"]["bits"], 4 * (weights + 8 + 16 + 64 + 10))
        self.assertIsNotNone(told["cost"]["ebops"])  # the file has its weights

    def search(self, store, *more):
        return self.report(
            *["search", "--model", "net.onnx", "--store", store, "--score-data", ".", "--images", 20],
            *["--widths", "8,4,2", "--refine", 1, "--threads", 1, "--data", ".", *more],
        )

    def test_a_search_goes_on_where_it_was_and_ends_in_maps_for_the_file(self):
        first = self.search("runs", "--budget", "0.3", "--output", "best.json")
        self.assertLess(first["found"]["cost"]["bops"], 0.3 * first["widest"] + 1)
        self.assertGreater(first["evaluations"], 20)
        # Each thing that was evaluated is in the store, whoever looks for it.
        again = self.search("runs", "--budget", "0.3")
        self.assertEqual(again["evaluations"], 0)
        self.assertEqual(again["found"], first["found"])
        with_jobs = self.search("other", "--budget", "0.3", "--jobs", "2")
        self.assertEqual(with_jobs["found"], first["found"])

        found = self.report(
            *["evaluate", "--model", "net.onnx", "--data", ".", "--threads", 1, "--maps", "best.json"]
        )
        self.assertEqual(found["samples"], 40)
        self.assertAlmostEqual(found["metric"]["value"], first["found"]["test"]["accuracy"], places=12)
        loss = found["metric"]["float"] - found["metric"]["value"]
        self.assertAlmostEqual(loss, first["found"]["test"]["loss"], places=12)

        listed = self.report("results", "--store", "runs", "--checkpoint", "net.onnx", "--front", "bops")
        self.assertTrue(listed["results"])
        self.assertTrue(all(one["bops"] > 0 for one in listed["results"]))
        self.assertIn("must be that file", self.error("results", "--store", "runs", "--front", "bops"))
        reported = self.report(
            *["report", "--store", "runs", "--output", "report.html", "--tables", "--images", 20],
            *["--checkpoint", "net.onnx", "--data", "."],
        )
        self.assertEqual(reported["places"], len(first["found"]["maps"]["weights"]) * 2 - 1)
        self.assertIn("conv2", (self.dir / "report.html").read_text(encoding="utf-8"))

    def test_a_store_is_of_one_file(self):
        self.search("runs", "--budget", "0.5")
        (self.dir / "net.onnx").write_bytes(perceptron())
        self.assertIn(
            "not the store's", self.error("results", "--store", "runs", "--checkpoint", "net.onnx")
        )

    def test_accumulators_are_chosen_too(self):
        found = self.search(
            *["runs", "--budget", "0.5", "--accumulators", "--places", "weights,outputs,input"]
        )
        accumulators = {one["layer"]: one for one in found["accumulators"]}
        self.assertEqual(set(accumulators), set(MACS))
        for one in accumulators.values():
            self.assertLessEqual(one["seen"], one["worst_case"])


class Arrays(Case):
    """Data without labels, or with them in an .npz file."""

    def setUp(self):
        super().setUp()
        (self.dir / "net.onnx").write_bytes(perceptron())
        rng = random.Random(3)
        numbers = [rng.gauss(0, 1) for _ in range(80 * 8)]
        write_npy(self.dir / "x.npy", "<f4", (80, 8), struct.pack("<640f", *numbers))

    def sensitivity(self, *more):
        return self.report(
            *["sensitivity", "--score-data", "x.npy", "--images", 50, "--threads", 1],
            *["--widths", "8,3", *more],
        )

    def test_without_labels_the_float_model_is_right(self):
        run = self.run_program(
            *["sensitivity", "--model", "net.onnx", "--store", "runs", "--score-data", "x.npy"],
            *["--widths", "3", "--images", 50, "--json"],
        )
        self.assertIn("no labels", run.stderr)
        for place in json.loads(run.stdout)["places"]:
            for choice in place["choices"]:
                self.assertAlmostEqual(choice["loss"] * 50, choice["flips"])

    def test_probabilities_score_as_their_logits(self):
        (self.dir / "p.onnx").write_bytes(perceptron("Softmax"))
        logits = self.sensitivity("--model", "net.onnx", "--store", "a")
        probabilities = self.sensitivity("--model", "p.onnx", "--store", "b")
        self.assertEqual([p["place"] for p in logits["places"]], ["weight:a", "output:relu.Relu", "weight:c"])
        for one, other in zip(logits["places"], probabilities["places"], strict=True):
            for a, b in zip(one["choices"], other["choices"], strict=True):
                self.assertEqual(a["quantizer"], b["quantizer"])
                self.assertEqual(a["flips"], b["flips"])
                self.assertAlmostEqual(a["kl"], b["kl"], delta=1e-5 + 1e-4 * a["kl"])

    def test_evaluators_answer_for_files(self):
        request = {
            "model": "net.onnx",
            "data": {"path": "x.npy"},
            "maps": {"weights": "nearest,3,1"},
        }
        run = subprocess.run(
            [PROGRAM, "evaluate", "--requests", "--threads", "1"],
            input=json.dumps(request) + "\n" + json.dumps({**request, "model": "no.onnx"}) + "\n",
            cwd=self.dir,
            capture_output=True,
            text=True,
            check=False,
        )
        good, bad = map(json.loads, run.stdout.splitlines())
        self.assertEqual(good["images"], 80)
        self.assertEqual(good["correct"], 80 - good["flips"])
        self.assertGreater(good["flips"], 0)
        self.assertIn("no.onnx", bad["error"])
        self.assertFalse(bad["has_subject"])

    def test_what_cannot_be_is_said_before_the_work(self):
        common = ["--store", "runs", "--score-data", "x.npy"]
        files = ["--model", "net.onnx"]
        self.assertIn("--checkpoint", self.error("sensitivity", *files, *common, "--checkpoint", "x"))
        self.assertIn("fisher", self.error("sensitivity", *files, *common, "--metric", "fisher"))
        self.assertIn("--score-data", self.error("sensitivity", *files, "--store", "runs"))
        self.assertIn("--checkpoint", self.error("sensitivity", "--model", "lenet5", *common))
        self.assertIn("--dim", self.error("cost", "--model", "lenet5", "--dim", "n=3"))
        all_of_them = ["--images", 80, "--data", "x.npy", "--margin", 1]
        self.assertIn("behind the 80 first", self.error("search", *files, *common, *all_of_them))

    def test_an_output_that_is_no_row_a_sample_is_refused(self):
        flat = node("Flatten", ["x"], ["y"], "/flat", attributes=[integer("axis", 0)])
        (self.dir / "flat.onnx").write_bytes(
            model([flat], [], [value("x", ["n", 8])], [value("y", [1, "m"])])
        )
        said = self.error(
            *["sensitivity", "--model", "flat.onnx", "--store", "runs", "--score-data", "x.npy"],
            *["--places", "input"],
        )
        self.assertIn("first output", said)

    def test_sizes_that_the_file_leaves_open_are_those_of_the_data(self):
        (self.dir / "open.onnx").write_bytes(perceptron(width="w"))
        known = self.sensitivity("--model", "net.onnx", "--store", "a")
        self.assertEqual(self.sensitivity("--model", "open.onnx", "--store", "b")["places"], known["places"])
        costs = [
            self.report("cost", "--model", name, *more)["layers"]
            for name, more in [("net.onnx", []), ("open.onnx", ["--data", "x.npy"])]
        ]
        self.assertEqual(costs[1], costs[0])
        listing = ["results", "--store", "b", "--checkpoint", "open.onnx", "--front", "bops"]
        self.assertIn("--dim w=", self.error(*listing))
        self.assertTrue(self.report(*listing, "--data", "x.npy")["results"])

    def test_sizes_that_the_file_does_not_tell_are_asked_for(self):
        sum_of_rows = node("ReduceSum", ["x"], ["y"], "/sum", attributes=[integer("keepdims", 1)])
        (self.dir / "open.onnx").write_bytes(
            model([sum_of_rows], [], [value("x", ["n", "width"])], [value("y", [1, 1])])
        )
        self.assertIn("--dim width=", self.error("cost", "--model", "open.onnx"))
        told = self.report("cost", "--model", "open.onnx", "--dim", "width=6")
        self.assertEqual(told["layers"][0]["outputs"], 6)


class ResNet20(Case):
    def setUp(self):
        super().setUp()
        self.file = SHARED / "data/onnx_models/resnet20_legacy_bn/model.onnx"
        self.weights = SHARED / "data/cifar10_resnet20_32/resnet20.safetensors"
        self.images = SHARED / "data/cifar10/cifar10_train_first1000_calib.bin"
        if not self.file.exists():
            self.skipTest(f"the developers' models are missing: {self.file}")

    def models(self):
        network = ["--model", "resnet20", "--checkpoint", self.weights]
        transforms = ["--mean", 0.485, 0.456, 0.406, "--deviation", 0.229, 0.224, 0.225]
        return network, ["--model", self.file], transforms

    def test_costs_as_the_network_that_comes_with_the_program(self):
        network, file, _ = self.models()
        (self.dir / "maps.json").write_text(json.dumps({"weights": {"conv": "nearest,5,4", "linear": "nearest,5,4"}}))
        ours, theirs = (self.report("cost", *which, "--maps", "maps.json") for which in (network, file))

        def counted(told):
            names = ["macs", "terms", "bops", "ebops", "weight_bits"]
            return [
                [*(one[name] for name in names), one["accumulator"]["worst_case"]]
                for one in told["layers"]
                if one["macs"]
            ]

        self.assertEqual(counted(theirs), counted(ours))
        self.assertEqual(sum(one["macs"] for one in theirs["layers"]), 40_551_040)

    def test_is_as_sensitive_as_the_network_that_comes_with_the_program(self):
        network, file, transforms = self.models()
        common = ["--score-data", self.images, "--images", 32, "--widths", "4", "--places", "weights"]
        ours = self.report("sensitivity", *network, "--store", "ours", *common)
        theirs = self.report("sensitivity", *file, *transforms, "--store", "theirs", *common)
        # Images lie in memory in another order there, so that convolutions add up in another one.
        self.assertEqual(len(theirs["places"]), 20)
        for one, other in zip(theirs["places"], ours["places"], strict=True):
            self.assertEqual(one["place"], other["place"])
            for a, b in zip(one["choices"], other["choices"], strict=True):
                kl, error = a.pop("kl"), a.pop("logit_error")
                self.assertAlmostEqual(kl, b.pop("kl"), delta=1e-6 + 1e-4 * kl)
                self.assertAlmostEqual(error, b.pop("logit_error"), delta=1e-6 + 1e-4 * error)
                self.assertEqual(a, b)


if __name__ == "__main__":
    PROGRAM = str(pathlib.Path(sys.argv[1]).resolve())
    SHARED = pathlib.Path(sys.argv[2]).resolve()
    unittest.main(argv=sys.argv[:1])
