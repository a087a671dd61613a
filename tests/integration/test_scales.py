#!/usr/bin/env python3
"""Formats with scales on the command line: axes, and bits a value. Needs Python's standard library alone.

Usage: test_scales.py PROGRAM
"""

import json
import math
import pathlib
import random
import struct
import subprocess
import sys
import unittest

import test_command_line
from array_files import write_npy
from image_files import write_idx
from test_command_line import GOLDEN, CommandLine

EXAMPLE = pathlib.Path(__file__).resolve().parent.parent.parent / "examples" / "format_table.py"


sys.path.append(str(GOLDEN / "scaled_network"))
import network  # noqa: E402


class Scales(CommandLine):
    def test_of_a_whole_network_give_the_logits_that_python_gives(self):
        if "evaluate" not in self.good("--help"):
            self.skipTest("no libtorch")
        checkpoint, images = network.write_files(self.dir)
        for name, maps in network.MAPS.items():
            (self.dir / "maps.json").write_text(json.dumps(maps))
            self.good("evaluate", "--model=lenet5", "--checkpoint", checkpoint, "--data", images,
                      "--maps", self.dir / "maps.json", "--logits", self.dir / "logits.npy")
            self.assertEqual((self.dir / "logits.npy").read_bytes()[-4 * 10 * network.IMAGES:],
                             network.logits()[name], name)

    def test_run_along_the_axes_that_quantize_is_told(self):
        folder = GOLDEN / "formats"
        rows = [row for row in json.loads((folder / "manifest.json").read_text()) if len(row["shape"]) > 1]
        self.assertGreater(len(rows), 30)
        for row in rows:
            write_npy(self.dir / "x.npy", "<f4", tuple(row["shape"]), (folder / row["input"]).read_bytes())
            options = [f"--{key.replace('_', '-')}={row[key]}" for key in ("seed", "stream", "step") if key in row]
            if row.get("reduction_axis") is not None:
                options.append(f"--axis={row['reduction_axis']}")
            if row.get("channel_axis") is not None:
                options.append(f"--channel-axis={row['channel_axis'] - len(row['shape'])}")  # counted backwards
            self.good("quantize", row["quantizer"], self.dir / "x.npy", self.dir / "y.npy", *options)
            data = (self.dir / "y.npy").read_bytes()[-4 * math.prod(row["shape"]):]
            self.assertEqual(data, (folder / row["output"]).read_bytes(), row["quantizer"])
        write_npy(self.dir / "x.npy", "<f4", (2, 3), bytes(24))
        for option in ("--axis=4", "--axis=-5", "--channel-axis=4"):
            self.fails(2, "quantize", "mxfp4", self.dir / "x.npy", self.dir / "z.npy", option,
                       says=option.replace("=", " ") + f": {self.dir}/x.npy has 2 axes")
        self.assertFalse((self.dir / "z.npy").exists())

    def test_are_among_the_bits_that_describe_counts(self):
        for spec, bits, each in (("mxfp4", 4.25, 8), ("mxfp8_e4m3", 8.25, 8), ("nvfp4", 4.5, 8), ("bfp,4", 4.5, 8),
                                 ("int,4,block=32,scale=max", 5, 32), ("int,4,block=32,scale=range", 5.125, 36)):
            d = json.loads(self.good("describe", spec, "--json"))
            self.assertEqual((d["bits_per_value"], d["scale"]["bits"]), (bits, each), spec)
        text = self.good("describe", "mxfp4", "1", "7")
        self.assertIn("floor, one for each block of 32", text)
        self.assertIn("-6 to 6, times the scale", text)
        self.assertIn("4.25 with the scales", text)
        d = json.loads(self.good("describe", "int,8,per=channel,scale=max", "1", "2", "--json"))
        self.assertEqual((d["bits"], d["bits_per_value"], d["results"][1]["y"]), (8, None, 2))
        d = json.loads(self.good("describe", "int,8,unsigned,scale=0.5,zero=10", "--json"))
        self.assertEqual((d["lowest"], d["highest"], d["step"], d["count"]), (-5, 122.5, 0.5, 256))

    def test_of_numbers_that_saturate_and_become_zero_are_told_by_describe(self):
        numbers = "7.5", "-2", "0.2", "0", "nan"  # the scale of the first four is 1
        d = json.loads(self.good("describe", "e2m1,scale=floor,block=4", *numbers, "--json"))
        self.assertEqual((d["saturated"], d["saturated_share"], d["became_zero"], d["became_zero_share"]), (1, 1 / 4, 1, 1 / 3))
        text = self.good("describe", "e2m1,scale=floor,block=4", *numbers)
        self.assertRegex(text, r"saturated +1 \(25 %\)\nbecame zero +1 \(33 %\)\n")
        self.assertNotIn("saturated", self.good("describe", "mxfp4"))

    def test_are_looked_at_by_the_ranges_of_quantize(self):
        x, y = self.dir / "x.npy", self.dir / "y.npy"
        # Two columns; the scales are 2^(5 - 2) = 8 and 2^(0 - 2): 63 / 8 and 1.75 * 4 round to 8, 1 / 8 to zero.
        write_npy(x, "<f4", (4, 2), struct.pack("<8f", 63, 1.75, 52, -1.5, 1, 1, 0, 0.01))
        spec = "e2m1,block=4,scale=floor"
        report = json.loads(self.good("quantize", spec, x, y, "--axis=0", "--ranges", "--json"))
        self.assertEqual(report, {"place": str(x), "quantizer": spec, "bits": 4, "scale_bits": 8, "bits_per_value": 6,
                                  "values": 8, "saturated": 2, "saturated_share": 2 / 8, "nonzero": 7, "became_zero": 2,
                                  "became_zero_share": 2 / 7, "lowest": -1.5, "highest": 63})
        table = self.good("quantize", spec, x, y, "--axis=0", "--ranges")
        for text in ("bits a value", "6 with the scales", "2 (25 %)", "2 (29 %)", "-1.5 .. 63"):
            self.assertIn(text, table)
        self.assertEqual(self.good("quantize", spec, x, y, "--axis=0"), "")
        write_npy(x, "<f8", (2,), struct.pack("<2d", math.nan, math.inf))
        empty = json.loads(self.good("quantize", "int,8,block=2,scale=max", x, y, "--ranges", "--json"))
        self.assertEqual((empty["bits_per_value"], empty["values"], empty["saturated_share"], empty["lowest"]), (8 + 32, 0, None, None))
        self.fails(2, "quantize", spec, x, y, "--json", says="--ranges")

    def test_are_looked_at_by_the_ranges_of_matmul(self):
        a, b, y = (self.dir / f"{name}.npy" for name in "aby")
        write_npy(a, "<f4", (2, 2), struct.pack("<4f", 7.5, 0.1, 3, 1))
        write_npy(b, "<f4", (2, 1), struct.pack("<2f", 1, 2))
        formats = "--a-format", "e2m1,per=row,scale=floor", "--b-format", "fp16"
        result = json.loads(self.good("matmul", a, b, y, *formats, "--ranges", "--json"))
        # Scales of rows: 1, to which 7.5 is 8 and 0.1 is 0, and a half. The values of b are told, not quantized.
        (place,) = result["places"]
        self.assertEqual((place["place"], place["saturated"], place["became_zero"], place["values"]), ("a", 1, 1, 4))
        self.assertIn("became zero", self.good("matmul", a, b, y, *formats, "--ranges"))
        result = json.loads(self.good("matmul", a, b, y, "--b-format", "mxfp4", "--ranges", "--json"))
        self.assertEqual([(p["place"], p["bits_per_value"]) for p in result["places"]], [("b", 4.25)])

    def test_of_every_row_of_the_example_are_measured(self):
        numbers = random.Random(1)
        for split, count in (("train", 40), ("t10k", 20)):
            pixels = numbers.randbytes(count * 28 * 28)
            write_idx(self.dir, split, pixels, bytes(numbers.randrange(10) for _ in range(count)))
        net = ["--model", "lenet5", "--checkpoint", self.dir / "net", "--data", self.dir]
        self.good("train", *net, "--epochs", "1")
        command = [sys.executable, EXAMPLE, "--program", test_command_line.PROGRAM, *net, "--calibration", self.dir]
        done = subprocess.run([*map(str, command)], capture_output=True, text=True)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        title, _, _, *rows = done.stdout.splitlines()
        self.assertRegex(title, r"lenet5: [0-9.]+ % in float32")
        self.assertGreater(len(rows), 10)
        for row in rows:
            self.assertRegex(row, r" +[0-9]+\.[0-9]{2} +[+-][0-9]+\.[0-9]{2}$")
        command += ["--fine-tune", self.dir, "--epochs", "1", "--rows", "calibrated"]
        done = subprocess.run([*map(str, command)], capture_output=True, text=True)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        title, _, _, *rows = done.stdout.splitlines()
        self.assertRegex(title, r"lenet5: [0-9.]+ %, fine-tuned [0-9.]+ % in float32")
        self.assertEqual(len(rows), 1)
        self.assertRegex(rows[0], r" +[0-9]+\.[0-9]{2} +[+-][0-9]+\.[0-9]{2} +[0-9]+\.[0-9]{2}$")


if __name__ == "__main__":
    test_command_line.PROGRAM = sys.argv.pop(1)
    unittest.main()
