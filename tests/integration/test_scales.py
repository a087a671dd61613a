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
from test_command_line import GOLDEN, CommandLine

EXAMPLE = pathlib.Path(__file__).resolve().parent.parent.parent / "examples" / "format_table.py"


class Scales(CommandLine):
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

    def test_of_every_row_of_the_example_are_measured(self):
        numbers = random.Random(1)
        for split, count in (("train", 40), ("t10k", 20)):
            images = struct.pack(">IIII", 0x803, count, 28, 28) + numbers.randbytes(count * 28 * 28)
            labels = struct.pack(">II", 0x801, count) + bytes(numbers.randrange(10) for _ in range(count))
            (self.dir / f"{split}-images-idx3-ubyte").write_bytes(images)
            (self.dir / f"{split}-labels-idx1-ubyte").write_bytes(labels)
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
