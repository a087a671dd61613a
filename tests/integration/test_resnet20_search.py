#!/usr/bin/env python3
"""The whole search on a trained ResNet-20 and 1000 images: what it finds at the cost of 4 bits everywhere is better than 4 bits everywhere.

Usage: test_resnet20_search.py PROGRAM SHARED    (developers' data; left out without them)
"""

import json
import pathlib
import subprocess
import sys
import tempfile
import unittest

PROGRAM = SHARED = None


def bits_of(maps):
    """Of the fixed point in these maps, one of each."""
    rules = [rule["weight"] for rule in maps["weights"].values()] + list(maps["extrinsic"].values())
    return {int(rule.split(",")[1]) for rule in rules}


class ResNet20(unittest.TestCase):
    def setUp(self):
        network, images = SHARED / "data/cifar10_resnet20_32/resnet20.safetensors", SHARED / "data/cifar10"
        if not network.exists():
            self.skipTest(f"{network} is not there")
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.seen, self.unseen = images / "cifar10_train_first1000_calib.bin", images / "cifar10_test_first1000.bin"
        self.line = [PROGRAM, "search", "--model", "resnet20", "--checkpoint", network, "--store", folder.name, "--score-data", self.seen]
        self.line += ["--images", "256", "--data", self.unseen, "--threads", "1", "--refine", "0", "--json"]

    def search(self, *more):
        done = subprocess.run([*map(str, self.line), *map(str, more)], capture_output=True, text=True, check=False)
        self.assertEqual(done.returncode, 0, done.stderr)
        return json.loads(done.stdout), done.stderr

    def test_beats_four_bits_everywhere_and_says_which_images_are_too_few(self):
        report, warnings = self.search("--budget", "0.261", "--search-images", "256", "--search-data", self.seen)
        found, uniform = report["found"], report["uniform"]
        self.assertEqual(bits_of(uniform["maps"]), {4})
        self.assertGreater(len(bits_of(found["maps"])), 1)
        self.assertLessEqual(found["cost"]["bops"], uniform["cost"]["bops"])
        self.assertEqual((found["test"]["images"], uniform["test"]["images"]), (1000, 1000))
        self.assertGreaterEqual(found["test"]["accuracy"], uniform["test"]["accuracy"] + 0.05)
        self.assertNotIn("images tell a loss", warnings)

        report, warnings = self.search("--margin", "1", "--search-images", "500", "--search-data", self.unseen)
        self.assertIn("500 search images tell a loss to", warnings)
        self.assertIn("images that the search has seen", warnings)
        self.assertLessEqual(report["found"]["search"]["loss"] + report["found"]["search"]["loss_error"], 0.01)


if __name__ == "__main__":
    SHARED = pathlib.Path(sys.argv.pop(2)).resolve()
    PROGRAM = str(pathlib.Path(sys.argv.pop(1)).resolve())
    unittest.main()
