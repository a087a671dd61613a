#!/usr/bin/env python3
"""tensorquant results: what a store holds, as a table, as JSON, and as CSV that Python's csv reads back.

Usage: test_results.py PROGRAM
"""

import csv
import io
import json
import pathlib
import subprocess
import sys
import tempfile
import unittest

PROGRAM = None

HOSTILE = ['a "quoted", name', "two\nlines", "carriage\rreturn", "</script>", "überall", ""]


def maps_of(layer, bits=4):
    return {"weights": {f"={layer}": {"weight": f"nearest,{bits},2"}}}


def record(maps, purpose, data, correct, lost, won, kl):
    return {
        "key": json.dumps({"data": data, "maps": maps}), "maps": maps, "purpose": purpose, "images": 100, "correct": correct,
        "kl": kl, "logit_error": 0.1, "flips": lost + won, "lost": lost, "won": won, "seconds": 0.25,
    }  # fmt: skip


def records():
    """Maps of hostile layers on the score images; three on the test images, where 90 of 100 are right in float; errors."""
    made = [record(maps_of(layer), "score", "aa", 95 - i, i, 0, 0.5 * i) for i, layer in enumerate(HOSTILE)]
    made += [record(maps_of("b", bits), "test", "bb", 90 - lost + 2, lost, 2, kl) for bits, lost, kl in ((8, 3, 0.125), (4, 9, 1), (2, 60, None))]
    wrong = maps_of('wrong, "map"')
    made.append({"key": json.dumps({"data": "bb", "maps": wrong}), "maps": wrong, "purpose": "test", "error": 'its evaluator died,\n"3" times'})
    made.append({"key": "none", "error": {"reason": "no text"}})
    return made


def write_store(folder, lines, model="mine"):
    folder.mkdir()
    (folder / "store.json").write_text(json.dumps({"model": model}))
    (folder / "records-host-1-2.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return folder


def run(*arguments):
    # Bytes: what ends a line of CSV is to be seen.
    return subprocess.run([PROGRAM, *map(str, arguments)], capture_output=True, check=False)


class Results(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)

    def results(self, store, *more):
        before = {path: path.read_bytes() for path in store.iterdir()}
        done = run("results", "--store", store, *more)
        self.assertEqual((done.returncode, done.stderr), (0, b""))
        self.assertEqual({path: path.read_bytes() for path in store.iterdir()}, before)
        return done.stdout.decode()

    def fails(self, code, *more):
        done = run("results", *more)
        self.assertEqual((done.returncode, done.stdout, done.stderr.count(b"\n")), (code, b"", 1), done.stderr)
        return done.stderr.decode()


class AStore(Results):
    def setUp(self):
        super().setUp()
        self.store = write_store(self.folder / "runs", records())
        self.told = json.loads(self.results(self.store, "--json"))
        self.rows = self.told["results"]

    def test_has_a_row_for_each_record(self):
        self.assertEqual(len(self.rows), len(records()))
        self.assertEqual([row["maps"] for row in self.rows if row["purpose"] == "score"], [maps_of(layer) for layer in HOSTILE])
        self.assertEqual(len({row["name"] for row in self.rows}), len(self.rows))

    def test_has_the_most_accurate_first_on_test_images_before_others_and_errors_last(self):
        shown = [(row["purpose"], row["accuracy"]) for row in self.rows]
        scores = [("score", (95 - i) / 100) for i in range(len(HOSTILE))]
        self.assertEqual(shown, [("test", 0.89), ("test", 0.83), ("test", 0.32), *scores, ("", None), ("test", None)])

    def test_tells_losses_against_float_and_their_errors(self):
        (row,) = [row for row in self.rows if row["maps"] == maps_of("b", 4)]
        self.assertEqual((row["float_accuracy"], row["loss"]), (0.9, 0.07))
        self.assertAlmostEqual(row["loss_error"], (11 - 49 / 100) ** 0.5 / 100, places=15)
        self.assertEqual((row["images"], row["kl"], row["flips"], row["seconds"]), (100, 1, 11, 0.25))
        self.assertEqual((row["places"], row["least_bits"], row["most_bits"]), (1, 4, 4))
        self.assertEqual([row["kl"] for row in self.rows if row["maps"] == maps_of("b", 2)], ["inf"])

    def test_has_no_costs_of_a_model_that_is_not_known(self):
        self.assertIsNone(self.told["technology"])
        self.assertEqual({row["bops"] for row in self.rows}, {None})

    def test_is_the_same_as_csv(self):
        text = self.results(self.store, "--csv")
        self.assertEqual(text.splitlines()[0].split(",")[:2], ["name", "purpose"])
        header, *lines = csv.reader(io.StringIO(text, newline=""), strict=True)
        self.assertEqual(header, list(self.rows[0]))
        self.assertEqual(len(lines), len(self.rows))
        for line, row in zip(lines, self.rows):
            self.assertEqual(len(line), len(header))
            for cell, (name, value) in zip(line, row.items()):
                if value is None:
                    self.assertEqual(cell, "", name)
                elif isinstance(value, str):
                    self.assertEqual(cell, value, name)
                else:  # a number or a map
                    self.assertEqual(json.loads(cell), value, name)

    def test_ends_each_line_of_csv_as_its_standard_says(self):
        text = self.results(self.store, "--csv")
        unquoted = "".join(text.split('"')[::2])
        self.assertEqual(unquoted.count("\r\n"), 1 + len(self.rows))
        self.assertNotIn("\n", unquoted.replace("\r\n", ""))
        self.assertTrue(text.endswith("\r\n"))

    def test_is_shown_a_line_a_record(self):
        text = self.results(self.store)
        for row in self.rows:
            (line,) = [line for line in text.splitlines() if line.startswith(row["name"])]
            shown = row["error"].replace("\n", "\\x0a") if row["error"] else f"{100 * row['accuracy']:.2f}"
            self.assertIn(shown, line)
        self.assertIn("100 test images, 90.00 % in float\n", text)
        self.assertIn("\nerrors\n", text)

    def test_of_nothing_is_empty(self):
        store = write_store(self.folder / "none", [])
        self.assertEqual(json.loads(self.results(store, "--json"))["results"], [])
        self.assertEqual(self.results(store, "--csv"), ",".join(self.rows[0]) + "\r\n")
        self.assertEqual(self.results(store), "")

    def test_counts_what_tells_no_accuracy(self):
        store = write_store(self.folder / "other", [{"key": "j", "kl": 1}])
        self.assertEqual(json.loads(self.results(store, "--json"))["others"], 1)
        self.assertEqual(self.results(store), "other records, which tell no accuracy: 1\n")


class AFault(Results):
    def test_of_the_store_is_told_and_nothing_is_made(self):
        self.assertIn("no store", self.fails(1, "--store", self.folder / "none"))
        empty = self.folder / "empty"
        empty.mkdir()
        self.assertIn("no store", self.fails(1, "--store", empty, "--csv"))
        self.assertEqual(sorted(path.name for path in self.folder.rglob("*")), ["empty"])
        store = write_store(self.folder / "bad", [])
        (store / "records-a-1-2.jsonl").write_text("no JSON\n")
        self.assertIn("records-a-1-2.jsonl:1", self.fails(1, "--store", store))

    def test_of_a_model_that_is_not_known_is_told(self):
        store = write_store(self.folder / "runs", records())
        for option in (["--front", "bops"], ["--checkpoint", store / "store.json"]):
            self.assertIn("'mine', is none of those that come with the program", self.fails(1, "--store", store, *option))

    def test_of_the_command_line_is_told(self):
        self.assertIn("--csv", self.fails(2, "--store", self.folder, "--csv", "--json"))
        self.assertIn("--store", self.fails(2))


if __name__ == "__main__":
    PROGRAM = str(pathlib.Path(sys.argv.pop(1)).resolve())
    unittest.main()
