#!/usr/bin/env python3
"""The command line as its users meet it: files, exit codes, messages. Needs Python's standard library alone.

Usage: test_command_line.py PROGRAM
"""

import json
import math
import os
import pathlib
import re
import struct
import subprocess
import sys
import tempfile
import unittest
import zipfile

from array_files import read_npy, read_raw, write_npy, write_raw

PROGRAM = None
GOLDEN = pathlib.Path(__file__).resolve().parent.parent / "golden"


def run(*arguments):
    return subprocess.run([PROGRAM, *map(str, arguments)], capture_output=True, text=True)


class CommandLine(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.dir = pathlib.Path(self.folder.name)

    def good(self, *arguments):
        done = run(*arguments)
        self.assertEqual((done.returncode, done.stderr), (0, ""), arguments)
        return done.stdout

    def fails(self, code, *arguments, says):
        """One line on stderr, nothing on stdout."""
        done = run(*arguments)
        self.assertEqual(done.returncode, code, done.stderr)
        self.assertEqual(done.stdout, "")
        self.assertTrue(done.stderr.startswith("tensorquant: "), done.stderr)
        self.assertEqual(done.stderr.count("\n"), 1, done.stderr)
        for part in [says] if isinstance(says, str) else says:
            self.assertIn(part, done.stderr)


class General(CommandLine):
    def test_help_and_version_are_no_errors(self):
        self.assertIn("quantize", self.good("--help"))
        self.assertRegex(self.good("--version"), r"^\d+\.\d+\.\d+\n")
        for command in ("list", "describe", "quantize", "explain", "train", "evaluate", "compare"):
            self.assertIn("--json", self.good(command, "--help"))

    def test_the_version_names_the_libraries_that_compute(self):
        lines = dict(re.findall(r"^(\S+) +(.+)$", self.good("--version"), re.MULTILINE))
        self.assertEqual(list(lines), ["libtorch", "BLAS", "oneDNN", "kernels"])
        self.assertRegex(lines["libtorch"], r"^\d+\.\d+\.\d+, \w+")
        # What the loader itself says of whose sgemm libtorch calls; silent where libtorch has one inside.
        env = {**os.environ, "LD_DEBUG": "bindings", "LD_BIND_NOW": "1"}
        bindings = subprocess.run([PROGRAM, "--version"], capture_output=True, text=True, env=env).stderr
        bound = re.search(r"binding file \S*libtorch\S* \[0\] to (\S+) \[0\]: normal symbol `sgemm_'", bindings)
        file = pathlib.Path(lines["BLAS"].split(", ")[-1])
        self.assertEqual(file, pathlib.Path(bound[1]).resolve() if bound else file.resolve(strict=True))

    def test_the_help_names_positionals_in_capitals_and_the_exit_status(self):
        self.assertIn("Exit status: 0 success, 1 failure, 2 wrong command line.", " ".join(self.good("--help").split()))
        for command in ("list", "describe", "quantize", "matmul", "explain", "calibrate", "train", "evaluate", "compare", "bench"):
            usage = re.search(r"Usage: tensorquant \w+ \[OPTIONS\](.*)", self.good(command, "--help"))[1]
            self.assertEqual(usage, usage.upper())

    def test_a_wrong_command_line_is_exit_code_2(self):
        self.fails(2, says="subcommand")
        self.fails(2, "quantise", says="unknown command 'quantise', did you mean 'quantize'?")
        self.fails(2, "quantize", "nearest,8,4", says="IN is required")
        self.fails(2, "describe", "nearest,8,4", "--type", "int8", says="--type")

    def test_a_wrong_quantizer_string_points_at_the_column(self):
        self.fails(2, "describe", "neares,8,4", says="column 1: unknown name 'neares', did you mean 'nearest'?")
        self.fails(2, "quantize", "nearest,8,x", "a.f32", "b.f32", says="column 11")


class List(CommandLine):
    def test_names_every_quantizer_and_how_to_write_it(self):
        listed = {row["name"]: row for row in json.loads(self.good("list", "--json"))}
        for name in ("none nearest even zero down up stochastic logarithmic sparse float fp16 bf16 binary ternary").split():
            self.assertIn(name, listed)
            self.assertIn(listed[name]["usage"], self.good("list"))
        self.assertTrue(listed["nearest"]["usage"].startswith("nearest,W,F"))

    def test_lists_the_hardware_whose_arithmetic_has_a_name(self):
        listed = {row["name"]: row["value"] for row in json.loads(self.good("list", "--hardware", "--json"))}
        self.assertEqual(listed["a100_fp16"]["accumulate"], "align:8:24")
        self.assertEqual(listed["deepseek_fp8"]["outer"], {"accumulator": "float,8,23", "every": 128})
        table = self.good("list", "--hardware")
        for name in "v100_fp16 a100_fp16 h100_fp16 ada_fp8 hopper_fp8 deepseek_fp8 b200_fp8 int8_int32 mx".split():
            self.assertIn(name, listed)
            self.assertIn(name, table)


class Describe(CommandLine):
    def test_shows_range_step_values_and_results(self):
        d = json.loads(self.good("describe", "nearest,3,1", "0.3", "-9", "--json"))
        self.assertEqual((d["lowest"], d["highest"], d["step"], d["count"]), (-2, 1.5, 0.5, 8))
        self.assertEqual(d["values"], [-2, -1.5, -1, -0.5, 0, 0.5, 1, 1.5])
        self.assertEqual([r["y"] for r in d["results"]], [0.5, -2])
        # The error is that of the number which float32 makes of 0.3.
        x = struct.unpack("f", struct.pack("f", 0.3))[0]
        self.assertEqual(d["results"][0]["error"], 0.5 - x)
        text = self.good("describe", "nearest,3,1", "0.3")
        for part in ("-2 to 1.5", "0.5", "8", "-2 -1.5 -1"):
            self.assertIn(part, text)

    def test_leaves_out_many_values_and_missing_bounds(self):
        self.assertNotIn("values", json.loads(self.good("describe", "fp16", "--json")))
        self.assertIsNone(json.loads(self.good("describe", "sparse,0.1", "--json"))["highest"])

    def test_numbers_are_decimal_as_python_reads_them(self):
        texts = ["-.5", "-inf", "-nan", "-0", "-1e3", "010", "1_0", "+.5", " 2 ", "Infinity", "NaN", "1e999"]
        for command in (["none", *texts, "--type", "float64"], ["--type", "float64", "none", *texts],
                        ["none", texts[0], "--type", "float64", *texts[1:]], ["--seed", "010", "none", *texts]):
            rows = json.loads(self.good("describe", *command, "--json"))["results"]
            self.assertEqual([str(float(row["x"])) for row in rows], [str(float(text)).lstrip("+") for text in texts])
        self.assertEqual(self.good("describe", "stochastic,8,4", "0.3", "--seed", "010"),
                         self.good("describe", "stochastic,8,4", "0.3", "--seed", "10"))

    def test_a_wrong_number_is_one_short_line_with_the_limits(self):
        self.fails(2, "describe", "fp16", "", says="X: '' is not a number")
        self.fails(2, "describe", "fp16", "0x1", says="X: '0x1' is not a number")
        limits = "is not a whole number from 0 to 18446744073709551615"
        self.fails(2, "describe", "fp16", "--seed", "18446744073709551616", says="'18446744073709551616' " + limits)
        self.fails(2, "describe", "fp16", "--seed", "-1", says="--seed: '-1' " + limits)
        self.fails(2, "describe", "fp16", "--seed", "9" * 100000, says="--seed: '" + "9" * 40 + "...' " + limits)

    def test_json_tells_nan_and_the_infinities_apart(self):
        rows = json.loads(self.good("describe", "nearest,8,4", "nan", "inf", "-inf", "--json"))["results"]
        self.assertEqual([(row["x"], row["y"], row["error"]) for row in rows],
                         [("nan", "nan", "nan"), ("inf", 7.9375, "-inf"), ("-inf", -8, "inf")])

    def test_takes_the_type(self):
        single = json.loads(self.good("describe", "none", "0.1", "--json"))["results"][0]["y"]
        double = json.loads(self.good("describe", "none", "0.1", "--type", "float64", "--json"))["results"][0]["y"]
        self.assertEqual((single, double), (struct.unpack("f", struct.pack("f", 0.1))[0], 0.1))

    def test_shows_the_facts_of_the_type(self):
        def facts(spec, of):
            d = json.loads(self.good("describe", spec, "--type", of, "--json"))
            return d["highest"], d["smallest_positive"], d["step"], d["count"]

        # All powers of two of a type: exponents -149 to 127, and -1074 to 1023.
        self.assertEqual(facts("logarithmic", "float32"), (2.0**127, 2.0**-149, None, 2 * 277 + 1))
        self.assertEqual(facts("logarithmic", "float64"), (2.0**1023, 2.0**-1074, None, 2 * 2098 + 1))
        # float32 has each integer up to 2^24 and each second one up to 2^25.
        self.assertEqual(facts("nearest,26,0", "float32"), (2**25 - 2, 1, None, 2 * (2**24 - 1 + 2**23) + 2))
        self.assertEqual(facts("nearest,26,0", "float64"), (2**25 - 1, 1, 1, 2**26))

    def test_says_which_number_the_type_lacks(self):
        self.fails(1, "describe", "binary,1e39", says="m = 1e+39 is infinite in float32")
        self.good("describe", "binary,1e39", "--type", "float64")


class Quantize(CommandLine):
    def test_gives_the_golden_values(self):
        manifest = json.loads((GOLDEN / "original" / "manifest.json").read_text())
        checked = 0
        for row in manifest:
            if "note" in row:
                continue
            seed = ["--seed", row["seed"]] if "seed" in row else []
            out = self.dir / "out.f32"
            self.good("quantize", row["quantizer"], GOLDEN / "original" / row["input"], out, *seed)
            got, wanted = read_raw(out, "f"), read_raw(GOLDEN / "original" / row["output"], "f")
            self.assertEqual(len(got), len(wanted))
            for a, b in zip(got, wanted):
                self.assertTrue(a == b or (math.isnan(a) and math.isnan(b)), (row["quantizer"], a, b))
            checked += 1
        self.assertGreater(checked, 55)

    def test_keeps_shape_and_type_of_npy(self):
        x = [0.3, -1.0, 2.0, 100.0, -100.0, 0.03125]
        write_npy(self.dir / "x.npy", "<f8", (2, 3), struct.pack("<6d", *x))
        self.good("quantize", "nearest,8,4", self.dir / "x.npy", self.dir / "y.npy")
        self.assertEqual(read_npy(self.dir / "y.npy"), ((2, 3), "<f8", [0.3125, -1.0, 2.0, 7.9375, -8.0, 0.0625]))
        write_raw(self.dir / "x.f64", "d", x)
        self.good("quantize", "nearest,8,4", self.dir / "x.f64", self.dir / "y.f64")
        self.assertEqual(read_raw(self.dir / "y.f64", "d"), [0.3125, -1.0, 2.0, 7.9375, -8.0, 0.0625])

    def test_takes_numpys_files_as_people_have_them(self):
        y = self.dir / "y.npy"
        x = [0.3, -1.0, 2.0, 100.0]
        wanted = [0.3125, -1.0, 2.0, 7.9375]
        for name, code, result in [(">f4", ">4f", "<f4"), (">f8", ">4d", "<f8"), ("<f2", "<4e", "<f4"), (">f2", ">4e", "<f4")]:
            write_npy(self.dir / "x.npy", name, (4,), struct.pack(code, *x))
            self.good("quantize", "nearest,8,4", self.dir / "x.npy", y)
            self.assertEqual(read_npy(y), ((4,), result, wanted), name)
        for compression in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            with zipfile.ZipFile(self.dir / "x.npz", "w", compression) as archive:
                archive.write(self.dir / "x.npy", "layer.f32.npy")
            self.good("quantize", "nearest,8,4", self.dir / "x.npz", y)
            self.assertEqual(read_npy(y)[2], wanted)
            with zipfile.ZipFile(self.dir / "x.npz", "a", compression) as archive:
                archive.write(self.dir / "x.npy", "bias.npy")
            self.good("quantize", "nearest,8,4", f"{self.dir}/x.npz:layer.f32", y)
            self.assertEqual(read_npy(y)[2], wanted)
        self.fails(1, "quantize", "none", self.dir / "x.npz", y, says="holds 2 arrays; add :NAME, one of layer.f32, bias")
        self.fails(1, "quantize", "none", f"{self.dir}/x.npz:b", y, says="x.npz: holds no array 'b'")
        self.fails(2, "quantize", "none", self.dir / "x.npy", self.dir / "y.npz", says="the extension must be .npy")

    def test_two_runs_that_write_one_file_leave_a_whole_one(self):
        write_raw(self.dir / "x.f32", "f", [0.3] * 100000)
        write_raw(self.dir / "z.f32", "f", [1.0] * 100000)
        command = [PROGRAM, "quantize", "nearest,8,4"]
        for _ in range(10):
            runs = [subprocess.Popen([*command, self.dir / name, self.dir / "y.f32"]) for name in ("x.f32", "z.f32")]
            self.assertEqual([run.wait() for run in runs], [0, 0])
            result = read_raw(self.dir / "y.f32", "f")
            self.assertIn(result, ([0.3125] * 100000, [1.0] * 100000))
        self.assertEqual(sorted(p.name for p in self.dir.iterdir()), ["x.f32", "y.f32", "z.f32"])

    def test_quantizes_a_file_in_its_place(self):
        write_raw(self.dir / "x.f32", "f", [0.3])
        self.good("quantize", "nearest,8,4", self.dir / "x.f32", self.dir / "x.f32")
        self.assertEqual(read_raw(self.dir / "x.f32", "f"), [0.3125])

    def test_writes_the_integers_of_fixed_point(self):
        write_raw(self.dir / "x.f32", "f", [0.3, -1.0, 100.0, -100.0, 0.0])
        self.good("quantize", "nearest,8,4", self.dir / "x.f32", self.dir / "k.npy", "--integers")
        self.assertEqual(read_npy(self.dir / "k.npy"), ((5,), "<i4", [5, -16, 127, -128, 0]))
        self.good("quantize", "nearest,8,4", self.dir / "x.f32", self.dir / "k.i32", "--integers")
        self.assertEqual(read_raw(self.dir / "k.i32", "i"), [5, -16, 127, -128, 0])
        self.good("quantize", "nearest,32,4,unsigned", self.dir / "x.f32", self.dir / "k.i64", "--integers")
        self.assertEqual(read_raw(self.dir / "k.i64", "q"), [5, 0, 1600, 0, 0])
        self.good("quantize", "nearest,64,60", self.dir / "x.f32", self.dir / "k.npy", "--integers")
        highest = 2**63 - 2**39  # the largest that a float32 has
        self.assertEqual(read_npy(self.dir / "k.npy")[1:], ("<i8", [10066330 * 2**35, -(2**60), highest, -(2**63), 0]))
        self.good("quantize", "nearest,64,62,unsigned,overflow=wrap", self.dir / "x.f32", self.dir / "k.u64", "--integers")
        self.assertEqual(read_raw(self.dir / "k.u64", "Q"), [10066330 * 2**37, 3 * 2**62, 0, 0, 0])
        self.fails(2, "quantize", "nearest,33,4", self.dir / "x.f32", self.dir / "k.i32", "--integers", says="for i64, .i64")
        self.fails(2, "quantize", "fp16", self.dir / "x.f32", self.dir / "k.npy", "--integers", says="no fixed-point format")

    def test_an_output_that_stood_before_a_failed_run_still_stands(self):
        out = self.dir / "out.npy"
        out.write_bytes(b"precious")
        write_raw(self.dir / "nan.f32", "f", [1.0, math.nan])
        self.fails(1, "quantize", "nearest,8,4", self.dir / "nan.f32", out, "--integers",
                   says=["nan.f32", "element 1", "NaN"])
        self.fails(1, "quantize", "nearest,8,4", self.dir / "missing.npy", out, says="missing.npy")
        (self.dir / "odd.f32").write_bytes(b"12345")
        self.fails(1, "quantize", "nearest,8,4", self.dir / "odd.f32", out, says="no multiple of 4")
        (self.dir / "bad.npy").write_bytes(b"not an array")
        self.fails(1, "quantize", "nearest,8,4", self.dir / "bad.npy", out, says="bad.npy")
        write_npy(self.dir / "ints.npy", "<i4", (1,), struct.pack("<i", 1))
        self.fails(1, "quantize", "nearest,8,4", self.dir / "ints.npy", out, says="expected f16, f32 or f64")
        self.assertEqual(out.read_bytes(), b"precious")
        self.assertEqual(sorted(p.name for p in self.dir.iterdir()),
                         ["bad.npy", "ints.npy", "nan.f32", "odd.f32", "out.npy"])

    def test_refuses_extensions_that_do_not_fit(self):
        write_raw(self.dir / "x.f32", "f", [1.0])
        self.fails(2, "quantize", "none", self.dir / "x.f32", self.dir / "y.f64", says=".npy or, for f32, .f32")
        self.fails(2, "quantize", "none", self.dir / "x.f32", self.dir / "y.txt", says="y.txt")
        self.fails(2, "quantize", "none", self.dir / "x.csv", self.dir / "y.npy", says="x.csv")

    def test_takes_empty_arrays(self):
        write_npy(self.dir / "x.npy", "<f4", (0, 3), b"")
        self.good("quantize", "ternary", self.dir / "x.npy", self.dir / "y.npy")
        self.assertEqual(read_npy(self.dir / "y.npy"), ((0, 3), "<f4", []))


class Matmul(CommandLine):
    def matrices(self, a, b):
        for name, rows in (("a.npy", a), ("b.npy", b)):
            flat = [x for row in rows for x in row]
            write_npy(self.dir / name, "<f4", (len(rows), len(rows[0])), struct.pack(f"<{len(flat)}f", *flat))
        return self.dir / "a.npy", self.dir / "b.npy", self.dir / "y.npy"

    def test_rounds_every_product_and_every_sum(self):
        # Products in quarters, ties away from zero: 0.75 * 1.5 = 1.125 -> 1.25, 0.5 * 0.25 = 0.125 -> 0.25, and so on.
        a, b, y = self.matrices([[0.75, 0.5, 2.0]], [[1.5, -1.5], [0.25, -0.25], [3.0, -3.0]])
        self.good("matmul", a, b, y, "--product", "nearest,8,2", "--accumulator", "nearest,5,2")
        # 1.25, 1.5, 7.5 saturates to 3.75 in 5 bits with 2 fractional; the negative side to -4.
        self.assertEqual(read_npy(y), ((1, 2), "<f4", [3.75, -4.0]))
        with zipfile.ZipFile(self.dir / "both.npz", "w") as archive:
            archive.write(a, "a.npy")
            archive.write(b, "b.npy")
        self.good("matmul", f"{self.dir}/both.npz:a", f"{self.dir}/both.npz:b", self.dir / "z.npy",
                  "--product", "nearest,8,2", "--accumulator", "nearest,5,2")
        self.assertEqual((self.dir / "z.npy").read_bytes(), y.read_bytes())
        self.good("matmul", a, b, y, "--product", "zero,8,2", "--accumulator", "nearest,8,2", "--accumulate", "once")
        self.assertEqual(read_npy(y)[2], [7.0, -7.0])

    def test_saturates_on_the_way_in_step_and_not_in_once(self):
        a, b, y = self.matrices([[6.0, 6.0, -6.0]], [[1.0], [1.0], [1.0]])
        for mode, wanted in (("step", 1.0), ("once", 6.0), ("chunk:2", 1.0), ("fused", 1.0)):
            self.good("matmul", a, b, y, "--product", "nearest,8,0", "--accumulator", "nearest,4,0", "--accumulate", mode)
            self.assertEqual(read_npy(y)[2], [wanted], mode)

    def test_adds_up_in_two_levels(self):
        a, b, y = self.matrices([[6.0, 6.0, 6.0, -6.0]], [[1.0]] * 4)
        inner = ("--accumulator", "nearest,4,0")  # -8 .. 7
        self.good("matmul", a, b, y, *inner, "--outer", "nearest,6,0", "--every", "2")
        self.assertEqual(read_npy(y)[2], [7.0])  # 7 and 0
        result = json.loads(self.good("matmul", a, b, y, *inner, "--every", "1", "--json"))
        self.assertEqual(read_npy(y)[2], [12.0])
        self.assertEqual(result["outer"], {"accumulator": "none", "every": 1})

    def test_adds_up_as_a_named_piece_of_hardware_does(self):
        # 2^-14 lies below the last bit that is left beside 1.
        a, b, y = self.matrices([[1.0] + [2.0**-14] * 31], [[1.0]] * 32)
        result = json.loads(self.good("matmul", a, b, y, "--hardware", "hopper_fp8", "--json"))
        self.assertEqual(read_npy(y)[2], [1.0])
        self.assertEqual((result["accumulator"], result["accumulate"]), ("float,8,13,rounding=zero", "align:32:13"))
        self.good("matmul", a, b, y, "--hardware", "h100_fp16")
        self.assertEqual(read_npy(y)[2], [1.0 + 31 * 2.0**-14])

    def test_takes_exponents_from_the_format_of_subnormal_numbers(self):
        a, b, y = self.matrices([[2.0**-9, 2.0**-9]], [[1.0], [0.5]])
        self.good("matmul", a, b, y, "--accumulate", "align:2:2")
        self.assertEqual(read_npy(y)[2], [1.5 * 2.0**-9])
        self.good("matmul", a, b, y, "--accumulate", "align:2:2", "--a-format", "e4m3fn")
        self.assertEqual(read_npy(y)[2], [0.0])

    def test_quantizes_by_formats_with_scales_along_the_taps(self):
        # 4 + 4 saturates to 7, times the scales 1/4 and 4; the bias comes behind them.
        a, b, y = self.matrices([[1.0, 1.0, 16.0, 16.0]], [[1.0]] * 4)
        sums = ("--accumulator", "even,4,0", "--outer", "none")
        result = json.loads(self.good("matmul", a, b, y, *sums, "--a-format", "even,4,0,block=2,scale=ceil", "--json"))
        self.assertEqual(read_npy(y)[2], [29.75])
        self.assertEqual((result["a_format"], result["b_format"]), ("even,4,0,block=2,scale=ceil", "none"))
        a, b, y = self.matrices([[1.0] * 4], [[1.0, 0.0], [1.0, 0.0], [16.0, 1.0], [16.0, 1.0]])
        bias = self.dir / "bias.npy"
        write_npy(bias, "<f4", (2,), struct.pack("<2f", 0.5, 1.0))
        self.good("matmul", a, b, y, *sums, "--b-format", "even,4,0,block=2,scale=ceil", "--bias", bias)
        self.assertEqual(read_npy(y)[2], [30.25, 2.75])  # 7 / 4 + 1

    def test_leaves_matrices_of_formats_without_scales_as_they_are(self):
        a, b, y = self.matrices([[1.25, 2.0]], [[1.0], [1.0]])
        self.good("matmul", a, b, y, "--a-format", "even,8,0")
        self.assertEqual(read_npy(y)[2], [3.25])

    def test_adds_the_bias_last(self):
        a, b, y = self.matrices([[6.0], [1.0]], [[1.0, 1.0]])
        bias = self.dir / "bias.npy"
        write_npy(bias, "<f4", (2,), struct.pack("<2f", 5.0, -0.25))
        self.good("matmul", a, b, y, "--accumulator", "nearest,4,0", "--bias", bias)
        self.assertEqual(read_npy(y)[2], [7.0, 6.0, 6.0, 1.0])

    def test_reports_ranges_and_the_kernel(self):
        a, b, y = self.matrices([[6.0, 6.0, -6.0]], [[1.0], [1.0], [1.0]])
        result = json.loads(self.good("matmul", a, b, y, "--product", "nearest,8,0", "--accumulator", "nearest,4,0",
                                      "--ranges", "--json"))
        self.assertIn(result["kernel"], ("fixed_int", "tiles"))
        ranges = result["ranges"]
        self.assertEqual((ranges["sums"], ranges["clamped_sums"], ranges["highest_sum"], ranges["sufficient_bits"]),
                         (3, 1, 12.0, 5))
        self.assertIn("clamped", self.good("matmul", a, b, y, "--accumulator", "nearest,4,0", "--ranges"))
        exact = json.loads(self.good("matmul", a, b, y, "--product", "nearest,8,0", "--accumulator", "nearest,8,0", "--json"))
        self.assertIn(exact["kernel"], ("integer", "tiles"))

    def test_takes_empty_and_double_matrices(self):
        write_npy(self.dir / "a.npy", "<f8", (2, 0), b"")
        write_npy(self.dir / "b.npy", "<f8", (0, 3), b"")
        self.good("matmul", self.dir / "a.npy", self.dir / "b.npy", self.dir / "y.npy", "--product", "nearest,8,4")
        self.assertEqual(read_npy(self.dir / "y.npy"), ((2, 3), "<f8", [0.0] * 6))

    def test_names_what_is_wrong(self):
        a, b, y = self.matrices([[1.0, 2.0]], [[1.0]])
        self.fails(1, "matmul", a, b, y, says="b.npy: has the shape (1, 1), which does not fit (1, 2)")
        self.assertFalse(y.exists())
        a, b, y = self.matrices([[1.0]], [[1.0]])
        self.fails(2, "matmul", a, b, y, "--product", "neares,8,4", says="column 1")
        self.fails(2, "matmul", a, b, y, "--product", "ternary", says="'ternary' cannot be the format of a product")
        self.fails(2, "matmul", a, b, y, "--accumulate", "twice", says='expected "step", "once", "chunk:N", "align:N:F" or "fused"')
        self.fails(2, "matmul", a, b, y, "--accumulate", "align:4", says="the fraction of 'align:4' must be an integer from 1 to 64")
        self.fails(2, "matmul", a, b, y, "--outer", "ternary", says="'ternary' cannot be the format of an outer accumulator")
        self.fails(2, "matmul", a, b, y, "--every", "0", says="--every")
        self.fails(2, "matmul", a, b, y, "--hardware", "hoper", says="'tensorquant list --hardware' shows all")
        self.fails(2, "matmul", a, b, y, "--hardware", "mx", "--every", "4", says="--every")
        self.fails(2, "matmul", a, b, self.dir / "y.txt", says="must be .npy")
        bias = self.dir / "bias.npy"
        write_npy(bias, "<f4", (2,), struct.pack("<2f", 1.0, 2.0))
        self.fails(1, "matmul", a, b, y, "--bias", bias, says="bias.npy: has 2 numbers, expected 1")
        write_npy(bias, "<f8", (1,), struct.pack("<d", 1.0))
        self.fails(1, "matmul", a, b, y, "--bias", bias, says="bias.npy: holds f64, but")


class Bench(CommandLine):
    def test_measures_the_quantizers_beside_their_references_and_copies(self):
        rows = json.loads(self.good("bench", "nearest,8,4", "ternary", "--elements", "100,5000", "--threads", "1",
                                    "--rounds", "2", "--json"))
        found = {(row["name"], row["quantizer"], row["elements"], row["threads"]) for row in rows}
        wanted = {(name, quantizer, elements, 1) for elements in (100, 5000)
                  for name, quantizer in [("streaming copy", ""), ("memcpy", ""), ("ours", "nearest,8,4"),
                                          ("reference", "nearest,8,4"), ("ours", "ternary"), ("reference", "ternary")]}
        self.assertEqual(found, wanted)
        self.assertEqual(len(rows), len(wanted))
        for row in rows:
            self.assertLess(0, row["nanoseconds_low"])
            self.assertLessEqual(row["nanoseconds_low"], row["nanoseconds"])
            self.assertLessEqual(row["nanoseconds"], row["nanoseconds_high"])
            self.assertAlmostEqual(row["gigabytes_per_second"] * row["nanoseconds"], 8)

    def test_measures_float64(self):
        rows = json.loads(self.good("bench", "fp16", "--type", "float64", "--elements", "100", "--threads", "1",
                                    "--rounds", "1", "--json"))
        self.assertEqual([row["type"] for row in rows], 4 * ["float64"])
        for row in rows:
            self.assertAlmostEqual(row["gigabytes_per_second"] * row["nanoseconds"], 16)

    def test_prints_a_table(self):
        lines = self.good("bench", "--elements", "100", "--rounds", "1", "float,4,3").splitlines()
        self.assertEqual([line.split("  ")[0] for line in lines],
                         ["QUANTIZER", "(streaming copy)", "(memcpy)", "float,4,3"])

    def test_names_what_is_wrong(self):
        self.fails(2, "bench", "neares,8,4", says="column 1")
        self.fails(2, "bench", "--elements", "0", says="--elements")
        self.fails(2, "bench", "--threads", "0", says="--threads")
        self.fails(2, "bench", "--type", "float16", says="--type")


class Compare(CommandLine):
    def trace(self, name, layers):
        folder = self.dir / name
        folder.mkdir()
        (folder / "trace.json").write_text(json.dumps({"layers": [layer for layer, _ in layers]}))
        for layer, values in layers:
            write_npy(folder / f"{layer}.npy", "<f4", (len(values),), struct.pack(f"<{len(values)}f", *values))
        return folder

    def test_names_the_first_layer_that_differs(self):
        a = self.trace("a", [("z", [1, 2]), ("b", [3, 4]), ("c", [1, math.nan])])
        b = self.trace("b", [("z", [1, 2]), ("b", [3, 4.5]), ("c", [1, 2])])
        result = json.loads(self.good("compare", a, b, "--json"))
        self.assertEqual(result["first_difference"], "b")
        self.assertEqual([row["layer"] for row in result["layers"]], ["z", "b", "c"])
        first, second, third = result["layers"]
        self.assertEqual((first["differing"], first["largest_error"], first["sqnr_db"]), (0, 0, None))
        self.assertEqual((second["elements"], second["differing"], second["largest_error"]), (2, 1, 0.5))
        self.assertAlmostEqual(second["sqnr_db"], 10 * math.log10(25 / 0.25))
        self.assertEqual((third["differing"], third["largest_error"], third["sqnr_db"]), (1, "nan", "nan"))
        self.assertIn("first layer that differs is b", self.good("compare", a, b))

    def test_tells_an_infinite_error_from_nan_and_shows_names_on_one_line(self):
        a = self.trace("a", [("a\nb", [1]), ("畳", [2])])
        b = self.trace("b", [("a\nb", [math.inf]), ("畳", [2])])
        row = json.loads(self.good("compare", a, b, "--json"))["layers"][0]
        self.assertEqual((row["layer"], row["largest_error"], row["sqnr_db"]), ("a\nb", "inf", "-inf"))
        lines = self.good("compare", a, b).splitlines()
        self.assertEqual(lines[1].split()[:2], ["a\\x0ab", "1"])
        self.assertEqual(lines[2], "畳      1         0          0              -")
        self.assertEqual(lines[-1], "The first layer that differs is a\\x0ab.")

    def test_a_byte_order_mark_is_no_part_of_a_text(self):
        a = self.trace("a", [("x", [1])])
        (a / "trace.json").write_bytes(b"\xef\xbb\xbf" + (a / "trace.json").read_bytes())
        self.good("compare", a, a)
        (a / "trace.json").write_text('{"layers": ["x"]}', encoding="utf-16")
        self.fails(1, "compare", a, a, says="trace.json: the text is UTF-16, expected UTF-8")

    def test_says_when_all_are_equal(self):
        a = self.trace("a", [("x", [1, math.nan])])
        b = self.trace("b", [("x", [1, math.nan])])
        self.assertIsNone(json.loads(self.good("compare", a, b, "--json"))["first_difference"])
        self.assertIn("All layers are equal", self.good("compare", a, b))

    def test_refuses_what_is_no_pair_of_traces(self):
        a = self.trace("a", [("x", [1])])
        self.fails(1, "compare", a, self.dir / "missing", says="missing")
        self.fails(1, "compare", a, self.trace("b", [("y", [1])]), says="different layers")
        self.fails(1, "compare", a, self.trace("c", [("x", [1, 2])]), says=["layer 'x'", "(1,)", "(2,)"])
        (self.dir / "empty").mkdir()
        self.fails(1, "compare", a, self.dir / "empty", says="trace.json")


if __name__ == "__main__":
    PROGRAM = sys.argv.pop(1)
    unittest.main()
