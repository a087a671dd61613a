#!/usr/bin/env python3
"""The command lines of docs/how_many_bits.md run, one after the other, with a small network and few images.

Usage: test_how_many_bits.py PROGRAM
"""

import pathlib
import re
import shlex
import subprocess
import sys
import tempfile
import unittest

from image_files import write_images
from test_onnx_training import lenet

PROGRAM = None
PAGE = pathlib.Path(__file__).resolve().parents[2] / "docs" / "how_many_bits.md"

# What makes a command quick, beside what the page says.
SHORT = {
    "search": "--widths 8,3 --images 20 --search-images 30 --refine 0 --threads 1",
    "sensitivity": "--widths 8,3 --images 20 --threads 1",
    "evaluate": "--threads 1",
    "cost": "",
    "results": "",
    "report": "--tables --images 20",
}


def plain_fences():
    fences = re.findall(
        r"^```(.*)\n((?:.*\n)*?)```$", PAGE.read_text(encoding="utf-8"), re.MULTILINE
    )
    return [text for info, text in fences if info == ""]


def command_lines():
    for fence in plain_fences():
        for line in fence.splitlines():
            if line.startswith("tensorquant "):
                yield shlex.split(line)[1:]


class ThePage(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)

    def run_program(self, *arguments):
        run = subprocess.run(
            [PROGRAM, *arguments], cwd=self.folder, capture_output=True, text=True, check=False
        )
        self.assertEqual(run.returncode, 0, f"{arguments}: {run.stderr}")
        return run.stdout

    def test_has_command_lines_that_run(self):
        write_images(self.folder, "train", 60)
        write_images(self.folder, "t10k", 20)
        (self.folder / "images").mkdir()
        write_images(self.folder / "images", "train", 60)
        write_images(self.folder / "images", "t10k", 20)
        (self.folder / "net.onnx").write_bytes(lenet())
        self.run_program(
            *[
                "train",
                "--model",
                "lenet",
                "--data",
                ".",
                "--checkpoint",
                "lenet.safetensors",
                "--epochs",
                "3",
                "--threads",
                "1",
            ]
        )
        seen = set()
        for command, *arguments in command_lines():
            seen.add(command)
            data = {
                "search": ["--data", "."],
                "evaluate": ["--data", "."],
                "sensitivity": ["--score-data", "."],
                "cost": [],
                "results": [],
                "report": ["--data", "."],
            }[command]
            if command == "search" and "--margin" in arguments:
                arguments[arguments.index("--margin") + 1] = (
                    "60"  # of a network that has hardly learnt
                )
            short = SHORT[command]
            if "--choices" in arguments or "--mode" in arguments:
                short = short.replace("--widths 8,3 ", "")
            if "--accumulators" in arguments:  # an evaluation a bit
                short = short.replace("--search-images 30", "--search-images 3")
            if "images" in arguments:
                data = []
            self.assertTrue(self.run_program(command, *arguments, *data, *short.split()))
        self.assertEqual(seen, set(SHORT))

    def test_has_a_technology_that_is_read(self):
        (table,) = [fence for fence in plain_fences() if fence.startswith("{")]
        (self.folder / "mine.json").write_text(table, encoding="utf-8")
        told = self.run_program("cost", "--model", "lenet", "--technology", "mine.json")
        self.assertIn("mine: our library", told)
        known = self.run_program("cost", "--model", "lenet")
        energies = [re.findall("^energy .*", text, re.MULTILINE) for text in (told, known)]
        self.assertEqual(energies[0], energies[1])
        self.assertEqual(len(energies[0]), 1)


if __name__ == "__main__":
    PROGRAM = str(pathlib.Path(sys.argv.pop(1)).resolve())
    unittest.main()
