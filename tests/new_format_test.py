#!/usr/bin/env python3
"""A number format that leaves a question open does not compile.

Adds a format to a copy of the lists that name them all, as CONTRIBUTING.md tells, and compiles the sources that ask formats: each
answer that is left out must be an error where it is asked, and with all answers there must be none.

Usage: new_format_test.py COMPILER ROOT
"""

import pathlib
import subprocess
import sys
import tempfile
import unittest

COMPILER, ROOT = sys.argv[1], pathlib.Path(sys.argv[2])

HEAD = """
#pragma once
#include <vector>
#include "tensorquant/formats/bounds.h"
#include "tensorquant/formats/facts.h"
#include "tensorquant/formats/rounding.h"
namespace tensorquant {
"""

# formats/step.h: multiples of a step. A line an answer.
FORMAT = {
    "plain data": "struct Step { double step = 1;",
    "is_grid": "static constexpr bool is_grid = true;",
    "==": "bool operator==(const Step&) const = default;",
    "end of data": "};",
    "bounds": "template <class T> Bounds<T> bounds(const Step&) { return {-1, 1}; }",
    "reference": "template <class T> T quantize_reference(const Step&, T x) { return x; }",
    "overflows": "template <class T> bool overflows(const Step&, T) { return false; }",
    "fits_doubles": "inline bool fits_doubles(const Step&) { return true; }",
    "is_random": "inline bool is_random(const Step&) { return false; }",
    "is_elementwise": "inline bool is_elementwise(const Step&) { return true; }",
    "facts": "template <class T> FormatFacts facts(const Step&);",
    "values": "template <class T> std::vector<double> values(const Step&);",
    "fits": "bool fits(const Step&, const FloatingPoint& type);",
}
QUESTIONS = [name for name in FORMAT if name not in ("plain data", "end of data")]

KERNEL = """
void quantize_part(const Step&, const RandomStream&, const Part<float>&);
void quantize_part(const Step&, const RandomStream&, const Part<double>&);
"""

FIELDS = """
namespace tensorquant {
template <class V> void visit_fields(Step& format, V& visitor) { visitor.argument("step", format.step); }
}
"""

# Arithmetic's questions: the text that a source has for another format, and where it stands.
ARITHMETIC = {
    "arithmetic/grid_format.cc": [
        "template <class T> Bounds<double> ends(const Step&) { return {-1, 1}; }",
        "template <class T> Bounds<T> limits(const Step&) { return {-1, 1}; }",
        "GridFormat of_float32(const Step& format) { return format; }",
        "bool is_alike(const Step&) { return true; }",
        "bool odd_is_enough(const Step&) { return true; }",
        "std::optional<int> modulus(const Step&) { return std::nullopt; }",
        "int last_bit_of(const Step&) { return 0; }",
        "bool keeps_all(const Step&, const NumberRange&) { return false; }",
        "double rounded_bound(const Step&, double sum, double) { return sum; }",
    ],
    "arithmetic/exact/exact_number.cc": [
        "template <class T> double round_to(const Step&, const ExactNumber&, Draw) { return 0; }",
        "template <class T> double round_special_to(const Step&, double x) { return x; }",
    ],
}


class NewFormat(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.overlay = pathlib.Path(folder.name)
        self.write("formats/step.h", self.header())
        self.change("formats/element_format.h", "Binary, Ternary>;", "Binary, Ternary, Step>;")
        self.change("formats/element_format.h", "namespace tensorquant {", '#include "tensorquant/formats/step.h"\nnamespace tensorquant {')

    def header(self, without=None):
        return HEAD + "\n".join(line for name, line in FORMAT.items() if name != without) + "\n}\n"

    def write(self, name, text):
        path = self.overlay / "tensorquant" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def change(self, name, old, new):
        path = self.overlay / "tensorquant" / name
        text = (path if path.exists() else ROOT / "tensorquant" / name).read_text()
        self.assertIn(old, text, name)
        self.write(name, text.replace(old, new, 1))

    def errors(self, source):
        mine = self.overlay / "tensorquant" / source
        path = mine if mine.exists() else ROOT / "tensorquant" / source
        command = [COMPILER, "-std=c++20", "-fsyntax-only", f"-I{self.overlay}", f"-I{ROOT}", str(path)]
        done = subprocess.run(command, capture_output=True, text=True)
        return done.stderr if done.returncode else ""

    def test_that_answers_all_compiles(self):
        self.assertEqual(self.errors("formats/format.cc"), "")

    def test_must_answer_what_formats_are_asked(self):
        for question in QUESTIONS:
            with self.subTest(question):
                self.write("formats/step.h", self.header(without=question))
                self.assertIn("error", self.errors("formats/format.cc"))

    def test_needs_a_kernel_and_fields(self):
        source = "quantizers/format_quantizer.cc"
        self.assertIn("visit_fields", self.errors(source))
        self.change("quantizers/format_fields.h", "#endif", FIELDS + "#endif")
        self.assertIn("quantize_part(", self.errors(source))
        self.change("kernels/kernels.h", "\n// out = quantize_reference", KERNEL + "\n// out = quantize_reference")
        self.assertEqual(self.errors(source), "")

    def test_must_answer_what_arithmetic_asks_of_a_grid(self):
        for source, answers in ARITHMETIC.items():
            for left_out in [*answers, None]:
                with self.subTest(source, left_out=left_out):
                    text = (ROOT / "tensorquant" / source).read_text()
                    given = "\n".join(answer for answer in answers if answer != left_out)
                    self.write(source, text.replace("namespace {\n", f"namespace {{\n{given}\n", 1))
                    self.assertEqual("error" in self.errors(source), left_out is not None)

    def test_that_is_no_grid_is_not_asked_by_arithmetic(self):
        self.write("formats/step.h", self.header().replace("is_grid = true", "is_grid = false"))
        for source in ARITHMETIC:
            self.assertEqual(self.errors(source), "")


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
