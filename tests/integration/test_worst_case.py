#!/usr/bin/env python3
"""The worst case of an accumulator, as cost tells it, is reached by images made of the weights' signs, and one bit less overflows.

Usage: test_worst_case.py PROGRAM
"""

import json
import pathlib
import random
import struct
import subprocess
import sys
import tempfile
import unittest

from image_files import write_idx

PROGRAM = None
SHAPES = {"conv1": (6, 1, 5, 5), "conv2": (16, 6, 5, 5), "conv3": (120, 16, 5, 5), "fc1": (84, 120), "fc2": (10, 84)}
LARGEST = 255  # of a pixel, and its code under nearest,8,8,unsigned: 1 is 255/256
INPUT = "nearest,8,8,unsigned"
CODES = range(-8, 8)  # of a weight under nearest,4,3


def size_of(shape):
    size = 1
    for length in shape:
        size *= length
    return size


def write_checkpoint(path, conv1):
    """LeNet-5 with these codes in conv1, all else 0, as a safetensors file."""
    header, data = {}, b""
    for layer, shape in SHAPES.items():
        for name, size, dimensions in ((f"{layer}.weight", size_of(shape), shape), (f"{layer}.bias", shape[0], shape[:1])):
            values = [code / 8 for code in sum(conv1, [])] if name == "conv1.weight" else [0] * size
            header[name] = {"dtype": "F32", "shape": dimensions, "data_offsets": [len(data), len(data) + 4 * size]}
            data += struct.pack(f"<{size}f", *values)
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)


def image_of(codes, sign):
    """Largest pixels under the weights of this sign, in the middle of an image."""
    pixels = bytearray(784)
    for tap, code in enumerate(codes):
        if code * sign > 0:
            pixels[28 * (10 + tap // 5) + 10 + tap % 5] = LARGEST
    return bytes(pixels)


class TheWorstCase(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)

    def write_images(self, images):
        write_idx(self.folder, "t10k", b"".join(images), bytes(len(images)))

    def told(self, command, bits, *more):
        maps = {"weights": {"=conv1": {"weight": "nearest,4,3"}}, "extrinsic": {"=input": INPUT}}
        if bits is not None:
            maps["intrinsic"] = {"=conv1": {"accumulator": f"nearest,{bits},11"}}  # exact products
        (self.folder / "maps.json").write_text(json.dumps(maps))
        line = [PROGRAM, command, "--model", "lenet5", "--checkpoint", "net.safetensors", "--maps", "maps.json", "--json", *more]
        done = subprocess.run(line, cwd=self.folder, capture_output=True, text=True, check=False)
        self.assertEqual(done.returncode, 0, done.stderr)
        return json.loads(done.stdout)

    def accumulator(self, bits):
        """What evaluate --ranges tells of conv1's."""
        report = self.told("evaluate", bits, "--data", ".", "--ranges", "--threads", "1")
        (layer,) = [one for one in report["ranges"] if one["layer"] == "conv1"]
        return layer

    def worst_case(self):
        (layer,) = [one for one in self.told("cost", None)["layers"] if one["layer"] == "conv1"]
        return layer["accumulator"]["worst_case"]

    def check(self, conv1):
        sums = [LARGEST * sum(code for code in codes if code * sign > 0) for codes in conv1 for sign in (1, -1)]
        bits = next(bits for bits in range(1, 64) if -(1 << bits - 1) <= min(sums) and max(sums) < 1 << bits - 1)
        write_checkpoint(self.folder / "net.safetensors", conv1)
        self.write_images([image_of(codes, sign) for codes in conv1 for sign in (1, -1)])
        self.assertEqual(self.worst_case(), bits)
        enough, less = self.accumulator(bits), self.accumulator(bits - 1)
        self.assertEqual((2048 * enough["lowest_sum"], 2048 * enough["highest_sum"]), (min(sums), max(sums)))
        self.assertEqual((enough["sufficient_bits"], enough["clamped_sums"]), (bits, 0))
        self.assertGreater(less["clamped_sums"], 0)

    def test_is_reached_by_images_of_the_weights_signs(self):
        draw = random.Random(5)
        for spread in (1, 8):  # small sums and large ones
            self.check([[draw.choice([code for code in CODES if abs(code) <= spread]) for _ in range(25)] for _ in range(6)])

    def test_is_reached_by_the_lowest_sum_alone(self):
        # Five weights of -8: -10200; 13 bits hold -4096, 14 bits -8192, 15 bits -16384.
        self.check([[-8] * 5 + [0] * 20] + [[1] + [0] * 24] * 5)


if __name__ == "__main__":
    PROGRAM = str(pathlib.Path(sys.argv.pop(1)).resolve())
    unittest.main()
