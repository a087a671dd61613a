#!/usr/bin/env python3
"""Checks compare.py."""

import json
import pathlib
import subprocess
import sys
import tempfile
import unittest

COMPARE = pathlib.Path(__file__).with_name("compare.py")


def row(name, low, median, high, elements=4096):
    """As a benchmark prints it."""
    times = {"nanoseconds": median, "nanoseconds_low": low, "nanoseconds_high": high}
    return {"name": name, "elements": elements, **times, "over_memcpy": 1.5}


class Compare(unittest.TestCase):
    def setUp(self):
        self.directory = tempfile.TemporaryDirectory()
        self.addCleanup(self.directory.cleanup)

    def write(self, name, text):
        path = pathlib.Path(self.directory.name) / name
        path.write_text(text, encoding="utf-8")
        return path

    def run_on(self, before, after):
        paths = [self.write("before.json", before), self.write("after.json", after)]
        return subprocess.run(
            [sys.executable, COMPARE, *paths], capture_output=True, text=True, check=False
        )

    def lines(self, before, after):
        result = self.run_on(json.dumps(before), json.dumps(after))
        self.assertEqual(result.returncode, 0, result.stderr)
        return result.stdout.splitlines()

    def test_tells_what_differs_from_noise(self):
        before = [row("a", 0.9, 1, 1.1), row("b", 0.9, 1, 1.1), row("c", 0.9, 1, 1.1)]
        after = [row("c", 1.0, 1.2, 1.3), row("a", 1.9, 2, 2.1), row("b", 0.4, 0.5, 0.6)]
        self.assertEqual(
            self.lines(before, after),
            [
                "more  x  2.000  a | 4096: nanoseconds 1 -> 2",
                "less  x  0.500  b | 4096: nanoseconds 1 -> 0.5",
                "same  x  1.200  c | 4096: nanoseconds 1 -> 1.2",
            ],
        )

    def test_rows_of_one_file_alone(self):
        before = [row("a", 1, 1, 1), row("a", 1, 1, 1, elements=8)]
        after = [row("a", 1, 1, 1), row("b", 1, 1, 1)]
        self.assertEqual(
            self.lines(before, after),
            [
                "same  x  1.000  a | 4096: nanoseconds 1 -> 1",
                "gone        a | 8",
                "new         b | 4096",
            ],
        )

    def test_bad_files(self):
        good = json.dumps([row("a", 1, 1, 1)])
        twice = json.dumps([row("a", 1, 1, 1), row("a", 2, 2, 2)])
        for text, reason in [
            ("{", "after.json: Expecting"),
            ("{}", "after.json: expected a list of objects"),
            ("[1]", "after.json: expected a list of objects"),
            (
                '[{"name": "a", "nanoseconds": 1.0}]',
                "after.json: no row has a median with quartiles",
            ),
            (twice, "after.json: rows that measure the same"),
        ]:
            result = self.run_on(good, text)
            self.assertEqual(result.returncode, 1, text)
            self.assertIn(reason, result.stderr)

    def test_a_file_that_is_not_there(self):
        missing = pathlib.Path(self.directory.name) / "missing.json"
        result = subprocess.run(
            [sys.executable, COMPARE, missing, missing], capture_output=True, text=True, check=False
        )
        self.assertEqual(result.returncode, 1)
        self.assertIn("missing.json: No such file", result.stderr)


if __name__ == "__main__":
    unittest.main()
